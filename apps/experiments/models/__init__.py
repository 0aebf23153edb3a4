"""Rows of the experiments: what was imaged, its files, and which versions of the data are current."""

from apps.experiments.models.access import (
    ExperimentGroupGrant,
    ExperimentUserGrant,
    ObjectTypeGroupGrant,
    ObjectTypeUserGrant,
    PlateGroupGrant,
    PlateUserGrant,
)
from apps.experiments.models.experiments import (
    Acquisition,
    AcquisitionMode,
    AcquisitionSource,
    AcquisitionStatus,
    Experiment,
    FileStatus,
    Plate,
    SourceFile,
)
from apps.experiments.models.images import (
    Channel,
    Cycle,
    Feature,
    ObjectType,
    Site,
    Well,
)
from apps.experiments.models.inspections import (
    Inspection,
    InspectionState,
)
from apps.experiments.models.segmentations import (
    SegmentationState,
    SegmentationUpload,
)
from apps.experiments.models.versions import (
    LayoutEdit,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    Product,
)

__all__ = [
    "Acquisition",
    "AcquisitionMode",
    "AcquisitionSource",
    "AcquisitionStatus",
    "Channel",
    "Cycle",
    "Experiment",
    "ExperimentGroupGrant",
    "ExperimentUserGrant",
    "Feature",
    "FileStatus",
    "Inspection",
    "InspectionState",
    "LayoutEdit",
    "LayoutVersion",
    "Mosaic",
    "ObjectSet",
    "ObjectType",
    "ObjectTypeGroupGrant",
    "ObjectTypeUserGrant",
    "Plate",
    "PlateGroupGrant",
    "PlateUserGrant",
    "Product",
    "SegmentationState",
    "SegmentationUpload",
    "Site",
    "SourceFile",
    "Well",
]
