from functools import partial

import pytest
from paper_results import put_metrics

from dualad.errors import DualadError
from dualad.paper.comparison import compare


@pytest.fixture
def put(tmp_path):
    return partial(put_metrics, tmp_path)


def only(found, **wanted):
    return [c for c in found if all(getattr(c, key) == value for key, value in wanted.items())]


def test_the_papers_auroc_is_held_against_balanced_accuracy(put):
    found = compare([put("zipper", "dual")])
    (one,) = only(found, source="Table 6", dataset="zipper", metric="auroc")
    assert (one.paper, one.ours, one.interval) == (0.9296, 0.9, (0.85, 0.9400000000000001))
    assert one.our_metric == "balanced_accuracy" and one.inside
    assert one.difference == pytest.approx(-0.0296)
    assert one.auroc == 0.97 and one.auroc_interval == pytest.approx((0.92, 1.01))
    (f1,) = only(found, source="Table 6", dataset="zipper", metric="f1")
    assert f1.auroc is None and f1.inside is False, "97.41 lies above 94"


def test_every_number_of_the_paper_has_a_row(put):
    found = compare([put("zipper", "dual"), put("brats2021", "no_dropout_tuning")])
    assert len(found) == 80 + 72 + 18 + 4
    compared = only(found, status="compared")
    # Ten of Table 6, three of Table 8, three of Table 9, four means of Table 10.
    assert len(compared) == 10 + 3 + 3 + 4
    assert {c.status for c in found} == {"compared", "not run"}
    assert [c.status for c in found] == ["compared"] * 20 + ["not run"] * 154
    (tuned,) = only(found, method="no_dropout_tuning", metric="auroc")
    assert (tuned.source, tuned.paper, tuned.ours) == ("Table 9", 0.5395, 0.9)


def test_datasets_under_other_names_and_missing_files(put, tmp_path):
    paths = [put("my_nut", "dual"), tmp_path / "results" / "rope" / "dual" / "metrics.json"]
    found = compare(paths, {"my_nut": "metal_nut"})
    assert only(found, source="Table 6", dataset="my_nut", metric="tpr")[0].paper == 0.9867
    assert not only(found, dataset="metal_nut", method="dual")
    assert only(found, dataset="rope", method="dual")[0].status == "not run"
    with pytest.raises(DualadError, match=r"datasets\.my_nut\.paper_name: .*'metal'.*metal_nut"):
        compare(paths, {"my_nut": "metal"})


def test_without_a_dataset_of_the_papers_none_of_its_numbers_has_a_row(put, tmp_path):
    digits = put("digits", "dual")
    assert {c.status for c in compare([digits])} == {"not in the paper"}
    assert compare([put("digits", "pca")]) == []
    # What was to be run and has no result counts: the paper's numbers have their rows.
    absent = tmp_path / "results" / "rope" / "dual" / "metrics.json"
    assert len(only(compare([digits, absent]), status="not run")) == 174


def test_what_the_paper_lacks_has_no_number_of_its(put):
    paths = [put("digits", m) for m in ("dual", "image_only", "dual_plus", "pca")]
    found = compare([*paths, put("rope", "pca")])
    own = only(found, status="not in the paper")
    assert {(c.source, c.method, c.metric) for c in own if c.method == "image_only"} == {
        ("Table 8", "image_only", metric) for metric in ("auroc", "f1", "tpr")
    }
    assert len(only(own, method="dual", source="Table 6")) == len(only(own, method="dual")) == 10
    assert {c.method for c in own} == {"dual", "image_only"}
    assert all(c.paper is None and c.difference is None and c.inside is None for c in own)
    assert len(found) - len(own) == 174 and not only(found, status="compared")


def test_table_10_is_a_mean_over_the_papers_datasets(put):
    paths = [
        put("zipper", "dual", fpr=0.1),
        put("rope", "dual", fpr=0.3),
        put("hazelnut", "dual", fpr=0.9, mc=False),
        put("digits", "dual", fpr=0.9),
    ]
    found = {c.metric: c for c in only(compare(paths), source="Table 10")}
    assert list(found) == ["fpr_deterministic", "fpr_mc", "ece_deterministic", "ece_mc"]
    assert found["fpr_deterministic"].paper == 0.071
    assert found["fpr_deterministic"].ours == pytest.approx(0.2)
    assert (found["ece_mc"].paper, found["ece_mc"].ours) == (0.14, 0.1)
    assert found["fpr_mc"].inside is None and found["fpr_mc"].note == "mean over 2 of 8 datasets"


def test_repeats_are_taken_together(put):
    paths = [
        put("rope", f"dual{mark}", f1=f1) for mark, f1 in [("@1", 0.8), ("", 0.7), ("@2", 0.9)]
    ]
    (f1,) = only(compare(paths), source="Table 6", dataset="rope", metric="f1")
    assert (f1.ours, f1.runs) == (0.7, [0.7, 0.8, 0.9])


def test_an_undefined_metric_is_compared_with_nothing(put):
    (one,) = only(compare([put("rope", "dual", mcc=None)]), dataset="rope", metric="mcc")
    assert (one.status, one.paper, one.ours, one.difference) == ("compared", 0.8931, None, None)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_file_is_named(put, content):
    path = put("rope", "dual")
    path.write_text(content)
    with pytest.raises(DualadError, match=r"rope/dual/metrics\.json.*delete it"):
        compare([path])
