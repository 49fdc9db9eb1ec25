"""Which method is recommended: the rule on scores made by hand, and the files around it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from dualad.data.split import Split
from dualad.errors import DualadError
from dualad.evaluation.predictions import Predictions, SyntheticScores, write_predictions
from dualad.results.experiment import method_folder
from dualad.results.recommendation import (
    Candidate,
    Choice,
    Comparison,
    Sample,
    read_candidate,
    write_recommendation,
)

NORMALS = np.arange(20)


def sample(anomalous: Sequence[float], normals: np.ndarray = NORMALS) -> Sample:
    """Normal images with scores 0 to 19, after these the anomalous ones."""
    scores = np.append(np.arange(len(normals)), anomalous)
    images = np.append(normals, 1000 + np.arange(len(anomalous)))
    return Sample(images, (images >= 1000).astype(np.int64), scores)


def defects(scores: Sequence[float]) -> Sample:
    """The same normal images, and defects on the first of them."""
    images = np.append(NORMALS, np.arange(len(scores)))
    labels = np.repeat([0, 1], [len(NORMALS), len(scores)])
    return Sample(images, labels, np.append(np.arange(20.0), scores))


def names(choice: Choice) -> list[str]:
    return [choice.candidates[position].method for position in choice.order]


def test_a_clear_lead_on_validation_decides_whatever_the_synthetic_defects_say() -> None:
    weak = Candidate("weak", validation=sample([3.5] * 12), synthetic=defects([30.0] * 20))
    strong = Candidate("strong", validation=sample([18.5] * 12), synthetic=defects([5.5] * 20))
    choice = Choice([weak, strong])
    assert names(choice) == ["strong", "weak"]
    assert [choice.is_contender(i) for i in (0, 1)] == [False, True]
    assert "by more than a standard error" in choice.to_json()["reason"]


def test_synthetic_defects_decide_among_methods_that_few_anomalies_do_not_tell_apart() -> None:
    # One of two anomalies is missed: half of all resamples draw it once, some never.
    leading = Candidate("leading", validation=sample([30, 17.5]), synthetic=defects([9.5] * 20))
    close = Candidate("close", validation=sample([16.5, 30]), synthetic=defects([15.5] * 20))
    choice = Choice([leading, close])
    assert choice.candidates[choice.leading].method == "leading"
    assert names(choice) == ["close", "leading"]
    found = choice.to_json()
    assert found["next"]["method"] == "leading"
    assert found["next"]["validation_difference"] == pytest.approx(-0.025)
    assert found["next"]["synthetic_difference"] == pytest.approx(0.3)


def test_methods_that_separate_validation_perfectly_are_told_apart_by_defects() -> None:
    tied = [
        Candidate(name, validation=sample([30.0] * 5), synthetic=defects([score] * 20))
        for name, score in (("a", 3.5), ("b", 12.5), ("c", 7.5))
    ]
    assert names(Choice(tied)) == ["b", "c", "a"]


def test_the_first_in_the_configuration_wins_a_tie_in_everything() -> None:
    tied = [
        Candidate(name, validation=sample([30.0] * 5), synthetic=defects([12.5] * 20))
        for name in ("z", "a", "m")
    ]
    assert names(Choice(tied)) == ["z", "a", "m"]
    assert Choice(tied[:1]).to_json()["next"] is None


def test_without_anomalies_the_defects_alone_decide() -> None:
    choice = Choice(
        [Candidate("a", synthetic=defects([3.5] * 8)), Candidate("b", synthetic=defects([4.5] * 8))]
    )
    found = choice.to_json()
    assert found["method"] == "b" and "validation has no anomalous image" in found["reason"]
    assert all(entry["contender"] for entry in found["candidates"])
    assert found["candidates"][0]["validation_auroc"] is None
    assert found["candidates"][0]["synthetic_auroc"] == pytest.approx(5 / 20)


def test_without_defects_the_highest_validation_auroc_decides() -> None:
    """Results of an earlier version have no scores of defects."""
    choice = Choice(
        [
            Candidate("a", validation=sample([30, 16.5]), synthetic=defects([30.0])),
            Candidate("b", validation=sample([30, 17.5])),
        ]
    )
    assert names(choice) == ["b", "a"]
    assert "without scores of synthetic defects" in choice.to_json()["reason"]


def test_the_auroc_is_scikit_learns_with_ties_counted_half() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels, scores = np.arange(40) % 3 // 2, np.round(rng.normal(size=40), 1)
    comparison = Comparison([Sample(np.arange(40), labels, scores)], 0.95)
    assert comparison.values == [pytest.approx(roc_auc_score(labels, scores))]
    low, high = comparison.interval(0) or (1, 0)
    assert low < comparison.values[0] < high


def test_differences_are_paired_over_common_images_only() -> None:
    """The same scores of the same images never differ, those of other images do."""
    one = sample([9.5, 12.5, 30])
    elsewhere = replace(one, images=one.images + 5000)
    paired, unpaired = Comparison([one, one], 0.95), Comparison([one, elsewhere], 0.95)
    assert paired.difference(0, 1).standard_error == 0
    assert unpaired.difference(0, 1).standard_error > 0.05
    half = replace(one, images=np.where(one.images < 10, one.images + 5000, one.images))
    some = Comparison([one, half], 0.95).difference(0, 1).standard_error
    assert 0 < some < unpaired.difference(0, 1).standard_error


@pytest.mark.parametrize(("n", "told_apart"), [(5, False), (500, True)])
def test_more_anomalies_tell_more_methods_apart(n: int, told_apart: bool) -> None:
    better, worse = np.full(n, 30.0), np.full(n, 30.0)
    better[: n // 5], worse[-2 * n // 5 :] = 15.5, 15.5
    tried = [Candidate("a", validation=sample(better)), Candidate("b", validation=sample(worse))]
    assert Choice(tried).is_contender(1) is not told_apart


# ---- files ----

VALIDATION, TEST = list(range(12)), list(range(12, 30))


def split_of(anomalous: Sequence[int]) -> Split:
    normal = tuple(i for i in range(8) if i not in anomalous)
    return Split("paper", 0, True, 0.2, tuple(TEST), (100, 101), normal, tuple(anomalous))


def put(
    dataset: Path,
    method: str,
    validation: Sequence[float],
    *,
    test: Sequence[float] | None = None,
    synthetic: float | None = 5.5,
) -> Path:
    """What scoring and evaluation leave of a method, as far as a recommendation reads it."""
    folder = dataset / method
    folder.mkdir(parents=True, exist_ok=True)
    index = np.array(VALIDATION[: len(validation)] + TEST)
    scores = np.append(validation, np.zeros(len(TEST)) if test is None else test)
    predictions = Predictions(
        index=index,
        split=np.array(["val"] * len(validation) + ["test"] * len(TEST)),
        scores={"other": np.zeros(len(index)), "chosen": scores},
        default_score="other",
        family="padim",
        method=method,
        n_parameters=3,
        notes=("random features",),
        synthetic=None
        if synthetic is None
        else SyntheticScores(
            np.repeat(np.arange(4), 2),
            {"other": np.zeros(8), "chosen": np.full(8, synthetic)},
        ),
    )
    write_predictions(folder / "predictions.h5", predictions)
    (folder / "threshold.json").write_text(json.dumps({"score": "chosen"}))
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset with four anomalous validation images, of which `weak` misses most."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "split.json").write_text(json.dumps(asdict(split_of([8, 9, 10, 11]))))
    put(folder, "weak", [*range(8), 0.5, 1.5, 2.5, 9])
    put(folder, "strong", [*range(8), 9, 9, 9, 9])
    return folder


def test_what_is_written_says_which_why_and_how_close(dataset: Path) -> None:
    write_recommendation(dataset, ["weak", "strong"])
    found = json.loads((dataset / "recommended.json").read_text())
    assert (found["dataset"], found["method"], found["next"]["method"]) == (
        "parts",
        "strong",
        "weak",
    )
    assert found["reason"] and "standard error" in found["rule"]
    strong, weak = found["candidates"]
    assert (strong["validation_auroc"], strong["validation_auroc_ci"]) == (1.0, [1.0, 1.0])
    assert weak["below_highest"] == pytest.approx(1 - weak["validation_auroc"])
    assert (weak["n_normal"], weak["n_anomalous"], weak["n_defects"]) == (8, 4, 8)
    assert (weak["score"], weak["notes"]) == ("chosen", ["random features"])


def test_scores_of_test_images_change_nothing(dataset: Path) -> None:
    write_recommendation(dataset, ["weak", "strong"])
    before = (dataset / "recommended.json").read_bytes()
    rng = np.random.default_rng(0)
    put(dataset, "weak", [*range(8), 0.5, 1.5, 2.5, 9], test=rng.normal(size=len(TEST)) * 1e6)
    write_recommendation(dataset, ["weak", "strong"])
    assert (dataset / "recommended.json").read_bytes() == before


def test_a_dataset_without_anomalous_validation_images_is_judged_by_its_defects(
    dataset: Path,
) -> None:
    (dataset / "split.json").write_text(json.dumps(asdict(split_of([]))))
    put(dataset, "weak", list(range(8)), synthetic=5.5)
    put(dataset, "strong", list(range(8)), synthetic=6.5)
    write_recommendation(dataset, ["weak", "strong"])
    found = json.loads((dataset / "recommended.json").read_text())
    assert found["method"] == "strong"
    assert found["candidates"][0]["synthetic_auroc"] == pytest.approx(7 / 8)
    put(dataset, "weak", list(range(8)), synthetic=None)
    with pytest.raises(DualadError, match=r"weak/predictions.h5.* no synthetic defects .*again"):
        write_recommendation(dataset, ["weak", "strong"])


def test_what_an_earlier_version_left_can_be_read(dataset: Path) -> None:
    folder = put(dataset, "old", [*range(8), 9, 9, 9, 9], synthetic=None)
    candidate = read_candidate(folder, split_of([8, 9, 10, 11]))
    assert candidate.synthetic is None and candidate.validation is not None
    write_recommendation(dataset, ["weak", "old"])
    assert json.loads((dataset / "recommended.json").read_text())["method"] == "old"


def test_a_score_that_the_predictions_lack_is_named(dataset: Path) -> None:
    (dataset / "weak/threshold.json").write_text(json.dumps({"score": "unknown"}))
    with pytest.raises(DualadError, match=r"weak/threshold.json.*unknown"):
        write_recommendation(dataset, ["weak", "strong"])


def test_the_folder_of_a_dataset_stands_for_its_recommended_method(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_recommendation(dataset, ["weak", "strong"])
    with caplog.at_level("INFO"):
        assert method_folder(dataset) == dataset / "strong"
    assert "strong" in caplog.text and "validation AUROC" in caplog.text
    for path in (dataset / "weak", dataset.parent, dataset / "nowhere"):
        assert method_folder(path) == path


def test_a_dataset_without_a_recommendation_is_told_how_to_make_one(dataset: Path) -> None:
    with pytest.raises(DualadError, match=r"`snakemake results/parts/recommended.json --configfile`"):
        method_folder(dataset)


def test_a_recommended_method_that_is_gone_is_named(dataset: Path) -> None:
    (dataset / "recommended.json").write_text(json.dumps({"method": "gone", "reason": "best"}))
    with pytest.raises(DualadError, match=r"recommended.json.*'gone'.*run the workflow again"):
        method_folder(dataset)


@pytest.mark.parametrize("content", ["", "{}", '{"method": "weak"}'])
def test_a_damaged_recommendation_is_named(dataset: Path, content: str) -> None:
    (dataset / "recommended.json").write_text(content)
    with pytest.raises(DualadError, match=r"recommended.json"):
        method_folder(dataset)
