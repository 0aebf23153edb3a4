"""Reads of uploaded label images; they are the whole experiment's, a part of it shows none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from apps.core.errors import NotFound
from apps.experiments.models import SegmentationUpload
from apps.experiments.selectors.experiments import experiment_get, reach

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User


def segmentations_list(
    *, user: User, experiment_id: UUID, state: str = "", object_type: str = ""
) -> QuerySet[SegmentationUpload]:
    """Return the uploaded label images, newest first; raises NotFound where only parts are seen."""
    experiment = experiment_get(user=user, experiment_id=experiment_id)
    seen = reach(user=user, experiment_id=experiment_id)
    if seen.plates != "all" or seen.object_types != "all":
        raise NotFound("only parts of this experiment are shared with you")
    rows = SegmentationUpload.objects.filter(experiment=experiment)
    rows = rows.select_related("site__well__plate", "created_by")
    rows = rows.filter(state=state) if state else rows
    return rows.filter(object_type=object_type) if object_type else rows
