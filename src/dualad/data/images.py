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
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from dualad.errors import DualadError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"})

_BACKGROUND = 0.1
"""Depth images keep [0, 0.1) free, so that a missing point differs from the nearest valid one."""

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


class UnreadableImageError(Exception):
    """An image or mask cannot be decoded; the message says why, without the file's name."""


class MaskMismatchError(DualadError):
    """A mask does not fit its image; the message names both."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One image, ready for the cache.

    Attributes
    ----------
    pixels
        (S, S) or (S, S, 3); uint8 for ordinary images, float32 in [0, 1] for depth.
    sha256
        Hash of the file's bytes, or of the array's bytes where the image is a member of a file.
    size
        Width and height before resizing, in pixels.
    """

    pixels: npt.NDArray[Any]
    sha256: str
    size: tuple[int, int]


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
class ImageFile:
    """An image file that Pillow reads."""

    path: Path
    parallel: bool = True

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        content = _read_bytes(self.path)
        image = _open(content)
        size = image.size
        # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which filters well and is cheaper;
        # twice the wanted size is kept for the antialiased resize.
        image.draft("RGB" if color else "L", (2 * image_size, 2 * image_size))
        pixels = np.asarray(_resize(_load(image, color), image_size))
        return Decoded(pixels, hashlib.sha256(content).hexdigest(), size)


@dataclass(frozen=True, slots=True)
class DepthFile:
    """A TIFF of float32 (H, W, 3) coordinates; the third channel is the depth.

    Points that the sensor missed are zero in all channels. `depth_range` is scaled to [0.1, 1] and
    values outside are clipped; a pixel of the resized image is the mean of the valid points that
    it covers, and zero where there is none.
    """

    path: Path
    depth_range: tuple[float, float]
    parallel: bool = True

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        content = _read_bytes(self.path)
        depth = _depth(content)
        low, high = self.depth_range
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
class MaskFile:
    """An image file whose non-zero pixels are anomalous."""

    path: Path

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def decode_mask(self, image_size: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Resized mask of zeros and ones, and the size before; raises `UnreadableImageError`."""
        image = _open(_read_bytes(self.path))
        array = _as_array(image)
        if array.ndim == 3:
            # An alpha channel says nothing about the defect.
            colours = array.shape[2] - (array.shape[2] in (2, 4))
            array = array[..., :colours].max(axis=-1)
        return resize_mask(array > 0, image_size), image.size


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMask:
    """A mask that is in memory: bool (H, W)."""

    array: npt.NDArray[np.bool_]
    location: str

    def decode_mask(self, image_size: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Resized mask of zeros and ones, and the size before; raises `UnreadableImageError`."""
        height, width = self.array.shape
        return resize_mask(self.array, image_size), (width, height)


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
    depth_range: tuple[float, float] | None = None,
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

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1].

    Raises
    ------
    DualadError
        If the file is missing, empty, truncated or not an image.
    """
    source: ImageSource = (
        DepthFile(Path(path), depth_range) if depth_range else ImageFile(Path(path))
    )
    try:
        pixels = source.decode(image_size, color).pixels
    except UnreadableImageError as error:
        raise DualadError(f"{path}: {error}; replace the file or leave it out") from error
    return to_unit_range(pixels)


def to_unit_range(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Convert cached pixels to float32 in [0, 1]."""
    if pixels.dtype == np.uint8:
        return np.asarray(np.divide(pixels, 255, dtype=np.float32))
    return np.asarray(pixels, dtype=np.float32)


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
    depth = _depth(_read_bytes(path))
    valid = depth[depth > 0]
    if valid.size == 0:
        return None
    low, high = np.quantile(valid, quantiles)
    return float(low), float(high)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be read ({error.strerror or error})") from error
    if not content:
        raise UnreadableImageError("the file is empty")
    return content


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image, or an unknown format") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too large to decode ({error})") from error
    except Exception as error:
        # A damaged header makes Pillow's plugins raise anything from struct.error to KeyError.
        raise UnreadableImageError(f"damaged header ({error})") from error


def _load(image: Image.Image, color: bool) -> Image.Image:
    """Decode the pixels to 8-bit gray or RGB."""
    mode = "RGB" if color else "L"
    if image.mode in (*_SIXTEEN_BIT_MODES, "I", "F"):
        array = _as_array(image)
        if image.mode not in _SIXTEEN_BIT_MODES:
            raise UnreadableImageError(
                f"32-bit pixels (mode {image.mode}) have no known range; convert to 8 or 16 bits"
            )
        return Image.fromarray(np.round(array / 257).astype(np.uint8)).convert(mode)
    try:
        return image.convert(mode)
    except Exception as error:
        raise UnreadableImageError(f"truncated or damaged ({error})") from error


def _as_array(image: Image.Image) -> npt.NDArray[Any]:
    try:
        return np.asarray(image)
    except Exception as error:
        raise UnreadableImageError(f"truncated or damaged ({error})") from error


def _depth(content: bytes) -> npt.NDArray[np.float32]:
    """Depth in the sensor's unit, (H, W); zero where there is no valid point."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = tifffile.imread(io.BytesIO(content))
    except Exception as error:
        raise UnreadableImageError(f"not a TIFF, or truncated or damaged ({error})") from error
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
