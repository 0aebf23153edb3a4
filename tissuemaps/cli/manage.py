"""``./run manage``: a Django command, with services started for it where none run."""

from __future__ import annotations

import subprocess
import sys

from tissuemaps.embedded.platform import environment_of_running, services
from tissuemaps.embedded.services import environment
from tissuemaps.embedded.state import CHECKOUT, locate, prepare

NEED_NO_SERVICES = {
    "",
    "help",
    "check",
    "simulate_plate",
    "spectacular",
    "diffsettings",
    "findstatic",
    "collectstatic",
}


def _run(arguments: list[str], env: dict[str, str]) -> int:
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *arguments], env=env, check=False
    ).returncode


def manage(arguments: list[str]) -> int:
    """Run a Django command on the running platform's services, else on ones of its own."""
    state = locate()
    if (arguments[0] if arguments else "") in NEED_NO_SERVICES:
        prepare(state)
        return _run(arguments, environment(state, {}))
    env = environment_of_running(state)
    if env is not None:
        return _run(arguments, env)
    with services(state) as (_, env):
        return _run(arguments, env)
