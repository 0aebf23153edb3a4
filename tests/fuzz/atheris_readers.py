"""Coverage-guided fuzzing of one file type or reader, run by hand.

``python -m tests.fuzz.atheris_readers tiff -runs=100000 -max_total_time=180``: the first argument is
the name of a file type or of a reader, the others are libFuzzer's. atheris is not among the locked
packages: install it into an environment of its own and put the project's packages on its path::

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    PYTHONPATH=.venv/lib/python3.11/site-packages /tmp/fuzz/bin/python -m tests.fuzz.atheris_readers czi

File types are run in this very process, guarded or not: coverage is seen, and a crash ends the run.
What ends a run is written to ``crash-…`` in the current folder and reproduced by naming that file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-not-found]

_LIBRARIES = ["gpu_workers", "nd2", "liffile", "tifffile", "defusedxml", "zarr", "ome_types"]
with atheris.instrument_imports(include=_LIBRARIES):
    import liffile  # noqa: F401
    import nd2  # noqa: F401
    import tifffile  # noqa: F401

    from gpu_workers import registry
    from gpu_workers.errors import UserError
    from gpu_workers.formats import reader as readers
    from gpu_workers.formats.files import opening
    from gpu_workers.formats.listing import scan
    from tests.fuzz.seeds import file_seeds, reader_seeds
    from tests.fuzz.watch import named

MEMORY_MB = 1024
TIMEOUT_S = 20
_PLANES = 3


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


def reader_target(name: str, folder: Path) -> tuple[Callable[[bytes], None], list[bytes]]:
    """Return what puts bytes in place of the largest metadata file, and what stood in its place."""
    metadata: list[tuple[Path, bytes]] = []
    for number, build in enumerate(reader_seeds(name)):
        below = folder / str(number)
        below.mkdir()
        build(below)
        texts = [p for p in below.rglob("*") if p.is_file() and 0 < p.stat().st_size < 2**20]
        if texts:
            largest = max(texts, key=lambda p: p.stat().st_size)
            metadata.append((largest, largest.read_bytes()))
    reader = readers.load(name)

    def run(data: bytes) -> None:
        for path, _ in metadata:
            path.write_bytes(data)
            root = folder / path.relative_to(folder).parts[0]
            try:
                reader.survey(scan(root))
            except UserError as error:
                named(error)

    return run, [data for _, data in metadata]


def main() -> None:
    """Fuzz what the first argument names."""
    name, options = sys.argv[1], sys.argv[2:]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    if name in registry.names("files"):
        target = file_target(name, folder)
        seeds = [data for _, data in file_seeds(name)]
    else:
        target, seeds = reader_target(name, folder)
    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data)
    limits = [f"-rss_limit_mb={MEMORY_MB}", f"-timeout={TIMEOUT_S}", "-max_len=70000"]
    named = any(not o.startswith("-") for o in options)
    places = [] if named else [str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *options, *places], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
