"""jterator: the image-analysis pipeline on every site, then one index for all objects of a plate."""

from gpu_workers.steps.jterator.step import Jterator

__all__ = ["Jterator"]
