"""imextract: copy every plane of the source into the plates' OME-Zarr, with projections if asked.

Pixels are not changed. A plane that can't be read, or isn't what the layout says, is left out and
listed; the vendor's own projections are compared with ours and never stored. Entry point: `ImExtract`.

`batches` cuts the table of planes into jobs, `conversion` does one, `finishing` joins what they left,
`verification` and `removal` come after it where the originals are to be removed.
"""

from gpu_workers.steps.imextract.arguments import ImExtractArguments
from gpu_workers.steps.imextract.step import ImExtract

__all__ = ["ImExtract", "ImExtractArguments"]
