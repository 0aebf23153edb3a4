"""The whole platform, started as a person starts it, and a browser that looks at it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tissuemaps.cli.checks import chromium
from tissuemaps.cli.client import Client
from tissuemaps.cli.simulate.plate import simulate_plate

CHECKOUT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "ada", "a long password for tests"
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What the tests' own services put into the environment is not the platform's.
FOREIGN = (
    "DATABASE_URL",
    "DATABASE_SOCKET",
    "REDIS_URL",
    "TISSUEMAPS_DATA",
    "TISSUEMAPS_ROOTS",
    "DJANGO_SETTINGS_MODULE",
)
ACCOUNT = """
import os, sys
from tissuemaps.embedded.platform import environment_of_running
from tissuemaps.embedded.state import locate
env = environment_of_running(locate())
os.execve(sys.executable, [sys.executable, "-m", "tissuemaps.cli.account", *sys.argv[1:]], env)
"""


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Platform:
    """A running platform and where its files lie."""

    url: str
    data: Path
    client: Client


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The platform on a state folder and a port of its own, with one user."""
    if not (CHECKOUT / "tissuemaps" / "static" / "app" / "main.js").is_file():
        _missing("the front end is not built: npm run build in frontend/")
    state = Path(tempfile.mkdtemp(prefix="tme-", dir="/tmp"))
    state.chmod(0o755)
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    env |= {"TISSUEMAPS_STATE": str(state), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tissuemaps.cli", "up", "--port", "0"],
        cwd=CHECKOUT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = _url(process)
        subprocess.run(
            [sys.executable, "-c", ACCOUNT, USER, "Testers"],
            input=PASSWORD, env=env, cwd=CHECKOUT, text=True, check=True,
        )  # fmt: skip
        client = Client(url)
        client.login(USER, PASSWORD, "tests")
        yield Platform(url, state / "data", client)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            if os.environ.get("TISSUEMAPS_KEEP") != "1":
                shutil.rmtree(state, ignore_errors=True)


def _url(process: subprocess.Popen[str], wait_s: float = 240) -> str:
    """Return the address that the platform prints, reading on so that its pipe never fills."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    seen, deadline = [], time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            continue
        if line is None:
            break
        seen.append(line)
        if line.startswith("TissueMAPS is at "):
            return line.split()[-1]
    raise AssertionError("the platform did not start: " + "".join(seen))


@dataclass(frozen=True)
class Prepared:
    """An experiment whose files are there and whose workflow nobody has submitted."""

    id: str
    platform: Platform

    def url(self, place: str) -> str:
        return f"{self.platform.url}/experiments/{self.id}/{place}"

    def every(self, path: str) -> list[Any]:
        return list(self.platform.client.every(f"experiments/{self.id}/{path}"))

    @property
    def folder(self) -> Path:
        return self.platform.data / "experiments" / self.id


@pytest.fixture(scope="session")
def experiment(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A small simulated plate, uploaded over the public API."""
    folder = tmp_path_factory.mktemp("plate") / "plate"
    simulate_plate(
        folder,
        vendor="imagexpress",
        rows=1,
        columns=2,
        sites=(2, 2),
        size=512,
        seed=7,
    )
    client = platform.client
    group = next(iter(client.every("groups/")))["id"]
    made = client.post("experiments/", {"name": "Two wells", "group": group})["id"]
    base = f"experiments/{made}"
    plate = client.post(f"{base}/plates/", {"name": "Plate 1"})["id"]
    acquisition = client.post(f"{base}/acquisitions/", {"plate": plate, "name": "first"})["id"]
    client.upload_folder(f"{base}/acquisitions/{acquisition}/files/", folder, lambda _done: None)
    return Prepared(made, platform)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium that draws in software."""
    found = chromium()
    if found is None:
        _missing("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def session(browser: Browser, platform: Platform) -> dict[str, Any]:
    """Cookies of a user who has logged in through the log-in page."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(platform.url)
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Experiments", exact=True).wait_for()
    state = context.storage_state()
    context.close()
    return json.loads(json.dumps(state))


@pytest.fixture
def page(browser: Browser, session: dict[str, Any]) -> Iterator[Page]:
    """A page of the logged-in user; what the browser complains of fails the test."""
    context = browser.new_context(
        storage_state=session, viewport={"width": 1440, "height": 860}, device_scale_factor=1
    )
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []
