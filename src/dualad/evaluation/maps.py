"""Anomaly maps at the size of the masks: the one resampling for metrics, figures and overlays."""

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]


def resized_maps(maps: Maps, size: tuple[int, int]) -> Maps:
    """Bring maps to another size by linear interpolation, smoothed first where they shrink.

    Parameters
    ----------
    maps
        (n, h, w) float32.
    size
        Height and width wanted, in pixels.

    Returns
    -------
    array
        (n, *size) float32; `maps` itself where the size is right. Each map comes out the same
        whatever the others are.
    """
    if maps.shape[1:] == size:
        return maps
    # Imported here: jobs whose maps have the right size need not wait for it.
    from skimage.transform import resize

    resized = resize(maps, (len(maps), *size), order=1, preserve_range=True)  # type: ignore[no-untyped-call]
    return np.asarray(resized, dtype=np.float32)
