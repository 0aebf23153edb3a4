"""``./run backup`` and ``restore``: a dump of the database and a manifest of the files.

Pixels are not copied: they never change in place, so that any file copy taken after the dump serves.
The manifest says which files belong to the dump, and `restore` checks that they are there.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tissuemaps.embedded import binaries
from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import environment_of_running, services
from tissuemaps.embedded.services import DATABASE, server_version
from tissuemaps.embedded.state import is_running, locate

DUMP, MANIFEST = "database.dump", "manifest.jsonl"


def _program(name: str) -> Path:
    program = binaries.postgres_folder(locate().folder) / name
    if not program.is_file():
        raise StartError(
            f"{program.parent} holds no {name}; set TISSUEMAPS_PG_BIN to a folder that does"
        )
    return program


def _target(env: dict[str, str]) -> str:
    """Return the connection string of the platform's database."""
    if env.get("DATABASE_SOCKET"):
        return f"host={env['DATABASE_SOCKET']} user={DATABASE} dbname={DATABASE}"
    return env["DATABASE_URL"]


def _call(argv: list[str | Path], what: str) -> None:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(
            f"{what} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        )


def _files(data: Path) -> Iterator[tuple[str, int]]:
    """Yield every file below the data folder with its size, in order."""
    for folder, folders, names in os.walk(data):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            yield str(path.relative_to(data)), path.stat().st_size


def backup(folder: Path) -> int:
    """Write the dump and the manifest into a new folder; works on a running platform."""
    if folder.exists() and any(folder.iterdir()):
        raise StartError(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    state = locate()
    env = environment_of_running(state)
    if env is None:
        with services(state) as (_, own):
            _dump(folder, own)
    else:
        _dump(folder, env)
    count = size = 0
    with (folder / MANIFEST).open("w") as stream:
        for name, length in _files(state.data):
            stream.write(json.dumps([name, length]) + "\n")
            count, size = count + 1, size + length
    major = server_version(binaries.postgres_folder(state.folder))
    about = {
        "made": datetime.now(UTC).isoformat(),
        "postgresql": major,
        "files": count,
        "bytes": size,
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1))
    print(
        f"{folder}: database dumped; {count} files, {size / 1e9:.2f} GB in {state.data} belong to it"
    )
    return 0


def _dump(folder: Path, env: dict[str, str]) -> None:
    _call(
        [_program("pg_dump"), "--format=custom", "--no-owner", "--file", folder / DUMP, f"--dbname={_target(env)}"],
        "the dump",
    )  # fmt: skip


def restore(folder: Path) -> int:
    """Replace the database by a backup's and name the files that are missing; the platform must be stopped."""
    if not (folder / DUMP).is_file():
        raise StartError(f"{folder} holds no {DUMP}")
    state = locate()
    if is_running(state):
        raise StartError("the platform runs; stop it before restoring")
    with services(state) as (_, env):
        _call(
            [_program("pg_restore"), "--clean", "--if-exists", "--no-owner", "--single-transaction",
             f"--dbname={_target(env)}", folder / DUMP],
            "the restore",
        )  # fmt: skip
    missing = []
    for line in (folder / MANIFEST).read_text().splitlines():
        name, length = json.loads(line)
        path = state.data / name
        if not path.is_file() or path.stat().st_size != length:
            missing.append(name)
    for name in missing[:20]:
        print(f"missing or of another size: {name}")
    print(f"database restored; {len(missing)} files of the backup are missing in {state.data}")
    return 1 if missing else 0
