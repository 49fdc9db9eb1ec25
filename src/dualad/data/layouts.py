"""Telling which reader a folder or file is for, from its layout alone."""

from pathlib import Path
from typing import Any

from dualad.data.images import IMAGE_SUFFIXES
from dualad.data.readers.image_files import (
    VALIDATION,
    datasets_in,
    files_in,
    first_folder,
    folders_in,
    is_normal,
)
from dualad.errors import DualadError

_NO_DEFECTS = ("anomal", "mask", "ground", "gt", "label")
"""How the names of folders begin that are no kind of defect."""
_SUBSETS = ("UCSDped1", "UCSDped2")
_LAYOUTS = (
    "train/good, test/good and test/<defect>; normal/ and anomalous/; or an .npz file of MedMNIST"
)


def guess_entry(path: Path) -> dict[str, Any]:
    """Guess the keys of a dataset's entry, without `path`, from the names of folders.

    Parameters
    ----------
    path
        A folder of images, or a file of MedMNIST.

    Returns
    -------
    dict
        `reader`, and `subset` where the reader has this key.

    Raises
    ------
    DualadError
        If the layout is none of the known ones; the message says what was found.
    """
    if path.is_file():
        if path.suffix.casefold() == ".npz":
            return {"reader": "medmnist"}
        raise DualadError(f"{path}: a single file; give a folder in one of the layouts {_LAYOUTS}")
    for subset in _SUBSETS:
        if path.name == subset or (path / subset).is_dir():
            return {"reader": "ucsd", "subset": subset}
    if (path / "train").is_dir():
        return {"reader": _reader_of_sets(path)}
    if (path / "normal").is_dir():
        return {"reader": "folder"}
    raise DualadError(f"{path}: {_found(path)}; expected {_LAYOUTS}")


def _reader_of_sets(root: Path) -> str:
    """Reader of a folder that has a subfolder `train`."""
    classes = folders_in(root / "train")
    if any((folder / "xyz").is_dir() for folder in classes):
        return "mvtec3d"
    validation = first_folder(root, VALIDATION)
    held_out = [*folders_in(root / "test"), *(folders_in(validation) if validation else [])]
    names = {folder.name.casefold() for folder in held_out}
    if "ungood" in names or any((folder / "img").is_dir() for folder in classes):
        return "bmad"
    return "folder"


def _found(path: Path) -> str:
    """What there is in a folder of an unknown layout, and what to do about it."""
    folders = folders_in(path)
    datasets = datasets_in(path)
    if datasets:
        return f"a dataset in each of {', '.join(datasets)}; inspect one of these folders"
    if any(file.suffix.casefold() in IMAGE_SUFFIXES for file in files_in(path)):
        return (
            "images that no folder marks as normal or anomalous; move the normal ones to normal/ "
            "and the others to anomalous/"
        )
    if folders:
        names = ", ".join(folder.name for folder in folders)
        found = f"neither train/ nor normal/, only {names}"
        normal = [folder.name for folder in folders if is_normal(folder)]
        others = ", ".join(
            f"{folder.name}/"
            for folder in folders
            if folder.name not in normal and not folder.name.casefold().startswith(_NO_DEFECTS)
        )
        if len(normal) != 1:
            return found
        moved = f", and move {others} into anomalous/" if others else ""
        return f"{found}; rename {normal[0]}/ to normal/{moved}"
    return "no images and no folders"
