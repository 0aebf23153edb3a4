"""Modules that people write: the documented example, files that fail, packages that are not allowed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.pipelines.prepared import prepare
from gpu_workers.pipelines.text import read_pipeline

PAGE = Path(__file__).resolve().parents[3] / "docs" / "modules-of-your-own.md"


def block(language: str) -> str:
    """Return the first block of code in a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MODULES", "PACKAGES", "PLUGINS"):
        monkeypatch.delenv(f"TISSUEMAPS_{name}", raising=False)
    registry.forget()
    yield
    monkeypatch.undo()
    registry.forget()


def allow(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"TISSUEMAPS_{name.upper()}", str(value))
    registry.forget()


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bright_fraction.py").write_text(block("python"))
    image = np.full((40, 40), 10, np.uint16)
    image[5:15, 5:15] = 100
    image[5:15, 5:8] = 200

    with pytest.raises(UserError, match="no module is called 'bright_fraction'"):
        registry.load("modules", "bright_fraction")
    allow(monkeypatch, modules=tmp_path / "bright_fraction.py")
    found = prepare(read_pipeline(block("yaml")), ("DAPI",)).run({"DAPI": image}, image.shape)

    assert found["Nuclei"].columns["Bright_Fraction_DAPI"].tolist() == [0.3]
    assert "bright_fraction" in registry.names("modules")


def test_a_changed_file_has_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bright_fraction.py"
    file.write_text(block("python"))
    allow(monkeypatch, modules=tmp_path)

    first = registry.source_digest("modules", "bright_fraction")
    file.write_text(block("python").replace("image > arguments", "image >= arguments"))
    same = registry.source_digest("modules", "bright_fraction")
    registry.forget()
    second = registry.source_digest("modules", "bright_fraction")

    assert first == same  # what runs is still the old one
    assert second not in {first, None}
    assert registry.source_digest("modules", "smooth") is None


def test_files_that_fail_or_take_a_name_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "taken.py").write_text(block("python").replace("bright_fraction", "smooth"))
    (tmp_path / "_private.py").write_text("raise SystemExit\n")
    (tmp_path / "good.py").write_text(block("python"))

    allow(monkeypatch, modules=f"{tmp_path}, {tmp_path / 'absent.py'}")

    assert "bright_fraction" in registry.names("modules")
    with pytest.raises(UserError) as caught:
        registry.load("modules", "broken")
    message = caught.value.message
    assert "broken.py could not be used: ModuleNotFoundError" in message
    assert "a module 'smooth' exists already" in message
    assert "absent.py could not be used: there is no such file" in message
    assert registry.load("modules", "smooth").title != "Bright fraction"


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with an entry point in a folder of its own."""
    package = tmp_path / "my_modules_of_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bright_fraction.py").write_text(block("python"))
    info = tmp_path / "My_Modules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: My_Modules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tissuemaps.modules]\nbright_fraction = my_modules_of_test.bright_fraction:bright_fraction\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [n for n in sys.modules if n.startswith(package.name)]:
        monkeypatch.delitem(sys.modules, name)
    registry.forget()
    return package


def test_an_installed_package_counts_only_if_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed(tmp_path, monkeypatch)

    assert "bright_fraction" not in registry.names("modules")
    allow(monkeypatch, packages="other, my-modules")
    assert registry.load("modules", "bright_fraction").title == "Bright fraction"
    first = registry.source_digest("modules", "bright_fraction")
    (package / "more.py").write_text("# beside it\n")
    registry.forget()
    assert registry.source_digest("modules", "bright_fraction") not in {first, None}


def test_mappings_of_entries_count_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed(tmp_path, monkeypatch)
    target = "my_modules_of_test.bright_fraction:bright_fraction"
    (package / "entries.py").write_text(f"ENTRIES = {{'modules': {{'brightness': {target!r}}}}}\n")

    allow(monkeypatch, plugins="my_modules_of_test.entries")

    assert registry.load("modules", "brightness").name == "bright_fraction"


def test_every_built_in_module_says_no_digest_and_loads() -> None:
    for name in registry.names("modules"):
        assert registry.load("modules", name).name == name
        assert registry.source_digest("modules", name) is None
