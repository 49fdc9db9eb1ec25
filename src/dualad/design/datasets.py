"""Keys of a dataset's entry in the configuration, for every reader."""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from dualad.design.keys import key, stages
from dualad.design.parameters import LARGEST_SEED


@dataclass(frozen=True)
class DatasetEntry:
    """Keys that every dataset has."""

    protocol: Literal["paper", "official", "pooled"] = key(
        "how the test set is held out: `paper` takes 80 % of the labelled images, `official` the "
        "shipped test set, `pooled` a share of all images",
        "paper",
        stage="split",
    )
    test_fraction: float | None = key(
        "share of the labelled images (`paper`) or of all images (`pooled`) that is held out for "
        "the test; null is 0.8 for `paper` and 0.2 for `pooled`",
        None,
        stage="split",
        above=0,
        below=1,
    )
    validation_fraction: float = key(
        "share of the normal development images that validates an attempt",
        0.2,
        stage="split",
        above=0,
        below=1,
    )
    split_seed: int | Literal["dynamic"] = key(
        "seed of the hold-out; `dynamic` is the one that follows from the number of images",
        "dynamic",
        stage="split",
        minimum=0,
        maximum=LARGEST_SEED,
    )
    paper_name: (
        Literal[
            "brats2021",
            "oct2017",
            "pneumoniamnist",
            "ucsd_ped1",
            "zipper",
            "hazelnut",
            "metal_nut",
            "rope",
        ]
        | None
    ) = key(
        "dataset of the paper that the results are set beside in `results/paper/comparison`; null "
        "is the one of the same name",
        None,
        stage="report",
    )
    skip_unreadable: bool = key(
        "whether unreadable images are listed and left out, instead of ending with an error",
        False,
        stage="data",
    )


@dataclass(frozen=True)
class FolderEntry(DatasetEntry):
    """Keys of a dataset in files of the user's."""

    path: str | None = key(
        "folder of the images, or the `.npz` file of `medmnist`, absolute or relative to the "
        "folder in which the workflow runs",
        None,
        stage="data",
        omitted="none",
    )


@dataclass(frozen=True)
class _CategoryEntry(FolderEntry):
    category: str | None = key(
        "subfolder that holds the images; without it, `path` itself does",
        None,
        stage="data",
        omitted="none",
    )


_DOWNLOAD = "archive that is fetched in place of a `path`"


@dataclass(frozen=True)
class MvtecEntry(_CategoryEntry):
    """Keys of a dataset in the layout of MVTec AD."""

    download: Literal["mvtec_ad"] | None = key(_DOWNLOAD, None, stage="data", omitted="none")


@dataclass(frozen=True)
class Mvtec3dEntry(_CategoryEntry):
    """Keys of a dataset in the layout of MVTec 3D-AD."""

    download: Literal["mvtec_3d"] | None = key(_DOWNLOAD, None, stage="data", omitted="none")
    modality: Literal["depth", "rgb"] = key("what is read of a scan", "depth", stage="data")


@dataclass(frozen=True)
class BmadEntry(_CategoryEntry):
    """Keys of a dataset in the layout of BMAD."""

    download: Literal["bmad"] | None = key(_DOWNLOAD, None, stage="data", omitted="none")


@dataclass(frozen=True)
class UcsdEntry(FolderEntry):
    """Keys of the UCSD pedestrians."""

    download: Literal["ucsd"] | None = key(_DOWNLOAD, None, stage="data", omitted="none")
    subset: Literal["UCSDped1", "UCSDped2"] = key("camera view", "UCSDped1", stage="data")


@dataclass(frozen=True)
class MedmnistEntry(FolderEntry):
    """Keys of a file of MedMNIST."""

    download: (
        Literal["pneumoniamnist", "pneumoniamnist_64", "pneumoniamnist_128", "pneumoniamnist_224"]
        | None
    ) = key(_DOWNLOAD, None, stage="data", omitted="none")
    normal: tuple[int, ...] = key(
        "labels that count as normal", (0,), stage="data", minimum=0, unique=True
    )


@dataclass(frozen=True)
class DigitsEntry(DatasetEntry):
    """Keys of the embedded handwritten digits."""

    normal: tuple[int, ...] = key(
        "digits that count as normal", (0,), stage="data", minimum=0, maximum=9, unique=True
    )
    anomalies_per_class: int = key(
        "number of images of each other digit that become anomalies",
        20,
        stage="data",
        minimum=1,
        maximum=150,
    )


@dataclass(frozen=True)
class FacesEntry(DatasetEntry):
    """Keys of the embedded faces."""


@dataclass(frozen=True)
class TextureEntry(DatasetEntry):
    """Keys of the embedded textures."""

    texture: Literal["brick", "grass", "gravel"] = key(
        "photograph that patches are cut from", "brick", stage="data"
    )
    seed: int = key(
        "seed of the patches and of the defects", 0, stage="data", minimum=0, maximum=LARGEST_SEED
    )


@dataclass(frozen=True)
class ViewsEntry(DatasetEntry):
    """Keys of the embedded views of an object or a scan."""

    subject: Literal["cup", "retina"] = key(
        "what is seen: a cup of coffee or the retina of an eye", "cup", stage="data"
    )
    seed: int = key(
        "seed of the views and of the defects", 0, stage="data", minimum=0, maximum=LARGEST_SEED
    )


ENTRIES: dict[str, type[DatasetEntry]] = {
    "mvtec": MvtecEntry,
    "mvtec3d": Mvtec3dEntry,
    "bmad": BmadEntry,
    "ucsd": UcsdEntry,
    "medmnist": MedmnistEntry,
    "folder": FolderEntry,
    "digits": DigitsEntry,
    "faces": FacesEntry,
    "texture": TextureEntry,
    "views": ViewsEntry,
}
"""The keys of an entry by its reader."""


def keys_of(stage: str) -> tuple[str, ...]:
    """Names of the keys that decide about the images (`data`), the `split`, or the `report`."""
    named = {key: at for entry in ENTRIES.values() for key, at in stages(entry).items()}
    return tuple(key for key, at in named.items() if at == stage)


def downloads_of(entry: type[DatasetEntry]) -> tuple[str, ...]:
    """Names of the archives that entries of this class can be fetched from."""
    hint = get_type_hints(entry).get("download")
    choices = get_args(hint)[0] if hint else None
    return get_args(choices)
