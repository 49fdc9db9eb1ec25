"""Synthetic defects on normal images, for a validation set with few anomalies or none.

Every normal image gets one defect of each kind. Place, size and strength are drawn in units of the
image's side and of its range of values, by the image's position in the dataset and not by its
pixels: so a method on small grey images and one on large colour images meet the same defects.

- `patch` copies a rectangle to another place and changes its brightness a little (CutPaste, Li et
  al., CVPR 2021).
- `scar` draws a thin line, lighter or darker than what is under it (after CutPaste's scar).
- `blur` smooths an ellipse.
- `brightness` makes an ellipse lighter or darker.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def with_defects(image: FloatArray, index: int, seed: int) -> FloatArray:
    """Copies of an image, each with one defect.

    Parameters
    ----------
    image
        float32 in [0, 1], (S, S), or (S, S, 3) in colour.
    index
        The image's position in the dataset: with `seed` it determines the defects.
    seed
        Seed of the dataset's split.

    Returns
    -------
    array
        float32 in [0, 1], (k, S, S) or (k, S, S, 3), in the order of `KINDS`.
    """
    rng = np.random.default_rng([seed, index])
    return np.stack([_DEFECTS[kind](image, rng) for kind in KINDS])


def _patch(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    mask = _rectangle(image, rng, rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3))
    shift = rng.uniform(0.25, 0.75, size=2)
    change = _either_sign(rng, 0.03, 0.1)
    pixels = np.round(shift * image.shape[0]).astype(np.int64)
    return _blended(image, np.roll(image, pixels, axis=(0, 1)) + change, mask)


def _scar(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    mask = _rectangle(image, rng, rng.uniform(0.15, 0.4), rng.uniform(0.02, 0.06))
    return _blended(image, image + _either_sign(rng, 0.1, 0.4), mask)


def _blur(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    # Imported here: SciPy takes a while to load, and most jobs make no defects.
    from scipy.ndimage import gaussian_filter

    mask = _ellipse(image, rng, rng.uniform(0.15, 0.35), rng.uniform(0.15, 0.35))
    sigma = rng.uniform(0.02, 0.05) * image.shape[0]
    return _blended(image, gaussian_filter(image, sigma, axes=(0, 1)), mask)


def _brightness(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    mask = _ellipse(image, rng, rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3))
    return _blended(image, image + _either_sign(rng, 0.05, 0.2), mask)


_DEFECTS: Mapping[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "patch": _patch,
    "scar": _scar,
    "blur": _blur,
    "brightness": _brightness,
}
KINDS = tuple(_DEFECTS)
"""The kinds of defect."""


def _either_sign(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.choice([-1.0, 1.0]) * rng.uniform(low, high))


def _blended(image: FloatArray, changed: FloatArray, mask: FloatArray) -> FloatArray:
    weight = mask[..., None] if image.ndim == 3 else mask
    return np.clip(image + weight * (changed - image), 0, 1).astype(np.float32)


def _rectangle(
    image: FloatArray, rng: np.random.Generator, length: float, width: float
) -> FloatArray:
    """Mask (S, S) in [0, 1] of a turned rectangle, its sides as fractions of S."""
    u, v, pixel = _turned(image, rng)
    return _soft(np.minimum(length / 2 - np.abs(u), width / 2 - np.abs(v)), pixel)


def _ellipse(
    image: FloatArray, rng: np.random.Generator, length: float, width: float
) -> FloatArray:
    """The same of a turned ellipse, its diameters as fractions of S."""
    u, v, pixel = _turned(image, rng)
    radius = np.hypot(u / (length / 2), v / (width / 2))
    return _soft((1 - radius) * min(length, width) / 2, pixel)


def _turned(image: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, float]:
    """Coordinates about a random centre along random axes, and a pixel's side, in units of S."""
    size = image.shape[0]
    across, down = rng.uniform(0.2, 0.8, size=2)
    angle = rng.uniform(0, np.pi)
    centres = (np.arange(size) + 0.5) / size
    x, y = centres[None, :] - across, centres[:, None] - down
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    return u.astype(np.float32), v.astype(np.float32), 1 / size


def _soft(inside: FloatArray, pixel: float) -> FloatArray:
    """Mask from the distance to the edge, positive inside; the edge is one pixel wide."""
    mask: FloatArray = np.clip(inside / pixel + 0.5, 0, 1).astype(np.float32)
    return mask
