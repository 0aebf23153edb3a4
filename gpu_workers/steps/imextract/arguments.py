"""What a person chooses for the conversion."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from gpu_workers import registry
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.plates import Projection

VERSION: Final = 4
"""Of the step; raised when its results change."""


class ImExtractArguments(registry.Arguments):
    """Arguments of imextract."""

    projection: Literal["auto", "none", "max", "mean", "best"] = Field(
        "auto",
        title="Projection along z",
        description=(
            "Also store the maximum or mean of each z stack, or its plane in best focus (largest mean squared "
            "gradient); later steps can then work on it. The planes themselves are always kept. auto: the "
            "maximum if metaconfig was asked for it."
        ),
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=100_000,
        title="Sites per job",
        description="How many sites one job converts; by default as many planes as make about 200 MB.",
    )
    delete: bool = Field(
        False,
        title="Remove originals",
        description=(
            "Remove the uploaded image files afterwards: only those of which every plane has been read back "
            "from the plates and is the same, bit for bit. Files in registered folders are never removed. "
            "Metadata can't be read again without uploading the files again."
        ),
    )

    def asked(self, layout: Layout) -> Projection | None:
        """Return the projection that is wanted."""
        if self.projection == "auto":
            return "max" if layout.mip else None
        return None if self.projection == "none" else self.projection

    def made(self, layout: Layout) -> Projection | None:
        """Return the projection that is stored: of a single plane it would be the same pixels twice."""
        return self.asked(layout) if layout.n_zplanes > 1 else None
