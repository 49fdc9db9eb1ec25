"""Batches of one size: nothing is lost, nothing is added."""

import numpy as np
import pytest

from dualad.network.batches import filled, map_batches, slices


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_rows_are_filled_up_with_the_first_ones(n: int) -> None:
    rows = np.arange(2 * n).reshape(n, 2)
    full = filled(rows, 4)
    assert len(full) % 4 == 0 and 0 <= len(full) - n < 4
    np.testing.assert_array_equal(full[:n], rows)
    for extra in range(n, len(full)):
        np.testing.assert_array_equal(full[extra], rows[extra % n])


@pytest.mark.parametrize("n", [1, 4, 9])
def test_a_function_sees_full_batches_and_answers_for_every_row_once(n: int) -> None:
    rows = np.arange(float(n))
    shapes = []

    def function(batch: np.ndarray) -> list[np.ndarray]:
        shapes.append(batch.shape)
        return [batch + 1, batch[:, np.newaxis] * [1, 2]]

    first, second = map_batches(function, rows, 4)
    assert set(shapes) == {(4,)}
    np.testing.assert_array_equal(first, rows + 1)
    np.testing.assert_array_equal(second, rows[:, np.newaxis] * [1, 2])
    assert np.concatenate(list(slices(rows, 4))).tolist() == rows.tolist()
