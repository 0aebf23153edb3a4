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


_PLACES = "Dims: [4, 2], Origin: [1.5, 0.5], Scale: [0.25, 0.5], Type: Polynomial}, Quality: 1.0}"
PROFILE = (
    "{Background: {Character: NonFlat, Mean: 373.6, Profile: {Coefficients: [[2.0]], "
    f'{_PLACES}, Channel: 1, ChannelName: "a {{b}} (c)", Foreground: {{Character: NonFlat, '
    "Profile: {Coefficients: [[1.0], [-0.5, 2e-1], [0.1, 0.2, 0.3]], "
    f"{_PLACES}, Version: Soft:2013}}"
)


def element(tag: str, *parts: str, **values: object) -> str:
    """Return an element with parts, and an element in it for each value."""
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in values.items())
    return f"<{tag}>{inner}{''.join(parts)}</{tag}>"


HARMONY_CHANNELS: dict[int, dict[str, object]] = {
    1: {"ChannelName": "HOECHST 33342", "ChannelType": "Fluorescence", "ImageResolutionX": "5.98E-07",
        "ImageSizeX": 4, "ImageSizeY": 2, "MainExcitationWavelength": 405, "MainEmissionWavelength": 456,
        "ObjectiveMagnification": 20, "ObjectiveNA": 0.8, "ExposureTime": 0.04},
    2: {"ChannelName": "Brightfield", "ChannelType": "Brightfield", "IlluminationType": "Transmitted",
        "MainExcitationWavelength": 740, "MainEmissionWavelength": 0, "ExposureTime": 0.01},
}  # fmt: skip


def harmony(folder: Path, n_fields: int = 2, version: int = 5, start: int = 0) -> None:
    """Write a measurement of two channels and planes with its index; version 7 keeps facts in a map."""
    images, names = [], []
    for field in range(1, n_fields + 1):
        for channel in (1, 2):
            for plane in (1, 2):
                name = f"r02c03f{field:02d}p{plane:02d}-ch{channel}sk{start + 1}fk1fl1.tiff"
                names.append(name)
                values = {
                    "State": "Ok", "URL": name, "Row": 2, "Col": 3, "FieldID": field, "PlaneID": plane,
                    "TimepointID": start, "ChannelID": channel, "PositionX": field * 1e-4, "PositionY": "-0.0002",
                    "PositionZ": plane * 2e-6, "AbsTime": f"2022-12-19T10:19:2{plane}.5+01:00",
                }  # fmt: skip
                own = HARMONY_CHANNELS[channel] if version < 7 else {}
                images.append(element("Image", **{k: str(v) for k, v in {**values, **own}.items()}))
    plate = element(
        "Plate", PlateID="P1", Name="plate one", MeasurementStartTime="2022-12-19T10:19:00+01:00",
        PlateRows=8, PlateColumns=12,
    )  # fmt: skip
    profile = f'<Entry ChannelID="1"><FlatfieldProfile>{PROFILE}</FlatfieldProfile></Entry>'
    shared = "".join(
        f'<Entry ChannelID="{c}">{"".join(f"<{k}>{v}</{k}>" for k, v in own.items())}</Entry>'
        for c, own in HARMONY_CHANNELS.items()
    )
    maps = f"<Maps><Map>{profile}</Map>{f'<Map>{shared}</Map>' if version >= 7 else ''}</Maps>"
    wells = '<Wells><Well><Row>2</Row><Col>3</Col><Image id="0203K1F1P1R1" /></Well></Wells>'
    name = "Index.xml" if version >= 7 else "Index.idx.xml"
    (folder / name).write_text(
        f'<?xml version="1.0" encoding="utf-8"?><EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV{version}">'
        f"<Plates>{plate}</Plates>{wells}{maps}<Images>{''.join(images)}</Images></EvaluationInputData>",
        encoding="utf-8-sig",
    )
    touch(folder, names)


def incell(folder: Path, n_fields: int = 2, mode: str = "2-D", plate: str = "P1") -> None:
    """Write an .xdce file of two channels and a well, with its images."""
    waves = [(0, "UV", "DAPI", 405, 455), (1, "TL-Brightfield", "Cy3", 0, 605)]
    wavelengths = "".join(
        f'<Wavelength index="{i}" imaging_mode="{mode}"><ExcitationFilter name="{ex}" wavelength="{nm}"/>'
        f'<EmissionFilter name="{em}" wavelength="{out}"/><Exposure time="60.0" unit="ms"/></Wavelength>'
        for i, ex, em, nm, out in waves
    )
    images, names = [], []
    for field in range(n_fields):
        for i, ex, em, _, _ in waves:
            name = f"C - 03(fld {field + 1:02d} wv {ex} - {em}).tif"
            names.append(name)
            images.append(
                f'<Image filename="{name}" timestamp_sec="{1706094334.25 + field}">'
                '<Well label="C - 3"><Row number="3"/><Column number="3"/></Well>'
                f'<OffsetFromWellCenter x="{field * 300.5}" y="12.5"/><FocusPosition z="2762.1"/>'
                f'<Identifier field_index="{field}" time_index="0" wave_index="{i}" z_index="0"/></Image>'
            )
    (folder / "plate.xdce").write_text(
        f'<?xml version="1.0" encoding="ISO-8859-1"?><ImageStack PlateID="{plate}">'
        '<Creation date="2024-01-24" time="11:05:27"/><AutoLeadAcquisitionProtocol><ObjectiveCalibration '
        'magnification="40.0" objective_name="Nikon 40X" pixel_height="0.1625" pixel_width="0.1625"/>'
        f'<Camera><Size height="4" width="6"/></Camera><Wavelengths>{wavelengths}</Wavelengths>'
        '<Plate columns="24" rows="16"/><ZDimensionParameters step="1.3"/></AutoLeadAcquisitionProtocol>'
        f"<Images>{''.join(images)}</Images></ImageStack>"
    )
    touch(folder, names)


def visiview(folder: Path, stem: str = "exp", *, waves: Sequence[str] = ("DAPI", "GFP 2"), stages: Sequence[str] = (),
             n_tpoints: int = 0, make: bool = True) -> list[str]:  # fmt: skip
    """Write an .nd file and its stacks; return the names of the stacks."""
    lines = [
        '"NDInfoFile", Version 1.0',
        '"Description", several',
        "lines, of text",
        '"StartTime1", 20240719 14:19:15',
    ]
    lines += [
        f'"DoTimelapse", {str(bool(n_tpoints)).upper()}',
        f'"NTimePoints", {max(1, n_tpoints)}',
    ]
    lines += [f'"DoStage", {str(bool(stages)).upper()}', f'"NStagePositions", {len(stages)}']
    lines += [f'"Stage{n}", "{name}"' for n, name in enumerate(stages, 1)]
    lines += [f'"DoWave", {str(bool(waves)).upper()}', f'"NWavelengths", {len(waves)}']
    lines += [f'"WaveName{n}", "{name}"\n"WaveDoZ{n}", TRUE' for n, name in enumerate(waves, 1)]
    lines += [
        '"DoZSeries", TRUE',
        '"NZSteps", 8',
        '"ZStepSize", 0,5',
        '"WaveInFileName", TRUE',
        '"EndFile"',
    ]
    (folder / f"{stem}.nd").write_text("\n".join(lines))
    names = [
        f"{stem}{w}{s}{t}.stk"
        for w in ([f"_w{n}{name}" for n, name in enumerate(waves, 1)] or [""])
        for s in ([f"_s{n + 1}" for n in range(len(stages))] or [""])
        for t in ([f"_t{n + 1}" for n in range(n_tpoints)] or [""])
    ]
    if make:
        touch(folder, names)
    return names


def scanr(folder: Path, n_positions: int = 2) -> None:
    """Write images of two wells and channels with the description of the experiment."""
    (folder / "experiment_descriptor.xml").write_text(
        "<Cluster><String><Name>plate name</Name><Val>my plate</Val></String>"
        "<DBL><Name>conversion factor um/pixel</Name><Val>0.645</Val></DBL>"
        "<I32><Name>rows/well</Name><Val>1</Val></I32><I32><Name>columns/well</Name><Val>2</Val></I32>"
        "<Array><Name>well selection table + cDNA</Name><String><Name></Name><Val>14</Val></String>"
        "<String><Name></Name><Val>B2</Val></String></Array></Cluster>"
    )
    touch(
        folder,
        [
            f"data/W{well:05d}--P{position:05d}--Z00000--T00000--{channel}.tif"
            for well in (14,)
            for position in range(1, n_positions + 1)
            for channel in ("DAPI", "GFP")
        ],
    )


def scanr_ome(folder: Path, n_positions: int = 2) -> None:
    """Write images of two channels and planes of a well, with the OME-XML of newer ScanR software."""
    images, names = [], []
    for position in range(1, n_positions + 1):
        blocks = ""
        for c, channel in enumerate(("DAPI", "GFP")):
            for z in range(2):
                name = f"B02--W00014--P{position:05d}--Z{z:05d}--T00000--{channel}.tif"
                names.append(f"data/{name}")
                blocks += (
                    f'<TiffData FirstT="0" FirstC="{c}" FirstZ="{z}" IFD="0" PlaneCount="1">'
                    f'<UUID FileName="{name}">urn:uuid:0</UUID></TiffData>'
                    f'<Plane TheT="0" TheC="{c}" TheZ="{z}" DeltaT="{position + z / 8}" ExposureTime="0.05" '
                    f'PositionX="{1000 + 300 * position}" PositionY="2000.5" PositionZ="{10 + 2 * z}"/>'
                )
        images.append(
            f'<Image ID="Image:W14P{position}"><AcquisitionDate>2024-05-06T07:08:09</AcquisitionDate>'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="80" SizeY="64" SizeZ="2" '
            'SizeC="2" SizeT="1" PhysicalSizeX="0.65" PhysicalSizeY="0.65">'
            '<Channel ID="Channel:0" Name="DAPI" EmissionWavelength="455"/>'
            f'<Channel ID="Channel:1" Name="GFP" EmissionWavelength="518"/>{blocks}</Pixels></Image>'
        )
    (folder / "data").mkdir()
    (folder / "data" / "metadata.ome.xml").write_text(
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        + "".join(images)
        + "</OME>"
    )
    touch(folder, names)


def tiles(folder: Path, n: int = 4) -> None:
    """Write a list of tiles and the tiles."""
    lines = [
        "# Define the number of dimensions we are working on",
        "dim = 2",
        "",
        "# Define the image coordinates",
    ]
    lines += [f"tile_{i}.tif; ; ({i * 460.0}, {-0.5 * i})" for i in range(n)]
    (folder / "TileConfiguration.txt").write_text("\n".join(lines))
    touch(folder, [f"tile_{i}.tif" for i in range(n)])
