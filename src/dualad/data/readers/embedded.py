"""Real images that ship inside scikit-learn and scikit-image: nothing to download.

The defects of the sets `texture` and `views` are synthetic, and their masks exact; `Listing.note`
says so.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage import data as skimage_data

from dualad.data.images import ArrayImage, ArrayMask
from dualad.data.options import Reader, Request
from dualad.data.records import GOOD, Listing, OfficialSplit, Record
from dualad.design.datasets import DigitsEntry, FacesEntry, TextureEntry, ViewsEntry

Gray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Maker = Callable[[Gray, np.random.Generator], tuple[Gray, Mask]]

_TEXTURES = ("brick", "grass", "gravel")

PATCH = 96
"""Side in pixels of a patch of a texture, and of a view."""

_SETS: tuple[tuple[OfficialSplit, int, int], ...] = (
    ("train", 200, 0),
    ("val", 20, 15),
    ("test", 30, 45),
)
"""Normal and defective patches in each official set, and views but for the training ones."""

_TILE = 128
_TILE_SETS: tuple[OfficialSplit, ...] = (
    *("train", "train", "val", "test"),
    *("test", "train", "train", "val"),
    *("val", "test", "train", "train"),
    *("train", "val", "test", "train"),
)
"""The set of every 128x128 tile of the 512x512 photographs, row by row. No two sets share a pixel,
and each has tiles in every row and column, because a photograph is not lit and grown alike
everywhere. Patches of different sets overlap if another protocol than `official` mixes them."""


def _scan_digits(request: Request) -> Listing:
    """Digits of the `normal` classes: 60 % train, 10 % val, 30 % test; of the others a sample."""
    # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
    from sklearn.datasets import load_digits

    digits = load_digits()
    normal = set(request.options["normal"])
    if len(normal) == 10:
        raise request.error("`normal` names all ten digits, which leaves no anomalies")
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    chosen: list[tuple[int, OfficialSplit]] = []
    for digit in range(10):
        members = np.flatnonzero(digits.target == digit)
        if digit in normal:
            train, val = round(0.6 * len(members)), round(0.1 * len(members))
            splits = _assign(len(members), train=train, val=val)
        else:
            members = members[: request.options["anomalies_per_class"]]
            splits = _assign(len(members), val=round(0.25 * len(members)))
        chosen += zip(members.tolist(), splits, strict=True)
    return Listing(
        [
            _record(
                f"digits/{index:05d}",
                images[index],
                split,
                GOOD if digits.target[index] in normal else f"digit_{digits.target[index]}",
            )
            for index, split in sorted(chosen)
        ]
    )


def _scan_faces(request: Request) -> Listing:
    """100 faces (60 train, 10 val, 30 test) and 100 other patches (25 val, 75 test)."""
    del request
    images = np.round(np.load(_packaged("lfw_subset.npy")) * 255).astype(np.uint8)
    splits = [*_assign(100, train=60, val=10), *_assign(100, val=25)]
    return Listing(
        [
            _record(f"lfw_subset/{i:05d}", image, split, GOOD if i < 100 else "non_face")
            for i, (image, split) in enumerate(zip(images, splits, strict=True))
        ]
    )


def _assign(count: int, *, train: int = 0, val: int = 0) -> list[OfficialSplit]:
    """Official sets of `count` images in order: first train, then val, the rest test."""
    sizes: tuple[tuple[OfficialSplit, int], ...] = (
        ("train", train),
        ("val", val),
        ("test", count - train - val),
    )
    return [split for split, size in sizes for _ in range(size)]


def _record(
    source: str, image: Gray, split: OfficialSplit, defect: str, mask: Mask | None = None
) -> Record:
    return Record(
        source=source,
        image=ArrayImage(image, source),
        official_split=split,
        label=int(defect != GOOD),
        defect=defect,
        mask=None if mask is None else ArrayMask(mask, f"{source} (mask)"),
    )


def _scan_texture(request: Request) -> Listing:
    """Patches of a photograph: 200 train, 50 normal and 60 defective ones in val and test."""
    texture = request.options["texture"]
    photographs = {name: _photograph(f"{name}.png") for name in _TEXTURES}
    makers = _makers([photographs[name] for name in _TEXTURES if name != texture])
    rng = np.random.default_rng(request.options["seed"])
    records = []
    for split, n_normal, n_defective in _SETS:
        patches = _patches(photographs[texture], split, rng)
        records += _with_defects(texture, split, patches, n_normal, n_defective, makers, rng)
    return Listing(records, note="synthetic defects, pasted into photographs of a real texture")


def _scan_views(request: Request) -> Listing:
    """Views of one subject: 100 or 150 train, 50 normal and 60 defective ones in val and test."""
    name = request.options["subject"]
    subject = _SUBJECTS[name]
    others = [_photograph(f"{texture}.png") for texture in _TEXTURES]
    with Image.open(_packaged(subject.file)) as image:
        square = image.convert("L").crop(subject.box)
    photograph = square.resize((_SEEN, _SEEN), Image.Resampling.LANCZOS)
    # Two subjects with one seed do not get their defects at the same places.
    rng = np.random.default_rng([request.options["seed"], list(_SUBJECTS).index(name)])
    views, makers = _views(photograph, rng), _makers(others)
    records = []
    for split, n_normal, n_defective in _SETS:
        wanted = subject.n_train if split == "train" else n_normal
        records += _with_defects(name, split, views, wanted, n_defective, makers, rng)
    return Listing(records, note="one photograph seen anew, with synthetic defects")


def _makers(others: list[Gray]) -> tuple[tuple[str, Maker], ...]:
    """Kinds of defects, and what draws them; pieces of other textures are pasted."""
    return (
        ("scratch", _scratch),
        ("spot", _spot),
        ("foreign", lambda patch, rng: _foreign(patch, others, rng)),
    )


def _with_defects(
    name: str,
    split: OfficialSplit,
    images: Iterator[Gray],
    n_normal: int,
    n_defective: int,
    makers: tuple[tuple[str, Maker], ...],
    rng: np.random.Generator,
) -> list[Record]:
    """Records of the next images, the first ones normal, the others with defects in turn."""
    records = []
    for i in range(n_normal):
        records.append(_record(f"{name}/{split}/good/{i:05d}", next(images), split, GOOD))
    for i in range(n_defective):
        defect, make = makers[i % len(makers)]
        image, mask = make(next(images), rng)
        records.append(_record(f"{name}/{split}/{defect}/{i:05d}", image, split, defect, mask))
    return records


class _Subject(NamedTuple):
    n_train: int
    file: str
    box: tuple[int, int, int, int]
    """Square of the photograph: left, top, right, bottom."""


_SUBJECTS: Mapping[str, _Subject] = {
    "cup": _Subject(100, "coffee.png", (90, 0, 490, 400)),
    "retina": _Subject(150, "retina.jpg", (0, 0, 1411, 1411)),
}
_SEEN = 4 * PATCH
"""Side in pixels of the photograph that views are taken of."""
_TURN = 3.0
"""Degrees by which a view is turned at most."""
_MOVE = 0.015
"""Share of the side by which it is moved at most, in each direction."""
_MARGIN = 0.06
"""Share of the side that is cut off, so that no view shows what lies beyond the photograph."""
_LIGHT = (0.95, 1.05)
_NOISE = 2.0
"""Standard deviation in gray levels of 255."""


def _packaged(file: str) -> Path:
    """Locate a file of scikit-image; its own functions would look into a download cache first."""
    return Path(skimage_data.__file__).with_name(file)


def _photograph(file: str) -> Gray:
    with Image.open(_packaged(file)) as image:
        return np.asarray(image.convert("L"))


def _patches(photograph: Gray, split: OfficialSplit, rng: np.random.Generator) -> Iterator[Gray]:
    """Patches at random positions inside a set's tiles in turn, without end and without repeats."""
    n_columns = photograph.shape[1] // _TILE
    tiles = [divmod(i, n_columns) for i, name in enumerate(_TILE_SETS) if name == split]
    seen = set()
    for row, column in itertools.cycle(tiles):
        y, x = (int(_TILE * at + rng.integers(_TILE - PATCH + 1)) for at in (row, column))
        if (x, y) not in seen:
            seen.add((x, y))
            yield photograph[y : y + PATCH, x : x + PATCH].copy()


def _views(photograph: Image.Image, rng: np.random.Generator) -> Iterator[Gray]:
    """The photograph as if taken again and again: moved, turned, lit otherwise, with noise."""
    side = photograph.width
    while True:
        turned = photograph.rotate(
            rng.uniform(-_TURN, _TURN),
            Image.Resampling.BICUBIC,
            translate=tuple(rng.uniform(-_MOVE, _MOVE, size=2) * side),
        )
        margin = _MARGIN * side * rng.uniform(0.8, 1.2)
        box = (margin, margin, side - margin, side - margin)
        view = np.asarray(turned.resize((PATCH, PATCH), Image.Resampling.LANCZOS, box), np.float64)
        view = view * rng.uniform(*_LIGHT) + rng.normal(0, _NOISE, view.shape)
        yield np.clip(np.round(view), 0, 255).astype(np.uint8)


def _blend(
    patch: Gray, target: npt.NDArray[np.float64], alpha: npt.NDArray[np.float64]
) -> tuple[Gray, Mask]:
    """Mix `target` into the patch; the mask is where the mix is at least half."""
    mixed = patch * (1 - alpha) + target * alpha
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8), alpha >= 0.5 * alpha.max()


def _deviation(patch: Gray) -> float:
    """Compute the standard deviation of the gray levels, with a floor for plain patches."""
    return max(float(patch.std()), 12.0)


def _contrast(patch: Gray, rng: np.random.Generator, low: float, high: float) -> float:
    """Choose a gray level, `low` to `high` standard deviations from the patch's mean."""
    sign = rng.choice([-1.0, 1.0])
    return float(np.clip(patch.mean() + sign * rng.uniform(low, high) * _deviation(patch), 0, 255))


def _scratch(patch: Gray, rng: np.random.Generator) -> tuple[Gray, Mask]:
    """Draw a thin, slightly bent line, 29 to 67 pixels long and 2.4 to 4.8 wide."""
    length, width = PATCH * rng.uniform(0.3, 0.7), PATCH * rng.uniform(0.025, 0.05)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5)
    t = np.linspace(-0.5, 0.5, 200)
    heading = angle + bend * t
    x = np.cumsum(np.cos(heading)) * length / t.size
    y = np.cumsum(np.sin(heading)) * length / t.size
    margin = PATCH / 16
    x += rng.uniform(margin - x.min(), PATCH - 1 - margin - x.max())
    y += rng.uniform(margin - y.min(), PATCH - 1 - margin - y.max())
    line = np.ones((PATCH, PATCH), dtype=bool)
    line[np.round(y).astype(int), np.round(x).astype(int)] = False
    alpha = np.clip(width / 2 + 0.5 - ndimage.distance_transform_edt(line), 0, 1)
    level = np.full(patch.shape, _contrast(patch, rng, 2, 4))
    return _blend(patch, level, 0.85 * alpha)


def _spot(patch: Gray, rng: np.random.Generator) -> tuple[Gray, Mask]:
    """Draw a soft-edged elliptical stain with half axes of 6 to 13 pixels."""
    a, b = PATCH * rng.uniform(0.06, 0.14, size=2)
    angle = rng.uniform(0, np.pi)
    x0, y0 = PATCH * rng.uniform(0.16, 0.84, size=2)
    y, x = np.mgrid[:PATCH, :PATCH]
    u = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    v = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    radius = np.hypot(u / a, v / b)
    alpha = np.clip((1.25 - radius) / 0.5, 0, 1)
    level = np.full(patch.shape, _contrast(patch, rng, 2, 4))
    return _blend(patch, level, 0.7 * alpha)


def _foreign(patch: Gray, others: list[Gray], rng: np.random.Generator) -> tuple[Gray, Mask]:
    """Paste a ragged piece of another texture, 21 to 38 pixels across, of equal contrast."""
    photograph = others[rng.integers(len(others))]
    y0, x0 = rng.integers(0, photograph.shape[0] - PATCH, size=2)
    piece = photograph[y0 : y0 + PATCH, x0 : x0 + PATCH].astype(np.float64)
    gain = _deviation(patch) / max(float(piece.std()), 1.0)
    piece = (piece - piece.mean()) * gain + _contrast(patch, rng, 1, 2)
    radius = PATCH * rng.uniform(0.11, 0.2)
    cy, cx = rng.uniform(1.2 * radius, PATCH - 1.2 * radius, size=2)
    y, x = np.mgrid[:PATCH, :PATCH]
    noise = ndimage.gaussian_filter(rng.standard_normal((PATCH, PATCH)), PATCH / 16)
    outline = radius + PATCH / 25 * noise / noise.std() - np.hypot(x - cx, y - cy)
    return _blend(patch, piece, np.clip(outline + 0.5, 0, 1))


_SCIKIT_IMAGE = "https://scikit-image.org/docs/stable/api/skimage.data.html"

DIGITS = Reader(
    name="digits",
    scan=_scan_digits,
    entry=DigitsEntry,
    licence="CC BY 4.0",
    url="https://archive.ics.uci.edu/dataset/80",
)
FACES = Reader(
    name="faces",
    scan=_scan_faces,
    entry=FacesEntry,
    licence="see the address",
    url=_SCIKIT_IMAGE,
)
TEXTURE = Reader(
    name="texture",
    scan=_scan_texture,
    entry=TextureEntry,
    licence="CC0 1.0",
    url=_SCIKIT_IMAGE,
)
VIEWS = Reader(
    name="views",
    scan=_scan_views,
    entry=ViewsEntry,
    licence="CC0 1.0",
    url=_SCIKIT_IMAGE,
)
