"""``./run test``, ``e2e`` and ``bench``: every check of the project, one section each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tissuemaps.embedded.services import environment
from tissuemaps.embedded.state import CHECKOUT, locate, prepare

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Tests of what has services of its own; all others compute.
SERVICES = tuple(
    f"tests/integration/{name}"
    for name in (
        "access", "accounts", "core", "experiments", "jobs", "platform", "runner", "tiles", "tools",
        "workflows",
    )
)  # fmt: skip
PYTHON_FOLDERS = ("apps", "gpu_workers", "tissuemaps", "tests", "benchmarks", "manage.py")


@dataclass(frozen=True, slots=True)
class Check:
    """One section of the report: a command that must end with 0."""

    name: str
    argv: tuple[str, ...]
    cwd: Path = CHECKOUT


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a section ended."""

    name: str
    passed: bool
    seconds: float
    last_line: str = ""


def chromium() -> str | None:
    """Return a Chromium of this machine, or None."""
    named = os.environ.get("TISSUEMAPS_CHROMIUM")
    if named:
        return named
    return next((found for name in CHROMIUMS if (found := shutil.which(name))), None)


def is_ci() -> bool:
    """Return whether what is missing must fail instead of being skipped."""
    return os.environ.get("CI") == "true"


def _python_checks() -> list[Check]:
    folders = [f for f in PYTHON_FOLDERS if (CHECKOUT / f).exists()]
    return [
        Check("ruff check", ("ruff", "check", *folders)),
        Check("ruff format", ("ruff", "format", "--check", "--quiet", *folders)),
        Check("codespell", ("codespell", *[f for f in [*folders, "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
                                           if (CHECKOUT / f).exists()])),
        Check("deptry", ("deptry", ".")),
        Check("import contracts", ("lint-imports", "--no-cache")),
        Check("mypy", ("mypy",)),
    ]  # fmt: skip


def _frontend_checks() -> list[Check]:
    folder = CHECKOUT / "frontend"
    if not (folder / "package.json").is_file():
        return []
    return [
        Check("biome", ("npm", "run", "--silent", "lint"), folder),
        Check("tsc", ("npm", "run", "--silent", "types"), folder),
        Check("vitest", ("npm", "run", "--silent", "test"), folder),
    ]


def _openapi_check(folder: Path) -> list[Check]:
    script = (
        "import sys,subprocess,pathlib;"
        f"new=pathlib.Path({str(folder / 'openapi.yaml')!r});"
        "subprocess.run([sys.executable,'manage.py','spectacular','--fail-on-warn','--file',str(new)],check=True);"
        "old=pathlib.Path('docs/openapi.yaml');"
        "same=old.is_file() and old.read_text()==new.read_text();"
        "sys.exit(0 if same else 'docs/openapi.yaml is stale: "
        "./run manage spectacular --file docs/openapi.yaml')"
    )
    return [Check("openapi", (sys.executable, "-c", script))]


def _environment() -> dict[str, str]:
    state = locate()
    prepare(state)
    env = environment(state, {})
    # The tests bring services of their own; those of a developer's shell must not leak in.
    for name in (
        "DATABASE_URL",
        "DATABASE_SOCKET",
        "REDIS_URL",
        "TISSUEMAPS_DATA",
        "TISSUEMAPS_ROOTS",
    ):
        env.pop(name, None)
    env["DJANGO_SETTINGS_MODULE"] = "tissuemaps.settings.test"
    found = chromium()
    if found:
        env["TISSUEMAPS_CHROMIUM"] = found
    return env


def _say(text: str) -> None:
    print(text, flush=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _run(check: Check, env: dict[str, str], write: Callable[[str], None] = _write) -> Outcome:
    """Run one section; its output is shown where it fails, pytest's always."""
    started = time.monotonic()
    shown = check.argv[0] == "pytest"
    write(f"== {check.name}\n")
    argv = [sys.executable, "-m", "pytest", *check.argv[1:]] if shown else list(check.argv)
    process = subprocess.Popen(
        argv,
        cwd=check.cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if shown:
            write(line)
    passed = process.wait() == 0
    seconds = time.monotonic() - started
    if not passed and not shown:
        write("".join(lines[-200:]))
    write(f"-- {check.name}: {'passed' if passed else 'FAILED'} in {seconds:.1f} s\n\n")
    return Outcome(check.name, passed, seconds, lines[-1].rstrip("\n") if lines else "")


def _missing_chromium() -> Outcome:
    _say("== end to end")
    _say(f"-- end to end: {'FAILED' if is_ci() else 'skipped'}: no Chromium on this machine\n")
    return Outcome("end to end", not is_ci(), 0.0)


def _report(outcomes: list[Outcome], started: float) -> int:
    """Print every section's seconds and those of all, then pytest's summary as the last line."""
    width = max(len(o.name) for o in outcomes)
    for outcome in outcomes:
        _say(
            f"{outcome.name:<{width}}  {'passed' if outcome.passed else 'FAILED'}  {outcome.seconds:7.1f} s"
        )
    failed = [o.name for o in outcomes if not o.passed]
    _say(
        f"{'total':<{width}}  {'FAILED' if failed else 'passed'}  {time.monotonic() - started:7.1f} s"
    )
    summaries = [
        o.last_line for o in outcomes if re.search(r"\d+ (passed|failed|error)", o.last_line)
    ]
    if failed:
        _say(f"failed: {', '.join(failed)}")
    _say(_joined(summaries) if summaries else "no tests ran")
    return 1 if failed else 0


def _joined(summaries: list[str]) -> str:
    """Return one line in pytest's form that adds up several runs of it."""
    counts: dict[str, int] = {}
    seconds = 0.0
    for line in summaries:
        for number, kind in re.findall(
            r"(\d+) (failed|passed|skipped|xfailed|xpassed|errors?|deselected)", line
        ):
            kind = "errors" if kind == "error" else kind
            counts[kind] = counts.get(kind, 0) + int(number)
        found = re.search(r"in ([\d.]+)s", line)
        seconds += float(found.group(1)) if found else 0.0
    return f"{', '.join(f'{n} {kind}' for kind, n in counts.items())} in {seconds:.2f}s"


def test(arguments: list[str]) -> int:
    """Run everything that passes on this machine; arguments go to pytest and make it run alone."""
    env = _environment()
    if arguments:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments], cwd=CHECKOUT, env=env, check=False
        ).returncode
    started = time.monotonic()
    checks = [*_python_checks(), *_openapi_check(locate().folder), *_frontend_checks()]
    # Two lanes for two cores: tests that wait for services and workers beside those that compute.
    waiting = Check("services", ("pytest", "-q", *SERVICES))
    others = (f"--ignore={folder}" for folder in (*SERVICES, "tests/e2e"))
    computing = Check("computing", ("pytest", "-q", "tests", *others))
    told: list[str] = []
    with ThreadPoolExecutor(1) as beside:
        computed = beside.submit(_run, computing, env, told.append)
        outcomes = [_run(check, env) for check in (*checks, waiting)]
        outcomes.append(computed.result())
    _write("".join(told))
    outcomes.append(_end_to_end(env, []))
    return _report(outcomes, started)


def _end_to_end(env: dict[str, str], arguments: list[str]) -> Outcome:
    if chromium() is None:
        return _missing_chromium()
    return _run(Check("end to end", ("pytest", "-q", "-m", "e2e", "tests/e2e", *arguments)), env)


def e2e(arguments: list[str]) -> int:
    """Run the browser tests alone."""
    started = time.monotonic()
    return _report([_end_to_end(_environment(), arguments)], started)


# Those that need nothing but themselves; `first_view` asks for a running platform.
BENCHMARKS = ("conversion", "pyramid", "segmentation", "features", "chunks", "added_well")


def bench(arguments: list[str]) -> int:
    """Run the named benchmarks, or all; each prints its figures and ratios as JSON."""
    failed = 0
    for name in arguments or BENCHMARKS:
        print(f"== {name}", flush=True)
        argv = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]
        run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run
        failed += bool(run(argv, cwd=CHECKOUT, env=_environment(), check=False).returncode)
    return 1 if failed else 0
