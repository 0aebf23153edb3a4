"""Corrections of the layout: kept as versions, applied when metaconfig runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from pydantic import ValidationError

from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.experiments.models import LayoutEdit, Plate
from apps.experiments.selectors import experiment_get, layout_edit_latest
from gpu_workers.messages import LayoutCorrections

if TYPE_CHECKING:
    from apps.accounts.models import User

MAX_ENTRIES = 20_000


@transaction.atomic
def layout_correct(
    *, user: User, experiment_id: UUID, corrections: dict[str, Any], number: int | None = None
) -> LayoutEdit:
    """Keep corrections of the layout; they replace the earlier ones and hold from the next run on.

    `number` is the version that they were made from: another one in between is a conflict.

    Raises
    ------
    Invalid
        They have another form, or name a plate the experiment does not have.
    Conflict
        Somebody else has changed the corrections meanwhile.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    type(experiment).objects.select_for_update().get(id=experiment.id)
    valid = _validated(corrections)
    _check_plates(experiment_id, valid)
    latest = layout_edit_latest(experiment_id=experiment_id)
    known = latest.number if latest else 0
    if number is not None and number != known:
        raise Conflict(
            f"the corrections have changed meanwhile (they are version {known}, not {number})",
            code="corrections_changed",
            extra={"number": known},
        )
    content = valid.model_dump(mode="json")
    if latest is not None and latest.content == content:
        return latest
    made = LayoutEdit.objects.create(
        experiment=experiment, number=known + 1, content=content, created_by=user
    )
    audit.record(actor=user, action="layout.correct", obj=made, experiment=str(experiment_id))
    return made


def _validated(corrections: dict[str, Any]) -> LayoutCorrections:
    n = sum(len(part) for part in corrections.values() if isinstance(part, list))
    if n > MAX_ENTRIES:
        raise Invalid(
            f"{n} corrections are more than the {MAX_ENTRIES} there may be: use a pattern for the"
            " file names instead",
            code="too_many_corrections",
        )
    try:
        return LayoutCorrections.model_validate(corrections)
    except ValidationError as error:
        faults = {
            ".".join(map(str, e["loc"])) or "corrections": e["msg"] for e in error.errors()[:20]
        }
        text = "; ".join(f"{where}: {what}" for where, what in faults.items())
        raise Invalid(text, code="invalid_corrections", extra=faults) from error


def _check_plates(experiment_id: UUID, corrections: LayoutCorrections) -> None:
    named = {e.plate for e in corrections.wells} | {e.plate for e in corrections.sites}
    named |= {e.plate for e in corrections.grids}
    known = set(Plate.objects.filter(experiment_id=experiment_id).values_list("id", flat=True))
    missing = sorted(map(str, named - known))
    if missing:
        raise Invalid(f"the experiment has no plate {missing[0]}", code="unknown_plate")
