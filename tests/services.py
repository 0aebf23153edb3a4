"""pytest plug-in: a PostgreSQL and a Valkey of our own (from the wheels) for this test session.

It runs before Django reads its settings. The wheels' programs are used even where the machine has a
PostgreSQL: a test that passes with that one proves nothing about a fresh machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tissuemaps.embedded import binaries
from tissuemaps.embedded.services import DATABASE, initialise_cluster
from tissuemaps.embedded.state import hand_over, service_user
from tissuemaps.embedded.supervisor import end_with_parent

FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def _spawn(argv: list[str], log: Path, number: int) -> subprocess.Popen[bytes]:
    user = service_user()
    with log.open("ab") as stream:
        return subprocess.Popen(
            argv,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,
            preexec_fn=end_with_parent(number),
        )


def _start() -> None:
    for name in ("TISSUEMAPS_PG_BIN", "TISSUEMAPS_VALKEY_BIN"):
        os.environ.pop(name, None)
    folder = Path(tempfile.mkdtemp(prefix="tmt-", dir="/tmp"))
    folder.chmod(0o755)
    programs = binaries.postgres_folder(folder)
    home = folder / "s"
    hand_over(home)
    initialise_cluster(programs, home / "pg", "--no-sync")
    options = [part for option in FAST for part in ("-c", option)]
    postgres = _spawn(
        [str(programs / "postgres"), "-D", f"{home}/pg", "-k", str(home), "-c", "listen_addresses=", *options],
        folder / "postgres.log", signal.SIGINT,
    )  # fmt: skip
    valkey = _spawn(
        [str(binaries.valkey_program(folder)), "--port", "0", "--unixsocket", f"{home}/v.sock", "--save", "",
         "--dir", str(home)],
        folder / "valkey.log", signal.SIGTERM,
    )  # fmt: skip
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() != owner:
            return
        postgres.send_signal(signal.SIGINT)
        valkey.terminate()
        postgres.wait(20)
        valkey.wait(20)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    (folder / "data").mkdir(mode=0o755)
    os.environ.update(
        DATABASE_URL=f"postgresql://{DATABASE}@/postgres",
        DATABASE_SOCKET=str(home),
        REDIS_URL=f"unix://{home}/v.sock",
        TISSUEMAPS_DATA=str(folder / "data"),
    )
    _wait(home, folder, postgres, valkey)


def _wait(
    home: Path, folder: Path, postgres: subprocess.Popen[bytes], valkey: subprocess.Popen[bytes]
) -> None:
    import psycopg
    import redis

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and postgres.poll() is None and valkey.poll() is None:
        try:
            psycopg.connect(host=str(home), user=DATABASE, dbname="postgres").close()
            with redis.Redis.from_url(f"unix://{home}/v.sock") as client:
                client.ping()
        except (psycopg.OperationalError, redis.ConnectionError):
            time.sleep(0.02)
        else:
            return
    logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in folder.glob("*.log"))
    raise RuntimeError(f"the services of the tests did not start:\n{logs}")


_start()
