"""The values that become black and white in images of more than 8 bits.

Cameras with 10, 12 or 14 bits store their values in files of 16. Shown by the range of the file,
they would differ by a few of 256 grey levels. So the range is measured on the normal training
images, recorded in the cache, and applied to every other image of the dataset and to new ones.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualad.data.formats import Range, UnreadableImageError, deep_values
from dualad.data.images import ImageFile
from dualad.data.records import Listing

logger = logging.getLogger(__name__)

_MARGIN = 0.25
"""Share of the training images' range that is kept free on either side, for brighter defects."""

_MOST = 0.5
"""From this share of the file's range on, the file's range itself is shown."""

_FEW = 0.125
"""Below this share of the range for 98 % of the values, stray pixels have set the range."""

_BITS = (8, 10, 12, 14, 16)
_QUANTILES = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class _Values:
    """Values in one image or in several: extremes, quantiles, and the range of the file."""

    limits: Range
    central: Range
    container: Range


def with_value_range(name: str, listing: Listing) -> tuple[Listing, Range | None]:
    """Measure the range of values and give it to every image.

    Parameters
    ----------
    name
        The dataset's name, for messages.
    listing
        Its images.

    Returns
    -------
    listing : Listing
        The same images, which will be decoded with the range.
    value_range : tuple of float, or None
        The values that become 0 and 1; None if the normal training images have at most 8 bits, or
        use most of what their files can hold. Then every file is shown by its own range.
    """
    training = [
        record.image
        for record in listing.records
        if record.official_split == "train" and not record.label
    ]
    files = [image for image in training if isinstance(image, ImageFile)]
    measured = [values for file in files if (values := _measure(file.path)) is not None]
    if not measured:
        return listing, None
    if len(measured) < len(files):
        logger.warning(
            "%s: %d of %d normal training images have more than 8 bits, the others 8; grey levels "
            "agree only if black and white mean the same in both",
            name,
            len(measured),
            len(files),
        )
    values = _join(measured)
    value_range = shown_range(values.limits, values.container)
    if value_range is None:
        return listing, None
    _warn(name, values, value_range)
    records = [
        replace(record, image=replace(record.image, value_range=value_range))
        if isinstance(record.image, ImageFile)
        else record
        for record in listing.records
    ]
    return replace(listing, records=records), value_range


def shown_range(limits: Range, container: Range) -> Range | None:
    """Choose the values that are shown as black and white.

    The range of the training images is widened by a quarter on either side, but not below zero if
    none is negative, nor above the largest value of 8, 10, 12, 14 or 16 bits that holds them all.

    Parameters
    ----------
    limits
        Smallest and largest value in the training images.
    container
        Smallest and largest value that their files can hold.

    Returns
    -------
    tuple of float, or None
        None if unsigned values use at least half of the container's range, or are all equal.
    """
    low, high = limits
    margin = _MARGIN * (high - low)
    ceiling = next((2.0**bits - 1 for bits in _BITS if high < 2**bits), container[1])
    floor = 0.0 if low >= 0 else container[0]
    shown = max(low - margin, floor), min(high + margin, ceiling, container[1])
    is_signed = container[0] < 0
    uses_most = shown[1] - shown[0] >= _MOST * (container[1] - container[0])
    if low == high or uses_most:
        return container if is_signed else None
    return shown


def _measure(path: Path) -> _Values | None:
    """Values of one file; None if it has at most 8 bits, or if decoding will report it."""
    try:
        found = deep_values(path)
    except UnreadableImageError:
        return None
    if found is None:
        return None
    values, container = found
    low, high = np.quantile(values, _QUANTILES)
    return _Values((float(values.min()), float(values.max())), (float(low), float(high)), container)


def _join(measured: Sequence[_Values]) -> _Values:
    return _Values(
        _span(values.limits for values in measured),
        _span(values.central for values in measured),
        _span(values.container for values in measured),
    )


def _span(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def _warn(name: str, values: _Values, shown: Range) -> None:
    width = values.container[1] - values.container[0]
    logger.warning(
        "%s: the values of the normal training images, %g to %g, are %.0f %% of what their files "
        "can hold; %g is shown as black and %g as white, in new images too",
        name,
        *values.limits,
        100 * (values.limits[1] - values.limits[0]) / width,
        *shown,
    )
    if values.central[1] - values.central[0] < _FEW * (shown[1] - shown[0]):
        logger.warning(
            "%s: 98 %% of the values of every such image are between %g and %g; a few stray "
            "pixels set the range, so correct them if contrast matters",
            name,
            *values.central,
        )
