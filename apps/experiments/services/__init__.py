"""Writes of experiments and their parts."""

from apps.experiments.services.access import (
    access_changed,
    access_grant,
    access_revoke,
    reach_changed,
)
from apps.experiments.services.collection import garbage_collect
from apps.experiments.services.experiments import (
    acquisition_create,
    acquisition_delete,
    acquisition_update,
    channel_update,
    experiment_create,
    experiment_delete,
    experiment_update,
    plate_create,
    plate_delete,
    plate_update,
)
from apps.experiments.services.inspections import (
    inspection_apply,
    inspection_request,
    inspection_started,
)
from apps.experiments.services.layouts import layout_correct
from apps.experiments.services.products import products_apply
from apps.experiments.services.registration import folder_register
from apps.experiments.services.segmentations import (
    segmentation_add,
    segmentation_delete,
    segmentations_apply,
    segmentations_publish,
)
from apps.experiments.services.uploads import file_append, file_delete

__all__ = [
    "access_changed",
    "access_grant",
    "access_revoke",
    "acquisition_create",
    "acquisition_delete",
    "acquisition_update",
    "channel_update",
    "experiment_create",
    "experiment_delete",
    "experiment_update",
    "file_append",
    "file_delete",
    "folder_register",
    "garbage_collect",
    "inspection_apply",
    "inspection_request",
    "inspection_started",
    "layout_correct",
    "plate_create",
    "plate_delete",
    "plate_update",
    "products_apply",
    "reach_changed",
    "segmentation_add",
    "segmentation_delete",
    "segmentations_apply",
    "segmentations_publish",
]
