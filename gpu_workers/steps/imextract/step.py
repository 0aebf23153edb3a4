"""The step: plan, rounds, collect."""

from __future__ import annotations

from typing import Any, ClassVar

from gpu_workers.messages import Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.steps.imextract.arguments import VERSION, ImExtractArguments
from gpu_workers.steps.imextract.batches import (
    batches,
    digest,
    part_path,
    plane_bytes,
    read_planes,
)
from gpu_workers.steps.imextract.conversion import convert
from gpu_workers.steps.imextract.finishing import finish
from gpu_workers.steps.imextract.removal import (
    READ_BACK,
    REMOVE,
    read_back,
    refuse_cropped,
    refuse_registered,
    remove,
    require_originals,
)
from gpu_workers.steps.imextract.reuse import rows_to_write
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.plates import manifest_path


class ImExtract(Step[ImExtractArguments]):
    """Rounds: planes are converted; with `delete` they are read back, then originals are removed."""

    name: ClassVar = "imextract"
    title: ClassVar = "Extract images"
    help: ClassVar = (
        "Copy the pixels of all planes into OME-Zarr, unchanged, with a projection if asked."
    )
    VERSION: ClassVar = VERSION
    requires: ClassVar = ("layout",)
    Arguments: ClassVar = ImExtractArguments

    def plan(self, context: StepContext, arguments: ImExtractArguments) -> Plan:
        """Return batches of planes.

        Raises
        ------
        UserError
            Originals are to be removed from a registered folder, or only parts of them are kept.
        FileError
            Originals that are needed were removed.
        """
        if arguments.delete:
            refuse_registered(context)
        layout = layouts.load_raw_layout(context.root, context.inputs["layout"])
        if arguments.delete:
            refuse_cropped(layout)
        planes = read_planes(context)
        key = _key(layout, planes, arguments)
        jobs = batches(planes, layout, arguments.batch_size)
        require_originals(context, key, jobs, planes)
        new = rows_to_write(context, key, planes, arguments.asked(layout))
        n_bytes = int(plane_bytes(planes, layout)[new].sum())
        extra = n_bytes // layout.n_zplanes if arguments.made(layout) else 0
        rounds: list[tuple[Json, ...]] = [tuple(jobs)]
        if arguments.delete:
            rounds += [tuple({**job, "do": READ_BACK} for job in jobs), ({"do": REMOVE},)]
        return Plan(key=key, rounds=tuple(rounds), bytes_to_write=n_bytes + extra)

    def run(self, context: StepContext, arguments: ImExtractArguments, batch: Json) -> StepOutput:
        """Convert a batch of planes (does nothing if that is done already), read it back, or remove originals."""
        if batch.get("do") == READ_BACK:
            return StepOutput(read_back(context, batch))
        if batch.get("do") == REMOVE:
            manifest = finish(context, arguments)
            return StepOutput(remove(context, arguments, manifest))
        part = part_path(context, batch)
        done = paths.read_json(part) if part.is_file() else convert(context, arguments, batch)
        for problem in done["problems"]:
            context.problems.append(Problem.model_validate(problem))
        return StepOutput({n: done.get(n, 0) for n in ("planes", "bytes", "linked", "n_missing")})

    def collect(self, context: StepContext, arguments: ImExtractArguments) -> StepOutput:
        """Write plate, well and image metadata, tables and the manifest.

        Raises
        ------
        FileError
            Not one plane could be read.
        """
        manifest = finish(context, arguments)
        output = {
            "images": manifest.images,
            "planes": manifest.planes,
            "bytes": manifest.bytes,
            "missing": manifest.n_missing,
            "removed": manifest.removed.n if manifest.removed else 0,
        }
        return StepOutput(output, {"plates": manifest_path(context.key)})


def _key(layout: Layout, planes: Any, arguments: ImExtractArguments) -> str:
    """Return the version of the plates: what is written depends on this and on nothing else.

    Not on a person's corrections, names of plates and acquisitions, or places on the map. Without a stack
    there is nothing to project, but the manifest still names what was asked. The back end isn't part of
    it (no pixel is computed on a GPU, and raw data is kept once), and the removal of originals isn't.
    """
    plates = [
        (p.id, [(s.raw, s.height, s.width, s.stage_y_um, s.stage_x_um) for s in p.sites])
        for p in layout.plates
    ]
    acquisitions = [(a.id, a.plate, a.index, a.n_tpoints) for a in layout.acquisitions]
    channels = [(c.name, c.color, c.dtype, c.brightfield) for c in layout.channels]
    return paths.content_key(
        ImExtract.name, ImExtract.VERSION, arguments.asked(layout), digest(planes), plates,
        acquisitions, channels, layout.n_zplanes, layout.pixel_size_um, layout.z_step_um, layout.times_s,
    )  # fmt: skip
