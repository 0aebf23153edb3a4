"""Our own kernels: source, compilation and start; entry points: `each_pixel`, `each_block` and `plane`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from gpu_workers.errors import UserError

SOURCES = Path(__file__).with_name("kernels")
THREADS = 256
MAX_PIXELS = 2**31 - 2**16
# Multiplications and additions are rounded apart, as on the CPU.
OPTIONS = ("--fmad=false",)


@cache
def source(file: str) -> str:
    """Return the text of one of our files of kernels."""
    return (SOURCES / f"{file}.cu").read_text()


@cache
def _kernel(xp: Any, file: str, name: str) -> Any:
    return xp.RawKernel(source(file), name, options=OPTIONS)


def plane(image: Any) -> tuple[int, int]:
    """Return height and width of an image.

    Raises
    ------
    UserError
        It is a stack, which these kernels don't know (``no_gpu_implementation``).
    """
    if image.ndim != 2:
        text = f"this works on a GPU with images of 2 dimensions, not {image.ndim}"
        raise UserError(text, code="no_gpu_implementation")
    height, width = image.shape
    return height, width


def each_pixel(xp: Any, file: str, name: str, n: int, arguments: tuple[Any, ...]) -> None:
    """Start one thread for each of `n` pixels, columns or labels.

    Parameters
    ----------
    arguments
        Contiguous arrays, and numbers of the types that the kernel names (``np.int32(3)``).

    Raises
    ------
    UserError
        There are too many for numbers of 32 bits (``image_too_large``).
    """
    if n > MAX_PIXELS:
        raise UserError(f"a GPU takes at most {MAX_PIXELS} pixels at once", code="image_too_large")
    if n:
        _kernel(xp, file, name)(((n + THREADS - 1) // THREADS,), (THREADS,), arguments)


def each_block(
    xp: Any, file: str, name: str, shape: tuple[int, int], arguments: tuple[Any, ...]
) -> None:
    """Start as many blocks as the first number says, of as many threads as the second (a power of 2)."""
    blocks, threads = shape
    if blocks:
        _kernel(xp, file, name)((blocks,), (threads,), arguments)
