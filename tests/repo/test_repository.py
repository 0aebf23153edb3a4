"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("apps", "gpu_workers", "tissuemaps")
MAX_LINES, MAX_FUNCTION, MAX_BYTES = 500, 60, 1_500_000
GENERATED = (
    "docs/openapi.yaml",
    "frontend/src/api/schema.ts",
    "frontend/package-lock.json",
    "LICENSE",
)
VAGUE = {"utils", "helpers", "common", "manager", "misc", "util", "helper"}
CODE = {".py", ".ts", ".tsx", ".js", ".mjs", ".css", ".html"}
# Spelt apart so that this file does not hold what it looks for.
HOME = re.compile("|".join(("/ro" + "ot/", "/ho" + r"me/\w", "/wo" + "rk/", "/Us" + r"ers/\w")))
REGISTRY = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "registry" + r"\.npmjs",
            "files\\.python" + "hosted",
            "conda" + r"\.anaconda",
        )
    )
)


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return tuple(p for name in listed.split("\0") if name and (p := ROOT / name).is_file())


def text_of(path: Path) -> str | None:
    content = path.read_bytes()
    return None if b"\0" in content[:8000] else content.decode(errors="replace")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_generated(path: Path) -> bool:
    return relative(path) in GENERATED or path.suffix == ".lock" or "/migrations/" in relative(path)


def test_no_file_is_too_long() -> None:
    lengths = {
        relative(p): len(p.read_text().splitlines())
        for p in tracked()
        if p.suffix in CODE and not is_generated(p)
    }

    long = {name: n for name, n in lengths.items() if n > MAX_LINES}

    assert not long


def test_no_file_is_a_binary_or_a_data_set() -> None:
    large = {relative(p): p.stat().st_size for p in tracked() if p.stat().st_size > MAX_BYTES}

    assert not large


def test_no_function_is_too_long() -> None:
    long = []
    for path in tracked():
        if path.suffix != ".py" or is_generated(path):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # An array function's docstring may be longer than its code.
                words = ast.get_docstring(node, clean=False) or ""
                length = (
                    (node.end_lineno or node.lineno) - node.lineno + 1 - len(words.splitlines())
                )
                if length > MAX_FUNCTION:
                    long.append((relative(path), node.name, length))

    assert not long


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [relative(p) for p in tracked() if p.suffix in CODE and p.stem.lower() in VAGUE]

    assert not vague


@pytest.mark.parametrize("pattern", [HOME, REGISTRY], ids=["machine path", "registry"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked():
        text = text_of(path)
        if text is not None and relative(path) != "LICENSE":
            found += [f"{relative(path)}: {m.group()}" for m in pattern.finditer(text)]

    assert not found


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text()
        pins = len(re.findall(r"^[A-Za-z0-9][\w.\[\]-]*==", text, re.MULTILINE))

        assert pins > 0, path.name
        assert not re.search(r"(https?|file)://|--(extra-)?index-url|--find-links", text), path.name
        # Each pin is followed by at least one hash.
        assert not re.search(r"^[A-Za-z0-9].*==[^\\]*$(?!\n\s+--hash)", text, re.MULTILINE), (
            path.name
        )


def test_the_front_ends_lock_file_carries_no_addresses() -> None:
    path = ROOT / "frontend" / "package-lock.json"

    assert '"resolved"' not in path.read_text()
    assert "://" not in path.read_text(), "npm wrote addresses of sponsors: take `funding` out"
    assert "omit-lockfile-registry-resolved=true" in (ROOT / "frontend" / ".npmrc").read_text()


def test_the_front_ends_lock_file_is_whole() -> None:
    """`npm ci` refuses a lock file that lacks a package for a system other than the one it was made on."""
    path = ROOT / "frontend" / "package-lock.json"
    packages = json.loads(path.read_text())["packages"]

    missing = [
        f"{name}: {wanted}"
        for name, package in packages.items()
        for wanted in package.get("optionalDependencies", {})
        if f"node_modules/{wanted}" not in packages
        and f"{name}/node_modules/{wanted}" not in packages
    ]

    assert not missing


def test_every_locked_set_holds_the_smaller_one() -> None:
    pins = {
        name: set(
            re.findall(
                r"^([A-Za-z0-9][\w.\[\]-]*==[^\s;\\]+)",
                (ROOT / "requirements" / f"{name}.lock").read_text(),
                re.MULTILINE,
            )
        )
        for name in ("platform", "test")
    }

    assert pins["platform"] <= pins["test"]


def test_the_web_process_starts_without_the_heavy_libraries() -> None:
    heavy = [
        "skimage",
        "sklearn",
        "pandas",
        "cupy",
        "numba",
        "cv2",
        "pyarrow",
        "scipy",
        "matplotlib",
    ]
    script = (
        "import sys, tissuemaps.asgi\n"
        f"loaded = sorted(set({heavy!r}) & set(sys.modules))\n"
        "sys.exit('loaded: ' + ', '.join(loaded) if loaded else 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]


def test_packages_import_without_the_tests() -> None:
    offenders = [
        relative(p)
        for p in tracked()
        if relative(p).split("/")[0] in PACKAGES
        and p.suffix == ".py"
        and re.search(r"^\s*(from|import) tests\b", p.read_text(), re.MULTILINE)
    ]

    assert not offenders
