"""Batches of one fixed size, so that every compiled function is compiled for one shape only."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def filled(rows: Array, size: int) -> Array:
    """Rows (n, ...), filled up to a multiple of `size` by repeating them from the first on.

    Parameters
    ----------
    rows : array (n, ...), n at least 1
    size : int
        Rows of a batch, at least 1.

    Returns
    -------
    array (ceil(n / size) * size, ...) of the same dtype
    """
    total = math.ceil(len(rows) / size) * size
    return np.resize(rows, (total, *rows.shape[1:]))


def slices(rows: Array, size: int) -> Iterator[Array]:
    """Rows (n, ...), `size` at a time and in order; the last part may be shorter."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def map_batches(
    function: Callable[[Array], Sequence[Any]], rows: Array, size: int
) -> list[npt.NDArray[Any]]:
    """Outputs of a function that takes `size` rows at a time, for any number of rows.

    Because the function always sees the same shape, what it returns for a row does not depend on
    how many other rows there are.

    Parameters
    ----------
    function : callable
        Takes an array (size, ...), returns a sequence of arrays or tensors (size, ...).
    rows : array (n, ...), n at least 1
    size : int

    Returns
    -------
    list of array (n, ...)
        One array per output of the function.
    """
    parts = [
        [np.asarray(output)[: len(batch)] for output in function(filled(batch, size))]
        for batch in slices(rows, size)
    ]
    return [np.concatenate(output) for output in zip(*parts, strict=True)]
