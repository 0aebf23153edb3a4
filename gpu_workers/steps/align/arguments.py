"""What a person chooses for the alignment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gpu_workers.imaging.illumination.correction import Choice
from gpu_workers.registry import Arguments


class AlignArguments(Arguments):
    """Arguments of align."""

    ref_cycle: int = Field(
        0, ge=0, title="Reference cycle", description="Others are moved onto it; counted from 0."
    )
    ref_wavelength: str | None = Field(
        None,
        title="Reference channel",
        description="A channel that every cycle shows, by its name without the number of the cycle."
        " Empty: the nuclear stain, else the first that all cycles have.",
    )
    stitch: bool = Field(
        False,
        title="Stitch sites",
        description="Find where overlapping sites lie by what they show, instead of by the stage."
        " The map then uses these places.",
    )
    stitch_search: int = Field(
        30,
        ge=1,
        le=2000,
        title="Error of the stage (px)",
        description="How far a neighbour is looked for around the place the layout gives it.",
    )
    max_shift: int | None = Field(
        None,
        ge=1,
        le=20_000,
        title="Largest shift (px)",
        description="Between cycles. Empty: a quarter of the image's side.",
    )
    tolerance: float = Field(
        5.0,
        ge=0.5,
        le=1000,
        title="Tolerance (px)",
        description="A site whose shift differs from its neighbours' by more than this, and by more"
        " than is usual on the plate, takes theirs.",
    )
    min_confidence: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Least confidence",
        description="Shifts of which less than this is certain are not believed: 0 nothing in common"
        " but chance, 1 the same image.",
    )
    robust_align: bool = Field(
        False,
        title="Clip bright dirt",
        description="Set intensities above the percentile below to it before comparing.",
    )
    rescale_percentile: float = Field(99.9, gt=50, le=100, title="Percentile to clip at")
    correct: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Correct illumination",
        description="Compare images with evened illumination. auto: if there are statistics that"
        " stand on enough images.",
    )
    correct_method: Choice = Field("auto", title="Way of correction")
    force: bool = Field(
        False,
        title="Correct in any case",
        description="Although the statistics stand on too few images.",
    )
    batch_size: int = Field(20, ge=1, le=1000, title="Sites per job")

    @property
    def clip_percent(self) -> float | None:
        """Percentile to clip at, None where nothing is clipped."""
        return self.rescale_percentile if self.robust_align else None
