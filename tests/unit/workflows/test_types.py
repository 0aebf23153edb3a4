"""Types of workflows: which steps they have, and descriptions that are older than a step."""

from __future__ import annotations

import pytest

from apps.core.errors import Invalid
from apps.workflows.selectors.types import description_check, description_default


def steps_of(type_name: str) -> dict[str, bool]:
    described = description_default(type_name)
    return {s.name: s.active for stage in described.stages for s in stage.steps}


def test_cycles_are_aligned_in_multiplexing_and_sites_stitched_only_on_request() -> None:
    assert steps_of("multiplexing")["align"]
    canonical = steps_of("canonical")
    assert not canonical.pop("align")
    assert all(canonical.values())


def test_align_comes_between_illumination_and_what_uses_it() -> None:
    for kind in ("canonical", "multiplexing"):
        names = list(steps_of(kind))
        assert names.index("corilla") < names.index("align") < names.index("illuminati")


def test_a_description_without_an_optional_step_gets_it_switched_off() -> None:
    body = description_default("multiplexing").model_dump(mode="json")
    for stage in body["stages"]:
        stage["steps"] = [s for s in stage["steps"] if s["name"] != "align"]

    checked = description_check(body)

    found = {s.name: s for stage in checked.stages for s in stage.steps}
    assert not found["align"].active
    assert found["align"].arguments["ref_cycle"] == 0
    assert list(found) == list(steps_of("multiplexing"))


def test_other_steps_may_not_be_missing() -> None:
    body = description_default("canonical").model_dump(mode="json")
    body["stages"][1]["steps"] = body["stages"][1]["steps"][1:]

    with pytest.raises(Invalid, match="corilla, align"):
        description_check(body)
