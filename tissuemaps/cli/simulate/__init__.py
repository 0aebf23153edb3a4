"""Simulated plates with known truth. Entry point: `simulate_plate`."""

from tissuemaps.cli.simulate.plate import simulate_plate
from tissuemaps.cli.simulate.scene import PlateScene
from tissuemaps.cli.simulate.truth import Truth

__all__ = ["PlateScene", "Truth", "simulate_plate"]
