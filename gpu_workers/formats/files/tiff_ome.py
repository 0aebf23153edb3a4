"""OME-TIFF: images and planes of a file, and of the files of its set, by the OME-XML."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import MAX_PAGES, ImageContent, PlaneContent
from gpu_workers.formats.files.ome_xml import Ome, OmeBlock, OmeField, OmeImage, OmePlane
from gpu_workers.formats.files.tiff_pages import PageFacts
from gpu_workers.formats.files.tiff_values import arranged
from gpu_workers.formats.listing import safe_name, shown
from gpu_workers.formats.survey import ChannelFacts, well_name

# Pictures that scanners take besides the image.
_NOT_MEASURED = re.compile(r"(?i)(label|macro|thumbnail|overview)([ _]image)?")
_START = re.compile(r"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<(\w+:)?OME\b", re.DOTALL)
Facts = Callable[[int], PageFacts]
_WHITE: Final = "#ffffff"


def is_ome(description: str) -> bool:
    """Return whether a description is an OME-XML document."""
    return "<" in description[:64] and _START.match(description[:4096]) is not None


class Members:
    """Which file of a set a block of planes lies in.

    Of a set whose files all describe the whole, the first one that is there speaks for all; each of
    the others tells of its own planes only, so that nothing is read twice.
    """

    def __init__(self, ome: Ome, folder: Path, file: str):
        self._ome, self._folder, self._file = ome, folder, file
        path = PurePosixPath(file)
        self._own, self._parent = path.name, path.parent
        self._there: dict[str, bool] = {}
        named = dict.fromkeys(b.file for i in ome.images for b in i.blocks if b.file)
        first = next((n for n in named if self._own == n or self._exists(n)), self._own)
        self.is_companion = not path.name.lower().endswith(
            (".tif", ".tiff", ".tf2", ".tf8", ".btf")
        )
        whose = {(b.file, b.uuid) for i in ome.images for b in i.blocks}
        self._alone = len(whose) == 1 and not self.is_companion
        # Otherwise what it says depends on which other files are there.
        self.is_alone = not self.is_companion and named.keys() <= {self._own}
        self._speaks = self.is_companion or first == self._own

    def locate(self, block: OmeBlock) -> tuple[bool, str | None]:
        """Return whether the planes of a block are to be told of, and their file (None: this one)."""
        name = block.file
        own = not name and (block.uuid is None or block.uuid == self._ome.uuid)
        if own or name == self._own or (block.uuid and block.uuid == self._ome.uuid):
            return not self.is_companion, None
        if name is None or not self._exists(name):
            # A file that was renamed still says its old name.
            return self._alone, None
        return self._speaks, str(self._parent / name)

    def _exists(self, name: str) -> bool:
        if name not in self._there:
            path = self._folder / self._parent / name
            self._there[name] = safe_name(name) and path.is_file() and not path.is_symlink()
        return self._there[name]


def contents(
    ome: Ome, members: Members, facts: Facts, n_pages: int, file: str
) -> list[ImageContent]:
    """Return the images that a file tells of, in planes of whole pages.

    Raises
    ------
    FileError
        What the document says contradicts the pages, or names no plane that is there.
    """
    found: list[ImageContent] = []
    for number, image in enumerate(ome.images):
        if len(ome.images) > 1 and _NOT_MEASURED.fullmatch(image.name or ""):
            continue
        content = _content(ome, image, number, members, facts, n_pages, file)
        if content is not None:
            found.append(content)
    return found


def _bad(file: str, message: str, code: str = "bad_metadata") -> FileError:
    name = shown(file)
    return FileError(f"{name}: {message}", code=code, files=(name,))


def _content(
    ome: Ome, image: OmeImage, number: int, members: Members, facts: Facts, n_pages: int, file: str
) -> ImageContent | None:
    located = [
        (b, *members.locate(b)) for b in image.blocks or (OmeBlock(0, 0, 0, 0, None, None, None),)
    ]
    first = next((b.page for b, told, other in located if told and other is None), None)
    page = facts(first) if first is not None and first < n_pages else None
    if page is not None and (page.height, page.width) != (image.height, image.width):
        raise _bad(
            file, f"its OME-XML says {image.height} x {image.width} px, "
            f"page {first} has {page.height} x {page.width}",
        )  # fmt: skip
    samples = page.samples if page else next((c.samples for c in image.channels), 1)
    is_rgb = page.is_rgb if page else samples == 3
    n_c = 1 if samples > 1 and image.n_c == samples else image.n_c
    sizes = {"T": image.n_t, "C": n_c, "Z": image.n_z}
    planes = _planes(image, located, sizes, n_pages, file)
    if not planes:
        return None
    place = ome.fields.get(image.id)
    try:
        well = well_name(place.row, place.column) if place else None
    except ValueError as error:
        raise _bad(file, f"its OME-XML says: {error}") from error
    return ImageContent(
        image.height, image.width, page.dtype if page else image.dtype, samples=3 if is_rgb else 1,
        **_described(image, planes, sizes),
        **_position(image, place),
        well=well, site=_site(ome, number, place.field if place else None),
        plate=place.plate or None if place else None,
        name=image.name, acquired_at=image.acquired_at,
        pixel_size_um=_positive(image.pixel_size_um), z_step_um=_positive(image.z_step_um),
        t_step_s=_positive(image.t_step_s), objective=image.objective, magnification=image.magnification,
        channels=() if is_rgb else channel_facts(image),
        brightfield=is_rgb and any(c.is_brightfield for c in image.channels),
    )  # fmt: skip


def _site(ome: Ome, number: int, of_well: int | None) -> str | None:
    if of_well is not None:
        return str(of_well)
    return str(number + 1) if len(ome.images) > 1 else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _planes(
    image: OmeImage,
    located: list[tuple[OmeBlock, bool, str | None]],
    sizes: dict[str, int],
    n_pages: int,
    file: str,
) -> list[PlaneContent]:
    """Return where the planes of an image are; those beyond the file's pages are left out."""
    total = sizes["T"] * sizes["C"] * sizes["Z"]
    if total > MAX_PAGES:
        raise _bad(file, f"its OME-XML claims an image of {total} planes", "too_large")
    starts = [_rank(b, image.order, sizes) for b, _, _ in located]
    ends = sorted({*starts, total})
    runs = []
    for (block, told, other), start in zip(located, starts, strict=True):
        if told and 0 <= start < total:
            count = block.n_planes
            if count is None:
                count = ends[bisect_right(ends, start)] - start
            count = min(count, total - start)
            runs.append((block, other, start, min(count, n_pages) if other is None else count))
    if sum(count for _, _, _, count in runs) > 4 * (total + len(runs)):
        raise _bad(file, f"its OME-XML names far more places than its {total} planes need")
    found: dict[tuple[int, int, int], PlaneContent] = {}
    for block, other, start, count in runs:
        for n in range(count):
            page = block.page + n
            if other is None and page >= n_pages:
                break
            place = _place(start + n, image.order, sizes)
            found.setdefault(place, PlaneContent(*place, page, other))
    return [found[place] for place in sorted(found)]


def _rank(block: OmeBlock, order: str, sizes: dict[str, int]) -> int:
    """Return how many planes come before a block's first one; -1 where the image has no such plane."""
    first = {"T": block.t, "C": block.c, "Z": block.z}
    rank, step = 0, 1
    for axis in order:
        if first[axis] >= sizes[axis]:
            return -1
        rank, step = rank + first[axis] * step, step * sizes[axis]
    return rank


def _place(rank: int, order: str, sizes: dict[str, int]) -> tuple[int, int, int]:
    at = {}
    for axis in order:
        rank, at[axis] = divmod(rank, sizes[axis])
    return at["T"], at["C"], at["Z"]


def _described(
    image: OmeImage, planes: list[PlaneContent], sizes: dict[str, int]
) -> dict[str, Any]:
    """Return the arrangement of planes, with what Plane elements say of each."""
    said = {(p.t, p.c, p.z): p for p in image.planes}
    here = _stage(image)
    rich = [_with_facts(p, said.get((p.t, p.c, p.z)), here, sizes) for p in planes]
    return arranged(rich, (sizes["T"], sizes["C"], sizes["Z"]))


def _with_facts(
    plane: PlaneContent, said: OmePlane | None, here: tuple[Any, Any], sizes: dict[str, int]
) -> PlaneContent:
    if said is None:
        return plane
    moved = said.y_um is not None and said.x_um is not None and (said.y_um, said.x_um) != here
    return PlaneContent(
        plane.t, plane.c, plane.z, plane.page, plane.file,
        stage_y_um=said.y_um if moved else None, stage_x_um=said.x_um if moved else None,
        z_um=said.z_um if sizes["Z"] > 1 else None, time_s=said.time_s if sizes["T"] > 1 else None,
    )  # fmt: skip


def _stage(image: OmeImage) -> tuple[float | None, float | None]:
    """Return where the stage stood for the image: at its first plane that says it."""
    first = next((p for p in image.planes if p.y_um is not None and p.x_um is not None), None)
    return (first.y_um, first.x_um) if first else (image.y_um, image.x_um)


def _position(image: OmeImage, place: OmeField | None) -> dict[str, Any]:
    y, x = _stage(image)
    if y is None and place is not None:
        y, x = place.y_um, place.x_um
    z = next((p.z_um for p in image.planes if p.z_um is not None), None)
    return {"stage_y_um": y, "stage_x_um": x, "z_um": z}


def channel_facts(image: OmeImage) -> tuple[ChannelFacts, ...]:
    """Return the channels; where names are missing or the same, numbers tell them apart."""
    names = Counter(c.name for c in image.channels)
    exposures = {p.c: p.exposure_ms for p in reversed(image.planes) if p.exposure_ms}
    found = []
    for i, channel in enumerate(image.channels):
        name = channel.name or f"Channel{i + 1}"
        twice = names[channel.name] > 1
        key = (f"{name} {i + 1}" if twice else name) if channel.name else str(i + 1)
        found.append(
            ChannelFacts(
                key=key, name=key if channel.name else name,
                wavelength_nm=channel.emission_nm, excitation_nm=channel.excitation_nm,
                # White is what programs write that know no colour.
                color=None if channel.color == _WHITE else channel.color,
                exposure_ms=exposures.get(i), brightfield=channel.is_brightfield,
            )
        )  # fmt: skip
    return tuple(found)
