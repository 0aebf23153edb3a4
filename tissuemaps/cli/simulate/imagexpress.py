"""Write a plate as an ImageXpress does: ``.HTD``, ``TimePoint_N/[ZStep_N/]NAME_WELL_sN_wN.TIF``."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from uuid import UUID, uuid5
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from tissuemaps.cli.simulate.scene import PLATE_SHAPES, WELL_PITCH_UM, PlateScene, well_name
from tissuemaps.cli.simulate.writing import Z_STEP_UM, PlaneAddress, PlateWriter

_NAMES = UUID("6f0e1f5e-0d0a-4b9c-9d0e-5a2d2f8f4c11")


def _property(name: str, type_: str, value: object, element: str = "prop") -> str:
    return f'<{element} id="{name}" type="{type_}" value={quoteattr(str(value))}/>'


def _truth_value(value: bool) -> str:
    return "TRUE" if value else "FALSE"


class ImageXpressWriter(PlateWriter):
    """Writer of MetaXpress folders."""

    def __init__(self, folder: Path, scene: PlateScene, cycle: int):
        super().__init__(folder, scene, cycle)
        self._identifier = uuid5(_NAMES, f"{scene!r}{cycle}")
        self._stacks: dict[tuple[int, ...], tuple[int, NDArray[np.uint16]]] = {}
        self._lock = Lock()
        for t in range(scene.t):
            for z in self._steps():
                self._folder(t, z).mkdir(parents=True, exist_ok=True)

    def _steps(self) -> list[int]:
        if self.scene.z == 1:
            return [0]
        return list(range(0 if self.scene.projection else 1, self.scene.z + 1))

    def _folder(self, t: int, step: int) -> Path:
        """Return the folder of a time point's plane; step 0 is the projection, planes count from 1."""
        folder = self.folder / f"TimePoint_{t + 1}"
        return folder if self.scene.z == 1 else folder / f"ZStep_{step}"

    def _file_name(self, a: PlaneAddress) -> str:
        site = f"_s{a.site + 1}" if len(self.scene.offsets) > 1 else ""
        wave = f"_w{a.c + 1}" if self.scene.channels > 1 else ""
        return f"{self.scene.name}_{well_name(a.row, a.column)}{site}{wave}.TIF"

    def write_plane(self, address: PlaneAddress, image: NDArray[np.uint16]) -> None:
        """Write one plane and, with a stack's last one, its maximum projection where asked."""
        self._write(address, image, address.z + 1)
        if not (self.scene.projection and self.scene.z > 1):
            return
        key = (address.row, address.column, address.site, address.t, address.c)
        with self._lock:
            seen, highest = self._stacks.pop(key, (0, image))
            highest = np.maximum(highest, image)
            if seen + 1 < self.scene.z:
                self._stacks[key] = (seen + 1, highest)
                return
        self._write(address, highest, 0)

    def _write(self, address: PlaneAddress, image: NDArray[np.uint16], step: int) -> None:
        tifffile.imwrite(
            self._folder(address.t, step) / self._file_name(address),
            image,
            photometric="minisblack",
            metadata=None,
            software="MetaSeries",
            description=self._description(address, step),
        )

    def _description(self, a: PlaneAddress, step: int) -> str:
        scene, stain = self.scene, self.scene.stains[a.c]
        pitch = WELL_PITCH_UM[scene.plate_format]
        y, x = self.stage_offset_um(a.site)
        label = f"{well_name(a.row, a.column)} : Site {a.site + 1}"
        taken = self.taken_at(a).strftime("%Y%m%d %H:%M:%S.%f")[:-3]
        planes = [
            _property("plane-type", "string", "plane"),
            _property("pixel-size-x", "int", scene.size),
            _property("pixel-size-y", "int", scene.size),
            _property("bits-per-pixel", "int", 16),
            _property("spatial-calibration-state", "bool", "on"),
            _property("spatial-calibration-x", "float", scene.pixel_size_um),
            _property("spatial-calibration-y", "float", scene.pixel_size_um),
            _property("spatial-calibration-units", "string", "um"),
            _property("image-name", "string", stain.name),
            _property("acquisition-time-local", "time", taken),
            _property("stage-position-x", "float", f"{(a.column + 1) * pitch + x:.3f}"),
            _property("stage-position-y", "float", f"{(a.row + 1) * pitch + y:.3f}"),
            _property("stage-label", "string", label),
            _property("z-position", "float", f"{10000 + max(step - 1, 0) * Z_STEP_UM:.2f}"),
            _property("wavelength", "float", stain.wavelength_nm),
            _property("_IllumSetting_", "string", stain.name),
            _property("_MagSetting_", "string", "10X simulated"),
        ]
        if scene.z > 1:
            planes += [
                _property("Z Step", "float", step, "custom-prop") if step else
                _property("Z Projection Method", "string", "Maximum", "custom-prop"),
                _property("Z Projection Step Size", "float", Z_STEP_UM, "custom-prop"),
            ]  # fmt: skip
        head = [
            _property("Description", "string", "simulated"),
            _property("MetaDataVersion", "float", 1),
            _property("ApplicationName", "string", "MetaMorph"),
        ]
        lines = ["<MetaData>", *head, "<PlaneInfo>", *planes, "</PlaneInfo>", "<SetInfo>",
                 _property("number-of-planes", "int", 1), "</SetInfo>", "</MetaData>"]  # fmt: skip
        return "\n".join(lines)

    def finish(self) -> None:
        """Write the ``.HTD`` file wherever the real software leaves a copy."""
        text = self._htd()
        folders = {self.folder, *(self.folder / f"TimePoint_{t + 1}" for t in range(self.scene.t))}
        folders |= {self._folder(t, z) for t in range(self.scene.t) for z in self._steps()}
        for folder in folders:
            (folder / f"{self.scene.name}.HTD").write_text(text, encoding="latin-1", newline="")

    def _htd(self) -> str:
        scene = self.scene
        rows, columns = PLATE_SHAPES[scene.plate_format]
        ny, nx = scene.sites
        many = ny * nx > 1
        # The file lists what was meant to be imaged; missing wells have no files.
        lines = [
            '"HTSInfoFile", Version 1.0', '"Description", "simulated"', '"PlateType", 2', f'"TimePoints", {scene.t}',
            f'"ZSeries", {_truth_value(scene.z > 1)}', f'"ZSteps", {scene.z if scene.z > 1 else 0}',
            f'"ZProjection", {_truth_value(scene.projection)}', f'"XWells", {columns}', f'"YWells", {rows}',
        ]  # fmt: skip
        for row in range(rows):
            chosen = ", ".join(
                _truth_value((row, column) in scene.wells) for column in range(columns)
            )
            lines.append(f'"WellsSelection{row + 1}", {chosen}')
        lines += [f'"Sites", {_truth_value(many)}', f'"XSites", {nx}', f'"YSites", {ny}']
        if many:
            lines += [f'"SiteSelection{i + 1}", {", ".join(["TRUE"] * nx)}' for i in range(ny)]
        lines += [
            f'"Waves", {_truth_value(scene.channels > 1)}',
            f'"NWavelengths", {scene.channels}',
        ]
        lines += [f'"WaveName{c + 1}", "{stain.name}"' for c, stain in enumerate(scene.stains)]
        lines += [f'"WaveCollect{c + 1}", 1' for c in range(scene.channels)]
        lines += [f'"UniquePlateIdentifier", "{self._identifier}"', '"EndFile"', ""]
        return "\r\n".join(lines)
