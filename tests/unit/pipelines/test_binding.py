"""Roles find their channels; given objects replace what would be looked for."""

from __future__ import annotations

import pytest

from gpu_workers.errors import UserError
from gpu_workers.pipelines.binding import bind, with_objects
from gpu_workers.pipelines.description import Pipeline

PIPELINE = Pipeline.model_validate(
    {
        "channels": {"dna": "DNA", "body": "Cell"},
        "modules": [
            {"module": "threshold_otsu", "inputs": {"image": "dna"}, "outputs": {"mask": "bright"}},
            {"module": "separate", "inputs": {"mask": "bright"}, "outputs": {"labels": "nuclei"}},
            {
                "module": "grow",
                "inputs": {"labels": "nuclei", "image": "body"},
                "outputs": {"labels": "cells"},
            },
            {
                "module": "measure_intensity",
                "inputs": {"extract_objects": "cells", "intensity_image": "body"},
            },
        ],
        "objects": [{"name": "Nuclei", "labels": "nuclei"}, {"name": "Cells", "labels": "cells"}],
    }
)
MEASURE = Pipeline.model_validate(
    {
        "labels": {"objects": "Objects"},
        "modules": [{"module": "measure_morphology", "inputs": {"extract_objects": "objects"}}],
        "objects": [{"name": "Objects", "labels": "objects"}],
    }
)


@pytest.mark.parametrize(
    ("channels", "chosen", "expected"),
    [
        (("DNA", "Cell"), {}, {"dna": "DNA", "body": "Cell"}),
        (("Actin", "Hoechst 33342"), {}, {"dna": "Hoechst 33342", "body": "Actin"}),
        (("GFP", "DAPI"), {}, {"dna": "DAPI", "body": "GFP"}),
        (("A", "B", "C"), {"DNA": "C", "Cell": "A"}, {"dna": "C", "body": "A"}),
        (("A", "B"), {"Cell": "A"}, {"dna": "B", "body": "A"}),
    ],
)
def test_roles_find_their_channels(
    channels: tuple[str, ...], chosen: dict[str, str], expected: dict[str, str]
) -> None:
    assert bind(PIPELINE, channels, chosen).channels == expected


@pytest.mark.parametrize(
    ("channels", "chosen", "code"),
    [
        (("A", "B"), {}, "missing_channel"),
        (("DAPI",), {}, "missing_channel"),
        (("DAPI", "GFP"), {"DNA": "DAPY"}, "unknown_channel"),
    ],
)
def test_a_role_without_a_channel_is_named(
    channels: tuple[str, ...], chosen: dict[str, str], code: str
) -> None:
    with pytest.raises(UserError, match=r"DAP|A, B") as caught:
        bind(PIPELINE, channels, chosen)

    assert caught.value.code == code


def test_given_objects_leave_out_what_only_found_them() -> None:
    found = with_objects(PIPELINE, ["Nuclei"])

    assert [use.module for use in found.modules] == ["grow", "measure_intensity"]
    assert found.labels == {"nuclei": "Nuclei"}
    assert found.channels == {"body": "Cell"}


def test_all_objects_given_leave_measurements_alone() -> None:
    found = with_objects(PIPELINE, ["Nuclei", "Cells"])

    assert [use.module for use in found.modules] == ["measure_intensity"]
    assert [o.name for o in found.objects] == ["Nuclei", "Cells"]


def test_measurements_that_have_a_name_stay() -> None:
    uses = [use.model_dump() for use in PIPELINE.modules]
    uses[-1]["outputs"] = {"measurements": "values"}
    named = Pipeline.model_validate({**PIPELINE.model_dump(), "modules": uses})

    found = with_objects(named, ["Nuclei", "Cells"])

    assert [use.module for use in found.modules] == ["measure_intensity"]


def test_a_template_for_any_objects_is_repeated() -> None:
    found = with_objects(MEASURE, ["Nuclei", "Spots"])

    assert [o.name for o in found.objects] == ["Nuclei", "Spots"]
    assert sorted(found.labels.values()) == ["Nuclei", "Spots"]
    assert len(found.modules) == 2


def test_unknown_objects_are_named() -> None:
    with pytest.raises(UserError, match="no objects 'Spots'; it has: Nuclei, Cells") as caught:
        with_objects(PIPELINE, ["Spots"])

    assert caught.value.code == "unknown_objects"
