"""BMAD, for BraTS2021 and OCT2017: `train/good`, `{valid,val}/{good,Ungood}`, `test/...`.

Releases differ: images lie in a class folder or in its `img/`, masks in `label/` or
`anomaly_mask/` beside them, and names differ in case. All of these are accepted. Slices of one
patient form a group where the file names tell the patient: `00012_60.png` is slice 60 of patient
00012, `DRUSEN-53018-1.jpeg` the first image of patient 53018.
"""

import re
from pathlib import Path

from dualad.data.images import ImageFile
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import (
    first_folder,
    folders_in,
    images_with_masks,
    is_normal,
    relative,
)
from dualad.data.records import GOOD, Listing, OfficialSplit, Record
from dualad.design.datasets import BmadEntry

_SPLITS: tuple[tuple[OfficialSplit, tuple[str, ...]], ...] = (
    ("train", ("train",)),
    ("val", ("valid", "val", "validation")),
    ("test", ("test",)),
)
_IMAGE_FOLDERS = ("img", "image", "images")
_MASK_FOLDERS = ("label", "labels", "anomaly_mask", "mask")
_DEPTH = 2
"""How deep inside an unpacked archive a category's folder is looked for."""


def patient(stem: str) -> str:
    """Patient that a file name tells: the number before the number of the slice; or empty."""
    *before, last = re.split(r"[-_ ]", stem)
    numbers = [part for part in before if part.isdigit()]
    return numbers[-1] if numbers and last.isdigit() else ""


def _scan(request: Request) -> Listing:
    root = _category_root(request)
    records = []
    for split, names in _SPLITS:
        folder = first_folder(root, names)
        for entry in folders_in(folder) if folder else []:
            records += _scan_class(root, entry, split)
    return Listing(records)


def _scan_class(root: Path, folder: Path, split: OfficialSplit) -> list[Record]:
    anomalous = not is_normal(folder)
    masks = first_folder(folder, _MASK_FOLDERS)
    images = images_with_masks(
        first_folder(folder, _IMAGE_FOLDERS) or folder, anomalous, [masks] if masks else []
    )
    return [
        Record(
            source=relative(image, root),
            image=ImageFile(image),
            official_split=split,
            label=int(anomalous),
            defect=folder.name.casefold() if anomalous else GOOD,
            group=patient(image.stem),
            mask=mask,
        )
        for image, mask in images
    ]


def _category_root(request: Request) -> Path:
    """Find the folder with `train`: the root, or one inside whose name contains the category."""
    category = request.options["category"]
    if category is None:
        return request.root
    candidates = [request.root]
    level = [request.root]
    for _ in range(_DEPTH):
        level = [folder for parent in level for folder in folders_in(parent)]
        candidates += level
    found = [
        folder
        for folder in candidates
        if category.casefold() in folder.name.casefold() and (folder / "train").is_dir()
    ]
    # An archive may wrap a category in a folder of the same name.
    if len(found) != 1:
        names = ", ".join(str(folder.relative_to(request.root)) for folder in found) or "none"
        raise request.error(
            f"category {category!r} should match one folder with train/ in {request.root}, but "
            f"matches {names}; correct `category`, or point `path` at the folder itself"
        )
    return found[0]


READER = Reader(
    name="bmad",
    scan=_scan,
    entry=BmadEntry,
    expected="train/good[/img], {valid,val}/{good,Ungood}[/img] and test/{good,Ungood}[/img]",
)
