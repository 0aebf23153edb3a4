"""corilla: how evenly each channel is lit, estimated from many images."""

from gpu_workers.steps.corilla.step import Corilla

__all__ = ["Corilla"]
