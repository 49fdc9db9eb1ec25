"""MVTec AD: `train/good`, `test/<class>`, `ground_truth/<class>/<image>_mask.png`."""

from pathlib import Path

from dualad.data.images import ImageFile, MaskFile
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import (
    files_in,
    folders_in,
    pair_masks,
    relative,
    report_unread,
)
from dualad.data.records import GOOD, Listing, OfficialSplit, Record
from dualad.design.datasets import MvtecEntry
from dualad.errors import DualadError

_EXPECTED = "train/good, test/good, test/<defect> and ground_truth/<defect>"


def category_root(request: Request) -> Path:
    """Find the folder of the category: a subfolder of the root if the entry names one."""
    category = request.options["category"]
    root = request.root / category if category else request.root
    if not root.is_dir():
        raise request.error(
            f"no folder {root}; correct `category` to one of "
            f"{', '.join(folder.name for folder in folders_in(request.root)) or '(none found)'}"
        )
    return root


def scan_split(
    root: Path, folder: Path, split: OfficialSplit, masks: Path | None = None
) -> list[Record]:
    """List `<folder>/<class>/<file>`; the class `good`, or `Good`, is normal, others are defects.

    Parameters
    ----------
    root
        The dataset's root, to which sources are relative.
    folder
        The folder of one official set.
    split
        The set's name.
    masks
        Folder with a subfolder of masks per defect.

    Raises
    ------
    DualadError
        If a mask, or a whole folder of them, matches no image, or normal images are in a folder of
        another name.
    """
    classes = folders_in(folder)
    if masks:
        orphans = {entry.name for entry in folders_in(masks)} - {entry.name for entry in classes}
        if orphans:
            raise DualadError(
                f"{masks / min(orphans)}: these masks match no images, as there is no folder "
                f"{folder / min(orphans)}; rename or remove them"
            )
    records = []
    for entry in classes:
        if entry.name.casefold() == "normal":
            raise DualadError(
                f"{entry}: every folder but {GOOD} counts as a defect here; rename it to {GOOD}"
            )
        images = files_in(entry)
        anomalous = entry.name.casefold() != GOOD
        pairs = pair_masks(images, [masks / entry.name]) if masks and anomalous else {}
        records += [
            Record(
                source=relative(image, root),
                image=ImageFile(image),
                official_split=split,
                label=int(anomalous),
                defect=entry.name if anomalous else GOOD,
                mask=MaskFile(pairs[image]) if image in pairs else None,
            )
            for image in images
        ]
    return records


def _scan(request: Request) -> Listing:
    root = category_root(request)
    records = [
        *scan_split(root, root / "train", "train"),
        *scan_split(root, root / "test", "test", root / "ground_truth"),
    ]
    report_unread(request, root, records, ("train", "test", "ground_truth"), _EXPECTED)
    return Listing(records)


READER = Reader(
    name="mvtec",
    scan=_scan,
    entry=MvtecEntry,
    expected=_EXPECTED,
)
