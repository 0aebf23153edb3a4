"""Coverage-guided fuzzing of one file type or reader, run by hand.

``python -m tests.fuzz.atheris_readers tiff -runs=100000 -max_total_time=180``: the first argument is
the name of a file type or, where no type is called so, of a reader; the others are libFuzzer's.
atheris is not among the locked packages: install it into an environment of its own and put the
project's packages on its path::

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    PYTHONPATH=.venv/lib/python3.11/site-packages /tmp/fuzz/bin/python -m tests.fuzz.atheris_readers czi

File types are run in this very process, guarded or not: coverage is seen, and a crash ends the run.
What ends a run is written to ``crash-…`` in the current folder and reproduced by naming that file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris  # type: ignore[import-not-found]

_LIBRARIES = ["gpu_workers", "nd2", "liffile", "tifffile", "defusedxml", "zarr", "ome_types"]
with atheris.instrument_imports(include=_LIBRARIES):
    import liffile  # noqa: F401
    import nd2  # noqa: F401
    import tifffile  # noqa: F401

    from gpu_workers import registry
    from gpu_workers.errors import FileError, UserError
    from gpu_workers.formats import reader as readers
    from gpu_workers.formats.files import opening, read_contents
    from gpu_workers.formats.listing import scan
    from tests.fuzz.seeds import file_seeds, reader_seeds, set_seeds
    from tests.fuzz.watch import named

MEMORY_MB = 1024
TIMEOUT_S = 20
_PLANES = 3
_METADATA = (".json", ".ome", ".xml", ".xdce", ".mlf", ".HTD", ".nd", ".txt")


def file_target(kind: str, folder: Path) -> Callable[[bytes], None]:
    """Return what reads bytes as a file of a type."""
    name = file_seeds(kind)[0][0]
    opened = registry.load("files", kind)
    # In the second process every error is the file's.
    expected: tuple[type[BaseException], ...] = (*opening.DAMAGE, UserError, OSError)
    if getattr(opened, "guarded", False):
        expected = (Exception,)

    def run(data: bytes) -> None:
        (folder / name).write_bytes(data)
        try:
            file = opened(folder, name)
        except expected:
            return
        try:
            for image in file.contents():
                opening.check(image, name)
                for number, plane in enumerate(image.each_plane()):
                    if number >= _PLANES:
                        break
                    file.read(plane.page, image.samples - 1)
        except expected:
            return
        finally:
            file.close()

    return run


def folder_target(
    builders: Sequence[Callable[[Path], None]], folder: Path, check: Callable[[Path], None]
) -> tuple[Callable[[bytes], None], list[bytes]]:
    """Return what puts bytes in place of the largest metadata file, and what stood in its place."""
    metadata: list[tuple[Path, Path, bytes]] = []
    for number, build in enumerate(builders):
        below = folder / str(number)
        below.mkdir()
        build(below)
        texts = [p for p in below.rglob("*") if p.is_file() and 0 < p.stat().st_size < 2**20]
        texts = [p for p in texts if p.suffix in _METADATA] or texts
        if texts:
            largest = max(texts, key=lambda p: p.stat().st_size)
            metadata.append((below, largest, largest.read_bytes()))

    def run(data: bytes) -> None:
        for below, path, _ in metadata:
            path.write_bytes(data)
            check(below)

    return run, [data for _, _, data in metadata]


def _survey(name: str) -> Callable[[Path], None]:
    reader = readers.load(name)

    def check(folder: Path) -> None:
        try:
            reader.survey(scan(folder))
        except UserError as error:
            named(error)

    return check


def _open_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix == ".ome":
            try:
                read_contents(folder, path.relative_to(folder).as_posix())
            except FileError as error:
                named(error)


def main() -> None:
    """Fuzz what the first argument names."""
    name, options = sys.argv[1], sys.argv[2:]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    if file_seeds(name):
        target = file_target(name, folder)
        seeds = [data for _, data in file_seeds(name)]
    elif set_seeds(name):
        target, seeds = folder_target(set_seeds(name), folder, _open_all)
    else:
        target, seeds = folder_target(reader_seeds(name), folder, _survey(name))
    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data)
    limits = [f"-rss_limit_mb={MEMORY_MB}", f"-timeout={TIMEOUT_S}", "-max_len=70000"]
    named = any(not o.startswith("-") for o in options)
    places = [] if named else [str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *options, *places], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
