"""The held-out test set, and the training and validation sets of every attempt."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dualad.errors import DualadError
from dualad.files import read_as

Protocol = Literal["paper", "official", "pooled"]
Indices = NDArray[np.int64]

DEFAULT_TEST_FRACTION: Mapping[str, float] = {"paper": 0.8, "pooled": 0.2}
GROUPED_CANDIDATES = 100
"""Random hold-outs of whole groups among which the one closest to the wanted counts is taken."""


@dataclass(frozen=True)
class Split:
    """Which image serves which purpose; dataset indices, sorted, pairwise disjoint."""

    protocol: Protocol
    seed: int
    reshuffle: bool
    """Whether every attempt draws its own training and validation normals."""
    validation_fraction: float
    test: tuple[int, ...]
    train: tuple[int, ...]
    """Normal images."""
    validation_normal: tuple[int, ...]
    validation_anomalous: tuple[int, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Members, outside the test set, of each group: a clip, a patient, byte-identical images."""
    counts: Mapping[str, int] = field(default_factory=dict)
    content_sha256: str = ""
    """Fingerprint of the dataset that the indices point into."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `split.json` holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Split":
        """Inverse of `to_json`; a `ValueError` for roles or numbers that no split has."""
        lists = ("test", "train", "validation_normal", "validation_anomalous")
        split = cls(
            **{
                **values,
                **{key: tuple(values[key]) for key in lists},
                "groups": {name: tuple(members) for name, members in values["groups"].items()},
            }
        )
        roles = (split.test, split.train, split.validation_normal, split.validation_anomalous)
        rows = [row for role in (*roles, *split.groups.values()) for row in role]
        if not all(type(row) is int and row >= 0 for row in rows):
            raise ValueError("rows of the dataset are whole numbers from 0 on")
        if len({row for role in roles for row in role}) < sum(map(len, roles)):
            raise ValueError("an image has two roles")
        if not (type(split.seed) is int and 0 <= split.validation_fraction <= 1):
            raise ValueError("no seed, or no share of validation images")
        return split

    @classmethod
    def read(cls, path: Path) -> "Split":
        """Read `split.json`; a `DualadError` if it is missing or damaged."""
        return read_as(path, cls.from_json)

    def attempt(self, attempt: int, seed: int) -> tuple[Indices, Indices]:
        """Training and validation images of one attempt.

        Parameters
        ----------
        attempt
            Number of the attempt, from 0 or 1; the same number gives the same sets.
        seed
            The method's NumPy seed.

        Returns
        -------
        train, validation : int64 arrays, sorted and disjoint
            All of `train` are normal. `validation` holds normals and every anomalous image of the
            split's validation set. Unless `reshuffle` is set they are the same for every attempt.
            Where it is set, `validation_fraction` of the development normals (at least as many as
            in the split itself) are drawn anew for validation, whole groups at a time, so copies of
            one image stay together; normals that share a group with an anomalous validation image
            always stay in validation.
        """
        train, held_out = self.train, self.validation_normal
        if self.reshuffle:
            normals = sorted((*self.train, *self.validation_normal))
            wanted = max(len(held_out), round(self.validation_fraction * len(normals)), 1)
            train, held_out = _hold_out_normals(
                normals,
                wanted,
                self.groups,
                self.validation_anomalous,
                np.random.default_rng([seed, attempt]),
            )
        validation = np.array(sorted((*held_out, *self.validation_anomalous)), dtype=np.int64)
        return np.array(train, dtype=np.int64), validation


def make_split(
    table: pd.DataFrame,
    protocol: str,
    seed: int,
    *,
    test_fraction: float | None = None,
    validation_fraction: float = 0.2,
    name: str = "the dataset",
    content_sha256: str = "",
) -> Split:
    """Fix the test set and the pools that training and validation draw from.

    Parameters
    ----------
    table
        One row per image, index 0 .. N-1, columns `label` (0 normal, 1 anomalous), `group`
        ("" for none), `official_split` (train, val, test) and `dropped`; where there is a column
        `sha256`, no image outside the test set is byte-identical to one inside, and byte-identical
        images, with the groups that they are in, count as one group. How many images that concerns
        is in the split's counts: `linked_to_test`, left out for the sake of the test set, and
        `identical`, those outside it that have a copy there.
    protocol
        `paper` holds out `test_fraction` of the officially labelled images (validation and test
        taken together), stratified; the rest of them and the official training normals are for
        development. `pooled` does so with all images. `official` keeps the shipped sets; where no
        validation normals are shipped, `validation_fraction` of the training normals stand in.
    seed
        Seed of the hold-out.
    test_fraction
        Share of the pool to hold out, in (0, 1); 0.8 for `paper` and 0.2 for `pooled` unless given.
    validation_fraction
        Share of the development normals that validates an attempt, in (0, 1).
    name
        The dataset's name, for messages.
    content_sha256
        The dataset's fingerprint, kept in the result.

    Raises
    ------
    DualadError
        On an unknown protocol, a fraction out of range, a test set without normal or without
        anomalous images, or no normal image to train on.
    """
    if protocol not in _PROTOCOLS:
        raise DualadError(f"protocol: {protocol!r} is unknown; choose paper, official or pooled")
    fraction = DEFAULT_TEST_FRACTION.get(protocol, 0.5) if test_fraction is None else test_fraction
    for key, value in (("test_fraction", fraction), ("validation_fraction", validation_fraction)):
        if not 0 < value < 1:
            raise DualadError(f"{key}: {value} is not between 0 and 1 (both excluded)")
    images = _Images.from_table(table, name)
    settings = _Settings(protocol, seed, fraction, validation_fraction)
    roles = _PROTOCOLS[protocol](images, settings)
    split = Split(
        protocol=protocol,  # type: ignore[arg-type]
        seed=seed,
        reshuffle=protocol != "official",
        validation_fraction=validation_fraction,
        test=tuple(roles.test.tolist()),
        train=roles.train,
        validation_normal=roles.validation_normal,
        validation_anomalous=roles.validation_anomalous,
        groups=roles.groups,
        counts=_counts(images, roles),
        content_sha256=content_sha256,
    )
    first_train, first_validation = split.attempt(1, seed)
    if len(first_train) == 0 or np.all(images.anomalous[first_validation]):
        raise DualadError(
            f"{name}: under the protocol {protocol!r} the normal images cannot be divided into "
            "training and validation without tearing a group apart (a clip, a patient, or "
            f"byte-identical images){images.dropped_text}; add normal images or groups"
        )
    return split


@dataclass(frozen=True)
class _Settings:
    """How to split; the fields are `make_split`'s arguments."""

    protocol: str
    seed: int
    test_fraction: float
    validation_fraction: float


@dataclass(frozen=True)
class _Images:
    """Columns (N,) of the table, and the dataset's name for messages."""

    name: str
    official: NDArray[np.str_]
    anomalous: NDArray[np.bool_]
    groups: NDArray[np.str_]
    """"" for an image without a group."""
    hashes: NDArray[np.str_]
    """"" for an image whose hash is not known."""
    usable: NDArray[np.bool_]
    """False for training images that were dropped as copies of test or validation images."""

    @property
    def dropped_text(self) -> str:
        """Says how many training images were dropped; empty if none was."""
        count = int(np.sum(~self.usable))
        return (
            f"; {count} training images are left out, as they are copies of validation or test "
            "images, byte for byte"
            if count
            else ""
        )

    @classmethod
    def from_table(cls, table: pd.DataFrame, name: str) -> "_Images":
        official = table["official_split"].to_numpy(dtype=str)
        hashes = table.get("sha256", pd.Series("", index=table.index))
        return cls(
            name=name,
            official=official,
            anomalous=table["label"].to_numpy() == 1,
            groups=table["group"].to_numpy(dtype=str),
            hashes=hashes.to_numpy(dtype=str),
            usable=~(table["dropped"].to_numpy(dtype=bool) & (official == "train")),
        )


class _Development:
    """The images outside the test set that share neither group nor bytes with one inside.

    Parameters
    ----------
    images : _Images
    test : int64 array
        Indices of the test images.
    wanted : bool array (N,)
        Images that the protocol allows for development.
    """

    def __init__(self, images: _Images, test: Indices, wanted: NDArray[np.bool_]) -> None:
        self.images = images
        held_out = np.isin(np.arange(len(wanted)), test)
        linked = _in_groups(images.groups, images.groups[held_out])
        linked |= _in_groups(images.hashes, images.hashes[held_out])
        candidates = images.usable & wanted & ~held_out
        self.kept = candidates & ~linked
        self.n_linked = int(np.sum(candidates & linked))
        self.units = _joined(
            np.where(self.kept, images.groups, ""), np.where(self.kept, images.hashes, "")
        )

    def normal(self, shipped_for_training: bool) -> tuple[int, ...]:
        """Normal images that are, or are not, in the official training set."""
        training = (self.images.official == "train") == shipped_for_training
        return _indices(self.kept & ~self.images.anomalous & training)

    def shipped_anomalies(self) -> tuple[int, ...]:
        """Anomalous images outside the official training set."""
        return _indices(self.kept & self.images.anomalous & (self.images.official != "train"))

    def members(self, *roles: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Members of each group among the images of some roles."""
        return _members(self.units, (index for role in roles for index in role))

    def straddling(self, train: Sequence[int], validation: Sequence[int]) -> set[int]:
        """Training images that share a group or their bytes with a validation image."""
        in_group = _in_groups(self.units, self.units[list(validation)])
        return set(_indices(in_group)) & set(train)

    def require_normals(self, normals: Sequence[int], protocol: str) -> None:
        shipped = ~self.images.anomalous & (self.images.official == "train")
        if not normals and np.any(shipped):
            raise DualadError(
                f"{self.images.name}: under the protocol {protocol!r} none of the "
                f"{int(np.sum(shipped))} normal training images is left: each is a copy of a "
                "validation or test image, byte for byte, or in a group (a clip, a patient) with "
                "one; keep every image in one set only, or choose another protocol"
            )
        if not normals:
            raise DualadError(
                f"{self.images.name}: no normal training images are left under the protocol "
                f"{protocol!r}; add normal images, or choose another protocol"
            )


@dataclass(frozen=True)
class _Roles:
    """What a protocol decides: see the fields of `Split`."""

    test: Indices
    development: _Development
    train: tuple[int, ...]
    validation_normal: tuple[int, ...]
    validation_anomalous: tuple[int, ...]
    groups: Mapping[str, tuple[int, ...]]


def _official_roles(images: _Images, settings: _Settings) -> _Roles:
    """The shipped sets; training normals stand in for validation normals that are not shipped."""
    test = np.flatnonzero(images.official == "test")
    _require_both_classes(images, test, settings.protocol, "test set")
    development = _Development(images, test, np.isin(images.official, ("train", "val")))
    train, normal = development.normal(True), development.normal(False)
    anomalous = development.shipped_anomalies()
    development.require_normals(train, settings.protocol)
    groups = development.members(train, normal, anomalous)
    if normal:
        straddling = development.straddling(train, (*normal, *anomalous))
        train = tuple(index for index in train if index not in straddling)
    else:
        train, normal = _held_out_share(train, groups, anomalous, settings)
    return _Roles(test, development, train, normal, anomalous, groups)


def _paper_roles(images: _Images, settings: _Settings) -> _Roles:
    """A test set from the labelled images; their rest validates the official training normals."""
    test = _drawn_test_set(images, settings, images.official != "train")
    development = _Development(images, test, np.ones(len(images.official), dtype=bool))
    train, normal = development.normal(True), development.normal(False)
    anomalous = development.shipped_anomalies()
    development.require_normals((*train, *normal), settings.protocol)
    groups = development.members(train, normal, anomalous)
    if train and normal:
        straddling = development.straddling(train, (*normal, *anomalous))
        train = tuple(index for index in train if index not in straddling)
        normal = tuple(sorted((*normal, *straddling)))
    else:
        train, normal = _held_out_share((*train, *normal), groups, anomalous, settings)
    return _Roles(test, development, train, normal, anomalous, groups)


def _pooled_roles(images: _Images, settings: _Settings) -> _Roles:
    """Test and validation sets drawn from all images, whatever set they were shipped in."""
    everything = np.ones(len(images.official), dtype=bool)
    test = _drawn_test_set(images, settings, everything)
    development = _Development(images, test, everything)
    normals = tuple(sorted((*development.normal(True), *development.normal(False))))
    # Validation mirrors the test set: the same share of both classes, the rest of the anomalies
    # unused. Thousands of them would slow every epoch and teach nothing more.
    anomalies = np.flatnonzero(development.kept & images.anomalous)
    wanted = max(1, round(settings.validation_fraction * len(anomalies)))
    anomalous = tuple(sorted(_draw(anomalies, wanted, settings.seed).tolist()))
    development.require_normals(normals, settings.protocol)
    groups = development.members(normals, anomalous)
    train, normal = _held_out_share(normals, groups, anomalous, settings)
    return _Roles(test, development, train, normal, anomalous, groups)


_PROTOCOLS: Mapping[str, Callable[[_Images, _Settings], _Roles]] = {
    "paper": _paper_roles,
    "official": _official_roles,
    "pooled": _pooled_roles,
}


def _drawn_test_set(images: _Images, settings: _Settings, wanted: NDArray[np.bool_]) -> Indices:
    """Hold out the test fraction of the wanted images, stratified by label, groups whole."""
    pool = np.flatnonzero(images.usable & wanted)
    _require_both_classes(images, pool, settings.protocol, "labelled pool")
    # The paper's counts are exact only if images are drawn one by one, so without clips or
    # patients the copies of a test image are left out instead of held out with it.
    groups = images.groups[pool]
    if np.any(groups != ""):
        groups = _joined(groups, images.hashes[pool])
    test = _stratified_hold_out(
        pool, images.anomalous[pool], groups, settings.test_fraction, settings.seed
    )
    _require_both_classes(images, test, settings.protocol, "test set")
    return test


def _held_out_share(
    normals: Sequence[int],
    groups: Mapping[str, Sequence[int]],
    anomalous: Sequence[int],
    settings: _Settings,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide normals into training and the validation fraction of them."""
    wanted = max(1, round(settings.validation_fraction * len(normals)))
    rng = np.random.default_rng(settings.seed)
    return _hold_out_normals(normals, wanted, groups, anomalous, rng)


def _counts(images: _Images, roles: _Roles) -> dict[str, int]:
    anomalous = images.anomalous[roles.test]
    return {
        "test_normal": int(np.sum(~anomalous)),
        "test_anomalous": int(np.sum(anomalous)),
        "train": len(roles.train),
        "validation_normal": len(roles.validation_normal),
        "validation_anomalous": len(roles.validation_anomalous),
        "linked_to_test": roles.development.n_linked,
        "identical": _count_identical(images.hashes[roles.development.kept]),
    }


def _indices(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())


def _require_both_classes(images: _Images, indices: Indices, protocol: str, role: str) -> None:
    anomalous = images.anomalous[indices]
    for present, kind in ((np.any(~anomalous), "normal"), (np.any(anomalous), "anomalous")):
        if not present:
            raise DualadError(
                f"{images.name}: no {kind} images in the {role} under the protocol {protocol!r}; "
                f"add {kind} test images, or choose another protocol"
            )


def _stratified_hold_out(
    pool: Indices,
    anomalous: NDArray[np.bool_],
    groups: NDArray[np.str_],
    fraction: float,
    seed: int,
) -> Indices:
    """Hold out round(fraction n) images, floor(fraction n_normal) of them normal: table 6's."""
    n_normal = int(np.sum(~anomalous))
    # The tolerances keep binary fractions such as 0.7 * 10 = 7.000000000000001 harmless.
    wanted_normal = math.floor(fraction * n_normal + 1e-9)
    wanted_anomalous = math.floor(fraction * len(pool) + 0.5 + 1e-9) - wanted_normal
    wanted_normal = max(wanted_normal, 1)
    wanted_anomalous = min(max(wanted_anomalous, 1), len(pool) - n_normal)
    if np.all(groups == ""):
        drawn = [
            _draw(pool[~anomalous], wanted_normal, seed),
            _draw(pool[anomalous], wanted_anomalous, seed),
        ]
        return np.sort(np.concatenate(drawn))
    units = _units(groups)
    n_units = len(np.unique(units))
    if n_units == 1:
        return pool
    n_chosen = min(max(round(fraction * n_units), 1), n_units - 1)
    # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
    from sklearn.model_selection import GroupShuffleSplit

    candidates = GroupShuffleSplit(GROUPED_CANDIDATES, test_size=n_chosen, random_state=seed)

    def distance(chosen: NDArray[np.int64]) -> tuple[bool, int]:
        n_anomalous = int(np.sum(anomalous[chosen]))
        n_chosen_normal = len(chosen) - n_anomalous
        off = abs(n_anomalous - wanted_anomalous) + abs(n_chosen_normal - wanted_normal)
        return not (n_anomalous and n_chosen_normal), off

    best = min((chosen for _, chosen in candidates.split(pool, groups=units)), key=distance)
    return np.sort(pool[best])


def _draw(indices: Indices, n: int, seed: int) -> Indices:
    if n >= len(indices):
        return indices
    from sklearn.model_selection import train_test_split

    drawn, _ = train_test_split(indices, train_size=n, random_state=seed)
    return np.asarray(drawn, dtype=np.int64)


def _joined(groups: NDArray[np.str_], hashes: NDArray[np.str_]) -> NDArray[np.str_]:
    """Names of groups after joining those that share an image; copies without one form their own.

    Parameters
    ----------
    groups, hashes
        Of each image: its group, "" for none, and the hash of its bytes, "" if unknown.
    """
    # Imported here: only this job needs it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(groups)
    own = np.arange(n)
    links = []
    for values in (groups, hashes):
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        links.append(np.where(values == "", own, first[inverse]))
    edges = (np.concatenate([own, own]), np.concatenate(links))
    graph = coo_array((np.ones(2 * n, dtype=np.int8), edges), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    images = pd.DataFrame({"group": groups, "hash": hashes})
    unit = images.groupby(component)
    # Of joined groups the last name stands for all; no name sorts before any.
    names = unit["group"].transform("max")
    copies = (names == "") & (unit["hash"].transform("size") > 1)
    return names.mask(copies, "sha256:" + images["hash"]).to_numpy(dtype=str)


def _count_identical(hashes: NDArray[np.str_]) -> int:
    """How many images have a byte-identical other."""
    _, counts = np.unique(hashes[hashes != ""], return_counts=True)
    return int(counts[counts > 1].sum())


def _in_groups(groups: NDArray[np.str_], wanted: NDArray[np.str_]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (groups != "") & np.isin(groups, wanted)
    return found


def _members(groups: NDArray[np.str_], indices: Iterable[int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for index in sorted(indices):
        if groups[index]:
            found.setdefault(str(groups[index]), []).append(index)
    return {name: tuple(found[name]) for name in sorted(found)}


def _units(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """Number of each image's group; an image without a group is a group of its own."""
    own = np.array([f"\0{position}" for position in range(len(groups))])
    return np.unique(np.where(groups == "", own, groups), return_inverse=True)[1].astype(np.int64)


def _hold_out_normals(
    normals: Sequence[int],
    wanted: int,
    members: Mapping[str, Sequence[int]],
    anomalous: Sequence[int],
    rng: np.random.Generator,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide normals into training and about `wanted` for validation, whole groups at a time."""
    group_of = {index: name for name, indices in members.items() for index in indices}
    with_anomalies = {group_of[index] for index in anomalous if index in group_of}
    units: dict[str | int, list[int]] = {}
    held_out: list[int] = []
    for index in normals:
        group = group_of.get(index)
        if group is not None and group in with_anomalies:
            held_out.append(index)
        else:
            units.setdefault(index if group is None else group, []).append(index)
    drawn = list(units.values())
    order = rng.permutation(len(drawn))
    # One unit always stays to be trained on.
    for position in order[: max(len(order) - 1, 0)]:
        if len(held_out) >= wanted:
            break
        held_out.extend(drawn[position])
    train = sorted(set(normals) - set(held_out))
    return tuple(train), tuple(sorted(held_out))
