"""What a reader yields: one `Record` per image, collected in a `Listing`."""

from dataclasses import dataclass, field
from typing import Literal

from dualad.data.images import ImageSource, MaskSource

OfficialSplit = Literal["train", "val", "test"]

GOOD = "good"
"""The defect name of a normal image."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a dataset, not loaded yet.

    Attributes
    ----------
    source
        Unique name: the path relative to the dataset's root, or `file.npz/train/00012`.
    image
        Where the pixels come from.
    official_split
        The set in which the dataset ships the image.
    label
        0 for normal, 1 for anomalous.
    defect
        The kind of anomaly; `good` for a normal image.
    group
        Images that must stay together when a dataset is split (a clip, a patient); empty for none.
    mask
        Where the ground truth of an anomalous image comes from, if it has one.
    """

    source: str
    image: ImageSource
    official_split: OfficialSplit
    label: int
    defect: str
    group: str = ""
    mask: MaskSource | None = None


@dataclass(frozen=True)
class Listing:
    """All images of a dataset in the order in which they are cached.

    Attributes
    ----------
    records
        One per image.
    note
        What a reader of a result must know about the data, such as "synthetic defects".
    known_unreadable
        Sources that are broken in the dataset as shipped; they are listed and left out.
    depth_range
        Smallest and largest depth that is scaled to [0, 1], for datasets of depth images.
    """

    records: list[Record]
    note: str = ""
    known_unreadable: frozenset[str] = field(default_factory=frozenset)
    depth_range: tuple[float, float] | None = None
