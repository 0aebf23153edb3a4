"""metaextract: find the reader of every acquisition and read the header of every image file.

Below ``metadata/<key>/<acquisition's number>/`` lie ``planes.parquet`` (what names and vendor metadata
say), ``parts/*.parquet`` (headers of a batch of files) and ``headers.parquet`` (all of them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gpu_workers import registry
from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.files import read_contents
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, scan
from gpu_workers.formats.reader import Reader, choose, require_planes, survey_of
from gpu_workers.formats.survey import Survey
from gpu_workers.messages import AcquisitionDescription, Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.storage import paths, tables

FILE_TYPES = {"path": "string", "size": "int64", "mtime_ns": "int64"}
PLANE_TYPES = {
    "file": "string", "well": "string", "site": "string", "channel": "string", "z": "int64",
    "t": "int64", "role": "string", "stage_y_um": "double", "stage_x_um": "double",
    "z_um": "double", "method": "string", "page": "int64", "cycle": "int64", "y_px": "double",
    "x_px": "double", "time_s": "double",
}  # fmt: skip
HEADER_TYPES = {
    "file": "string", "height": "int64", "width": "int64", "dtype": "string", "n_pages": "int64",
    "samples": "int64", "stage_y_um": "double", "stage_x_um": "double", "z_um": "double",
    "pixel_size_um": "double", "wavelength_nm": "double", "channel_name": "string",
    "method": "string", "code": "string", "message": "string",
}  # fmt: skip
_SINGLE_PROBLEMS = 20


class MetaExtractArguments(registry.Arguments):
    """Arguments of metaextract."""

    batch_size: int = Field(
        1000,
        ge=1,
        le=100_000,
        title="Files per job",
        description="How many image headers one job reads.",
    )


def acquisition_folder(root: Path, acquisition: AcquisitionDescription) -> Path:
    """Return the folder of an acquisition's files; relative ones lie below the experiment's."""
    folder = Path(acquisition.folder)
    if folder.is_absolute():
        return folder
    if ".." in folder.parts:
        raise UserError(
            f"the folder of {acquisition.name!r} leaves the experiment", code="no_folder"
        )
    return root / folder


class MetaExtract(Step[MetaExtractArguments]):
    name: ClassVar = "metaextract"
    title: ClassVar = "Extract metadata"
    help: ClassVar = "Find the microscope's reader and read the header of every image file."
    VERSION: ClassVar = 2
    Arguments: ClassVar = MetaExtractArguments

    def plan(self, context: StepContext, arguments: MetaExtractArguments) -> Plan:
        """Return batches of files; writes what names and vendor metadata say."""
        surveys: list[tuple[int, AcquisitionDescription, Listing, Reader, Survey]] = []
        acquisitions = context.experiment.acquisitions
        if not acquisitions:
            raise UserError("the experiment has no acquisition yet", code="no_acquisition")
        for number, acquisition in enumerate(acquisitions):
            try:
                surveys.append((number, acquisition, *_survey(context.root, acquisition)))
            except UserError as error:
                if len(acquisitions) == 1:
                    raise
                own = _called(acquisition)
                message = (
                    error.message if error.message.startswith(own) else f"{own}: {error.message}"
                )
                context.problems.append(
                    Problem(severity="error", code=error.code, message=message, files=error.files)
                )
        if not surveys:
            raise FileError(
                "no acquisition can be read: " + "; ".join(p.message for p in context.problems),
                code="no_images",
            )
        fingerprints = [
            (str(a.id), n, ls.fingerprint(), r.name, r.VERSION, a.pattern)
            for n, a, ls, r, _ in surveys
        ]
        key = paths.content_key(self.name, self.VERSION, arguments.model_dump(), fingerprints)
        batches: list[Json] = []
        for number, acquisition, listing, reader, survey in surveys:
            context.problems.extend((*listing.problems, *survey.problems))
            _write_survey(context.root, key, number, acquisition, listing, reader, survey)
            n = len(listing.images())
            batches += [
                {
                    "acquisition": number,
                    "first": first,
                    "count": min(arguments.batch_size, n - first),
                }
                for first in range(0, n, arguments.batch_size)
            ]
        return Plan(key=key, rounds=(tuple(batches),))

    def run(self, context: StepContext, arguments: MetaExtractArguments, batch: Json) -> StepOutput:  # noqa: ARG002
        """Read the headers of one batch of files; a bad file is a row with its error."""
        number, first, count = int(batch["acquisition"]), int(batch["first"]), int(batch["count"])
        folder = context.root / paths.metadata_folder(context.key) / str(number)
        source = acquisition_folder(context.root, context.experiment.acquisitions[number])
        names = tables.read_table(folder / "files.parquet", ["path"])["path"]
        files = names.slice(first, count).to_pylist()
        rows: list[Json] = []
        for done, file in enumerate(files):
            if done % 100 == 0:
                context.progress(done / count, f"{done} of {count} files")
            rows.append(_header_row(source, file))
        columns = {name: [r.get(name) for r in rows] for name in HEADER_TYPES}
        tables.write_table(_part(folder, first), columns, HEADER_TYPES)
        unreadable = sum(r.get("code") is not None for r in rows)
        return StepOutput({"files": len(rows), "unreadable": unreadable})

    def collect(self, context: StepContext, arguments: MetaExtractArguments) -> StepOutput:
        """Join the headers of each acquisition, name unreadable files, write the manifest."""
        below = paths.metadata_folder(context.key)
        manifests: list[Json] = []
        n_unreadable = 0
        for number in range(len(context.experiment.acquisitions)):
            folder = context.root / below / str(number)
            if not (folder / "survey.json").is_file():
                continue
            manifest = paths.read_json(folder / "survey.json")
            n_unreadable += _join(
                folder, int(manifest["images"]), arguments.batch_size, context.problems
            )
            manifests.append(manifest)
        manifest_path = f"{below}/metadata.json"
        paths.write_json(
            context.root / manifest_path,
            {"version": 1, "key": context.key, "acquisitions": manifests},
        )
        output = {
            "files": sum(m["images"] for m in manifests),
            "planes": sum(m["planes"] for m in manifests),
            "unreadable": n_unreadable,
            "readers": sorted({m["reader"] for m in manifests}),
        }
        return StepOutput(output, {"metadata": manifest_path})


def _called(acquisition: AcquisitionDescription) -> str:
    return f"acquisition {acquisition.name!r} of plate {acquisition.plate_name!r}"


def _survey(root: Path, acquisition: AcquisitionDescription) -> tuple[Listing, Reader, Survey]:
    folder = acquisition_folder(root, acquisition)
    if not Path(acquisition.folder).is_absolute() and not folder.exists():
        raise FileError(
            f"{_called(acquisition)} has no files yet: upload some or register a folder",
            code="no_folder",
        )
    listing = scan(folder)
    reader = choose(listing, acquisition.microscope, acquisition.pattern)
    survey = survey_of(reader, listing, acquisition.pattern)
    return listing, reader, require_planes(survey, listing)


def _part(folder: Path, first: int) -> Path:
    return folder / "parts" / f"{first}.parquet"


def _write_survey(
    root: Path,
    key: str,
    number: int,
    acquisition: AcquisitionDescription,
    listing: Listing,
    reader: Reader,
    survey: Survey,
) -> None:
    folder = root / paths.metadata_folder(key) / str(number)
    images: list[FileEntry] = listing.images()
    tables.write_rows(folder / "files.parquet", images, FILE_TYPES)
    tables.write_rows(folder / "planes.parquet", survey.planes, PLANE_TYPES)
    tables.write_rows(folder / "absent.parquet", survey.absent, PLANE_TYPES)
    paths.write_json(
        folder / "survey.json",
        {
            "id": str(acquisition.id),
            "number": number,
            "folder": f"{paths.metadata_folder(key)}/{number}",
            "reader": reader.name,
            "images": len(images),
            "planes": len(survey.planes),
            "facts": survey.facts.model_dump(mode="json"),
        },
    )


def _header_row(folder: Path, file: str) -> Json:
    try:
        image = read_contents(folder, file)[0]
    except FileError as error:
        return {"file": file, "code": error.code, "message": error.message}
    channel = image.channels[0] if image.channels else None
    return {
        "file": file,
        **{name: getattr(image, name) for name in HEADER_TYPES if hasattr(image, name)},
        "n_pages": image.n_t * image.n_c * image.n_z,
        "wavelength_nm": channel.wavelength_nm if channel else None,
        "channel_name": channel.name or None if channel else None,
    }


def _join(folder: Path, n_files: int, batch_size: int, problems: list[Problem]) -> int:
    """Write all headers of an acquisition as one table; return how many planes' files are bad."""
    import pyarrow as pa

    parts: list[Any] = [tables.read_table(_part(folder, n)) for n in range(0, n_files, batch_size)]
    headers = pa.concat_tables(parts)
    tables.write_table(
        folder / "headers.parquet",
        {n: headers[n].combine_chunks() for n in HEADER_TYPES},
        HEADER_TYPES,
    )
    used = set(tables.read_table(folder / "planes.parquet", ["file"])["file"].to_pylist())
    bad = [
        (file, code, message)
        for file, code, message in zip(
            *(headers[n].to_pylist() for n in ("file", "code", "message")), strict=True
        )
        if code is not None and file in used
    ]
    if len(bad) <= _SINGLE_PROBLEMS:
        problems += [Problem(severity="error", code=c, message=m, files=(f,)) for f, c, m in bad]
    else:
        for code in sorted({c for _, c, _ in bad}):
            files = [f for f, c, _ in bad if c == code]
            example = next(m for _, c, m in bad if c == code)
            problems += aggregate(code, f"{{n}} files cannot be read; {example}", files, "error")
    return len(bad)
