"""A strategy that draws what a method may say about a set of images."""

import numpy as np
from hypothesis import strategies as st

from dualad.evaluation.metrics import Judgement


@st.composite
def judgements(draw: st.DrawFn, n: int | None = None) -> Judgement:
    """Sets with both classes, tied scores, any decisions, with or without probabilities."""
    size = draw(st.integers(2, 60)) if n is None else n
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    labels = rng.permutation(np.arange(size) % draw(st.integers(2, min(size, 9))) == 0)
    return Judgement(
        labels=labels.astype(np.int64),
        scores=np.round(rng.normal(size=size) + labels, draw(st.integers(0, 3))),
        decisions=(rng.random(size) < draw(st.sampled_from([0, 0.1, 0.5, 1]))).astype(np.int64),
        probabilities=rng.random(size) if draw(st.booleans()) else None,
    )
