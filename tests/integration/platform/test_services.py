"""PostgreSQL and Valkey of our own: they start, survive, and end with whom they serve."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import services
from tissuemaps.embedded.services import clear_stale_lock
from tissuemaps.embedded.state import CHECKOUT, locate
from tissuemaps.embedded.supervisor import Command, Supervisor

HOLD = """
import sys
from tissuemaps.embedded.platform import services
with services() as (supervisor, env):
    print(' '.join(str(c.process.pid) for c in supervisor.children.values()), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "DATABASE_SOCKET", "REDIS_URL", "TISSUEMAPS_DATA"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="tms-", dir="/tmp"))
    monkeypatch.setenv("TISSUEMAPS_STATE", str(folder / "state"))
    folder.chmod(0o755)
    yield folder / "state"
    shutil.rmtree(folder)


def database(env: dict[str, str]) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(env["DATABASE_URL"], host=env["DATABASE_SOCKET"], autocommit=True)


def hold() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )


def pids_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(p) for p in process.stdout.readline().split()]


def are_gone(pids: list[int], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        alive = [
            p
            for p in pids
            if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE
        ]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def test_what_was_written_is_there_after_a_restart(own_state: Path) -> None:
    with services() as (_, env), database(env) as connection:
        connection.execute("CREATE TABLE kept (name text)")
        connection.execute("INSERT INTO kept VALUES ('é')")
        redis.Redis.from_url(env["REDIS_URL"]).set("kept", "1")

    with services() as (_, env), database(env) as connection:
        rows = connection.execute("SELECT name, upper(name) FROM kept").fetchall()
        value = redis.Redis.from_url(env["REDIS_URL"]).get("kept")

    # Letters beyond ASCII have capitals: Django's `icontains` needs that.
    assert rows == [("é", "É")]
    assert value == b"1"


def test_killing_everything_loses_nothing(own_state: Path) -> None:
    with services() as (_, env), database(env) as connection:
        connection.execute("CREATE TABLE kept (i int)")
    with hold() as process:
        pids = pids_of(process)
        with psycopg.connect(
            host=str(locate().sockets), user="tissuemaps", dbname="tissuemaps", autocommit=True
        ) as connection:
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
        for pid in [process.pid, *pids]:
            os.kill(pid, signal.SIGKILL)

    with services() as (_, env), database(env) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()

    assert row == (1000,)


def test_children_end_with_a_killed_supervisor(own_state: Path) -> None:
    with hold() as process:
        pids = pids_of(process)
        process.kill()

    assert len(pids) == 2
    assert are_gone(pids)


def test_a_stale_lock_of_another_program_does_not_matter(own_state: Path) -> None:
    with services():
        pass
    lock = own_state / "postgres" / "data" / "postmaster.pid"
    # Our own number: a living process that is no PostgreSQL, as after a restart of the machine.
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n0\n5432\n{own_state}/run\n\n")

    with services() as (_, env), database(env) as connection:
        row = connection.execute("SELECT 1").fetchone()

    assert row == (1,)


def test_clear_stale_lock_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("not a number")

    clear_stale_lock(tmp_path)

    assert not (tmp_path / "postmaster.pid").exists()


def test_data_of_another_major_version_are_refused(own_state: Path) -> None:
    with services():
        pass
    (own_state / "postgres" / "data" / "PG_VERSION").write_text("14\n")

    with pytest.raises(StartError, match=r"PostgreSQL 14 .* 18") as caught, services():
        pass

    assert "backup" in str(caught.value)


def test_a_half_made_cluster_is_made_again(own_state: Path) -> None:
    with services():
        pass
    shutil.rmtree(own_state / "postgres" / "data")
    (own_state / "postgres" / "data" / "base").mkdir(parents=True)

    with services() as (_, env), database(env) as connection:
        row = connection.execute("SELECT 1").fetchone()

    assert row == (1,)


def test_named_servers_are_used_and_none_is_started(
    own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone@elsewhere/name")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")

    with services() as (supervisor, env):
        children = list(supervisor.children)

    assert children == []
    assert env["DATABASE_URL"] == "postgresql://someone@elsewhere/name"
    assert "DATABASE_SOCKET" not in env


def test_a_dead_child_is_started_again_with_growing_pauses(own_state: Path) -> None:
    with services() as (supervisor, env):
        supervisor.start(Command("short", (sys.executable, "-c", "pass"), dict(os.environ)))
        deadline = time.monotonic() + 10
        while supervisor.children["short"].restarts < 2 and time.monotonic() < deadline:
            supervisor.watch_once()
            time.sleep(0.05)
        failures = supervisor.children["short"].failures
        supervisor.stop("short")
        os.kill(supervisor.children["valkey"].process.pid, signal.SIGKILL)
        while supervisor.children["valkey"].restarts < 1 and time.monotonic() < deadline + 10:
            supervisor.watch_once()
            time.sleep(0.05)
        supervisor.wait("valkey", lambda: _answers(env["REDIS_URL"]))

    assert failures >= 2


def _answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.ConnectionError:
        return False


def test_a_child_that_ends_while_starting_is_named_with_its_last_words(own_state: Path) -> None:
    with services() as (supervisor, _):
        script = "import sys; sys.exit('the disk is made of cheese')"
        supervisor.start(Command("cheese", (sys.executable, "-c", script), dict(os.environ)))

        with pytest.raises(
            StartError, match="cheese ended while starting: the disk is made of cheese"
        ):
            supervisor.wait("cheese", lambda: False)


def test_grandchildren_end_too(own_state: Path) -> None:
    script = "import subprocess, time; subprocess.Popen(['sleep', '300']); print('up', flush=True); time.sleep(300)"
    with services() as (supervisor, _):
        child = supervisor.start(
            Command("parent", (sys.executable, "-c", script), dict(os.environ))
        )
        supervisor.wait("parent", lambda: "up" in supervisor.log_file("parent").read_text())
        below = [p.pid for p in psutil.Process(child.process.pid).children()]

        supervisor.stop("parent")

    assert len(below) == 1
    assert are_gone(below)


def test_an_earlier_supervisors_orphans_are_swept(own_state: Path) -> None:
    with services() as (supervisor, _):
        # Not through the supervisor: nothing ties its life to ours.
        orphan = subprocess.Popen(["sleep", "300"])
        created = psutil.Process(orphan.pid).create_time()
        state = supervisor.state
    state.write_json(
        state.pids_file, [[orphan.pid, created, int(signal.SIGTERM)], [1, 0.0, int(signal.SIGTERM)]]
    )

    Supervisor(state)

    assert are_gone([orphan.pid])
    orphan.wait()
