"""Small acquisitions as microscopes write them: metadata and empty image files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def touch(folder: Path, names: Iterable[str]) -> None:
    """Make empty files."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def bts(tag: str, content: str = "", **attributes: object) -> str:
    """Return an element of a CellVoyager file."""
    text = " ".join(f'bts:{k}="{v}"' for k, v in attributes.items() if v is not None)
    return f"<bts:{tag} {text}>{content}</bts:{tag}>"


def cellvoyager(folder: Path, wells: Sequence[tuple[int, int]], n_fields: int = 2) -> None:
    """Write a measurement of two channels, with the files beside it and shading images."""
    records, names = [], []
    for row, column in wells:
        for field in range(1, n_fields + 1):
            for channel in (1, 2):
                name = f"p_{'ABCDEFGH'[row - 1]}{column:02d}_T0001F{field:03d}L01A01Z01C{channel:02d}.tif"
                names.append(name)
                records.append(
                    bts("MeasurementRecord", name, Type="IMG", Row=row, Column=column, FieldIndex=field,
                        ZIndex=1, TimePoint=1, TimelineIndex=1, ActionIndex=1, X=650.0 * field, Y=-10.5,
                        Z=3.0, Ch=channel, Time=f"2025-03-03T13:17:{24 + channel}.500+01:00")
                )  # fmt: skip
    sizes = [
        bts("MeasurementChannel", Ch=c, HorizontalPixelDimension=0.325, HorizontalPixels=2560, VerticalPixels=2160,
            InputBitDepth=16, CameraNumber=c + 2, ShadingCorrectionSource=f"SC_{c}.tif")
        for c in (1, 2)
    ]  # fmt: skip
    plate = bts("MeasurementSamplePlate", Name="my plate")
    filters = [
        bts("LightSource", Name="405nm", WaveLength=405),
        bts("Channel", "<bts:LightSourceName>405nm</bts:LightSourceName>", Ch=1, Target="DAPI", Objective="20x v2",
            Magnification=20, Acquisition="BP445/45", ExposureTime=100, Color="#FF002FFF", Kind="ConfocalFluorescence"),
        bts("Channel", Ch=2, Target="Brightfield", Kind="Brightfield", Acquisition="BP525/50"),
    ]  # fmt: skip
    (folder / "MeasurementData.mlf").write_text(
        f"<bts:MeasurementData {BTS}>{''.join(records)}</bts:MeasurementData>"
    )
    (folder / "MeasurementDetail.mrf").write_text(
        f'<bts:MeasurementDetail {BTS} bts:RowCount="8" bts:ColumnCount="12" bts:BeginTime="2025-03-03T13:17:20+01:00">'
        f"{plate}{''.join(sizes)}</bts:MeasurementDetail>"
    )
    (folder / "settings.mes").write_text(
        f"<bts:MeasurementSetting {BTS}>{''.join(filters)}</bts:MeasurementSetting>"
    )
    touch(folder, [*names, "SC_1.tif", "SC_2.tif", "DC_x#1_CAM3.tif"])


def imagexpress(folder: Path, n_sites: int) -> None:
    """Write a plate of two wells and two channels with an .HTD file."""
    selected = ", ".join(["TRUE"] * n_sites)
    (folder / "p.HTD").write_text(
        f'"HTSInfoFile", Version 1.0\n"TimePoints", 1\n"ZSeries", FALSE\n"XWells", 3\n"YWells", 2\n'
        f'"WellsSelection1", TRUE, FALSE, FALSE\n"WellsSelection2", FALSE, TRUE, FALSE\n"Sites", TRUE\n'
        f'"XSites", {min(n_sites, 100)}\n"YSites", {-(-n_sites // 100)}\n'
        + "".join(f'"SiteSelection{r + 1}", {selected}\n' for r in range(-(-n_sites // 100)))
        + '"Waves", TRUE\n"NWavelengths", 2\n"WaveName1", "DAPI"\n"WaveName2", "FITC"\n"EndFile"\n'
    )
    touch(
        folder,
        [
            f"TimePoint_1/p_{well}_s{site}_w{wave}.TIF"
            for well in ("A01", "B02")
            for site in range(1, n_sites + 1)
            for wave in (1, 2)
        ],
    )
