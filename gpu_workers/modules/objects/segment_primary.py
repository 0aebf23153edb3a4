"""Module: nuclei, and other bright objects, found at their own size and brightness."""

from __future__ import annotations

from pydantic import Field

from gpu_workers.imaging.primary import Settings, find_objects
from gpu_workers.modules.module import Intensity, LabelImage, module
from gpu_workers.registry import Arguments

_DEFAULTS = Settings()


class SegmentPrimaryArguments(Arguments):
    diameter: float | None = Field(
        None,
        ge=3,
        le=2000,
        title="Diameter (px)",
        description="typical one of the objects; measured in the image if empty",
    )
    sigma: float = Field(
        _DEFAULTS.sigma, ge=0, le=50, title="Sigma (px)", description="smoothing before all else"
    )
    flatten: bool = Field(
        _DEFAULTS.flatten,
        title="Flatten",
        description="take away the smooth unevenness of the background first",
    )
    contrast: float = Field(
        _DEFAULTS.contrast,
        ge=0,
        le=100,
        title="Least contrast",
        description="of objects over the background, in standard deviations of its noise; 0: there"
        " are objects in every image, as in sections of tissue",
    )
    fraction: float = Field(
        _DEFAULTS.fraction,
        gt=0,
        le=2,
        title="Dim objects",
        description="how far below Otsu's threshold the foreground begins: the fraction of its"
        " distance from the background",
    )
    noise: float = Field(
        _DEFAULTS.noise,
        ge=0,
        le=100,
        title="Noise",
        description="least distance of the foreground from the background, in standard deviations",
    )
    surroundings: float = Field(
        _DEFAULTS.surroundings,
        ge=0,
        le=50,
        title="Surroundings",
        description="objects are also brighter than the mean of a square of so many diameters, for"
        " an uneven background; 0: doesn't matter",
    )
    edge: float = Field(
        _DEFAULTS.edge,
        ge=0,
        lt=1,
        title="Edge",
        description="fraction of its own brightness at which an object ends",
    )
    glare: float = Field(
        _DEFAULTS.glare,
        gt=0,
        le=100,
        title="Glare",
        description="brightness, over that of usual objects, above which an object's edge doesn't"
        " rise any further",
    )
    min_size: float = Field(
        _DEFAULTS.min_size,
        ge=0,
        le=1,
        title="Smallest size",
        description="fraction of the typical area; smaller objects are left out",
    )
    min_brightness: float = Field(
        _DEFAULTS.min_brightness,
        ge=0,
        le=1,
        title="Least brightness",
        description="fraction of the usual brightness; dimmer objects are left out",
    )
    faint: float = Field(
        _DEFAULTS.faint,
        ge=0,
        le=1,
        title="Faint objects",
        description="round ones between the others are kept from this fraction of the usual"
        " brightness over their surroundings on; 0: none are looked for",
    )


@module(
    title="Segment primary objects",
    help="Finds nuclei and other bright objects, dim beside bright ones too, and cuts clumps apart.",
    version=1,
    outputs=("labels",),
    bytes_per_pixel=64,
)
def segment_primary(arguments: SegmentPrimaryArguments, image: Intensity) -> LabelImage:
    """Return labels 1…n."""
    return find_objects(image, Settings(**arguments.model_dump()))
