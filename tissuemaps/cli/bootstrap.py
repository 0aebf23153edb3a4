"""Set the checkout up, then hand over to `tissuemaps.cli`; run by ``./run`` with the system's Python.

Standard library only: nothing of the project is installed yet. Entry point: `main`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETS = ("platform", "test", "bench")  # each holds the one before it
NEEDS_TEST = {"test", "e2e"}
NEEDS_FRONTEND = {"demo", "up", "test", "e2e", "bench"}
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / "installed.json"
PIP_TO_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}


class SetUpError(Exception):
    """The set-up cannot go on; one line says why."""


def _say(text: str) -> None:
    sys.stderr.write(f"run: {text}\n")
    sys.stderr.flush()


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes() if file.is_file() else b""
        whole.update(f"{file.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _command(argv: list[str | Path], what: str, **extra: str) -> None:
    """Run a set-up command quietly; its last line becomes the error."""
    done = subprocess.run(
        [str(a) for a in argv],
        env={**os.environ, **extra},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("hint:")]
    if any("No space left" in line or "ENOSPC" in line for line in lines):
        raise SetUpError(f"no space left on the disk while {what}")
    sys.stderr.write(done.stdout[-4000:])
    raise SetUpError(f"{what} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the checkout's set-up lock, so that two runs at once don't build over each other."""
    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another ./run is setting this checkout up; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _check_space(folder: Path, megabytes: int) -> None:
    free = shutil.disk_usage(folder).free // 2**20
    if free < megabytes:
        raise SetUpError(
            f"the installation needs {megabytes} MB and {folder} has only {free} MB free"
        )


def _pinned_uv() -> str:
    for line in (ROOT / "requirements" / "tools.lock").read_text().splitlines():
        if line.startswith("uv=="):
            return line.split("==")[1].split()[0]
    raise SetUpError("requirements/tools.lock does not name uv")


def _works(program: Path, argument: str = "--version") -> str | None:
    """Return what a program answers, or None where it is missing or broken."""
    try:
        return subprocess.run(
            [program, argument], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def _uv() -> Path:
    uv = TOOLS / "bin" / "uv"
    answer = _works(uv)
    if answer is not None and answer.split()[1] == _pinned_uv():
        return uv
    try:
        import ensurepip  # noqa: F401  Debian ships it apart from python3
        import venv
    except ImportError:
        raise SetUpError(
            f"{sys.executable} has no venv module (Debian: apt-get install python3-venv)"
        ) from None
    _say("installing uv")
    _check_space(ROOT, 200)
    if _works(TOOLS / "bin" / "python") is None:
        venv.create(TOOLS, with_pip=True, clear=True)
    _command(
        [TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--force-reinstall", "--require-hashes", "-r", "requirements/tools.lock"],
        "installing uv",
    )  # fmt: skip
    return uv


def _index_settings() -> dict[str, str]:
    """Return pip's configured package sources as uv's variables; uv does not read pip's files."""
    pip = subprocess.run(
        [TOOLS / "bin" / "python", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = {}
    for line in pip.stdout.splitlines():
        name, _, value = line.partition("=")
        variable, separator = PIP_TO_UV.get(name.rpartition(".")[2], ("", ""))
        if variable and variable not in os.environ and not name.startswith(("download.", "wheel.")):
            parts = value.strip().strip("'\"").replace("\\n", " ").split()
            found[variable] = separator.join(
                dict.fromkeys([*found.get(variable, "").split(separator), *parts])
            )
            found[variable] = found[variable].strip(separator)
    if "UV_INDEX" in found:
        # pip looks at all indexes alike; the hashes keep that safe.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def _installed() -> dict[str, str]:
    """Return what the last set-up wrote down; of one that was cut off or done by hand, what shows."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        stamp = None
    if isinstance(stamp, dict):
        return stamp
    return {"set": "test"} if (VENV / "bin" / "pytest").is_file() else {}


def _wanted(name: str, version: str) -> dict[str, str]:
    lock = ROOT / "requirements" / f"{name}.lock"
    return {"set": name, "python": version, "content": _digest([lock, ROOT / "pyproject.toml"])}


def _sync(name: str) -> None:
    """Install the locked set `name`, or the larger one that is there, and the project itself."""
    stamp, python = _installed(), VENV / "bin" / "python"
    version = _works(python) or ""
    if version and stamp.get("set") in SETS and SETS.index(stamp["set"]) > SETS.index(name):
        name = stamp["set"]
    if version and stamp == _wanted(name, version):
        return
    uv = _uv()
    environment = {**_index_settings(), "UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": str(VENV)}
    if not version:
        _check_space(ROOT, 2500)
        _command(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV],
            "making .venv",
            **environment,
        )
    STAMP.unlink(missing_ok=True)
    _say(f"installing the locked packages ({name})")
    _command([uv, "pip", "sync", "--quiet", "--require-hashes", f"requirements/{name}.lock"],
             "installing the locked packages", **environment)  # fmt: skip
    _command([uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", "."],
             "installing the project", **environment)  # fmt: skip
    STAMP.write_text(json.dumps(_wanted(name, _works(python) or "")))


def _frontend_sources() -> list[Path]:
    skipped = {"node_modules", "dist", "coverage", "test-results"}
    found: list[Path] = []
    for folder, folders, files in os.walk(ROOT / "frontend"):
        folders[:] = [f for f in folders if f not in skipped]
        found.extend(Path(folder) / f for f in files)
    return found


def _frontend() -> None:
    """Install the front end's packages and build it, where its sources changed."""
    folder, output = ROOT / "frontend", ROOT / "tissuemaps" / "static" / "app"
    if not (folder / "package-lock.json").is_file():
        return
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = VENV / "bin" / "npm"
    packages = folder / "node_modules" / ".installed"
    digest = _digest([folder / "package.json", folder / "package-lock.json"])
    if not packages.is_file() or packages.read_text() != digest:
        _say("installing the front end's packages")
        _command([npm, "ci", "--prefix", "frontend", "--no-audit", "--no-fund"],
                 "installing the front end's packages", PATH=path)  # fmt: skip
        packages.write_text(digest)
    built, digest = TOOLS / "frontend.built", _digest(_frontend_sources())
    if built.is_file() and built.read_text() == digest and output.is_dir():
        return
    _say("building the front end")
    _command([npm, "run", "build", "--prefix", "frontend"], "building the front end", PATH=path)
    built.write_text(digest)


def main(arguments: list[str]) -> None:
    """Set up what the command in `arguments` needs and become `tissuemaps.cli`."""
    command = arguments[0] if arguments else "help"
    name = "bench" if command == "bench" else "test" if command in NEEDS_TEST else "platform"
    # Node reads no pip settings and npm no Python ones: both take theirs from their own files.
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    with _alone():
        _sync(name)
        if command in NEEDS_FRONTEND:
            _frontend()
    python = VENV / "bin" / "python"
    os.execv(python, [str(python), "-P", "-m", "tissuemaps.cli", *arguments])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except SetUpError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _say(f"no space left on the disk below {ROOT}")
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            _say(
                f"cannot write {error.filename or ROOT}: the checkout must belong to the user who runs it"
            )
        else:
            _say(str(error))
        sys.exit(1)
