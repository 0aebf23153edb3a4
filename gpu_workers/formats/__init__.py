"""Microscope formats; entry points: `inspect` (what a folder holds) and `read_plane` (its pixels)."""

from gpu_workers.formats.inspection import Inspection, inspect
from gpu_workers.formats.pixels import read_plane

__all__ = ["Inspection", "inspect", "read_plane"]
