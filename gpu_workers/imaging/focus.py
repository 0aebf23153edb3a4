"""How sharp a plane is; entry point: `tenengrad`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers.imaging.opencv import cv2
from gpu_workers.xp import operation


@operation
def tenengrad(image: NDArray[Any]) -> float:
    """Return the mean squared gradient of an image: the larger, the better in focus.

    Parameters
    ----------
    image : ndarray, shape (height, width), uint8, uint16 or float32
        One plane; pixels that aren't finite count as 0.

    Returns
    -------
    float
        Squared intensity units per px²; comparable between planes of one field and channel.

    Notes
    -----
    Mean over all pixels of Sx² + Sy², where Sx and Sy are the image's convolutions with the 3 x 3 Sobel
    kernels (edges mirrored without repeating the last pixel). Measure of Tenenbaum (1970, "Accommodation
    in computer vision"), named and evaluated by Krotkov, Int. J. Comput. Vis. 1 (1988) 223, and by Sun,
    Duthaler and Nelson, Microsc. Res. Tech. 65 (2004) 139. The smoothing within the Sobel kernels makes it
    less a measure of noise than the variance of the Laplacian.

    Examples
    --------
    >>> sharp = np.zeros((8, 8), np.uint16)
    >>> sharp[:, 4:] = 80
    >>> ramp = np.tile(np.arange(0, 80, 10, np.uint16), (8, 1))
    >>> tenengrad(sharp) > tenengrad(ramp) > 0
    True
    """
    values = np.ascontiguousarray(image, np.float32)
    if not values.size:
        return 0.0
    if image.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    gradients = (cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1))
    # Summed in double precision by OpenCV: 10⁷ float32 squares would lose digits.
    return float(sum(cv2.norm(g, cv2.NORM_L2SQR) for g in gradients) / values.size)
