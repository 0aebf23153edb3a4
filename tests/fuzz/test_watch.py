"""What the fuzz tests would find, they do find."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats.files import read_contents
from tests.fuzz import watch
from tests.fuzz.mutation import damage
from tests.fuzz.seeds import file_seeds


def test_memory_is_noticed_even_if_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_MB", 50)

    def take() -> None:
        with watch.watched():
            assert len(b"x" * 2**27) == 2**27

    with pytest.raises(AssertionError, match=r"1[23]\d MB"):
        take()


def test_a_hang_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DEADLINE_S", 0.1)

    def hang() -> None:
        with watch.watched():
            while True:
                pass

    with pytest.raises(watch.Hang):
        hang()


@pytest.mark.parametrize(
    "error", [FileError("it is damaged"), FileError("it is damaged", files=("a.tif",))]
)
def test_an_error_has_to_name_its_file(error: FileError) -> None:
    with pytest.raises(AssertionError):
        watch.named(error)


@pytest.mark.parametrize("kind", ["czi", "nd2", "lif", "tiff", "png", "c01"])
def test_some_damage_is_survived_and_some_is_not(kind: str, tmp_path: Path) -> None:
    """Damage that always, or never, made a file unreadable would try nothing."""
    outcomes = set()
    for n in range(60):
        name, data = file_seeds(kind)[0]
        (tmp_path / name).write_bytes(damage(data, [(n % 9, 7919 * n, 104729 * n)]))
        try:
            read_contents(tmp_path, name)
        except FileError:
            outcomes.add("refused")
        else:
            outcomes.add("read")

    assert outcomes == {"refused", "read"}
