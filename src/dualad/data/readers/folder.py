"""Anyone's own images, in one of two layouts.

`train/good`, `test/good`, `test/<defect>` (and `val/...` where there is one) with optional masks in
`ground_truth/<defect>` is read as it stands. `normal/` and `anomalous/` ship no split, so one is
made: a normal image whose path hashes into the lowest fifth is official test, together with all
anomalous ones, and the other normal images are official train. The hash depends on nothing but the
path, so old images stay where they were when new ones arrive. Subfolders of `anomalous/` name
defects; masks, if any, lie in `ground_truth/`, in the same subfolders.
"""

import hashlib
from pathlib import Path

from dualad.data.images import ImageFile
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import (
    VALIDATION,
    datasets_in,
    first_folder,
    folders_in,
    images_with_masks,
    is_normal,
    part,
    refuse_mask_folder,
    relative,
    report_unread,
)
from dualad.data.readers.mvtec import scan_split
from dualad.data.records import GOOD, Listing, Record
from dualad.design.datasets import FolderEntry
from dualad.errors import DualadError

_PARTS = ("train", *VALIDATION, "test", "normal", "anomalous", "ground_truth")
_EXPECTED = "train/good, test/good and test/<defect>, or normal/ and anomalous/"

TEST_SHARE = 0.2
"""Share of the images in `normal/` that is official test."""


def is_test(source: str) -> bool:
    """Whether a normal image of a folder without a split belongs to its test set."""
    digest = hashlib.sha256(source.encode()).digest()
    return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def _scan(request: Request) -> Listing:
    root = request.root
    names = datasets_in(root)
    if names:
        raise request.error(
            f"{root} holds a dataset in each of its folders {', '.join(names)}; let "
            f"datasets.{request.name}.path be one of them"
        )
    if part(root, "train").is_dir():
        validation = first_folder(root, VALIDATION)
        records = [
            *scan_split(root, part(root, "train"), "train"),
            *(scan_split(root, validation, "val") if validation else []),
            *scan_split(root, part(root, "test"), "test", part(root, "ground_truth")),
        ]
    else:
        records = [*_normal(root), *_anomalous(root)]
    report_unread(request, root, records, _PARTS, _EXPECTED)
    return Listing(records)


def _normal(root: Path) -> list[Record]:
    return [
        Record(
            source=relative(image, root),
            image=ImageFile(image),
            official_split="test" if is_test(relative(image, root)) else "train",
            label=0,
            defect=GOOD,
        )
        for image, _ in images_with_masks(part(root, "normal"), anomalous=False)
    ]


def _anomalous(root: Path) -> list[Record]:
    top, masks = part(root, "anomalous"), part(root, "ground_truth")
    records = []
    for folder in (top, *folders_in(top)):
        if folder != top:
            refuse_mask_folder(folder, f"{masks}/<folder of the images>")
        if folder != top and is_normal(folder):
            raise DualadError(
                f"{folder}: a folder of normal images among the anomalous ones; move its images to "
                f"{root / 'normal'}, or rename it if it holds a defect"
            )
        records += [
            Record(
                source=relative(image, root),
                image=ImageFile(image),
                official_split="test",
                label=1,
                defect=folder.name,
                mask=mask,
            )
            for image, mask in images_with_masks(
                folder,
                anomalous=True,
                masks=[masks / folder.relative_to(top)],
            )
        ]
    return records


READER = Reader(
    name="folder",
    scan=_scan,
    entry=FolderEntry,
    expected=_EXPECTED,
)
