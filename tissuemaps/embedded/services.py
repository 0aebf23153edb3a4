"""PostgreSQL and Valkey of our own, on unix sockets. Entry point: `start_services`."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import redis

from tissuemaps.embedded import binaries
from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.state import CHECKOUT, State, hand_over, service_user
from tissuemaps.embedded.supervisor import Command, Supervisor, last_lines

DATABASE = "tissuemaps"
INITDB = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
    "--no-instructions",
)


def _user() -> tuple[int, int] | None:
    user = service_user()
    return (user.pw_uid, user.pw_gid) if user else None


def _plain_environment() -> dict[str, str]:
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}


def server_version(folder: Path) -> str:
    """Return the major version of the PostgreSQL programs in `folder`."""
    try:
        text = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StartError(f"cannot run {folder / 'postgres'}: {error}") from None
    found = re.search(r"\) (\d+)", text)
    if found is None:
        raise StartError(f"{folder / 'postgres'} does not say its version: {text.strip()}")
    return found.group(1)


def initialise_cluster(folder: Path, target: Path, *options: str) -> None:
    """Make a database cluster at `target`, whole or not at all, as the services' user."""
    temporary = target.with_name(f"{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    user, group = _user() or (None, None)
    done = subprocess.run(
        [folder / "initdb", "-D", temporary, "-U", DATABASE, *INITDB, *options],
        env=_plain_environment(), cwd="/", user=user, group=group,
        extra_groups=[] if user is not None else None,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(temporary, ignore_errors=True)
        if "No space left" in done.stdout:
            raise StartError(f"no space left on the disk of {target}")
        raise StartError(
            f"initdb failed: {done.stdout.strip().splitlines()[-1:] or done.returncode}"
        )
    temporary.rename(target)


def _check_version(cluster: Path, folder: Path) -> None:
    made_by, ours = (cluster / "PG_VERSION").read_text().strip(), server_version(folder)
    if made_by != ours:
        raise StartError(
            f"{cluster} was made by PostgreSQL {made_by} and the programs are {ours}: "
            "`./run backup` with the old ones, then `./run restore` with these"
        )


def clear_stale_lock(cluster: Path) -> None:
    """Remove a postmaster.pid whose process is gone or another program; end our own orphan first.

    PostgreSQL trusts any living process of that number, so that after a crash a number in use by
    another program would keep it from starting.
    """
    lock = cluster / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.name() == "postgres" and str(cluster) in process.cmdline():
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except psutil.TimeoutExpired:
                raise StartError(
                    f"a PostgreSQL (process {process.pid}) still uses {cluster}"
                ) from None
    except (OSError, ValueError, IndexError, psutil.Error):
        pass
    lock.unlink(missing_ok=True)


def _postgres(state: State, cluster: Path, folder: Path, options: tuple[str, ...]) -> Command:
    memory = [] if os.access("/dev/shm", os.W_OK) else ["-c", "dynamic_shared_memory_type=mmap"]  # noqa: S108
    return Command(
        name="postgres",
        argv=(str(folder / "postgres"), "-D", str(cluster), "-k", str(state.sockets), "-c", "listen_addresses=",
              "-c", "max_connections=200", "-c", "unix_socket_permissions=0700", *memory, *options),
        env=_plain_environment(),
        user=_user(),
        stop_signal=signal.SIGINT,
        stop_s=30.0,
        service=True,
        before=lambda: clear_stale_lock(cluster),
    )  # fmt: skip


def _answers(state: State, database: str) -> bool:
    try:
        psycopg.connect(
            host=str(state.sockets), user=DATABASE, dbname=database, connect_timeout=5
        ).close()
    except psycopg.OperationalError as error:
        if "does not exist" in str(error):
            with psycopg.connect(
                host=str(state.sockets), user=DATABASE, dbname="postgres", autocommit=True
            ) as c:
                c.execute(f"CREATE DATABASE {DATABASE}")
        return False
    return True


def start_postgres(supervisor: Supervisor, *options: str) -> None:
    """Start PostgreSQL on the state's data and wait until it answers."""
    state = supervisor.state
    folder = binaries.postgres_folder(state.folder)
    home = state.folder / "postgres"
    hand_over(home)
    cluster = home / "data"
    if not (cluster / "PG_VERSION").is_file():
        shutil.rmtree(cluster, ignore_errors=True)
        initialise_cluster(folder, cluster)
    _check_version(cluster, folder)
    command = _postgres(state, cluster, folder, options)
    deadline = time.monotonic() + 15
    while True:
        supervisor.start(command)
        try:
            supervisor.wait("postgres", lambda: _answers(state, DATABASE))
        except StartError:
            # A postmaster that was killed a moment ago may still hold its lock file.
            held = "already exists" in last_lines(supervisor.log_file("postgres"), 6)
            supervisor.children.pop("postgres")
            if not held or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _pings(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            client.ping()
    except (redis.ConnectionError, redis.TimeoutError):  # covers "loading the data set"
        return False
    return True


def start_valkey(supervisor: Supervisor, *options: str) -> None:
    """Start Valkey with its append-only file in the state folder and wait until it answers."""
    state = supervisor.state
    home = state.folder / "valkey"
    hand_over(home)
    socket = state.sockets / "valkey.sock"
    supervisor.start(
        Command(
            name="valkey",
            argv=(str(binaries.valkey_program(state.folder)), "--port", "0", "--unixsocket", str(socket),
                  "--unixsocketperm", "700", "--dir", str(home), "--appendonly", "yes", "--appendfsync", "everysec",
                  "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no", *options),
            env=_plain_environment(),
            user=_user(),
            service=True,
        )
    )  # fmt: skip
    supervisor.wait("valkey", lambda: _pings(f"unix://{socket}"))


def start_services(supervisor: Supervisor) -> dict[str, str]:
    """Start what the environment does not already name; return the variables that reach them.

    `DATABASE_URL` and `REDIS_URL` set from outside point at real servers: then none of ours starts.
    """
    found: dict[str, str] = {}
    try:
        if os.environ.get("DATABASE_URL"):
            found["DATABASE_URL"] = os.environ["DATABASE_URL"]
        else:
            start_postgres(supervisor)
            found["DATABASE_URL"] = f"postgresql://{DATABASE}@/{DATABASE}"
            found["DATABASE_SOCKET"] = str(supervisor.state.sockets)
        if os.environ.get("REDIS_URL"):
            found["REDIS_URL"] = os.environ["REDIS_URL"]
        else:
            start_valkey(supervisor)
            found["REDIS_URL"] = f"unix://{supervisor.state.sockets}/valkey.sock"
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StartError(f"no space left on the disk of {supervisor.state.folder}") from None
        raise StartError(f"the services do not start: {error}") from None
    return found


def environment(state: State, services: dict[str, str]) -> dict[str, str]:
    """Return the environment of every process of ours that uses the services."""
    path = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **services,
        # A running platform says where its data lie; this shell may not have been told.
        "TISSUEMAPS_DATA": services.get("TISSUEMAPS_DATA") or str(state.data),
        "TISSUEMAPS_STATE": str(state.folder),
        "TISSUEMAPS_SECRET_FILE": str(state.secret_file),
        "TISSUEMAPS_STATIC": str(state.folder / "static"),
        "DJANGO_SETTINGS_MODULE": os.environ.get(
            "DJANGO_SETTINGS_MODULE", "tissuemaps.settings.base"
        ),
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR") or str(state.numba_cache),
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
    }
