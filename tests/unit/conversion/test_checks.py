"""What files say against their acquisition's metadata."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.expansion import (
    IMAGE_TYPES,
    NAMED_TYPES,
    PAGE_TYPES,
    expand,
    frame,
    image_rows,
)
from gpu_workers.formats.survey import SourcePlane, VendorFacts
from gpu_workers.messages import AcquisitionDescription, Problem
from gpu_workers.steps.metaconfig import checks, facts
from gpu_workers.steps.metaconfig.merge import Source
from gpu_workers.storage.layout import AcquisitionLayout

SIZE = (10, 20)


def source(*images: ImageContent, number: int = 0, **known: Any) -> Source:
    """Return an acquisition of one site and a file, and time point, for each image."""
    named = [SourcePlane(f"f{n}", "A01", "1", "1", t=n) for n in range(len(images))]
    rows = [row for n, image in enumerate(images) for row in image_rows(f"f{n}", [image])[0]]
    found = expand(frame(named, NAMED_TYPES), frame(rows, IMAGE_TYPES), frame([], PAGE_TYPES))
    acquisition = AcquisitionDescription(
        id=UUID(int=number), name=f"a{number}", plate=UUID(int=9), plate_name="p", index=number,
        folder=f"x{number}",
    )  # fmt: skip
    told = VendorFacts(reader="x", **known)
    return Source(acquisition, told, found.planes, found.images, frame([], NAMED_TYPES))


def problems(*sources: Source) -> dict[str, Problem]:
    found = checks.sources(sources, [], multiplexing=False)
    return {p.code: p for p in found}


def test_sizes_and_types_against_the_metadata() -> None:
    usual, odd = ImageContent(*SIZE, "uint16"), ImageContent(30, 20, "uint8")

    found = problems(source(usual, odd, shape=SIZE, dtype="uint16"))

    assert {code: p.files for code, p in found.items()} == {
        "size_differs": ("f1",), "type_differs": ("f1",),
    }  # fmt: skip
    assert found["size_differs"].message == (
        "1 file of 'a0' isn't 10 x 20 px as the metadata says; the files count"
    )


def test_pixel_sizes_against_the_metadata() -> None:
    images = [ImageContent(*SIZE, "uint16", pixel_size_um=size) for size in (0.5, 0.5, 1.0)]
    found: list[Problem] = []

    size = facts.pixel_size([source(*images, pixel_size_um=0.5)], found)

    assert size == 0.5
    assert [(p.code, p.files) for p in found if p.files] == [("pixel_size_differs", ("f2",))]


def test_files_of_several_plates() -> None:
    names = ("one", "one", "two", None)

    found = problems(source(*(ImageContent(*SIZE, "uint16", plate=name) for name in names)))

    assert found["several_plates"].files == ("f2",)
    assert "another plate than 'one': 'two'" in found["several_plates"].message


def test_acquisitions_in_the_wrong_order() -> None:
    late = source(ImageContent(*SIZE, "uint16"), acquired_at="2024-05-02T10:00:00")
    early = source(ImageContent(*SIZE, "uint16"), number=1, acquired_at="2024-05-01T10:00:00")

    assert "'a1' follows 'a0' but was taken before it" in (
        problems(late, early)["order_of_acquisitions"].message
    )
    assert problems(early, late) == {}


def test_times_of_acquisitions_that_follow_each_other() -> None:
    plain = [ImageContent(*SIZE, "uint16")] * 2
    first = source(*plain, acquired_at="2024-05-01T10:00:00+00:00", t_step_s=30)
    second = source(*plain, number=1, acquired_at="2024-05-01T11:00:00+00:00", t_step_s=30)
    undated = source(*plain, number=1, t_step_s=30)
    layouts = [
        AcquisitionLayout(
            id=str(UUID(int=n)), name="a", plate="p", index=n, tpoint_offset=2 * n, n_tpoints=2
        )
        for n in range(2)
    ]
    planes = first.planes.assign(acquisition="none")

    assert facts.times([first, second], layouts, planes) == (0, 30, 3600, 3630)
    assert facts.times([first, undated], layouts, planes) is None
