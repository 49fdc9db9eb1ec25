"""The heat of anomaly maps: what their values mean, and how they are coloured over an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Tile = NDArray[np.float32]
"""A small picture (h, w, 3) in [0, 1]."""

COLOURS = "inferno"
"""Colour map of Matplotlib. Its lightness rises steadily, so heat stays readable in grey."""
MASK_QUANTILE = 0.99
"""Pixels above this quantile of the validation normals' anomaly maps form the predicted mask."""
_FLOOR_QUANTILE = 0.5
"""Pixels below this quantile of the validation normals' anomaly maps get no heat."""
_HEAT_PER_DOUBLING = 0.1
_LEAST_ABOVE = np.nextafter(np.float32(0.5), np.float32(1))
_EPSILON = 1e-12


@dataclass(frozen=True)
class HeatScale:
    """What the colours of a method's anomaly maps mean, the same for all its images."""

    floor: float
    """No heat up to here."""
    cutoff: float
    """Half the heat; the predicted mask begins above it."""

    def heat(self, maps: NDArray[Any]) -> Images:
        """Heat in [0, 1] of maps of any shape; above 0.5 exactly where they exceed the cut-off.

        From the floor to the cut-off it grows in proportion, and beyond by a tenth each time that
        the distance from the floor doubles. So a defect many times above the cut-off still stands
        out from surroundings that are above it as well.
        """
        values = np.asarray(maps, dtype=np.float64)
        distance = 1 + (values - self.cutoff) / max(self.cutoff - self.floor, _EPSILON)
        above = 0.5 + _HEAT_PER_DOUBLING * np.log2(np.maximum(distance, 1))
        heat = np.asarray(np.clip(np.where(distance > 1, above, distance / 2), 0, 1), np.float32)
        # What exceeds the cut-off by little would be rounded to it.
        return np.where(values > self.cutoff, np.maximum(heat, _LEAST_ABOVE), heat)


def normals_scale(maps: Images) -> HeatScale:
    """Scale of the colours of a method's maps by those of validation normals.

    Parameters
    ----------
    maps
        (n, h, w), n at least 1.
    """
    floor, cutoff = (np.quantile(maps, share) for share in (_FLOOR_QUANTILE, MASK_QUANTILE))
    return HeatScale(float(floor), float(cutoff))


def grey(image: NDArray[Any]) -> Tile:
    """RGB tile of an image in [0, 1]; one that has colours keeps them."""
    if image.ndim == 3:
        return np.asarray(np.clip(image, 0, 1), dtype=np.float32)
    return np.repeat(np.clip(image, 0, 1)[..., None], 3, axis=2).astype(np.float32)


def heat(values: NDArray[Any]) -> Tile:
    """RGB tile of a map in [0, 1]."""
    # Imported here: without overlays, nobody has to wait for it.
    import matplotlib

    return np.asarray(matplotlib.colormaps[COLOURS](values)[..., :3], dtype=np.float32)


def overlay(image: NDArray[Any], values: NDArray[Any]) -> Tile:
    """The heat of a map in [0, 1] over the image, the more opaque the hotter."""
    opacity = 0.9 * np.clip(values, 0, 1)[..., None]
    return np.asarray((1 - opacity) * grey(image) + opacity * heat(values), dtype=np.float32)
