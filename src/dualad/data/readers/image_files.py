"""Finding image files and pairing them with masks; shared by the readers of folders."""

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dualad.data.images import IMAGE_SUFFIXES, MaskFile
from dualad.data.options import Request
from dualad.data.records import GOOD, Record
from dualad.errors import DualadError

logger = logging.getLogger(__name__)

_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})

_NORMAL_WORDS = frozenset(
    {"good", "ok", "okay", "normal", "normals", "negative", "negatives", "healthy", "intact"}
)
_NORMAL_NAMES = _NORMAL_WORDS | frozenset(
    f"{negation}{word}"
    for negation in ("no", "non", "not", "without")
    for word in ("defect", "defects", "defective", "anomaly", "anomalies", "anomalous")
)
_NORMAL_NAMES |= {"defectfree", "anomalyfree", "undamaged", "nondamaged"}
# Alone these mean normal images; beside other words, as in "fine_scratch", they may mean anything.
_NORMAL_NAMES |= {"pass", "passed", "clean", "accept", "accepted", "perfect", "fine", "io", "gut"}
"""Names of folders of normal images: in lower case, without separators and numbers."""

VALIDATION = ("val", "valid", "validation")
"""Names of the folder of validation images."""

_MASKS = "ground_truth"
_MASK_FOLDERS = frozenset(
    f"{name}{plural}"
    for name in ("mask", "groundtruth", "gt", "label", "annotation", "segmentation")
    for plural in ("", "s")
)
"""Names of folders of masks: in lower case, without separators."""

_NEGATIONS = frozenset({"no", "not", "non", "un", "ab", "in"})

_LABEL = re.compile(
    r"[-_. ](mask|masks|label|labels|gt|ground_?truth|seg|segmentation|annotation)$", re.IGNORECASE
)
"""The end of a label image's name, before its suffix."""

_LABEL_FIRST = re.compile(
    r"^(mask|label|gt|ground_?truth|seg|segmentation|annotation)[-_. ]", re.IGNORECASE
)
"""The beginning of a label image's name; it counts only beside the image that it is about."""

_UNCLEAR = re.compile(
    r"[-_. ]?(mask|bin|binary|m|defect|anno|target|overlay|heatmap|roi|result|json_label)$",
    re.IGNORECASE,
)
"""The end of a name that, beside the image without it, may be a label image's or a drawing's."""


def visible(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name, without hidden ones and what file managers leave.

    Raises
    ------
    DualadError
        If the folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if is_visible(entry.name))
    except OSError as error:
        raise DualadError(
            f"{folder}: cannot be read ({error.strerror or error}); correct its permissions"
        ) from error


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


def datasets_in(root: Path) -> list[str]:
    """Names of the subfolders that are datasets themselves, with a folder `train`; sorted.

    Empty if the root itself is one.
    """
    if any((root / part).is_dir() for part in ("train", "normal")):
        return []
    return [folder.name for folder in folders_in(root) if (folder / "train").is_dir()]


def relative(path: Path, root: Path) -> str:
    """Path relative to the dataset's root, with forward slashes: an image's source."""
    return path.relative_to(root).as_posix()


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """Find the first of several alternative subfolders, whatever its case; None if none exists."""
    by_name = {entry.name.casefold(): entry for entry in folders_in(root)}
    return next((by_name[name] for name in names if name in by_name), None)


def part(root: Path, name: str) -> Path:
    """A subfolder that a layout consists of, whatever the case of its name; it may be absent."""
    return first_folder(root, [name]) or root / name


def is_normal(folder: Path) -> bool:
    """Whether the name of a folder of images says that they are normal.

    `good`, `ok`, `normal`, `negative`, `healthy`, `intact`, `no_defect`, `defect_free` and their
    like do, in any case, with any separators, and with a number. Any other name is a defect's.

    Raises
    ------
    DualadError
        If the name has such a word beside others, so that it may mean either.
    """
    words = re.findall(r"[^\W\d_]+", folder.name.casefold())
    if "".join(words) in _NORMAL_NAMES:
        return True
    for position, word in enumerate(words):
        negated = position > 0 and words[position - 1] in _NEGATIONS
        if word in _NORMAL_WORDS and not negated:
            raise DualadError(
                f"{folder}: this name may mean normal images or a defect; rename the folder to "
                f"{GOOD}, or, for a defect, to a name without the word {word!r}"
            )
    return False


def images_and_labels(files: Sequence[Path]) -> tuple[list[Path], dict[Path, Path]]:
    """Part images from label images that lie beside them, such as `0.png` and `0_mask.png`.

    Parameters
    ----------
    files
        The files of one folder.

    Returns
    -------
    images : list of Path
        The files that are no label images.
    labels : dict
        Label image of each image that has one.

    Raises
    ------
    DualadError
        If a name ends like a label image's, but there is no image of that name.
    """
    stems = {path.stem for path in files}
    labels = {path: stem for path in files if (stem := _labelled(path, stems))}
    images = [path for path in files if path not in labels]
    by_stem = {image.stem: image for image in images}
    pairs: dict[Path, Path] = {}
    for path in images:
        _refuse_unclear(path, by_stem)
    for path, stem in labels.items():
        image = by_stem.get(stem)
        if image is None:
            raise DualadError(
                f"{path}: named like a label image, but there is no image {stem} beside it; rename "
                "it if it is an image, or move it to the folder of masks"
            )
        if image in pairs:
            raise DualadError(f"{path}: {image} has another label image; remove one of them")
        pairs[image] = path
    for stem, twins in _twins(images).items():
        logger.warning(
            "%s: %s differ in their suffix only, and each counts as an image; if one is a label "
            "image, rename it to %s_mask%s",
            twins[0].parent,
            " and ".join(twin.name for twin in twins),
            stem,
            twins[-1].suffix,
        )
    return images, pairs


def _labelled(path: Path, stems: Collection[str]) -> str:
    """Name of the image that a label image is about, without suffix; empty for other files.

    A name that begins like a label image's, such as `mask_0`, is one only if the image `0` is among
    the names in `stems`: products may be masks or labels.
    """
    if found := _LABEL.search(path.stem):
        return path.stem[: found.start()]
    found = _LABEL_FIRST.match(path.stem)
    rest = path.stem[found.end() :] if found else ""
    return rest if rest in stems else ""


def _refuse_unclear(path: Path, by_stem: Mapping[str, Path]) -> None:
    """Refuse a file that may be a label image, or a drawing, of another one."""
    found = _UNCLEAR.search(path.stem)
    stem = path.stem[: found.start()] if found else ""
    if stem in by_stem:
        raise DualadError(
            f"{path}: this may be an image, or a label image or drawing of {by_stem[stem].name}; "
            f"rename it to {stem}_mask{path.suffix} if it is the mask, give it a name of its own "
            "if it is an image, or remove it"
        )


def refuse_mask_folder(folder: Path, place: str) -> None:
    """Refuse a folder of masks among the folders of images.

    Parameters
    ----------
    folder
        The folder of one class of images.
    place
        Where the masks belong.

    Raises
    ------
    DualadError
        If its name is that of a folder of masks.
    """
    if _is_mask_folder(folder.name):
        raise DualadError(
            f"{folder}: named like a folder of masks; move masks to {place}, or rename the folder "
            "if it holds images"
        )


def _is_mask_folder(name: str) -> bool:
    return re.sub(r"[\W_]+", "", name.casefold()) in _MASK_FOLDERS


def _twins(images: Iterable[Path]) -> dict[str, list[Path]]:
    """Images that share their name without suffix, of each such name."""
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(image.stem, []).append(image)
    return {stem: found for stem, found in by_stem.items() if len(found) > 1}


def images_with_masks(
    folder: Path, anomalous: bool, masks: Sequence[Path] = ()
) -> list[tuple[Path, MaskFile | None]]:
    """List the images of one class, each with its mask.

    Label images beside the images are their masks. Those of normal images are left out: they show
    nothing, and some datasets ship them all black.

    Parameters
    ----------
    folder
        The folder of the images.
    anomalous
        Whether the images are; normal images have no masks.
    masks
        Folders of masks, each of which must match an image.

    Raises
    ------
    DualadError
        If a mask or label image matches no image or several, or an image has several.
    """
    images, labels = images_and_labels(files_in(folder))
    if not anomalous:
        if labels:
            logger.info("%s: %d label images of normal images are left out", folder, len(labels))
        return [(image, None) for image in images]
    pairs = {**pair_masks(images, masks)}
    for image, label in labels.items():
        if image in pairs:
            raise DualadError(
                f"{label}: {image} has another mask, {pairs[image]}; remove one of them"
            )
        pairs[image] = label
    return [(image, MaskFile(pairs[image]) if image in pairs else None) for image in images]


def pair_masks(images: Iterable[Path], folders: Iterable[Path]) -> Mapping[Path, Path]:
    """Match each mask to the image of the same name, also if `_mask` or the like ends its own.

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
            found = by_stem.get(mask.stem) or by_stem.get(_labelled(mask, by_stem))
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


def refuse_folder_per_image(masks: Path) -> None:
    """Refuse masks that lie in a folder per image, as in MVTec LOCO AD.

    Parameters
    ----------
    masks
        The folder of the masks of one defect.

    Raises
    ------
    DualadError
        If it has a subfolder with image files.
    """
    for folder in folders_in(masks):
        if any(file.suffix.casefold() in IMAGE_SUFFIXES for file in files_in(folder)):
            raise DualadError(
                f"{folder}: a folder of masks for one image, as in MVTec LOCO AD, is not read; "
                f"join its masks into one file {folder}.png, or remove the folder {masks.parent}"
            )


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
        Other images that nothing uses are a warning, but for masks of normal images, which are left
        out on purpose.
    """
    sources = [source for record in records for source in (record.image, record.mask) if source]
    read = {source.location for source in sources}
    stems: dict[Path, set[str]] = {}
    for record in records:
        location = Path(record.image.location)
        stems.setdefault(location.parent, set()).add(location.stem)
    unread: dict[str, list[str]] = {}
    n_masks_of_normal = 0
    for path in _images_below(root):
        names = path.relative_to(root).parts
        # Label images beside normal images are left out on purpose.
        neighbours = stems.get(path.parent, set())
        is_label = _labelled(path, neighbours) in neighbours
        if names[0].casefold() == _MASKS and len(names) > 2 and is_normal(root / names[1]):
            n_masks_of_normal += 1
        elif str(path) not in read and not is_label:
            unread.setdefault(names[0], []).append("/".join(names))
    if n_masks_of_normal:
        logger.info("%s: %d masks of normal images are left out", root / _MASKS, n_masks_of_normal)
    used = {Path(location).relative_to(root).parts[0].casefold() for location in read}
    trains = any(record.official_split == "train" and not record.label for record in records)
    for name, found in unread.items():
        where = f"{root}: nothing reads {found[0]}"
        where += f" and {len(found) - 1} more images" if found[1:] else ""
        folder = name.casefold()
        strays = [file for file in found if any(map(_is_mask_folder, file.split("/")[:-1]))]
        kind, place = "images", expected
        if trains and strays:
            kind, place = "masks", f"{_MASKS}/<folder of the image>, under the image's name"
        is_misplaced = bool(strays) and folder != _MASKS
        if not trains or is_misplaced or (folder in parts and folder not in used):
            raise request.error(f"{where}; move {kind} to {place}")
        logger.warning("%s; left out, as %s belong in %s", where, kind, place)


def _images_below(root: Path) -> Iterator[Path]:
    """Visible image files below a folder, in order."""
    for path in sorted(root.rglob("*")):
        is_image = path.suffix.casefold() in IMAGE_SUFFIXES and path.is_file()
        if is_image and all(map(is_visible, path.relative_to(root).parts)):
            yield path
