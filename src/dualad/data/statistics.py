"""Simple statistics of grey images: one number each, without anything learnt."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def brightness(images: FloatArray) -> Floats:
    """Mean of the pixels.

    Parameters
    ----------
    images : float32 array (n, S, S) in [0, 1]

    Returns
    -------
    float64 array (n,) in [0, 1]
    """
    return np.asarray(images.mean(axis=(1, 2), dtype=np.float64))


def contrast(images: FloatArray) -> Floats:
    """Standard deviation of the pixels; arrays as in `brightness`, values in [0, 0.5]."""
    return np.asarray(images.std(axis=(1, 2), dtype=np.float64))


def gradient(images: FloatArray) -> Floats:
    """Mean absolute difference of neighbouring pixels; arrays as in `brightness`.

    The mean over horizontal neighbours and the mean over vertical ones count half each.
    """
    horizontal, vertical = (
        np.abs(np.diff(images, axis=axis)).mean(axis=(1, 2), dtype=np.float64) for axis in (2, 1)
    )
    return np.asarray((horizontal + vertical) / 2)


STATISTICS: Mapping[str, Callable[[FloatArray], Floats]] = {
    "brightness": brightness,
    "contrast": contrast,
    "gradient": gradient,
}
"""By name, in the order in which they are reported."""
