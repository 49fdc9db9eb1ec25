"""What would be read from a folder, found out in seconds and before anything is trained.

Unlike building the cache, an inspection does not end at the first file that is refused: it lists
all of them, and what else a user would want to know about the images.
"""

import hashlib
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd

from dualad.data.cache import decode_mask
from dualad.data.formats import (
    FileProperties,
    Range,
    UnreadableImageError,
    describe_content,
    read_bytes,
)
from dualad.data.images import IMAGE_SUFFIXES, ImageFile, MaskFile
from dualad.data.layouts import guess_entry
from dualad.data.plan import Seeds
from dualad.data.ranges import with_value_range
from dualad.data.readers.image_files import is_visible, relative
from dualad.data.records import GOOD, Record
from dualad.data.registry import list_records
from dualad.data.split import Split, make_split
from dualad.design.sections import RESERVED_NAMES
from dualad.errors import DualadError

SIDE = 64
"""Side in pixels to which images and masks are resized: enough to find out if they decode."""

MOST_DECODED = 2000
"""Of more image files, only so many are decoded; the headers of all are read."""

_PER_TASK = 16
_PROTOCOLS = ("paper", "official", "pooled")


@dataclass(frozen=True, slots=True)
class Examined:
    """One image, opened and closed again.

    Attributes
    ----------
    record
        The image as its reader lists it.
    sha256
        Hash of its bytes; empty if it cannot be read.
    size
        Width and height in pixels, upright; None if unknown.
    properties, mask_properties
        What the files of image and mask say of themselves; None if there is no such file.
    problem
        Why the image or its mask would be refused; empty if both are read.
    constant
        Whether all pixels have the same colour.
    mask_share
        Share of the mask that is anomalous, in [0, 1]; None without a mask.
    """

    record: Record
    sha256: str = ""
    size: tuple[int, int] | None = None
    properties: FileProperties | None = None
    mask_properties: FileProperties | None = None
    problem: str = ""
    constant: bool = False
    mask_share: float | None = None


@dataclass(frozen=True)
class Inspection:
    """Everything that `inspect` finds out.

    Attributes
    ----------
    name
        A name for the dataset, made from its path.
    entry
        The dataset's entry for the configuration.
    images
        All images. If the reader refuses the folder, these are all image files below it, and their
        records say nothing about set, label and masks.
    refusal
        Why the reader refuses the folder; empty if it does not.
    splits
        Of each protocol, the split that it would give, or why it gives none. Empty if the reader
        refuses the folder.
    messages
        What the reader reports, such as images that nothing reads.
    value_range
        Values that become black and white in images of more than 8 bits; None if all values that
        the files can hold are shown.
    n_decoded
        How many images were decoded.
    """

    name: str
    entry: dict[str, Any]
    images: list[Examined]
    refusal: str = ""
    splits: Mapping[str, Split | str] = field(default_factory=dict)
    messages: Sequence[str] = ()
    value_range: Range | None = None
    n_decoded: int = 0

    @property
    def protocol(self) -> str:
        """The protocol of the entry: its own, else the first one that gives a split."""
        possible = [name for name, split in self.splits.items() if isinstance(split, Split)]
        return str(self.entry.get("protocol") or (possible[0] if possible else "paper"))

    @property
    def unreadable(self) -> list[Examined]:
        """Images that would be refused, or whose masks would."""
        return [image for image in self.images if image.problem]

    @property
    def is_refused(self) -> bool:
        """Whether the workflow would end with an error."""
        return bool(
            self.refusal or self.unreadable or isinstance(self.splits.get(self.protocol), str)
        )


def inspect(path: Path, keys: Mapping[str, Any] | None = None) -> Inspection:
    """Look at all images that a reader would list.

    Parameters
    ----------
    path
        A folder of images, or a file of MedMNIST.
    keys
        Keys of the dataset's entry but `path`. Without `reader`, the layout tells the reader.

    Raises
    ------
    DualadError
        If nothing is at the path, a key is wrong, or the layout is unknown and holds no images.
    """
    if not path.exists():
        raise DualadError(f"{path.absolute()}: there is no such folder or file")
    given = dict(keys or {})
    entry = {**given, "path": str(path)}
    name = _name(path, given.get("category"))
    messages: list[str] = []
    value_range = None
    try:
        if "reader" not in given:
            entry = {**guess_entry(path), **entry}
        with _captured(messages):
            listing = list_records(name, entry)
            listing, value_range = with_value_range(name, listing)
    except DualadError as error:
        records = _all_images(path)
        if not records:
            raise
        images, n_decoded = _examine_all(records)
        return Inspection(
            name, entry, images, refusal=str(error), messages=messages, n_decoded=n_decoded
        )
    images, n_decoded = _examine_all(listing.records)
    known = listing.known_unreadable
    images = [image for image in images if not (image.problem and image.record.source in known)]
    inspection = Inspection(
        name,
        entry,
        images,
        splits=_splits(name, entry, images),
        messages=messages,
        value_range=value_range,
        n_decoded=n_decoded,
    )
    if inspection.protocol == "paper":
        return inspection
    return replace(inspection, entry={**entry, "protocol": inspection.protocol})


def _name(path: Path, category: str | None) -> str:
    """A valid name of a dataset."""
    stem = category or path.absolute().name.removesuffix(".npz")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    valid = name[:1].isalpha() and name not in RESERVED_NAMES
    return name if valid else f"images_{name}".rstrip("_")


def _all_images(root: Path) -> list[Record]:
    """All visible image files below a folder, without regard to the layout."""
    return [
        Record(relative(path, root), ImageFile(path), "train", 0, GOOD)
        for path in sorted(root.rglob("*"))
        if path.suffix.casefold() in IMAGE_SUFFIXES
        and all(map(is_visible, path.relative_to(root).parts))
        and not path.is_dir()
    ]


@contextmanager
def _captured(messages: list[str]) -> Iterator[None]:
    """Collect what the package logs, in place of printing it."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger("dualad"), Collector()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def _examine_all(records: Sequence[Record]) -> tuple[list[Examined], int]:
    """Examine images, in parallel where they are files; also how many of them were decoded."""
    parallel = all(record.image.parallel for record in records)
    step = -(-len(records) // MOST_DECODED) if parallel else 1
    decodes = [index % step == 0 for index in range(len(records))]
    workers = min(os.cpu_count() or 1, -(-len(records) // _PER_TASK))
    if not parallel or workers <= 1:
        return list(map(_examine, records, decodes)), sum(decodes)
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    with ProcessPoolExecutor(workers, multiprocessing.get_context(start)) as pool:
        examined = list(pool.map(_examine, records, decodes, chunksize=_PER_TASK))
    return examined, sum(decodes)


def _examine(record: Record, decodes: bool) -> Examined:
    """Read one image and its mask, and note what goes wrong."""
    examined = Examined(record)
    try:
        if isinstance(record.image, ImageFile):
            content = read_bytes(record.image.path)
            examined = replace(examined, sha256=hashlib.sha256(content).hexdigest())
            properties = describe_content(content)
            examined = replace(examined, properties=properties, size=properties.size)
        if isinstance(record.mask, MaskFile):
            about_mask = describe_content(read_bytes(record.mask.path))
            examined = replace(examined, mask_properties=about_mask)
        if decodes:
            decoded = record.image.decode(SIDE, color=True)
            constant = bool((decoded.pixels == decoded.pixels[0, 0]).all())
            examined = replace(
                examined, sha256=decoded.sha256, size=decoded.size, constant=constant
            )
            if record.mask is not None:
                mask = decode_mask(record, decoded.size, SIDE)
                examined = replace(examined, mask_share=float(mask.mean()))
    except (UnreadableImageError, DualadError) as error:
        return replace(examined, problem=str(error))
    return examined


def _splits(
    name: str, entry: Mapping[str, Any], images: Sequence[Examined]
) -> dict[str, Split | str]:
    """The split of each protocol, as the plan's job would make it from the readable images."""
    readable = [image for image in images if not image.problem]
    if not readable:
        return dict(zip(_PROTOCOLS, repeat("no image can be read"), strict=False))
    table = pd.DataFrame(
        {
            "label": [image.record.label for image in readable],
            "group": [image.record.group for image in readable],
            "official_split": [image.record.official_split for image in readable],
            "sha256": [image.sha256 for image in readable],
        }
    )
    training = table["official_split"] == "train"
    table["dropped"] = training & table["sha256"].isin(table.loc[~training, "sha256"])
    seed = entry.get("split_seed", "dynamic")
    if seed == "dynamic":
        seed = Seeds.dynamic(len(table)).numpy
    fractions = {
        key: entry[key] for key in ("test_fraction", "validation_fraction") if key in entry
    }
    splits: dict[str, Split | str] = {}
    for protocol in _PROTOCOLS:
        try:
            splits[protocol] = make_split(table, protocol, seed, name=name, **fractions)
        except DualadError as error:
            splits[protocol] = str(error)
    return splits


def copies(images: Sequence[Examined]) -> list[list[Examined]]:
    """Sets of images with the same bytes."""
    by_hash: dict[str, list[Examined]] = {}
    for image in images:
        if image.sha256:
            by_hash.setdefault(image.sha256, []).append(image)
    return [same for same in by_hash.values() if len(same) > 1]


def counted(values: Sequence[str], most: int = 4) -> str:
    """Values with their counts, the most frequent first: `900x900 (83), 700x900 (2)`."""
    counts = Counter(values).most_common()
    shown = ", ".join(f"{value} ({count})" for value, count in counts[:most])
    return f"{shown} and {len(counts) - most} more" if len(counts) > most else shown
