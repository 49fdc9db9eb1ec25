"""Images that a finished detector is given: files, or arrays that are read as files would be."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from dualad.data.formats import UnreadableImageError, read_bytes
from dualad.data.walk import files_below
from dualad.errors import DualadError
from dualad.methods.base import FitReport

Array = npt.NDArray[Any]
Images = Array | str | Path | Sequence[Array] | Sequence[str | Path]
"""An array of images, a folder, a file, a sequence of arrays or a sequence of files."""

_INTEGERS = ("uint8", "uint16", "int16")


@dataclass(frozen=True, eq=False)
class GivenImage:
    """One image, not read yet."""

    name: str
    source: Path | Array
    """A file, or an array (H, W) or (H, W, c)."""

    def content(self, report: FitReport) -> bytes:
        """The bytes of the file, or of a TIFF file of the array.

        An array is thereby read as a file with these values is, by `dualad.data.images`.

        Parameters
        ----------
        report
            The detector's; whether it reads depth, and whether it has a range of values.

        Raises
        ------
        UnreadableImageError
            If the file cannot be read, or it is not certain what the array's values mean.
        """
        if isinstance(self.source, Path):
            return read_bytes(self.source)
        if report.depth_range is not None:
            return _tiff(_coordinates(self.source))
        return _tiff(_levels(self.source, report.value_range is not None))


def given_images(images: Images) -> list[GivenImage]:
    """List the images that a caller gave, under the names by which results call them.

    Parameters
    ----------
    images
        An array (n, H, W) or (n, H, W, c), or a sequence of arrays (H, W) or (H, W, c) of any
        sizes, c being 1, 3 (RGB) or 4 (RGBA): they are called by their positions, "0" and so on.
        Or a folder, whose files are called by their paths below it; or one file or a sequence of
        files, called as they were given.

    Raises
    ------
    DualadError
        If there is none, a folder holds what can be neither read nor searched, or the shape of an
        array does not tell where an image begins.
    """
    if isinstance(images, str | Path):
        return _in_path(Path(images))
    if isinstance(images, np.ndarray):
        found = [GivenImage(str(i), image) for i, image in enumerate(_separated(images))]
    else:
        found = [_one(position, image) for position, image in enumerate(images)]
    if not found:
        raise DualadError("images: none were given")
    return found


def _in_path(path: Path) -> list[GivenImage]:
    if not path.is_dir():
        return [GivenImage(str(path), path)]
    names, problems = files_below(path)
    if problems:
        raise DualadError(f"{path / problems[0][0]}: {problems[0][1]}; remove it, or list files")
    if not names:
        raise DualadError(f"{path}: no images in this folder")
    return [GivenImage(name, path / name) for name in names]


def _one(position: int, image: Array | str | Path) -> GivenImage:
    if isinstance(image, str | Path):
        return GivenImage(str(image), Path(image))
    (separate,) = _separated(np.asarray(image)[np.newaxis])
    return GivenImage(str(position), separate)


def _separated(images: Array) -> list[Array]:
    """Images (H, W) or (H, W, c) of an array of several."""
    shape = images.shape
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        raise DualadError(
            f"images: an array of shape {shape} looks like one image; give an array of images, "
            "such as image[np.newaxis], or a list"
        )
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))) or 0 in shape[1:]:
        raise DualadError(
            f"images: an array of shape {shape}; give grey images (n, H, W), or colours (n, H, W, "
            "3) with the channels last"
        )
    return list(images[..., 0] if shape[3:] == (1,) else images)


def _levels(image: Array, has_range: bool) -> Array:
    """Values as a file holds them: integers, and 256 levels for floating-point values in [0, 1]."""
    if image.dtype.name in _INTEGERS:
        return image
    if image.dtype.kind != "f":
        raise UnreadableImageError(
            f"an array of {image.dtype} has no known range; give uint8, uint16, or floating-point "
            "values in [0, 1]"
        )
    if has_range:
        raise UnreadableImageError(
            "floating-point values, and the detector was trained on images of more than 8 bits, "
            "whose own values it needs; give them as uint16"
        )
    if not (np.min(image) >= 0 and np.max(image) <= 1):
        raise UnreadableImageError(
            f"floating-point values from {np.min(image):g} to {np.max(image):g}, where black is 0 "
            "and white 1; give uint8 or uint16, or divide by the value of white"
        )
    return np.asarray(np.rint(255 * image), dtype=np.uint8)


def _coordinates(image: Array) -> Array:
    if image.dtype.kind != "f" or image.shape[2:] != (3,):
        raise UnreadableImageError(
            f"an array of {image.dtype} {image.shape}, and the detector reads depth; give the "
            "coordinates x, y and z of every pixel as floating-point values (H, W, 3)"
        )
    return image.astype(np.float32)


def _tiff(image: Array) -> bytes:
    """An uncompressed TIFF file with the values of an image (H, W), (H, W, 3) or (H, W, 4)."""
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(image),
        photometric="minisblack" if image.ndim == 2 else "rgb",
        extrasamples=["unassalpha"] if image.shape[2:] == (4,) else None,
    )
    return file.getvalue()
