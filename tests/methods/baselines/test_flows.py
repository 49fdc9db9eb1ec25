"""Which half of the channels and which scale a coupling reads."""

import numpy as np
import pytest
import tensorflow as tf

from dualad.methods.baselines.flows import ConditionalFlow, CrossScaleNetwork


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("channels", [2, 5, 8])
def test_a_coupling_keeps_half_of_the_channels_rounded_down(
    channels: int, rng: np.random.Generator
) -> None:
    flow = ConditionalFlow(channels, code=3, blocks=1, clamp=1.9, rng=rng)
    (network,) = flow.networks
    assert network.input_shape == (None, channels // 2 + 3)
    assert network.output_shape == (None, 2 * (channels - channels // 2))


@pytest.mark.parametrize("scales", [2, 3])
def test_every_scale_reads_itself_and_its_neighbours(scales: int, rng: np.random.Generator) -> None:
    """With a kernel of one pixel, nothing but the links between scales joins them."""
    network = CrossScaleNetwork(channels=2, scales=scales, hidden=8, kernel=1, rng=rng)
    maps = [
        tf.constant(rng.normal(size=(1, side, side, 2)), tf.float32) for side in (8, 4, 2)[:scales]
    ]
    network(maps)
    for gain in network.gains:
        gain.assign(tf.ones_like(gain))
    before = network(maps)
    for changed in range(scales):
        others = [x + 1 if scale == changed else x for scale, x in enumerate(maps)]
        after = network(others)
        differs = [not np.allclose(new, old) for new, old in zip(after, before, strict=True)]
        assert differs == [abs(scale - changed) <= 1 for scale in range(scales)]
