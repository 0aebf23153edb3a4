"""Files of several channels come together by what their patterns' wildcards stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_workers.errors import UserError
from gpu_workers.pipelines.plain.matching import match


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_wildcards_pair_files_whatever_their_order(tmp_path: Path) -> None:
    touched(tmp_path, "Channel1-02-A.tif", "Channel1-01-B.tif", "X2_01_B.tif", "X2_02_A.tif")

    images, how = match({"GFP": f"{tmp_path}/Channel1-*-*.tif", "DNA": f"{tmp_path}/X2_*_*.tif"})

    assert how == "wildcards"
    assert [i.stem for i in images] == ["Channel1-01-B", "Channel1-02-A"]
    assert [i.channels["DNA"].name for i in images] == ["X2_01_B.tif", "X2_02_A.tif"]  # type: ignore[union-attr]


def test_a_missing_file_is_none_and_no_other_takes_its_place(tmp_path: Path) -> None:
    touched(tmp_path, "a_1.tif", "a_2.tif", "b_2.tif")

    images, _ = match({"A": f"{tmp_path}/a_*.tif", "B": f"{tmp_path}/b_*.tif"})

    assert [i.channels["B"] for i in images] == [None, tmp_path / "b_2.tif"]


def test_other_names_pair_in_order_if_there_are_as_many(tmp_path: Path) -> None:
    touched(tmp_path, "img/x.png", "img/y.png", "lab/1.tif", "lab/2.tif")

    images, how = match({"DNA": f"{tmp_path}/img/*.png"}, {"Nuclei": f"{tmp_path}/lab/*.tif"})

    assert how == "order"
    assert [i.objects["Nuclei"].name for i in images] == ["1.tif", "2.tif"]  # type: ignore[union-attr]


def test_equal_names_in_folders_are_told_apart(tmp_path: Path) -> None:
    touched(tmp_path, "a/w.tif", "b/w.tif", "b/c/w.tif")

    images, _ = match({"DNA": f"{tmp_path}/**/w.tif"})

    assert sorted(i.stem for i in images) == ["a_w", "b_w", "c_w"]


def test_wildcards_are_no_regular_expressions(tmp_path: Path) -> None:
    touched(tmp_path, "a+(1).tif", "a+(2).tif", "a+(10).tif")

    images, _ = match({"DNA": f"{tmp_path}/a+([0-9]).tif"})

    assert len(images) == 2


@pytest.mark.parametrize(
    ("names", "code"),
    [(("a_1.tif",), "no_files"), (("a_1.tif", "a_2.tif", "b-x.png"), "unmatched_files")],
)
def test_what_does_not_fit_is_told(tmp_path: Path, names: tuple[str, ...], code: str) -> None:
    touched(tmp_path, *names)

    with pytest.raises(UserError) as caught:
        match({"A": f"{tmp_path}/a_*.tif", "B": f"{tmp_path}/b-?.png"})

    assert caught.value.code == code
