"""metaconfig: merge what files, names and metadata say into one layout, and name every problem.

Entry point: `MetaConfig`. Merging is in `merge`, positions in `geometry`, the layout in `build`.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gpu_workers import registry
from gpu_workers.formats.pattern import compile_pattern
from gpu_workers.messages import Json, Plan
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.metaconfig.build import Grid, build
from gpu_workers.steps.metaconfig.geometry import StitchLayout
from gpu_workers.steps.metaconfig.merge import merge
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths, tables


class MetaConfigArguments(registry.Arguments):
    """Arguments of metaconfig."""

    regex: str | None = Field(
        None,
        title="File name pattern",
        max_length=500,
        description=(
            "Regular expression that reads the file names instead of the microscope's reader. Named groups: "
            "well (or row and column), site, channel, z, t, cycle."
        ),
    )
    stitch_layout: StitchLayout = Field(
        "horizontal",
        title="Order of sites",
        description="In which order the sites of a well were taken. Only used without stage positions.",
    )
    n_vertical: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Sites per column",
        description="Rows of the site grid of a well. Giving it sets sites side by side, without stage positions.",
    )
    n_horizontal: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Sites per row",
        description="Columns of the site grid of a well. Giving it sets sites side by side, without stage positions.",
    )
    overlap: float = Field(
        0,
        ge=0,
        le=0.45,
        title="Overlap of sites",
        description=(
            "Part of a site's height and width that the next site of the grid shows too, as the microscope was "
            "told: 0.1 for 10 %. Sites that overlap can be stitched (align). Not used with positions."
        ),
    )
    crop: bool = Field(
        False,
        title="Crop to a common size",
        description=(
            "Where the images of a site differ in size, such as cycles of two cameras, keep the upper left part "
            "that all of them have; for a plate whose sites must be alike, that of all its sites. Otherwise "
            "images of the rarer size are left out."
        ),
    )
    mip: bool = Field(
        False,
        title="Maximum projection",
        description="Ask image extraction for the maximum projection along z, where it isn't told otherwise.",
    )
    well_gap: float = Field(
        0.02,
        ge=0.02,
        le=1,
        title="Gap between wells",
        description="Least distance of neighbouring wells on the map, as part of the largest well.",
    )
    collapse_empty: bool = Field(
        True,
        title="Collapse empty rows and columns",
        description="Leave out rows and columns of the plate in which no well was imaged.",
    )


class MetaConfig(Step[MetaConfigArguments]):
    name: ClassVar = "metaconfig"
    title: ClassVar = "Configure layout"
    help: ClassVar = (
        "Decide which file is which plane and where every site lies; name what is wrong."
    )
    VERSION: ClassVar = 6
    requires: ClassVar = ("metadata",)
    is_corrected: ClassVar = True
    Arguments: ClassVar = MetaConfigArguments

    def plan(self, context: StepContext, arguments: MetaConfigArguments) -> Plan:
        """Return one batch: merging needs all planes at once and opens no image."""
        if arguments.regex is not None:
            compile_pattern(arguments.regex)
        experiment = context.experiment
        acquisitions = [
            (str(a.id), a.name, str(a.plate), a.plate_name, a.index)
            for a in experiment.acquisitions
        ]
        key = paths.content_key(
            self.name, self.VERSION, arguments.model_dump(), context.inputs["metadata"],
            acquisitions, experiment.plate_format, experiment.acquisition_mode,
            experiment.corrections.model_dump(mode="json"),
        )  # fmt: skip
        return Plan(key=key, rounds=(({},),), collect=False)

    def run(self, context: StepContext, arguments: MetaConfigArguments, batch: Json) -> StepOutput:  # noqa: ARG002
        """Write the layout and the table of planes."""
        experiment = context.experiment
        sources = merge(
            context.root, context.inputs["metadata"], experiment.acquisitions, arguments.regex, context.problems
        )  # fmt: skip
        context.progress(0.5, "files checked")
        grid = Grid(**arguments.model_dump(exclude={"regex", "mip", "crop"}))
        built = build(
            context.key, experiment, sources, grid, context.problems, mip=arguments.mip, crop=arguments.crop
        )  # fmt: skip
        layout, planes = built.layout, built.planes
        manifest = layouts.layout_path(context.key)
        tables.write_table(
            context.root / layouts.planes_path(context.key),
            {name: planes[name].to_numpy() for name in layouts.PLANE_TYPES},
            layouts.PLANE_TYPES,
        )
        paths.write_json(
            (context.root / manifest).with_name("problems.json"),
            [p.model_dump(mode="json") for p in context.problems],
        )
        paths.write_json(
            context.root / layouts.raw_layout_path(manifest), built.raw.model_dump(mode="json")
        )
        paths.write_json(context.root / manifest, layout.model_dump(mode="json"))
        output = {
            "plates": len(layout.plates),
            "wells": sum(len(p.wells) for p in layout.plates),
            "sites": sum(len(p.sites) for p in layout.plates),
            "channels": [c.name for c in layout.channels],
            "tpoints": layout.n_tpoints,
            "zplanes": layout.n_zplanes,
            "planes": int((planes["role"] == "plane").sum()),
            "projections": int((planes["role"] == "projection").sum()),
            "problems": len(context.problems),
        }
        return StepOutput(output, {"layout": manifest})
