"""Decode one image or mask, check it, resize it and hash its bytes.

Everything here runs inside the decoding processes, so sources are small and can be pickled.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from dualad.data.formats import (
    Range,
    UnreadableImageError,
    decode_mask_values,
    decode_picture,
    read_bytes,
)
from dualad.errors import DualadError, brief

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"})

_BACKGROUND = 0.1
"""Depth images keep [0, 0.1) free, so that a missing point differs from the nearest valid one."""

_LOSSY_THRESHOLD = 128
"""From this value on, of 255, a pixel of a mask with lossy compression is anomalous."""

_GREY_AREA = (64, 192)
_GREY_SIDE = 5
"""A mask with lossy compression is black and white if no square of this side, in pixels, has only
values of the interval above; the blur of an edge is narrower."""


class MaskMismatchError(DualadError):
    """A mask does not fit its image; the message names both."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image, ready for the cache."""

    pixels: npt.NDArray[Any]
    """(S, S) or (S, S, 3); uint8 for ordinary images, float32 in [0, 1] for depth."""
    sha256: str
    """Hash of the file's bytes, or of the array's bytes where the image is a member of a file."""
    size: tuple[int, int]
    """Width and height before resizing, in pixels."""


class ImageSource(Protocol):
    """Where an image's pixels come from."""

    @property
    def parallel(self) -> bool:
        """Whether another process can decode it as well as this one."""
        ...

    @property
    def location(self) -> str:
        """What an error message calls it."""
        ...

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        ...


class MaskSource(Protocol):
    """Where a ground-truth mask comes from."""

    @property
    def location(self) -> str:
        """What an error message calls it."""
        ...

    def decode_mask(self, image_size: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Resized mask of zeros and ones, and the size before; raises `UnreadableImageError`."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    """A file of its own, which messages call by its path."""

    path: Path

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class ImageFile(_File):
    """An image file, read as a viewer shows it (see `dualad.data.formats`).

    `value_range` holds the values that become 0 and 1 in files of more than 8 bits; None for all
    values that the file can hold.
    """

    value_range: Range | None = None
    parallel: bool = True

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        return decode_image(read_bytes(self.path), image_size, color, self.value_range)


@dataclass(frozen=True, slots=True)
class DepthFile(_File):
    """A TIFF of float32 (H, W, 3) coordinates; the third channel is the depth.

    Points that the sensor missed are zero in all channels. `depth_range` is scaled to [0.1, 1] and
    values outside are clipped; a pixel of the resized image is the mean of the valid points that
    it covers, and zero where there is none.
    """

    depth_range: Range
    parallel: bool = True

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        return decode_depth(read_bytes(self.path), image_size, color, self.depth_range)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayImage:
    """An image that is in memory: uint8, (H, W) or (H, W, 3)."""

    array: npt.NDArray[np.uint8]
    location: str
    parallel: bool = False

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        return decode_array(self.array, image_size, color)


@dataclass(frozen=True, slots=True)
class MaskFile(_File):
    """An image file that shows which pixels are anomalous; `defective_pixels` has the rules."""

    def decode_mask(self, image_size: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Resized mask of zeros and ones, and the size before; raises `UnreadableImageError`."""
        mask = defective_pixels(read_bytes(self.path))
        height, width = mask.shape
        return resize_mask(mask, image_size), (width, height)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMask:
    """A mask that is in memory: bool (H, W)."""

    array: npt.NDArray[np.bool_]
    location: str

    def decode_mask(self, image_size: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Resized mask of zeros and ones, and the size before; raises `UnreadableImageError`."""
        height, width = self.array.shape
        return resize_mask(self.array, image_size), (width, height)


def decode_image(
    content: bytes, image_size: int, color: bool, value_range: Range | None
) -> Decoded:
    """Decode an image file as a viewer shows it, check and resize it.

    Parameters
    ----------
    content
        The bytes of the file.
    image_size
        Side of the result, S.
    color
        Whether the result is (S, S, 3) instead of (S, S).
    value_range
        Values that become 0 and 1 in files of more than 8 bits; None for all that a file can hold.

    Raises
    ------
    UnreadableImageError
        If the file is damaged, or its meaning is not certain.
    """
    # A JPEG that is decoded at 1/2, 1/4 or 1/8 of its size is filtered well and is cheaper; twice
    # the wanted size is kept for the antialiased resize.
    image, size = decode_picture(content, color, value_range, side=2 * image_size)
    pixels = np.asarray(_resize(image, image_size))
    return Decoded(pixels, hashlib.sha256(content).hexdigest(), size)


def decode_depth(content: bytes, image_size: int, color: bool, depth_range: Range) -> Decoded:
    """Decode a TIFF of coordinates as `DepthFile` describes it; parameters as in `decode_image`.

    Raises
    ------
    UnreadableImageError
        If the file is not a float TIFF of shape (H, W, 3).
    """
    depth = _depth(content)
    low, high = depth_range
    valid = depth > 0
    scaled = _BACKGROUND + (1 - _BACKGROUND) * np.clip((depth - low) / (high - low), 0, 1)
    weight = _resize_float(valid.astype(np.float32), image_size)
    total = _resize_float(np.where(valid, scaled, 0).astype(np.float32), image_size)
    # A cell with a trace of valid points at its rim has no reliable mean.
    reliable = weight > 0.01
    pixels = np.zeros_like(total)
    np.divide(total, weight, out=pixels, where=reliable)
    pixels = np.clip(pixels, 0, 1)
    if color:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    size = (depth.shape[1], depth.shape[0])
    return Decoded(pixels, hashlib.sha256(content).hexdigest(), size)


def decode_array(array: npt.NDArray[np.uint8], image_size: int, color: bool) -> Decoded:
    """Resize an image in memory; its hash is that of its bytes.

    Parameters
    ----------
    array
        uint8, (H, W) or (H, W, 3).
    image_size
        Side of the result, S.
    color
        Whether the result is (S, S, 3) instead of (S, S).
    """
    image = Image.fromarray(np.ascontiguousarray(array)).convert("RGB" if color else "L")
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return Decoded(np.asarray(_resize(image, image_size)), digest, image.size)


def load_image(
    path: str | Path,
    image_size: int,
    *,
    color: bool = False,
    depth_range: Range | None = None,
    value_range: Range | None = None,
) -> npt.NDArray[np.float32]:
    """Load one image exactly as `build_dataset` would cache it.

    Parameters
    ----------
    path
        An image file; with `depth_range`, a TIFF of coordinates.
    image_size
        Side of the result, S.
    color
        Whether the result is (S, S, 3) instead of (S, S).
    depth_range
        `Dataset.depth_range` of the data that a model was trained on.
    value_range
        `Dataset.value_range` of the data that a model was trained on.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1].

    Raises
    ------
    DualadError
        If the file is missing, empty, truncated, not an image, or of a kind that cannot be read
        with certainty.
    """
    try:
        return load_content(
            read_bytes(Path(path)),
            image_size,
            color=color,
            depth_range=depth_range,
            value_range=value_range,
        )
    except UnreadableImageError as error:
        raise DualadError(f"{path}: {error}; replace the file or leave it out") from error


def load_content(
    content: bytes,
    image_size: int,
    *,
    color: bool = False,
    depth_range: Range | None = None,
    value_range: Range | None = None,
) -> npt.NDArray[np.float32]:
    """Decode the bytes of one image file; parameters and result as in `load_image`.

    Raises
    ------
    UnreadableImageError
        If it is not an image, or of a kind that cannot be read with certainty.
    """
    decoded = (
        decode_depth(content, image_size, color, depth_range)
        if depth_range
        else decode_image(content, image_size, color, value_range)
    )
    return to_unit_range(decoded.pixels)


def to_unit_range(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Convert cached pixels to float32 in [0, 1]."""
    if pixels.dtype == np.uint8:
        return np.asarray(np.divide(pixels, 255, dtype=np.float32))
    return np.asarray(pixels, dtype=np.float32)


def defective_pixels(content: bytes) -> npt.NDArray[np.bool_]:
    """Tell which pixels of a mask's file are anomalous.

    Black is background and every other colour a defect, whatever the file calls it: grey, RGB, an
    index of a palette. With lossy compression, which blurs black, a defect starts at 128 of 255.
    Transparent pixels are background; if everything that can be seen is black, it is drawn on
    transparency, and is the defect.

    Parameters
    ----------
    content
        Bytes of the mask's file.

    Returns
    -------
    numpy.ndarray
        bool, (H, W), upright.

    Raises
    ------
    UnreadableImageError
        If the file is damaged, or background and defect cannot be told apart.
    """
    values, alpha, about = decode_mask_values(content)
    drawn = _drawn_lossy(values) if about.lossy else values > 0
    visible = None if alpha is None else alpha >= (_LOSSY_THRESHOLD if about.lossy else 1)
    if visible is None or visible.all():
        _refuse_background(values, drawn)
        return drawn
    if not visible.any() and drawn.any() and not drawn.all():
        raise UnreadableImageError(
            "a mask that is transparent throughout; save it as 8-bit grey with a black background"
        )
    return visible & drawn if (visible & drawn).any() else visible


def _drawn_lossy(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Pixels that are not black, in a mask whose compression changes values."""
    low, high = _GREY_AREA
    grey = (values >= low) & (values < high)
    # Imported here, and below: only masks need it, and not the images of `dualad score`.
    from scipy import ndimage

    if ndimage.minimum_filter(grey, size=_GREY_SIDE, mode="nearest").any():
        raise UnreadableImageError(
            "a mask with areas of grey and lossy compression, in which background and defect "
            "cannot be told apart; save it in black and white, as PNG"
        )
    drawn = values >= _LOSSY_THRESHOLD
    if values.max() > 0 and not drawn.any():
        raise UnreadableImageError(
            f"a mask with lossy compression whose brightest value is {values.max()} of 255; save "
            "it in black and white, as PNG"
        )
    return np.asarray(drawn)


def _refuse_background(values: npt.NDArray[Any], drawn: npt.NDArray[np.bool_]) -> None:
    """Refuse a mask in several colours none of which is black."""
    if drawn.all() and values.min() < values.max():
        raise UnreadableImageError(
            "a mask in several colours without black, so that nothing tells the background; draw "
            "the background black"
        )


def resize_mask(mask: npt.NDArray[np.bool_], image_size: int) -> npt.NDArray[np.uint8]:
    """Resize a mask to (S, S) without growing large defects or losing small ones.

    A cell is anomalous if at least half of its area is. A defect (connected cells that are touched
    at all) of which no cell would be left keeps the cells that it covers most.

    Parameters
    ----------
    mask
        bool, (H, W).
    image_size
        Side of the result, S.

    Returns
    -------
    numpy.ndarray
        uint8 of zeros and ones.
    """
    image = Image.fromarray(mask.astype(np.float32))
    covered = np.asarray(image.resize((image_size, image_size), Image.Resampling.BOX))
    result = covered >= 0.5
    from scipy import ndimage

    components, count = ndimage.label(covered > 0, structure=np.ones((3, 3)))
    if count:
        index = np.arange(1, count + 1)
        largest = np.concatenate([[0.0], ndimage.maximum(covered, components, index)])
        result |= (components > 0) & (covered == largest[components]) & (largest[components] < 0.5)
    return result.astype(np.uint8)


def depth_quantiles(path: Path, quantiles: tuple[float, float]) -> tuple[float, float] | None:
    """Two quantiles of a coordinate image's valid depths; None if it has no valid point.

    Raises
    ------
    UnreadableImageError
        If the file is not a float TIFF of shape (H, W, 3).
    """
    depth = _depth(read_bytes(path))
    valid = depth[depth > 0]
    if valid.size == 0:
        return None
    low, high = np.quantile(valid, quantiles)
    return float(low), float(high)


def _depth(content: bytes) -> npt.NDArray[np.float32]:
    """Depth in the sensor's unit, (H, W); zero where there is no valid point."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = tifffile.imread(io.BytesIO(content))
    except Exception as error:
        raise UnreadableImageError(
            f"not a TIFF, or truncated or damaged ({brief(error)})"
        ) from error
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind != "f":
        raise UnreadableImageError(
            f"expected float coordinates of shape (H, W, 3), found {array.dtype} {array.shape}"
        )
    return np.nan_to_num(array[..., 2].astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _resize(image: Image.Image, image_size: int) -> Image.Image:
    # Pillow widens the filter when it shrinks an image, which is what suppresses aliasing.
    return image.resize((image_size, image_size), Image.Resampling.BILINEAR)


def _resize_float(array: npt.NDArray[np.float32], image_size: int) -> npt.NDArray[np.float32]:
    return np.asarray(_resize(Image.fromarray(array), image_size), dtype=np.float32)
