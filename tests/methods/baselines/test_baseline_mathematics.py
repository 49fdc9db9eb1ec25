"""The baselines' mathematics against independent references and closed forms."""

from itertools import combinations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.covariance import MinCovDet
from sklearn.neighbors import NearestNeighbors

from dualad.methods.baselines.cflow import log_likelihood, position_code
from dualad.methods.baselines.cs_flow import negative_log_likelihood
from dualad.methods.baselines.cutpaste import jitter, paste_patch, paste_scar
from dualad.methods.baselines.flows import ConditionalFlow, CrossScaleFlow, bounded
from dualad.methods.baselines.mgad import robust_mixture
from dualad.methods.baselines.padim import _mahalanobis, position_gaussians
from dualad.methods.baselines.patchcore import greedy_coreset, nearest_in, reweighted
from dualad.methods.baselines.simplenet import hinge
from dualad.methods.baselines.utrad import error_likelihood_loss, pooled


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_padims_distance_is_scipys(rng: np.random.Generator) -> None:
    points = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mean = rng.normal(size=(5, 4)).astype(np.float32)
    root = rng.normal(size=(5, 4, 4)).astype(np.float32)
    precision = np.linalg.inv(root @ root.transpose(0, 2, 1) + np.eye(4)).astype(np.float32)
    found = np.sqrt(np.asarray(_mahalanobis(points, mean, precision)))
    for n in range(3):
        for p in range(5):
            expected = mahalanobis(points[n, p], mean[p], precision[p])
            assert found[n, p] == pytest.approx(expected, rel=1e-4)


def test_padims_gaussians_have_numpys_mean_and_covariance(rng: np.random.Generator) -> None:
    # So few points that the divisor n - 1 is far from n.
    points = rng.normal(size=(6, 3, 4)).astype(np.float32)
    batches = [points[:4], points[4:]]
    mean, precision = position_gaussians(batches, points[0], regularization=0.01)
    np.testing.assert_allclose(mean, points.mean(axis=0), atol=1e-6)
    for p in range(3):
        expected = np.cov(points[:, p].T) + 0.01 * np.eye(4)
        np.testing.assert_allclose(np.linalg.inv(precision[p]), expected, rtol=1e-3, atol=1e-4)


def test_padims_gaussian_of_one_image_is_the_image_and_the_regularisation() -> None:
    point = np.ones((1, 1, 2), np.float32)
    mean, precision = position_gaussians([point], point[0], regularization=0.5)
    np.testing.assert_array_equal(mean, point[0])
    np.testing.assert_allclose(precision[0], 2 * np.eye(2))


def test_the_coreset_covers_at_most_twice_as_far_as_the_best(rng: np.random.Generator) -> None:
    points = rng.normal(size=(12, 2)).astype(np.float32)
    distances = cdist(points, points)
    for wanted in (1, 2, 3):
        chosen = greedy_coreset(points, wanted, rng)
        assert len(set(chosen.tolist())) == wanted
        radius = distances[:, chosen].min(axis=1).max()
        best = min(
            distances[:, list(centres)].min(axis=1).max()
            for centres in combinations(range(12), wanted)
        )
        assert radius <= 2 * best + 1e-5


def test_every_point_is_chosen_once_even_if_all_are_equal(rng: np.random.Generator) -> None:
    chosen = greedy_coreset(np.ones((6, 3), np.float32), 6, rng)
    assert sorted(chosen.tolist()) == list(range(6))


def test_nearest_neighbours_are_scikit_learns(rng: np.random.Generator) -> None:
    bank = rng.normal(size=(50, 8)).astype(np.float32)
    queries = np.concatenate([rng.normal(size=(30, 8)), bank[:3]]).astype(np.float32)
    distances, rows = nearest_in(bank, queries)
    expected, expected_rows = NearestNeighbors(n_neighbors=1).fit(bank).kneighbors(queries)
    np.testing.assert_array_equal(rows, expected_rows[:, 0])
    np.testing.assert_allclose(distances, expected[:, 0], atol=1e-4)


def test_patchcores_weight_is_one_less_the_softmax() -> None:
    bank = np.array([[0.0], [1.0], [5.0]], np.float32)
    found = reweighted(np.array([2.0]), np.array([[-2.0]]), np.array([0]), bank, neighbours=2)
    # Around row 0 lie rows 0 and 1, at distances 2 and 3 of the patch.
    share = np.exp(2) / (np.exp(2) + np.exp(3))
    assert found == pytest.approx([(1 - share) * 2])


def jacobian_log_determinant(function: object, x: np.ndarray) -> float:
    step = 1e-2
    columns = []
    for i in range(x.size):
        moved = [x.reshape(-1).copy() for _ in range(2)]
        moved[0][i] += step
        moved[1][i] -= step
        ahead, behind = (function(m.reshape(x.shape)).reshape(-1) for m in moved)  # type: ignore[operator]
        columns.append((ahead - behind) / (2 * step))
    return float(np.linalg.slogdet(np.stack(columns))[1])


def test_the_conditional_flow_inverts_and_knows_its_determinant(rng: np.random.Generator) -> None:
    flow = ConditionalFlow(channels=5, code=4, blocks=3, clamp=1.9, rng=rng)
    for weight in flow.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    x = rng.normal(size=(2, 5)).astype(np.float32)
    code = rng.normal(size=(2, 4)).astype(np.float32)
    z, log_determinant = flow(x, code)
    np.testing.assert_allclose(flow.inverse(z, code), x, atol=1e-3)
    for i in range(2):

        def alone(one: np.ndarray, i: int = i) -> np.ndarray:
            return np.asarray(flow(one[np.newaxis].astype(np.float32), code[i : i + 1])[0])

        expected = jacobian_log_determinant(alone, x[i])
        assert float(log_determinant[i]) == pytest.approx(expected, abs=0.05)


def test_the_cross_scale_flow_inverts_and_knows_its_determinant(rng: np.random.Generator) -> None:
    flow = CrossScaleFlow(channels=4, scales=2, hidden=6, kernels=(3,), clamp=3.0, rng=rng)
    maps = [tf.constant(rng.normal(size=(1, side, side, 4)), tf.float32) for side in (4, 2)]
    z, log_determinant = flow(maps)
    # The gains start at 0: a permutation of the channels, no more.
    np.testing.assert_array_equal(z[0], tf.gather(maps[0], flow.permutations[0], axis=-1))
    assert float(log_determinant[0]) == 0
    for weight in flow.trainable_variables:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    z, log_determinant = flow(maps)
    for back, one in zip(flow.inverse(z), maps, strict=True):
        np.testing.assert_allclose(back, one, atol=1e-4)
    sizes = [4 * 4 * 4, 2 * 2 * 4]

    def flat(x: np.ndarray) -> np.ndarray:
        fine, coarse = np.split(x.astype(np.float32), [sizes[0]])
        found, _ = flow([fine.reshape(1, 4, 4, 4), coarse.reshape(1, 2, 2, 4)])
        return np.concatenate([np.asarray(part).reshape(-1) for part in found])

    x = np.concatenate([np.asarray(part).reshape(-1) for part in maps])
    expected = jacobian_log_determinant(flat, x)
    assert float(log_determinant[0]) == pytest.approx(expected, abs=0.05)
    squares = sum(float(tf.reduce_sum(part**2)) for part in z)
    loss = float(negative_log_likelihood(z, log_determinant)[0])
    assert loss == pytest.approx((squares / 2 - float(log_determinant[0])) / sum(sizes), rel=1e-5)


def test_scales_stay_within_the_clamp() -> None:
    found = np.asarray(bounded(tf.constant([-1e6, 0.0, 1e6]), 1.9))
    np.testing.assert_allclose(found, [-1.9, 0.0, 1.9], atol=1e-4)


def test_the_likelihood_is_a_standard_normals() -> None:
    z = np.array([[1.0, -2.0]], np.float32)
    expected = -0.5 * (1 + 4) - np.log(2 * np.pi) + 0.7
    assert float(log_likelihood(tf.constant(z), tf.constant([0.7]))[0]) == pytest.approx(expected)


def test_the_position_code_alternates_sines_and_cosines() -> None:
    code = position_code(3, 5, 8)
    assert code.shape == (3, 5, 8)
    np.testing.assert_allclose(code[2, 3, :2], [np.sin(3), np.cos(3)], rtol=1e-6)
    np.testing.assert_allclose(code[2, 3, 4:6], [np.sin(2), np.cos(2)], rtol=1e-6)
    assert len(np.unique(code.reshape(15, 8), axis=0)) == 15


def test_one_component_is_the_minimum_covariance_determinant(rng: np.random.Generator) -> None:
    points = rng.normal(size=(60, 3))
    points[:6] += 20
    means, precisions = robust_mixture(points, 1, 0.01, seed=3)
    expected = MinCovDet(random_state=3).fit(points)
    np.testing.assert_allclose(means[0], expected.location_)
    np.testing.assert_allclose(
        precisions[0], np.linalg.inv(expected.covariance_ + 0.01 * np.eye(3))
    )
    assert np.abs(means[0]).max() < 1


def test_the_hinge_costs_what_is_within_the_margin() -> None:
    loss = hinge(tf.constant([1.0, 0.2]), tf.constant([-1.0, -0.1]), 0.5)
    assert float(loss) == pytest.approx(0.3 / 2 + 0.4 / 2)


def test_the_predicted_error_is_best_at_the_error_itself() -> None:
    target, output = tf.zeros((1, 1, 1, 2)), tf.fill((1, 1, 1, 2), 0.3)
    losses = [
        float(error_likelihood_loss(target, output, tf.fill((1, 1, 1, 1), float(np.log(sigma)))))
        for sigma in (0.1, 0.3, 0.9)
    ]
    assert np.argmin(losses) == 1


def test_pools_of_a_flat_map_are_flat() -> None:
    np.testing.assert_allclose(pooled(np.full((2, 16, 16), 0.5, np.float32)), 0.5, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.sampled_from([64, 128, 256]))
def test_a_patch_has_the_stated_area_and_sides(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.3, 0.4, (size, size, 3)).astype(np.float32)
    changed = (paste_patch(image, rng) != image).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 0.015 < height * width / size**2 < 0.165
    assert 0.25 < width / height < 4.0
    outside = np.ones((size, size), bool)
    outside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
    assert not changed[outside].any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_scar_is_small_and_of_the_images_own_colours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.3, 0.4, (256, 256, 3)).astype(np.float32)
    pasted = paste_scar(image, rng)
    changed = (pasted != image).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    # The diagonal of the largest strip, 16 by 25.
    assert max(np.ptp(rows), np.ptp(columns)) < np.hypot(16, 25) + 2
    assert 0 < changed.sum() <= 1.3 * 16 * 25
    assert pasted.min() > 0.2 and pasted.max() < 0.5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), level=st.floats(0.0, 1.0))
def test_jitter_changes_brightness_by_at_most_a_tenth(seed: int, level: float) -> None:
    patch = np.full((4, 5, 3), level, np.float32)
    changed = jitter(patch, np.random.default_rng(seed))
    assert np.all(np.abs(changed - level) <= 0.1 * level + 1e-6)
    assert changed.min() >= 0 and changed.max() <= 1


def test_jitter_scales_contrast_and_saturation_about_the_means() -> None:
    patch = np.random.default_rng(0).uniform(0.3, 0.6, (4, 5, 3)).astype(np.float32)
    found = jitter(patch, np.random.default_rng(1))
    drawn = 1 + np.random.default_rng(1).uniform(-0.1, 0.1, size=3)
    brightness, contrast, _ = drawn
    assert found.mean() == pytest.approx(brightness * patch.mean(), rel=1e-5)
    gray, gray_before = found.mean(axis=-1), patch.mean(axis=-1)
    assert gray.std() == pytest.approx(brightness * contrast * gray_before.std(), rel=1e-4)
    spread, spread_before = np.ptp(found, axis=-1), np.ptp(patch, axis=-1)
    np.testing.assert_allclose(spread, drawn.prod() * spread_before, rtol=1e-3)


def test_nothing_is_trained_that_should_not_be() -> None:
    from dualad.design.parameters import CutpasteParams
    from dualad.methods.baselines.cutpaste import _classifier
    from dualad.methods.baselines.features import FeatureExtractor

    params = CutpasteParams(weights="random", input_size=32)
    model = _classifier(FeatureExtractor(params, (4,), 0), params)
    names = {variable.path for variable in model.trainable_variables}
    assert names and not any("bn" in name.lower() or "_blocks.10." in name for name in names)
    assert any("_blocks.11." in name for name in names)
    assert isinstance(model, keras.Model)
