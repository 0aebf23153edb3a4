"""An inspection as text for people; entry point: `as_text`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gpu_workers.formats.inspection import Inspection

MAX_ROWS = 40


def as_text(found: Inspection) -> str:
    """Return what a reader sees as a few tables."""
    return "\n".join([*_overview(found), *_channels(found), *_sites(found), *_problems(found)])


def _overview(found: Inspection) -> Iterator[str]:
    rows = [
        ("reader", f"{found.reader} ({found.title})" if found.title else found.reader),
        ("files", f"{found.n_files}, {_size(found.n_bytes)}; {_count(found.n_images, 'image')}, "
                  f"{found.n_opened} opened"),
        *(_contents(found) if found.sites else ()),
        ("unplaced", f"{len(found.unplaced)}: {_list(found.unplaced)}" if found.unplaced else None),
    ]  # fmt: skip
    for name, value in rows:
        if value:
            yield f"{name:<14} {value}"


def _contents(found: Inspection) -> Iterator[tuple[str, str | None]]:
    """Yield what there is where any image is, or at least named by metadata."""
    shapes = [f"{height} x {width} px" for height, width in found.shapes]
    grid = f", in a grid of {found.grid[0]} x {found.grid[1]}" if found.grid else ""
    projections = _count(found.n_projections, "projection")
    yield "plate", "; ".join(_plate(p.name, p.n_rows, p.n_columns) for p in found.plates)
    yield "plate format", _count(found.plate_format, "well") if found.plate_format else None
    yield "wells", f"{len(found.wells)}: {_ranges(found.wells)}"
    yield "sites", f"{len(found.sites)}{grid}"
    yield "channels", str(len(found.channels))
    yield "z planes", _numbers(found.z)
    yield "z step", _text(found.z_step_um, " µm")
    yield "time points", _numbers(found.t)
    yield "time step", _text(found.t_step_s, " s")
    yield "cycles", _numbers(found.cycles) if found.cycles else None
    yield "planes", f"{found.n_planes}, and {projections}, {found.n_absent} absent"
    yield "image size", _most(shapes, " (height x width)")
    yield "pixel type", _most(found.dtypes)
    yield "pixel size", _text(found.pixel_size_um, " µm") or "unknown"
    yield "objective", found.objective
    yield "magnification", _text(found.magnification, "x")
    yield "acquired", found.acquired_at


def _channels(found: Inspection) -> Iterator[str]:
    if found.channels:
        rows = [
            (c.key, c.name, _text(c.excitation_nm), _text(c.wavelength_nm), _text(c.exposure_ms),
             c.color or "", "brightfield" if c.brightfield else "",
             c.flatfield.kind if c.flatfield else "")
            for c in found.channels
        ]  # fmt: skip
        head = (
            "key",
            "channel",
            "excitation nm",
            "emission nm",
            "exposure ms",
            "colour",
            "",
            "flat field",
        )
        yield ""
        yield from _table(head, rows)


def _sites(found: Inspection) -> Iterator[str]:
    rows = [
        (s.well, s.name, _text(s.stage_y_um), _text(s.stage_x_um), _text(s.y_px), _text(s.x_px),
         f"{s.height} x {s.width}" if s.height else "")
        for s in found.sites
    ]  # fmt: skip
    if rows:
        yield ""
        head = ("well", "site", "stage y µm", "stage x µm", "y px", "x px", "size px")
        yield from _table(head, rows)


def _problems(found: Inspection) -> Iterator[str]:
    yield ""
    yield _count(len(found.problems), "problem")
    for problem in found.problems[:MAX_ROWS]:
        yield f"{problem.severity} {problem.code}: {problem.message}"
        if problem.files:
            yield f"  {_list(problem.files)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines of a table without the columns that are empty throughout."""
    used = [n for n in range(len(head)) if any(row[n] for row in rows)]
    shown = [[head[n] for n in used], *([row[n] for n in used] for row in rows[:MAX_ROWS])]
    widths = [max(len(line[n]) for line in shown) for n in range(len(used))]
    for line in shown:
        yield "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip()
    if len(rows) > MAX_ROWS:
        yield f"… {len(rows) - MAX_ROWS} more (all with --json)"


def _text(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:g}{unit}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"


def _most(values: Sequence[str], about: str = "") -> str:
    """Return the commonest value, which is the first, and those that there are besides."""
    others = f", others {_list(values[1:])}" if len(values) > 1 else ""
    return f"{values[0]}{about}{others}" if values else ""


def _plate(name: str | None, n_rows: int | None, n_columns: int | None) -> str:
    size = f" ({n_rows} x {n_columns} wells)" if n_rows and n_columns else ""
    return f"{name or 'without a name'}{size}"


def _numbers(values: Sequence[int]) -> str:
    if not values:
        return "0"
    whole = len(values) > 2 and values[-1] - values[0] == len(values) - 1
    shown = f"{values[0]} to {values[-1]}" if whole else _list([str(v) for v in values])
    return f"{len(values)}: {shown}"


def _ranges(wells: Sequence[str]) -> str:
    """Return names of wells with runs of a row shortened: A01-A12, B03."""
    runs: list[list[str]] = []
    for well in wells:
        before = runs[-1][-1] if runs else ""
        follows = before[:-2] == well[:-2] and before and int(before[-2:]) + 1 == int(well[-2:])
        if follows:
            runs[-1].append(well)
        else:
            runs.append([well])
    return _list([r[0] if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs], 32)


def _list(values: Iterable[Any], n: int = 8) -> str:
    listed = [str(v) for v in values]
    return ", ".join(listed[:n]) + (f", … ({len(listed)})" if len(listed) > n else "")
