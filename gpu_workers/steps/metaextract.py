"""metaextract: find the reader of every acquisition and ask every image file what it holds.

Below ``metadata/<key>/<acquisition's number>/`` lie ``planes.parquet`` (what names and vendor metadata
say), ``files.parquet`` (the files, those that are opened first), ``parts/*.parquet`` (what a batch of
files says of itself), ``images.parquet`` (all images of all files) and ``pages.parquet`` (planes that
files list one by one); their columns stand in `gpu_workers.formats.expansion`. What earlier metadata says
of files that have not changed is taken from there (`gpu_workers.storage.headers`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gpu_workers import registry
from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.expansion import IMAGE_TYPES, NAMED_TYPES, PAGE_TYPES, image_rows
from gpu_workers.formats.files import ask
from gpu_workers.formats.listing import FileEntry, Listing, aggregate, scan
from gpu_workers.formats.reader import Reader, choose, require_planes, survey_of
from gpu_workers.formats.survey import Survey
from gpu_workers.messages import AcquisitionDescription, Json, Plan, Problem
from gpu_workers.registry import Step, StepContext, StepOutput
from gpu_workers.storage import paths, tables
from gpu_workers.storage.headers import HEADER_TYPES, EarlierHeaders, Rows, write_index

FILE_TYPES = {"path": "string", "size": "int64", "mtime_ns": "int64", "opened": "bool"}
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
    help: ClassVar = "Find the microscope's reader and ask every image file what it holds."
    VERSION: ClassVar = 4
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
                # A layout without an acquisition that was converted and removed would hide it.
                if len(acquisitions) == 1 or error.code == "originals_removed":
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
        key = paths.content_key(
            self.name, self.VERSION, arguments.model_dump(), fingerprints, _file_types()
        )
        batches: list[Json] = []
        for number, acquisition, listing, reader, survey in surveys:
            context.problems.extend((*listing.problems, *survey.problems))
            n = _write_survey(context.root, key, number, acquisition, listing, reader, survey)
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
        """Ask one batch of files what they hold; a bad file is a row with its error."""
        number, first, count = int(batch["acquisition"]), int(batch["first"]), int(batch["count"])
        folder = context.root / paths.metadata_folder(context.key) / str(number)
        source = acquisition_folder(context.root, context.experiment.acquisitions[number])
        # Without this check an unmounted share would look like thousands of missing files.
        if not source.is_dir():
            called = _called(context.experiment.acquisitions[number])
            raise FileError(f"the folder of {called} is not there", code="no_folder")
        files = tables.read_slice(
            folder / "files.parquet", first, count, [*HEADER_TYPES]
        ).to_pylist()
        acquisition = str(context.experiment.acquisitions[number].id)
        known = EarlierHeaders.open(folder.parent, _versions(), acquisition).rows(files)
        found = _Found()
        for done, file in enumerate(files):
            if done % 100 == 0:
                context.progress(done / count, f"{done} of {count} files")
            found.add(source, file, known.get(file["path"]))
        _write(_part(folder, first), found.images, IMAGE_TYPES)
        _write(_part(folder, first, "pages"), found.pages, PAGE_TYPES)
        _write(_part(folder, first, "headers"), found.alone, HEADER_TYPES)
        unreadable = sum(r.get("code") is not None for r in found.images)
        return StepOutput({"files": len(files), "known": len(known), "unreadable": unreadable})

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
        write_index(context.root / below, _versions(), {m["id"]: m["number"] for m in manifests})
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


def _file_types() -> list[tuple[str, int]]:
    """Return the versions of the file types: what they say of a file may change with them."""
    return [
        (name, int(getattr(registry.load("files", name), "VERSION", 1)))
        for name in registry.names("files")
    ]


def _versions() -> Json:
    """Return what decides, besides a file, what is said of it."""
    return {"step": MetaExtract.VERSION, "files": _file_types()}


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


def _part(folder: Path, first: int, what: str = "images") -> Path:
    return folder / "parts" / f"{what}-{first}.parquet"


def _write(path: Path, rows: list[Json], types: dict[str, str]) -> None:
    tables.write_table(path, {name: [r.get(name) for r in rows] for name in types}, types)


def _write_survey(
    root: Path,
    key: str,
    number: int,
    acquisition: AcquisitionDescription,
    listing: Listing,
    reader: Reader,
    survey: Survey,
) -> int:
    """Write what names and vendor metadata say; return how many files are to be opened."""
    folder = root / paths.metadata_folder(key) / str(number)
    unplaced = set(survey.unplaced)
    images = listing.images() if survey.files is None else survey.files
    opened = [f for f in images if f.path not in unplaced]
    known = {f.path for f in opened}
    # Files that only another file describes are never opened, but their sizes are recorded.
    others = [f for f in listing.images() if f.path not in known]
    entries: list[FileEntry] = [*opened, *others]
    columns: dict[str, list[Any]] = {
        name: [getattr(f, name) for f in entries] for name in ("path", "size", "mtime_ns")
    }
    columns["opened"] = [n < len(opened) for n in range(len(entries))]
    tables.write_table(folder / "files.parquet", columns, FILE_TYPES)
    tables.write_rows(folder / "planes.parquet", survey.planes, NAMED_TYPES)
    tables.write_rows(folder / "absent.parquet", survey.absent, NAMED_TYPES)
    paths.write_json(
        folder / "survey.json",
        {
            "id": str(acquisition.id),
            "number": number,
            "folder": f"{paths.metadata_folder(key)}/{number}",
            "reader": reader.name,
            "images": len(opened),
            "planes": len(survey.planes),
            "unplaced": survey.unplaced,
            "facts": survey.facts.model_dump(mode="json"),
        },
    )
    return len(opened)


class _Found:
    """What a batch of files says of itself."""

    def __init__(self) -> None:
        self.images: list[Json] = []
        self.pages: list[Json] = []
        self.alone: list[Json] = []
        self._foreign: set[tuple[str, int, int]] = set()

    def add(self, folder: Path, entry: Json, known: Rows | None) -> None:
        """Ask one file, unless what it says is known."""
        if known is not None:
            self.images += known.images
            self.pages += known.pages
            self.alone.append(entry)
            return
        file = entry["path"]
        try:
            contents, is_alone = ask(folder, file)
            images, pages = image_rows(file, contents)
        except FileError as error:
            code, message = error.code, error.message
            self.images.append({"file": file, "image": 0, "code": code, "message": message})
            return
        # A folder has no size by which it would be known again.
        if is_alone and entry["size"] >= 0:
            self.alone.append(entry)
        self.images += images
        for page in pages:
            # Each file of a set may list the planes of all: one list of them is enough.
            place = page["target"], page["page"], page["c"]
            if page["target"] != file:
                if place in self._foreign:
                    continue
                self._foreign.add(place)
            self.pages.append(page)


def _join(folder: Path, n_files: int, batch_size: int, problems: list[Problem]) -> int:
    """Write the contents of an acquisition's files as two tables; return how many files are bad."""
    import pyarrow as pa

    joined: dict[str, Any] = {}
    for what, types in (("images", IMAGE_TYPES), ("pages", PAGE_TYPES), ("headers", HEADER_TYPES)):
        found = [_part(folder, n, what) for n in range(0, n_files, batch_size)]
        # Jobs of an earlier release left no headers.
        parts = [tables.read_table(path) for path in found if what != "headers" or path.is_file()]
        empty = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])
        joined[what] = pa.concat_tables([empty.empty_table(), *parts])
        columns = {name: joined[what][name].combine_chunks() for name in types}
        tables.write_table(folder / f"{what}.parquet", columns, types)
    used = set(tables.read_table(folder / "planes.parquet", ["file"])["file"].to_pylist())
    said = (joined["images"][name].to_pylist() for name in ("file", "code", "message"))
    bad = [(f, c, m) for f, c, m in zip(*said, strict=True) if c is not None and f in used]
    if len(bad) <= _SINGLE_PROBLEMS:
        problems += [Problem(severity="error", code=c, message=m, files=(f,)) for f, c, m in bad]
        return len(bad)
    for code in sorted({c for _, c, _ in bad}):
        files = [f for f, c, _ in bad if c == code]
        example = next(m for _, c, m in bad if c == code)
        problems += aggregate(code, f"{{n}} files cannot be read; {example}", files, "error")
    return len(bad)
