"""What files do to their readers stays in the second process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats.files import guard, guarded
from gpu_workers.formats.files.guarded import GuardedFile

Open = Callable[[str], GuardedFile]


@pytest.fixture
def open_(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open files of the misbehaving type, in a second process of the test's own."""
    process = guarded._Process()
    root = str(Path(__file__).parents[3])
    monkeypatch.setattr(guarded, "_process", process)
    monkeypatch.setenv("PYTHONPATH", root)
    monkeypatch.setenv("TISSUEMAPS_PLUGINS", "tests.synthetic.misbehaving_files:ENTRIES")
    yield lambda name: GuardedFile("misbehaving", Path(root), name)
    process.close()


def _process_of(file: GuardedFile) -> int:
    return file.contents()[0].width


def test_files_share_one_process_that_is_not_ours(open_: Open) -> None:
    import os

    one, other = open_("fine"), open_("as well")

    assert _process_of(one) == _process_of(other) != os.getpid()
    assert one.read(7).tolist() == [[7] * 5] * 3


@pytest.mark.parametrize(("does", "words"), [("segfault", "signal 11"), ("exit", "came to an end")])
def test_a_crash_is_the_files_fault_and_others_go_on(open_: Open, does: str, words: str) -> None:
    other = open_("fine")
    before = _process_of(other)

    with pytest.raises(FileError, match=f"{does} is damaged .*{words}") as caught:
        open_(does).contents()

    assert caught.value.files == (does,)
    assert _process_of(other) != before
    assert other.read(1).shape == (3, 5)


def test_a_file_that_crashes_again_and_again_is_given_up(open_: Open) -> None:
    file = open_("segfault")
    for _ in range(guarded.MAX_CRASHES):
        with pytest.raises(FileError, match="signal"):
            file.contents()

    with pytest.raises(FileError, match="failed too often"):
        file.read(0)


def test_more_memory_than_allowed_is_refused(open_: Open) -> None:
    with pytest.raises(FileError, match="memory") as caught:
        open_("memory").contents()

    assert caught.value.code == "truncated_file"


def test_a_plane_that_claims_to_be_huge_gets_no_more_memory(open_: Open) -> None:
    # There is no such file: nothing speaks for its size.
    with pytest.raises(FileError, match="memory"):
        open_("huge").read(0)


def test_what_opens_peoples_files_is_told_no_password(
    open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUEMAPS_REDIS_URL", "redis://:secret@localhost")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@localhost")
    monkeypatch.setenv("SOME_API_TOKEN", "secret")

    assert open_("tell").contents()[0].height == 1


def test_what_libraries_print_is_no_answer(open_: Open) -> None:
    assert open_("noise").contents()


def test_a_file_that_takes_for_ever_is_ended(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    file = open_("loop")
    monkeypatch.setattr(guarded, "WALL_S", 0.5)

    with pytest.raises(FileError, match="takes more than"):
        file.contents()


def test_computing_time_is_limited_for_each_request() -> None:
    # 120 s can't be waited for: that the limit is in force is what is looked at.
    import resource

    before = resource.getrlimit(resource.RLIMIT_CPU)
    try:
        guard._Reader().answer({"do": "close", "token": 1})
        soft = resource.getrlimit(resource.RLIMIT_CPU)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)

    used = resource.getrusage(resource.RUSAGE_SELF)
    assert 0 < soft <= used.ru_utime + used.ru_stime + guard.CPU_S
