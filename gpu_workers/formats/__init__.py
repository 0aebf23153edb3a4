"""Microscope formats; entry points: `inspect` (what a folder holds) and `read_plane` (its pixels)."""

from gpu_workers.formats.files import read_plane
from gpu_workers.formats.inspection import Inspection, inspect

__all__ = ["Inspection", "inspect", "read_plane"]
