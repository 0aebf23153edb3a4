"""align: register the cycles of each site on one another and, if asked, put overlapping sites together.

Entry points: `Align`, the step; `gpu_workers.steps.align.use.alignment_of`, for steps that read aligned pixels.
"""

from gpu_workers.steps.align.step import Align

__all__ = ["Align"]
