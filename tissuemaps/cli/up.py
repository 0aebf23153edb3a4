"""``./run up`` and ``./run worker``: the platform, and one more worker of a running one."""

from __future__ import annotations

import argparse
import ipaddress
import os
import subprocess
import sys

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import (
    Options,
    Platform,
    environment_of_running,
    running,
    worker_environment,
)
from tissuemaps.embedded.services import environment
from tissuemaps.embedded.state import CHECKOUT, locate

DEMO_USER = "demo"  # whose password is the same word, on a loopback address


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def call_account(platform: Platform, arguments: list[str], password: str) -> None:
    """Make or close an account in a process of its own; StartError where that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tissuemaps.cli.account", *arguments],
        input=password, env=platform.environment, cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise StartError(f"the account {arguments[-1]} cannot be changed: {last[0]}")


def options(arguments: argparse.Namespace) -> Options:
    """Return the platform's options from the command line's."""
    return Options(
        host=arguments.host,
        port=arguments.port,
        slots=arguments.slots or max(1, os.cpu_count() or 1),
    )


def up(arguments: argparse.Namespace) -> int:
    """Run the platform until stopped by a signal."""
    with running(options(arguments)) as platform:
        if not is_loopback(arguments.host):
            call_account(platform, ["--close", DEMO_USER], DEMO_USER)
            if not os.environ.get("TISSUEMAPS_HOSTS"):
                print(
                    "set TISSUEMAPS_HOSTS to the names that browsers use; others are refused",
                    flush=True,
                )
        print(f"TissueMAPS is at {platform.url}", flush=True)
        print(f"state and logs: {platform.supervisor.state.folder}   stop: Ctrl-C", flush=True)
        platform.watch()
        print("stopping", flush=True)
    return 0


def worker(arguments: argparse.Namespace) -> int:
    """Become one more worker of the platform of this checkout, or of the one `REDIS_URL` names."""
    state = locate()
    env = environment(state, {}) if os.environ.get("REDIS_URL") else environment_of_running(state)
    if env is None:
        raise StartError(
            "no platform runs here: start one with `./run up`, or set REDIS_URL and TISSUEMAPS_DATA"
        )
    env = worker_environment(env)
    env["TISSUEMAPS_SLOTS"] = str(arguments.slots or os.cpu_count() or 1)
    os.execve(sys.executable, [sys.executable, "-m", "tissuemaps.worker", arguments.queues], env)
