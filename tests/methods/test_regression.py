"""The cross-fitted regression on labelled images: what it learns, and what it must not know."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from dualad.design.parameters import SupervisedParams
from dualad.errors import DualadError
from dualad.methods.base import Indices
from dualad.methods.regression import CrossFittedRegression, LabelledImages

PARAMS = SupervisedParams()
ONE_PENALTY = SupervisedParams(folds=4, penalties=(2.0,))
Features = npt.NDArray[np.float64]


def images(labels: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> LabelledImages:
    """Images 100, 101, ... of these labels, without groups unless given."""
    labels = np.asarray(labels, dtype=np.int64)
    index = 100 + np.arange(len(labels))
    return LabelledImages(index, labels, index if groups is None else np.asarray(groups), "x")


def informative(n: int, n_features: int = 3, seed: int = 0) -> tuple[Features, LabelledImages]:
    """Features whose first one is higher for anomalous images, by three deviations."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, n_features))
    features[:, 0] += 3 * labels
    return features, images(labels)


def out_of_fold(features: Features, labelled: LabelledImages, params: SupervisedParams) -> Features:
    return CrossFittedRegression.fit([features], labelled, params, seed=0).log_odds


def test_out_of_fold_scores_of_random_labels_are_at_chance() -> None:
    """The features outnumber the images, so the regression fits any labels perfectly."""
    aurocs, fitted_aurocs = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        features, labels = rng.normal(size=(60, 200)), rng.permutation(np.arange(60) % 2)
        fitted = CrossFittedRegression.fit([features], images(labels), PARAMS, seed)
        aurocs.append(roc_auc_score(labels, fitted.log_odds))
        fitted_aurocs.append(roc_auc_score(labels, fitted.score([features])))
    assert 0.35 < np.mean(aurocs) < 0.65
    # What the threshold would see without nesting.
    assert np.mean(fitted_aurocs) > 0.9


def test_out_of_fold_scores_of_informative_features_are_high() -> None:
    features, labelled = informative(80, n_features=10)
    assert roc_auc_score(labelled.labels, out_of_fold(features, labelled, PARAMS)) > 0.9


class FixedFolds(LabelledImages):
    """Folds that do not depend on labels."""

    def folds(self, most: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
        for part in range(most):
            inside = self.index % most == part
            yield np.flatnonzero(~inside), np.flatnonzero(inside)


def test_an_images_label_does_not_touch_the_score_of_its_fold() -> None:
    features, labelled = informative(39)
    labels = labelled.labels.copy()
    labels[5] = 1 - labels[5]
    params = SupervisedParams(folds=3)
    before, after = (
        out_of_fold(features, FixedFolds(labelled.index, y, labelled.index, "x"), params)
        for y in (labelled.labels, labels)
    )
    own = labelled.index % 3 == labelled.index[5] % 3
    np.testing.assert_array_equal(before[own], after[own])
    assert np.all(before[~own] != after[~own])


def test_log_odds_are_those_of_scikit_learn_on_the_other_folds() -> None:
    features, labelled = informative(40)
    log_odds = out_of_fold(features, labelled, ONE_PENALTY)
    folds = StratifiedKFold(4, shuffle=True, random_state=0).split(features, labelled.labels)
    for fitted, held_out in folds:
        mean, deviation = features[fitted].mean(axis=0), features[fitted].std(axis=0)
        deviation *= np.sqrt(3)
        regression = LogisticRegression(C=0.5, max_iter=1000)
        regression.fit((features[fitted] - mean) / deviation, labelled.labels[fitted])
        expected = regression.decision_function((features[held_out] - mean) / deviation)
        np.testing.assert_allclose(log_odds[held_out], expected, rtol=1e-9)


def test_new_images_get_the_mean_log_odds_of_the_regressions_of_the_folds() -> None:
    """So the scores that place the threshold, and those it is applied to, are on one scale."""
    features, labelled = informative(400)
    fitted = CrossFittedRegression.fit([features], labelled, PARAMS, seed=0)
    new, labels = informative(400, seed=1)
    scores = fitted.score([new])
    for label in (0, 1):
        expected = fitted.log_odds[labelled.labels == label]
        found = scores[labels.labels == label]
        assert abs(found.mean() - expected.mean()) < 0.35 * expected.std()
        assert 0.8 < found.std() / expected.std() < 1.25
    # A row's score does not depend on which others come with it, not by a bit.
    np.testing.assert_array_equal(fitted.score([new[7:8]]), scores[7:8])


def test_a_constant_feature_changes_nothing() -> None:
    features, labelled = informative(40)
    constant = [features, np.full((40, 1), 5.0)]
    np.testing.assert_allclose(
        CrossFittedRegression.fit(constant, labelled, ONE_PENALTY, seed=0).log_odds,
        out_of_fold(features, labelled, ONE_PENALTY),
        rtol=1e-6,
    )


def test_a_good_feature_does_not_drown_in_a_wide_block() -> None:
    rng = np.random.default_rng(0)
    good, labelled = informative(40, n_features=1)
    noise = rng.normal(size=(40, 500))

    def separation(blocks: list[Features]) -> float:
        fitted = CrossFittedRegression.fit(blocks, labelled, PARAMS, seed=0)
        return float(roc_auc_score(labelled.labels, fitted.log_odds))

    drowned = separation([np.concatenate([good, noise], axis=1)])
    assert separation([good, noise]) > max(0.9, drowned + 0.1)


def test_units_of_a_feature_do_not_matter() -> None:
    features, labelled = informative(40)
    np.testing.assert_allclose(
        out_of_fold(1000 * features + 7, labelled, ONE_PENALTY),
        out_of_fold(features, labelled, ONE_PENALTY),
        rtol=1e-6,
    )


def test_cross_validation_shrinks_noise_more_than_a_clear_signal() -> None:
    rng = np.random.default_rng(0)
    clear, labelled = informative(200)
    noise = rng.normal(size=(200, 30))
    chosen = [
        CrossFittedRegression.fit([features], labelled, PARAMS, seed=0).penalties
        for features in (clear, noise)
    ]
    assert np.median(chosen[0]) < np.median(chosen[1])
    assert np.median(chosen[1]) >= 1000


def test_groups_stay_together() -> None:
    """Copies of one image, each in a group of four: their label must not be recognised."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.permutation(np.arange(16) % 2), 4)
    features = np.repeat(rng.normal(size=(16, 100)), 4, axis=0)
    groups = np.repeat(np.arange(16), 4)
    grouped = out_of_fold(features, images(labels, groups), PARAMS)
    torn = out_of_fold(features, images(labels), PARAMS)
    assert roc_auc_score(labels, torn) > 0.95
    assert roc_auc_score(labels, grouped) < 0.75
    for _, held_out in images(labels, groups).folds(5, seed=0):
        assert not set(groups[held_out]) & set(np.delete(groups, held_out))


@pytest.mark.parametrize("groups", [[0] * 10 + [1] * 10, [0] * 10 + list(range(1, 11))])
def test_too_few_groups_are_refused(groups: list[int]) -> None:
    labels = [1] * 10 + [0] * 10
    with pytest.raises(DualadError, match=r"x: the labelled .* too few groups .*; add"):
        out_of_fold(np.zeros((20, 1)), images(labels, groups), PARAMS)


@pytest.mark.parametrize(("n_anomalous", "note"), [(19, True), (20, False)])
def test_few_labels_are_noted(n_anomalous: int, note: bool) -> None:
    labels = np.array([1] * n_anomalous + [0] * 40)
    features = np.random.default_rng(0).normal(size=(len(labels), 2))
    notes = CrossFittedRegression.fit([features], images(labels), ONE_PENALTY, seed=0).notes
    assert notes == (
        ["learnt from 19 anomalous images only; below 20, labels may do harm"] if note else []
    )


def test_a_regression_is_saved_whole_and_repeats(tmp_path: Path) -> None:
    features, labelled = informative(40)
    fitted = CrossFittedRegression.fit([features], labelled, PARAMS, seed=3)
    fitted.save(tmp_path)
    loaded = CrossFittedRegression.load(tmp_path)
    again = CrossFittedRegression.fit([features], labelled, PARAMS, seed=3)
    for other in (loaded, again):
        np.testing.assert_array_equal(other.score([features]), fitted.score([features]))
        assert other.held_out == fitted.held_out
        assert other.notes == fitted.notes
    assert list(fitted.held_out) == list(range(100, 140))
    assert fitted.size == 4
    moved = CrossFittedRegression.fit([features], labelled, PARAMS, seed=4)
    assert moved.held_out != fitted.held_out
