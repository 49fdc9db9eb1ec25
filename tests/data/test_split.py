"""The three protocols: the paper's counts, and laws that every split obeys."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dualad.data.split import Split, make_split
from dualad.errors import DualadError


def make_table(
    train: tuple[int, int] = (0, 0), val: tuple[int, int] = (0, 0), test: tuple[int, int] = (0, 0)
) -> pd.DataFrame:
    """Table of images from (normal, anomalous) counts per official split."""
    rows = [
        (name, label)
        for name, counts in (("train", train), ("val", val), ("test", test))
        for label in (0, 1)
        for _ in range(counts[label])
    ]
    table = pd.DataFrame(rows, columns=["official_split", "label"])
    return table.assign(group="", dropped=False)


@pytest.mark.parametrize(
    ("train", "val", "test", "anomalous", "normal"),
    [
        (240, (0, 0), (32, 119), 96, 25),  # zipper
        (391, (0, 0), (40, 70), 56, 32),  # hazelnut
        (220, (0, 0), (22, 93), 75, 17),  # metal nut
        (298, (33, 0), (32, 69), 55, 52),  # rope
    ],
)
def test_paper_protocol_reproduces_the_papers_test_sets(
    train: int, val: tuple[int, int], test: tuple[int, int], anomalous: int, normal: int
) -> None:
    counts = make_split(make_table((train, 0), val, test), "paper", 7).counts
    assert (counts["test_anomalous"], counts["test_normal"]) == (anomalous, normal)
    assert counts["train"] == train
    assert counts["validation_normal"] == val[0] + test[0] - normal
    assert counts["validation_anomalous"] == val[1] + test[1] - anomalous


def test_labelled_anomalies_of_the_training_set_serve_the_pooled_protocol_only() -> None:
    table = make_table((50, 30), (10, 10), (10, 10))
    split = make_split(table, "paper", 0)
    assert split.counts["validation_anomalous"] == 4
    assert split.counts["test_anomalous"] == 16
    pooled = make_split(table, "pooled", 0)
    assert pooled.counts["validation_anomalous"] == 8
    assert pooled.counts["test_anomalous"] == 10


def test_official_protocol_keeps_the_shipped_sets() -> None:
    table = make_table((50, 30), (10, 12), (14, 16))
    split = make_split(table, "official", 0)
    official = table["official_split"]
    assert set(split.test) == set(np.flatnonzero(official == "test"))
    assert {*split.validation_normal, *split.validation_anomalous} == set(
        np.flatnonzero(official == "val")
    )
    assert set(split.train) == set(np.flatnonzero((official == "train") & (table["label"] == 0)))
    first, second = split.attempt(1, 5), split.attempt(2, 6)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_official_protocol_without_validation_set_holds_training_normals_out() -> None:
    split = make_split(make_table((50, 0), test=(10, 10)), "official", 0, validation_fraction=0.3)
    assert split.counts["train"] == 35
    assert split.counts["validation_normal"] == 15
    assert split.counts["validation_anomalous"] == 0


def test_attempts_validate_on_the_asked_share_and_on_all_anomalies() -> None:
    split = make_split(make_table((240, 0), test=(32, 119)), "paper", 1)
    train, validation = split.attempt(3, 17)
    assert len(train) == 198
    assert len(validation) == 49 + 23
    assert set(split.validation_anomalous) <= set(validation.tolist())
    assert not np.array_equal(train, split.attempt(4, 17)[0])
    assert not np.array_equal(train, split.attempt(3, 18)[0])


def test_validation_never_shrinks_below_the_splits_own() -> None:
    split = make_split(make_table((20, 0), test=(100, 100)), "paper", 1)
    assert split.counts["validation_normal"] == 20
    train, validation = split.attempt(1, 0)
    assert (len(train), len(validation)) == (20, 40)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Small datasets with any mixture of splits, labels, groups and duplicates."""
    n = draw(st.integers(8, 60))
    groups = ["", "a", "b", "c", "d", "e", "f"] if draw(st.booleans()) else [""]
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return pd.DataFrame(
        {
            "official_split": rng.choice(["train", "train", "val", "test", "test"], n),
            "label": rng.integers(0, 2, n),
            "group": rng.choice(groups, n),
            "dropped": rng.random(n) < 0.1,
            "sha256": rng.integers(0, draw(st.sampled_from([1, 10])) * n, n).astype(str),
        }
    )


@settings(max_examples=40, deadline=None)
@given(
    tables(),
    st.sampled_from(["paper", "official", "pooled"]),
    st.integers(0, 1000),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_laws_of_splits(table: pd.DataFrame, protocol: str, seed: int, fraction: float) -> None:
    try:
        split = make_split(table, protocol, seed, validation_fraction=fraction)
    except DualadError:
        assume(False)
    assert make_split(table, protocol, seed, validation_fraction=fraction) == split
    assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split
    label, group = table["label"].to_numpy(), table["group"].to_numpy(dtype=str)
    test = np.array(split.test)
    assert set(label[test]) == {0, 1}
    for attempt in (1, 2):
        train, validation = split.attempt(attempt, seed)
        assert len(train) and np.all(label[train] == 0)
        assert np.any(label[validation] == 0)
        sets = (train, validation, test)
        assert len(np.unique(np.concatenate(sets))) == sum(map(len, sets))
        assert all(np.all(np.diff(members) > 0) for members in sets)
        named = [set(group[members]) - {""} for members in sets]
        assert not (named[0] & named[1] or named[0] & named[2] or named[1] & named[2])
        unusable = table["dropped"].to_numpy() & (table["official_split"] == "train").to_numpy()
        assert not np.any(unusable[train])
        hashes = table["sha256"].to_numpy(dtype=str)
        assert not set(hashes[train]) & set(hashes[test])
        assert not set(hashes[validation]) & set(hashes[test])
        assert not set(hashes[train]) & set(hashes[validation])
        again = split.attempt(attempt, seed)
        assert np.array_equal(train, again[0]) and np.array_equal(validation, again[1])


def test_copies_of_an_image_are_on_one_side_and_counted() -> None:
    """Without clips or patients, too: half of the training images are copies of the others."""
    table = make_table((40, 0), test=(20, 20))
    names = [*(f"a{i // 2}" for i in range(40)), *(f"b{i}" for i in range(40))]
    # Of the labelled normals, 0 is a copy of 1, and so is an anomaly of another.
    names[41], names[61] = names[40], names[60]
    table = table.assign(sha256=names)
    for protocol in ("paper", "official", "pooled"):
        split = make_split(table, protocol, 3)
        for attempt in range(1, 6):
            train, validation = split.attempt(attempt, 11)
            assert not {names[i] for i in train} & {names[i] for i in validation}, protocol
            assert len(train) > 20 and len(validation) >= 6
        kept = {*split.train, *split.validation_normal, *split.validation_anomalous}
        assert (
            split.counts["identical"] >= sum(i < 40 for i in kept) - split.counts["linked_to_test"]
        )
    official = make_split(table, "official", 3).counts
    assert (official["identical"], official["linked_to_test"]) == (40, 0)


def test_the_papers_counts_do_not_suffer_from_copies() -> None:
    """A copy of a test image is left out of validation rather than added to the test set."""
    table = make_table((240, 0), test=(32, 119))
    table["sha256"] = [str(i if i < 331 else i // 2 * 2) for i in range(len(table))]
    counts = make_split(table, "paper", 7).counts
    assert (counts["test_anomalous"], counts["test_normal"]) == (96, 25)
    validation = counts["validation_normal"] + counts["validation_anomalous"]
    assert validation + counts["linked_to_test"] == 30
    assert counts["linked_to_test"] > 0


def test_groups_that_share_an_image_are_one_group() -> None:
    """A frame of clip a appears in clip b, and clip c has nothing to do with them."""
    table = make_table((60, 0), test=(10, 10))
    table["group"] = ["a"] * 20 + ["b"] * 20 + ["c"] * 20 + [""] * 20
    table["sha256"] = [str(i) for i in range(80)]
    table.loc[25, "sha256"] = "3"
    split = make_split(table, "official", 0, validation_fraction=0.4)
    sides = [{table["group"][i] for i in side} for side in (split.train, split.validation_normal)]
    assert {frozenset(side) for side in sides} == {frozenset("ab"), frozenset("c")}


def test_clips_stay_whole_and_the_hold_out_is_near_its_size() -> None:
    training = make_table((300, 0)).assign(group=[f"train{i // 20}" for i in range(300)])
    testing = make_table(test=(200, 200)).assign(group=[f"test{i % 20}" for i in range(400)])
    table = pd.concat([training, testing], ignore_index=True)
    split = make_split(table, "paper", 4)
    assert split.counts["test_normal"] == split.counts["test_anomalous"] == 160
    # Normal frames of clips with anomalies are known to validate only.
    train, validation = split.attempt(1, 9)
    assert set(split.validation_normal) <= set(validation.tolist())
    assert len(train) % 20 == 0
    assert len(train) == 300 - 40


@pytest.mark.parametrize(
    ("table", "protocol", "message"),
    [
        (make_table((10, 0), test=(5, 0)), "official", "no anomalous images in the test set"),
        (make_table((10, 0), test=(0, 5)), "official", "no normal images in the test set"),
        (make_table((10, 0)), "paper", "no normal images in the labelled pool"),
        (make_table((10, 0), test=(5, 0)), "pooled", "no anomalous images in the labelled pool"),
        (make_table((0, 10), test=(5, 5)), "official", "no normal training images"),
        (make_table(test=(1, 5)), "paper", "no normal training images"),
        (
            make_table((10, 0), test=(5, 5)).assign(group=["a"] * 10 + [""] * 10),
            "official",
            "tearing a group apart",
        ),
        (
            make_table((10, 0), (2, 0), (5, 5)).assign(group=["a"] * 12 + [""] * 10),
            "official",
            "tearing a group apart",
        ),
        (make_table((10, 0), test=(5, 5)), "random", "choose paper, official or pooled"),
    ],
)
def test_splits_that_cannot_be_made_say_so(
    table: pd.DataFrame, protocol: str, message: str
) -> None:
    with pytest.raises(DualadError, match=message):
        make_split(table, protocol, 0, name="zipper")


@pytest.mark.parametrize("key", ["test_fraction", "validation_fraction"])
@pytest.mark.parametrize("value", [0, 1, -0.1, 2])
def test_fractions_out_of_range_are_named(key: str, value: float) -> None:
    with pytest.raises(DualadError, match=key):
        make_split(make_table((10, 0), test=(5, 5)), "paper", 0, **{key: value})  # type: ignore[arg-type]


def test_copies_that_leave_nothing_to_train_on_are_named_as_the_cause() -> None:
    table = make_table((3, 0), (0, 0), (3, 3))
    table["sha256"] = ["a", "b", "c", "a", "b", "c", "d", "e", "f"]
    table["dropped"] = table["official_split"] == "train"
    with pytest.raises(DualadError, match=r"none of the 3 normal training images is left.*copy"):
        make_split(table, "official", 0)


def test_dropped_copies_are_named_where_too_few_images_are_left() -> None:
    table = pd.DataFrame(
        {
            "official_split": ["train"] * 3 + ["test"] * 4,
            "label": [0] * 6 + [1],
            "group": "",
            "dropped": [True] * 3 + [False] * 4,
            "sha256": ["a", "b", "c", "a", "b", "c", "d"],
        }
    )
    with pytest.raises(DualadError, match="3 training images are left out, as they are copies"):
        make_split(table, "paper", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"test": "text"},
        {"test": [0, 0.5]},
        {"test": [-1, 3]},
        {"groups": []},
        {"seed": None},
        {"validation_fraction": float("nan")},
        {"unknown": 1},
    ],
)
def test_a_damaged_split_is_named(tmp_path, change):
    split = make_split(make_table(train=(20, 0), val=(3, 3), test=(5, 5)), "official", 3)
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split.to_json()))
    assert Split.read(path) == split
    path.write_text(json.dumps({**split.to_json(), **change}))
    with pytest.raises(DualadError, match=r"split\.json: cannot be read .*run the workflow again"):
        Split.read(path)


def test_an_image_has_one_role(tmp_path):
    split = make_split(make_table(train=(20, 0), val=(3, 3), test=(5, 5)), "official", 3)
    values = split.to_json()
    path = tmp_path / "split.json"
    path.write_text(json.dumps({**values, "train": [*values["train"], values["test"][0]]}))
    with pytest.raises(DualadError, match="two roles"):
        Split.read(path)
