"""Counts of copies, the smallest validation set, and which groups are held out."""

import pandas as pd

from dualad.data.split import make_split


def table_of(*parts: tuple[str, int, str, int]) -> pd.DataFrame:
    """Table of images from (official set, label, group, number of images)."""
    rows = [part[:3] for part in parts for _ in range(part[3])]
    table = pd.DataFrame(rows, columns=["official_split", "label", "group"])
    return table.assign(dropped=False)


LABELLED = (("test", 0, "", 5), ("test", 1, "", 5))


def test_only_images_that_have_a_copy_count_as_identical() -> None:
    """Images whose hash is unknown are not taken for copies of each other."""
    table = table_of(("train", 0, "", 30), *LABELLED)
    table["sha256"] = ["a", "a", "b", "b", "b", *[""] * 10, *(str(i) for i in range(25))]
    assert make_split(table, "official", 0).counts["identical"] == 5


def test_at_least_one_normal_image_validates() -> None:
    table = table_of(("train", 0, "", 30), *LABELLED)
    split = make_split(table, "official", 0, validation_fraction=0.001)
    assert (split.counts["train"], split.counts["validation_normal"]) == (29, 1)


def test_of_all_hold_outs_of_whole_groups_the_nearest_in_size_is_chosen() -> None:
    """64 of 80 normals are wanted: leaving out 17 misses that by one, leaving out 14 by two."""
    table = table_of(
        ("train", 0, "", 30),
        ("test", 0, "a", 17),
        ("test", 0, "b", 14),
        ("test", 0, "c", 49),
        ("test", 1, "d", 40),
        ("test", 1, "e", 40),
    )
    split = make_split(table, "paper", 0)
    assert {table["group"][index] for index in split.validation_normal} >= {"a"}
    assert {table["group"][index] for index in split.test} == {"b", "c", "d", "e"}
    assert (split.counts["test_normal"], split.counts["test_anomalous"]) == (63, 80)
