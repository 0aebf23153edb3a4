"""Write a plate as a Yokogawa CellVoyager does: flat folder, ``.mlf`` (planes) and ``.mrf`` (plate)."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from tissuemaps.cli.simulate.scene import PLATE_SHAPES, PlateScene, well_name
from tissuemaps.cli.simulate.writing import STARTED, Z_STEP_UM, PlaneAddress, PlateWriter

NAMESPACE = "http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"
HEADER = '<?xml version="1.0" encoding="utf-8"?>\n'


def _element(name: str, attributes: dict[str, object], content: str | None = None) -> str:
    text = "".join(f" bts:{k}={quoteattr(str(v))}" for k, v in attributes.items())
    return (
        f"<bts:{name}{text} />" if content is None else f"<bts:{name}{text}>{content}</bts:{name}>"
    )


def _root(name: str, attributes: dict[str, object], content: list[str]) -> str:
    text = "".join(
        f" bts:{k}={quoteattr(str(v))}" for k, v in {"Version": "1.0", **attributes}.items()
    )
    return (
        f'{HEADER}<bts:{name}{text} xmlns:bts="{NAMESPACE}">\n'
        + "\n".join(content)
        + f"\n</bts:{name}>\n"
    )


class CellVoyagerWriter(PlateWriter):
    """Writer of CellVoyager folders."""

    def __init__(self, folder: Path, scene: PlateScene, cycle: int):
        super().__init__(folder, scene, cycle)
        self._records: dict[PlaneAddress, str] = {}
        self._lock = Lock()

    def _file_name(self, a: PlaneAddress) -> str:
        return (
            f"{self.scene.name}_{well_name(a.row, a.column)}_T{a.t + 1:04d}F{a.site + 1:03d}L01"
            f"A{a.c + 1:02d}Z{a.z + 1:02d}C{a.c + 1:02d}.tif"
        )

    def write_plane(self, address: PlaneAddress, image: NDArray[np.uint16]) -> None:
        """Write one plane and remember its record."""
        name = self._file_name(address)
        tifffile.imwrite(self.folder / name, image, photometric="minisblack", metadata=None)
        y, x = self.stage_offset_um(address.site)
        record = _element(
            "MeasurementRecord",
            {
                "Type": "IMG",
                "Time": self.taken_at(address).isoformat(timespec="milliseconds"),
                "Column": address.column + 1,
                "Row": address.row + 1,
                "TimePoint": address.t + 1,
                "FieldIndex": address.site + 1,
                "ZIndex": address.z + 1,
                "TimelineIndex": 1,
                "ActionIndex": address.c + 1,
                "Action": "3D" if self.scene.z > 1 else "2D",
                "X": f"{x:.1f}",
                # The stage's y grows upwards.
                "Y": f"{-y:.1f}",
                "Z": f"{address.z * Z_STEP_UM:.1f}",
                "Ch": address.c + 1,
            },
            name,
        )
        with self._lock:
            self._records[address] = record

    def finish(self) -> None:
        """Write the four files that describe the measurement."""
        ordered = [self._records[a] for a in sorted(self._records)]
        self._write("MeasurementData.mlf", _root("MeasurementData", {}, ordered), mark=False)
        self._write("MeasurementDetail.mrf", self._detail())
        self._write(f"{self.scene.name}.mes", self._settings())
        rows, columns = PLATE_SHAPES[self.scene.plate_format]
        plate = {
            "Name": self.scene.name,
            "ProductID": "simulated",
            "Usage": "SamplePlate",
            "Columns": columns,
        }
        self._write(f"{self.scene.name}.wpi", _root("WellPlate", {**plate, "Rows": rows}, []))

    def _write(self, name: str, text: str, *, mark: bool = True) -> None:
        (self.folder / name).write_text(text, encoding="utf-8-sig" if mark else "utf-8")

    def _detail(self) -> str:
        scene = self.scene
        rows, columns = PLATE_SHAPES[scene.plate_format]
        attributes: dict[str, object] = {
            "OperatorName": "simulator",
            "Title": scene.name,
            "BeginTime": STARTED.isoformat(),
            "EndTime": STARTED.isoformat(),
            "MeasurementSettingFileName": f"{scene.name}.mes",
            "ColumnCount": columns,
            "RowCount": rows,
            "TimePointCount": scene.t,
            "FieldCount": len(scene.offsets),
            "ZCount": scene.z,
            "TargetSystem": "simulated",
            "Status": 0,
        }
        sample = {"Name": scene.name, "WellPlateFileName": f"{scene.name}.wpi"}
        channels = [
            _element(
                "MeasurementChannel",
                {
                    "Ch": c + 1,
                    "HorizontalPixelDimension": scene.pixel_size_um,
                    "VerticalPixelDimension": scene.pixel_size_um,
                    "CameraNumber": 1,
                    "InputBitDepth": 16,
                    "HorizontalPixels": scene.size,
                    "VerticalPixels": scene.size,
                    "FilterPosition": c + 1,
                },
            )
            for c in range(scene.channels)
        ]
        return _root(
            "MeasurementDetail",
            attributes,
            [_element("MeasurementSamplePlate", dict(sample)), *channels],
        )

    def _settings(self) -> str:
        rows, columns = PLATE_SHAPES[self.scene.plate_format]
        lights = [
            _element(
                "LightSource",
                {"Name": f"{s.excitation_nm}nm", "Type": "Laser", "WaveLength": s.excitation_nm},
            )
            for s in self.scene.stains
        ]
        channels = [
            _element(
                "Channel",
                {
                    "Ch": c + 1,
                    "Target": stain.name,
                    "Objective": "10x",
                    "Magnification": 10,
                    "Acquisition": stain.filter,
                    "ExposureTime": 100,
                    "Binning": 1,
                    "Color": f"#FF{stain.color.upper()}",
                    "Kind": "ConfocalFluorescence",
                    "Fluorophore": stain.name,
                },
                f"<bts:LightSourceName>{stain.excitation_nm}nm</bts:LightSourceName>",
            )
            for c, stain in enumerate(self.scene.stains)
        ]
        content = [
            _element("LightSourceList", {}, "".join(lights)),
            _element("ChannelList", {}, "".join(channels)),
        ]
        return _root("MeasurementSetting", {"Columns": columns, "Rows": rows}, content)
