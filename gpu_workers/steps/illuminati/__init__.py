"""illuminati: the sites of each plate, pasted into one image with all its zoom levels."""

from gpu_workers.steps.illuminati.step import Illuminati

__all__ = ["Illuminati"]
