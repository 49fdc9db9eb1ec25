"""Small pictures of an image, inside a page."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from dualad.evaluation.maps import resized_maps
from dualad.figures.heat import grey, overlay

SIDE = 128
"""Longest side of a picture, in pixels; smaller images stay as they are."""
_QUALITY = 80
_EFFORT = 2
"""WebP's `method`: more takes twice the time and saves no room."""
_OUTLINE_SIDE = 128
"""Least side of an outline, in pixels, of which its line is one wide."""
_OUTLINE_COLOURS = (0, 0, 0, 0, 0, 0, 0, 255, 255)
"""RGB of what is transparent, of the dark rim, and of the line, cyan as in the figures."""


@dataclass(frozen=True)
class Picture:
    """An image and what a method saw in it, as data URIs; empty where there is none."""

    image: str
    heat: str = ""
    """The heat of the anomaly map over the image."""
    outline: str = ""
    """The outline of the true defect, transparent elsewhere."""

    @property
    def size(self) -> int:
        """Bytes that it takes in a page."""
        return len(self.image) + len(self.heat) + len(self.outline)


def picture(
    image: NDArray[Any], heat: NDArray[Any] | None = None, mask: NDArray[np.bool_] | None = None
) -> Picture:
    """Make the small pictures of an image.

    Parameters
    ----------
    image
        (h, w) or (h, w, 3), in [0, 1].
    heat
        (h', w') in [0, 1], of the whole image: what `dualad.figures.heat.HeatScale.heat` says
        of an anomaly map, so that colours mean the same in all pictures of a method.
    mask
        (h'', w'') of the true defect.
    """
    small = _reduced(image)
    heated = ""
    if heat is not None:
        resized = resized_maps(np.asarray(heat, dtype=np.float32)[None], small.shape[:2])[0]
        heated = _encoded(overlay(small, resized))
    return Picture(
        _encoded(small), heated, _outline(mask) if mask is not None and mask.any() else ""
    )


def _reduced(image: NDArray[Any]) -> NDArray[np.float32]:
    """RGB in [0, 1], no side longer than `SIDE`."""
    whole = Image.fromarray(_bytes(grey(image)))
    whole.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(whole, dtype=np.float32) / np.float32(255)


def _encoded(pixels: NDArray[np.float32]) -> str:
    file = io.BytesIO()
    Image.fromarray(_bytes(pixels)).save(file, "WEBP", quality=_QUALITY, method=_EFFORT)
    return _uri("webp", file)


def _outline(mask: NDArray[np.bool_]) -> str:
    factor = -(-_OUTLINE_SIDE // max(mask.shape))
    large = np.kron(mask, np.ones((factor, factor), dtype=np.bool_))
    line = binary_dilation(large) & ~large
    rim = binary_dilation(large, iterations=2) & ~large & ~line
    drawn = Image.fromarray((rim + 2 * line).astype(np.uint8), "P")
    drawn.putpalette(_OUTLINE_COLOURS)
    file = io.BytesIO()
    drawn.save(file, "PNG", transparency=0, optimize=True)
    return _uri("png", file)


def _bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(255 * pixels).astype(np.uint8)


def _uri(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
