"""MVTec AD: `train/good`, `test/<class>`, `ground_truth/<class>/<image>_mask.png`."""

from pathlib import Path

from dualad.data.images import ImageFile
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import (
    datasets_in,
    folders_in,
    images_with_masks,
    is_normal,
    part,
    refuse_folder_per_image,
    refuse_mask_folder,
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
    names = datasets_in(root)
    if names:
        raise request.error(
            f"{root} holds one dataset per category; set datasets.{request.name}.category to one "
            f"of {', '.join(names)}"
        )
    return root


def scan_split(
    root: Path, folder: Path, split: OfficialSplit, masks: Path | None = None
) -> list[Record]:
    """List `<folder>/<class>/<file>`; the class `good` is normal, others are defects.

    Other names of normal images are known as well, see `image_files.is_normal`.

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
        If a mask, or a whole folder of them, matches no image, if masks lie in a folder per image,
        or if a folder's name may mean normal images as well as a defect.
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
        refuse_mask_folder(entry, f"{root / 'ground_truth'}/<defect>")
        anomalous = not is_normal(entry)
        if masks and anomalous:
            refuse_folder_per_image(masks / entry.name)
        records += [
            Record(
                source=relative(image, root),
                image=ImageFile(image),
                official_split=split,
                label=int(anomalous),
                defect=entry.name if anomalous else GOOD,
                mask=mask,
            )
            for image, mask in images_with_masks(
                entry, anomalous, [masks / entry.name] if masks else []
            )
        ]
    return records


def _scan(request: Request) -> Listing:
    root = category_root(request)
    records = [
        *scan_split(root, part(root, "train"), "train"),
        *scan_split(root, part(root, "test"), "test", part(root, "ground_truth")),
    ]
    report_unread(request, root, records, ("train", "test", "ground_truth"), _EXPECTED)
    return Listing(records)


READER = Reader(
    name="mvtec",
    scan=_scan,
    entry=MvtecEntry,
    expected=_EXPECTED,
)
