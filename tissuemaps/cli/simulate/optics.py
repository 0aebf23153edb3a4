"""What the microscope makes of a scene: focus, uneven light, camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tissuemaps.cli.simulate.cells import Anatomy, Floats
from tissuemaps.cli.simulate.scene import Stain

OFFSET = 100.0  # counts of the camera in the dark
BACKGROUND = 25.0  # photons of medium and plastic
READ_NOISE = 1.6  # counts, standard deviation
FOCUS_PX = 1.1  # blur of the sharpest plane
DEFOCUS_PX = 1.5  # more blur with each plane away from it


@dataclass(frozen=True, slots=True)
class Camera:
    """Fixed properties of one camera, each float32 of a site's shape but `noise`, which is larger."""

    offset: Floats
    gain: Floats
    noise: Floats


def make_camera(rng: np.random.Generator, size: int) -> Camera:
    """Return an sCMOS camera: every pixel has its own offset and gain; a few are hot."""
    offset = OFFSET + 1.2 * rng.standard_normal((size, size), dtype=np.float32)
    hot = rng.integers(0, size, (2, max(1, size * size // 60_000)))
    offset[hot[0], hot[1]] += np.asarray(rng.gamma(2.0, 12.0, hot.shape[1]), np.float32)
    gain = 1 + 0.008 * rng.standard_normal((size, size), dtype=np.float32)
    # Noise is cut from one large field at random places: as good for the eye and for statistics
    # over a site, and five times faster than drawing it for every image.
    noise = rng.standard_normal((size + 509, size + 509), dtype=np.float32)
    return Camera(offset, gain, noise)


def illumination(size: int, strength: float, index: int) -> Floats:
    """Return the light over a site: brightest off centre, `strength` less in the far corners.

    Parameters
    ----------
    size
        Side of the site, px.
    strength
        Loss at a corner of a centred field, 0 to 0.9.
    index
        Channel; each has its own centre.

    Returns
    -------
    numpy.ndarray
        float32 ``(y, x)``, at most 1.
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    cy, cx = 0.18 * np.cos(2.1 * index), 0.18 * np.sin(2.1 * index)
    fall = (axis[:, None] - np.float32(cy)) ** 2 + (axis[None] - np.float32(cx)) ** 2
    return 1 - np.float32(strength) * fall / np.float32(2)


def expose(anatomy: Anatomy, stain: Stain, dose: float) -> Floats:
    """Return the photons of one stain in perfect focus: float32 ``(y, x)`` of the well."""

    def weight(range_: tuple[float, float]) -> float:
        return range_[0] + (range_[1] - range_[0]) * dose

    image = cv2.addWeighted(
        anatomy.nucleus, weight(stain.nucleus), anatomy.cytoplasm, weight(stain.cytoplasm), 0
    )
    if max(stain.spots) > 0:
        cv2.scaleAdd(anatomy.spots, weight(stain.spots) * 0.35, image, dst=image)
    haze = cv2.resize(image, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    haze = cv2.GaussianBlur(haze, (0, 0), 4)
    haze = cv2.resize(haze, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.addWeighted(image, 1.0, haze, 0.06, BACKGROUND), np.float32)


def focus(image: Floats, distance: float) -> Floats:
    """Return `image` seen `distance` planes away from its focus."""
    sigma = float(np.hypot(FOCUS_PX, DEFOCUS_PX * distance))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def record(
    rng: np.random.Generator, photons: Floats, light: Floats, camera: Camera, *, noise: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Return what the camera writes for one site: shot noise, read noise, its own pattern; uint16."""
    signal = np.asarray(cv2.multiply(photons, light), np.float32)
    if noise:
        dy, dx = rng.integers(0, 509, 2)
        field = camera.noise[dy : dy + signal.shape[0], dx : dx + signal.shape[1]]
        spread = np.sqrt(signal + np.float32(READ_NOISE**2))
        signal *= camera.gain
        spread *= field
        signal += spread
        signal += camera.offset
    else:
        signal += np.float32(OFFSET)
    # +0.5: the conversion below cuts off.
    signal += np.float32(0.5)
    return np.clip(signal, 0, 65535, out=signal).astype(np.uint16)
