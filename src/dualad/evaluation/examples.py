"""Which anomalous test images are shown with a map of their saliency.

The choice depends on labels and names alone, so the images are known before they are scored, and
only for them saliency is computed.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

LOCALISED, LOCALISED_ACROSS = 5, 2
"""Rows of a localisation figure: of one dataset, and per dataset where there are several."""


def spread_over_defects(test: pd.DataFrame, count: int) -> pd.DataFrame:
    """Pick anomalous test images, the same ones for every method and whatever their scores.

    They are shared out evenly over the defect types and lie evenly within each type's images,
    so that the choice flatters nobody.
    """
    anomalies = test[test["label"] == 1].sort_values("image", kind="stable")
    groups = [group for _, group in anomalies.groupby("defect", sort=True)]
    shares = _shares([len(group) for group in groups], count)
    chosen = [
        group.iloc[((np.arange(share) + 0.5) / share * len(group)).astype(int)]
        for group, share in zip(groups, shares, strict=True)
        if share
    ]
    return pd.concat(chosen).reset_index(drop=True) if chosen else anomalies


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    shares = [0] * len(sizes)
    for _ in range(min(count, sum(sizes))):
        open_groups = [i for i, size in enumerate(sizes) if shares[i] < size]
        shares[min(open_groups, key=lambda i: (shares[i], i))] += 1
    return shares


def localised(table: pd.DataFrame, test: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Dataset indices, ascending, of the test images that the localisation figures show.

    Parameters
    ----------
    table
        Of the dataset (`dualad.data.dataset.Dataset.table`).
    test
        Dataset indices of all test images.
    """
    candidates = table.iloc[test].rename(columns={"source": "image"}).assign(index=test)
    shown = [spread_over_defects(candidates, count) for count in (LOCALISED, LOCALISED_ACROSS)]
    return np.unique(pd.concat(shown)["index"].to_numpy(dtype=np.int64))
