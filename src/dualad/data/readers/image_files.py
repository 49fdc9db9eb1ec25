"""Finding image files and pairing them with masks; shared by the readers of folders."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dualad.data.images import IMAGE_SUFFIXES
from dualad.data.options import Request
from dualad.data.records import Record
from dualad.errors import DualadError

logger = logging.getLogger(__name__)

_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def visible(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name, without hidden ones and what file managers leave."""
    return sorted(entry for entry in folder.iterdir() if is_visible(entry.name))


def is_visible(name: str) -> bool:
    """Whether a file or folder of this name is neither hidden nor left by a file manager."""
    return not name.startswith(".") and name.casefold() not in _CLUTTER


def files_in(folder: Path) -> list[Path]:
    """All visible files of a folder, sorted; none if the folder does not exist.

    A file that is no image is listed too, so that decoding reports it: leaving it out in silence
    could hide a whole set of images in an unknown format. So is a link to a file that is gone.
    """
    entries = visible(folder) if folder.is_dir() else []
    return [entry for entry in entries if entry.is_file() or not entry.exists()]


def folders_in(folder: Path) -> list[Path]:
    """All visible folders of a folder, sorted; none if the folder does not exist."""
    return [entry for entry in visible(folder) if entry.is_dir()] if folder.is_dir() else []


def relative(path: Path, root: Path) -> str:
    """Path relative to the dataset's root, with forward slashes: an image's source."""
    return path.relative_to(root).as_posix()


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """Find the first of several alternative subfolders, whatever its case; None if none exists."""
    by_name = {entry.name.casefold(): entry for entry in folders_in(root)}
    return next((by_name[name] for name in names if name in by_name), None)


def pair_masks(images: Iterable[Path], folders: Iterable[Path]) -> Mapping[Path, Path]:
    """Match each mask to the image of the same name, with or without `_mask` at its end.

    Parameters
    ----------
    images
        Image files.
    folders
        Folders of masks; each mask must match.

    Returns
    -------
    dict
        Mask of each image that has one.

    Raises
    ------
    DualadError
        If a mask matches no image or several, or an image has several masks.
    """
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(image.stem, []).append(image)
    pairs: dict[Path, Path] = {}
    for folder in folders:
        for mask in files_in(folder):
            found = by_stem.get(mask.stem) or by_stem.get(mask.stem.removesuffix("_mask"))
            if found is None:
                raise DualadError(
                    f"{mask}: this mask matches no image; an image {mask.stem} "
                    f"with one of the suffixes {', '.join(sorted(IMAGE_SUFFIXES))} is missing, or "
                    "the mask should be renamed or removed"
                )
            if len(found) > 1:
                names = " and ".join(image.name for image in found)
                raise DualadError(f"{mask}: this mask matches {names}; rename one of the images")
            if found[0] in pairs:
                raise DualadError(
                    f"{mask}: {found[0]} has another mask, {pairs[found[0]]}; remove one of them"
                )
            pairs[found[0]] = mask
    return pairs


def report_unread(
    request: Request, root: Path, records: Sequence[Record], parts: Sequence[str], expected: str
) -> None:
    """Tell of images below the root that no record names: nobody should miss them unawares.

    Parameters
    ----------
    request
        What was asked for.
    root
        The dataset's root, to which sources are relative.
    records
        Everything that was found.
    parts
        Subfolders of the root that the layout consists of.
    expected
        The layout in words.

    Raises
    ------
    DualadError
        If a part holds images and none of them is used, or no normal training image is found.
        Other images that nothing uses are a warning.
    """
    sources = [source for record in records for source in (record.image, record.mask) if source]
    read = {source.location for source in sources}
    unread: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        names = path.relative_to(root).parts
        is_image = path.suffix.casefold() in IMAGE_SUFFIXES and all(map(is_visible, names))
        if is_image and str(path) not in read and path.is_file():
            unread.setdefault(names[0], []).append("/".join(names))
    used = {Path(location).relative_to(root).parts[0] for location in read}
    trains = any(record.official_split == "train" and not record.label for record in records)
    for part, found in unread.items():
        where = f"{root}: nothing reads {found[0]}"
        where += f" and {len(found) - 1} more images" if found[1:] else ""
        if not trains or (part in parts and part not in used):
            raise request.error(f"{where}; move images to {expected}")
        logger.warning("%s; left out, as images belong in %s", where, expected)
