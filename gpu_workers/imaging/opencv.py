"""OpenCV, told once to stay on its caller's core: a worker slot is one process on one core."""

from __future__ import annotations

import cv2

cv2.setNumThreads(1)

__all__ = ["cv2"]
