"""``./run demo``: a plate from files to coloured objects, over the public API. Entry point: `demo`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tissuemaps.cli.client import Client
from tissuemaps.cli.up import DEMO_USER as USER
from tissuemaps.cli.up import call_account, is_loopback, options
from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import Platform, running
from tissuemaps.embedded.state import check_writable, locate

GROUP = "Demonstration"
EXPERIMENT = "Demonstration plate"
FINISHED = {"succeeded", "failed", "killed", "reused"}
SPACE_MB = 4000
Json = Any


class Stopped(Exception):
    """The platform is being stopped."""


def say(text: str) -> None:
    """Tell the person at the terminal what happens."""
    print(text, flush=True)


@dataclass(frozen=True, slots=True)
class Source:
    """The plate to show: a folder and how to read it."""

    folder: Path
    microscope: str | None
    pattern: str | None
    simulated: bool
    nuclei_channel: str | None = None


@dataclass(slots=True)
class Journey:
    """One way through the platform, as a client goes it."""

    client: Client
    stopping: threading.Event
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Write down how long a part takes."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        say(f"  {name}: {self.seconds[name]:.1f} s")

    def wait(self, what: str, poll: Callable[[], Json], done: Callable[[Json], bool]) -> Json:
        """Poll until `done`; Stopped when the platform is told to stop."""
        while not self.stopping.is_set():
            value = poll()
            if done(value):
                return value
            self.stopping.wait(0.4)
        raise Stopped(what)

    def create(self, source: Source, acquire: Callable[[], None]) -> str:
        """Make experiment, plate and acquisition, and bring the files; returns the experiment's id."""
        group = next(iter(self.client.every("groups/")))["id"]
        experiment = self.client.post(
            "experiments/",
            {"name": self.free_name(), "description": f"from {source.folder.name}", "group": group},
        )["id"]
        base = f"experiments/{experiment}"
        plate = self.client.post(f"{base}/plates/", {"name": source.folder.name})["id"]
        body = {
            "plate": plate,
            "name": "first",
            "microscope": source.microscope,
            "pattern": source.pattern,
        }
        acquisition = self.client.post(
            f"{base}/acquisitions/", {k: v for k, v in body.items() if v}
        )["id"]
        files = f"{base}/acquisitions/{acquisition}"
        if source.simulated:
            with self.timed("simulate"):
                acquire()
            with self.timed("upload"):
                sent = self.client.upload_folder(
                    f"{files}/files/", source.folder, self._stop_if_told
                )
            say(f"  sent {sent / 1e6:.0f} MB")
        else:
            with self.timed("register"):
                found = self.client.post(f"{files}/register/", {"path": str(source.folder)})
            say(f"  registered {found['files']} files, {found['bytes'] / 1e6:.1f} MB")
        return str(experiment)

    def free_name(self) -> str:
        """Return a name that no experiment has yet."""
        taken = {e["name"] for e in self.client.every("experiments/")}
        numbered = (f"{EXPERIMENT} {n}" for n in range(2, len(taken) + 3))
        return (
            EXPERIMENT if EXPERIMENT not in taken else next(n for n in numbered if n not in taken)
        )

    def _stop_if_told(self, _fraction: float) -> None:
        if self.stopping.is_set():
            raise Stopped("upload")

    def configure(self, base: str, *, stacked: bool, nuclei_channel: str | None) -> None:
        """Ask for the maximum projection where there are stacks, and name the nuclei's channel."""
        wanted: dict[str, dict[str, Json]] = {}
        if stacked:
            wanted["imextract"] = {"projection": "max"}
        if nuclei_channel is not None:
            wanted["jterator"] = {"nuclei_channel": nuclei_channel}
        if not wanted:
            return
        description = self.client.get(f"{base}/workflow-description/")
        for stage in description["stages"]:
            for step in stage["steps"]:
                step["arguments"] = {**step["arguments"], **wanted.get(step["name"], {})}
        self.client.put(
            f"{base}/workflow-description/", {k: description[k] for k in ("type", "stages")}
        )

    def run_workflow(self, base: str) -> None:
        """Submit the workflow and follow it; StartError with the step's error where it fails."""
        workflow = self.client.post(f"{base}/workflows/", {})
        shown: dict[str, str] = {}
        path = f"{base}/workflows/{workflow['id']}/"

        def poll() -> Json:
            state = self.client.get(path)
            for step in _steps(state):
                quiet = step["state"] in {"waiting", "skipped"}
                if shown.get(step["name"]) != step["state"] and not quiet:
                    shown[step["name"]] = step["state"]
                    say(f"  {step['name']}: {step['state']}{_jobs(step)}")
            return state

        with self.timed("workflow"):
            final = self.wait("workflow", poll, lambda w: w["state"] in FINISHED)
        for step in _steps(final):
            for problem in step.get("problems") or []:
                say(f"  note from {step['name']}: {problem.get('message', problem)}")
        if final["state"] != "succeeded":
            failed: Json = next(
                (s for s in _steps(final) if s["state"] in {"failed", "killed"}), {}
            )
            reason = (failed.get("error") or {}).get("message", final["state"])
            raise StartError(
                f"the workflow ended as {final['state']}; {failed.get('name', 'it')}: {reason}"
            )

    def heat_map(self, base: str, channels: list[str]) -> None:
        """Colour the nuclei by their mean intensity through the tools' own queue."""
        sets = {
            s["object_type"]["name"]: s
            for s in self.client.every(f"{base}/object-sets/?current=true")
        }
        if not sets:
            raise StartError("the workflow made no objects")
        name = "Nuclei" if "Nuclei" in sets else next(iter(sets))
        features = [f["name"] for f in sets[name]["features"]]
        wanted = [f"Intensity_mean_{c}" for c in [*channels[1:], *channels[:1]]]
        feature = next((w for w in wanted if w in features), features[0])
        body = {
            "tool": "heatmap",
            "object_type": name,
            "name": f"{name}: {feature}",
            "arguments": {"object_type": name, "feature": feature},
        }
        with self.timed("tool"):
            result = self.client.post(f"{base}/tool-requests/", body)
            path = f"{base}/tool-results/{result['id']}/"
            result = self.wait(
                "tool", lambda: self.client.get(path), lambda r: r["state"] in FINISHED
            )
        if result["state"] != "succeeded":
            raise StartError(f"the heat map {result['state']}: {result.get('error')}")

    def summary(self, experiment: str) -> dict[str, Json]:
        """Return what the experiment holds now."""
        base = f"experiments/{experiment}"
        objects: dict[str, int] = {}
        for found in self.client.every(f"{base}/object-sets/?current=true"):
            name = found["object_type"]["name"]
            objects[name] = objects.get(name, 0) + found["n_objects"]
        return {
            "wells": sum(1 for _ in self.client.every(f"{base}/wells/")),
            "sites": sum(1 for _ in self.client.every(f"{base}/sites/")),
            "channels": [c["name"] for c in self.client.every(f"{base}/channels/")],
            "objects": objects,
        }


def _steps(workflow: Json) -> Iterator[Json]:
    for stage in workflow["stages"]:
        yield from stage["steps"]


def _jobs(step: Json) -> str:
    counts = {k: v for k, v in (step.get("counts") or {}).items() if v}
    return f" ({', '.join(f'{v} {k}' for k, v in counts.items())})" if counts else ""


def _finished_before(client: Client) -> str | None:
    """Return an experiment of an earlier demo that came to its end, if there is one."""
    for experiment in client.every("experiments/"):
        if experiment["name"].startswith(EXPERIMENT):
            base = f"experiments/{experiment['id']}"
            if any(True for _ in client.every(f"{base}/object-sets/?current=true")):
                return str(experiment["id"])
    return None


def _simulate(folder: Path) -> None:
    """Write the demo's plate: 24 wells × 4 sites × 3 channels of 1024², 10 % overlap."""
    from tissuemaps.cli.simulate import simulate_plate

    shutil.rmtree(folder, ignore_errors=True)
    truth = simulate_plate(
        folder,
        vendor="imagexpress",
        rows=4,
        columns=6,
        sites=(2, 2),
        size=1024,
        channels=3,
        overlap=0.1,
        seed=7,
    )
    say(f"  the plate holds {truth.total} nuclei")


def _source(arguments: argparse.Namespace) -> tuple[Source, bool]:
    """Return the plate to show and whether it has stacks; StartError where the folder is no plate."""
    if arguments.data is None:
        if arguments.microscope or arguments.pattern or arguments.nuclei_channel:
            raise StartError(
                "--microscope, --pattern and --nuclei-channel describe --data, which is missing"
            )
        return Source(locate().folder / "demo" / "plate", None, None, simulated=True), False
    folder = arguments.data.expanduser().resolve()
    if not folder.is_dir():
        raise StartError(f"--data {arguments.data} is not a folder")
    from gpu_workers.errors import TissueMapsError
    from gpu_workers.formats.inspection import inspect

    try:
        found = inspect(folder, arguments.microscope, arguments.pattern)
    except TissueMapsError as error:
        raise StartError(f"--data {arguments.data}: {error.message}") from None
    source = Source(
        folder,
        arguments.microscope,
        arguments.pattern,
        simulated=False,
        nuclei_channel=arguments.nuclei_channel,
    )
    return source, len(found.z) > 1


def _travel(
    journey: Journey, platform: Platform, source: Source, *, stacked: bool, once: bool
) -> dict[str, Json]:
    """Go the whole way once and return the summary."""
    client = journey.client
    experiment = None if once or not source.simulated else _finished_before(client)
    if experiment is None:
        say(
            f"bringing {'a simulated plate' if source.simulated else source.folder} in over the API"
        )
        experiment = journey.create(source, lambda: _simulate(source.folder))
        base = f"experiments/{experiment}"
        journey.configure(base, stacked=stacked, nuclei_channel=source.nuclei_channel)
        say(f"running the workflow; watch it at {platform.url}/experiments/{experiment}/workflow")
        journey.run_workflow(base)
        channels = [c["name"] for c in client.every(f"{base}/channels/")]
        journey.heat_map(base, channels)
        if source.simulated:
            shutil.rmtree(source.folder.parent, ignore_errors=True)
    url = f"{platform.url}/experiments/{experiment}/view"
    return {"experiment": experiment, "url": url, **journey.summary(experiment)}


@dataclass(slots=True)
class _Outcome:
    summary: dict[str, Json] | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


def _accompany(
    outcome: _Outcome, travel: Callable[[], dict[str, Json]], *, stay: str | None
) -> None:
    """Run the journey in a thread of its own; the main thread watches over the children."""
    try:
        outcome.summary = travel()
        if stay is not None:
            say(
                f"\n  open   {outcome.summary['url']}\n  log in {stay}\n\nCtrl-C stops everything; nothing is lost."
            )
    except BaseException as error:  # noqa: BLE001  handed to the main thread
        outcome.error = error
    finally:
        outcome.done.set()


def _main(
    arguments: argparse.Namespace, chosen: Any, source: Source, *, stacked: bool
) -> dict[str, Json]:
    """Run the platform and the journey; returns the summary once everything has stopped."""
    started = time.monotonic()
    password = USER if is_loopback(arguments.host) else secrets.token_urlsafe(12)
    outcome = _Outcome()
    with running(chosen) as platform:
        journey = Journey(Client(platform.url), platform.stopping)
        call_account(platform, [USER, GROUP], password)
        journey.client.login(USER, password, "demo")
        journey.seconds["start"] = round(time.monotonic() - started, 2)
        say(f"TissueMAPS runs at {platform.url} ({journey.seconds['start']:.1f} s)")

        def travel() -> dict[str, Json]:
            return _travel(journey, platform, source, stacked=stacked, once=arguments.once)

        stay = None if arguments.once else f"{USER}, password {password}"
        thread = threading.Thread(
            target=_accompany, args=(outcome, travel), kwargs={"stay": stay}, daemon=True
        )
        thread.start()
        platform.watch(
            lambda: outcome.done.is_set() and (arguments.once or outcome.error is not None)
        )
        outcome.done.wait(5)
        journey.seconds["total"] = round(time.monotonic() - started, 2)
    if outcome.error is not None and not isinstance(outcome.error, Stopped):
        raise outcome.error
    if outcome.summary is None:
        raise KeyboardInterrupt
    return {**outcome.summary, "seconds": journey.seconds}


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; with ``--once`` print the summary as the last line and stop."""
    source, stacked = _source(arguments)
    check_writable(locate().data, SPACE_MB if source.simulated else 500)
    chosen = options(arguments)
    if not source.simulated:
        chosen = dataclasses.replace(chosen, roots=(source.folder.parent,))
    summary = _main(arguments, chosen, source, stacked=stacked)
    if arguments.once:
        say(json.dumps(summary))
    return 0
