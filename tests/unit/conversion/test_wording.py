"""Messages about one file or many."""

from __future__ import annotations

import pytest

from gpu_workers.formats.listing import MAX_MESSAGE, aggregate, worded


@pytest.mark.parametrize(
    ("message", "one"),
    [
        ("{n} files are left out", "1 file is left out"),
        ("{n} images that a.mlf names are not there", "1 image that a.mlf names is not there"),
        ("{n} image names don't match the pattern", "1 image name doesn't match the pattern"),
        ("{n} files of 'x' hold planes; others are", "1 file of 'x' holds planes; others are"),
        ("{n} links were not followed", "1 link was not followed"),
        ("{n} files cannot be read; a files are", "1 file cannot be read; a files are"),
        ("there are {n} of 9 images", "there are 1 of 9 images"),
        ("{n} {file says|files say} so", "1 file says so"),
    ],
)
def test_one_is_not_many(message: str, one: str) -> None:
    assert worded(message, 1) == one
    assert worded(message, 12).startswith(one.split("1", maxsplit=1)[0] + "12 ")


def test_messages_are_bounded() -> None:
    (problem,) = aggregate("x", "{n} files: " + "a" * 5000, [f"f{n}" for n in range(300)])

    assert len(problem.message) < MAX_MESSAGE + 100
    assert len(problem.files) == 100
    assert problem.message.endswith("(the first 100 of 300 are named)")
