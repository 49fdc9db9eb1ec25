"""Parameters of the eleven baselines: names and defaults, called as in each publication.

`workflow/schemas/config.schema.yaml` documents the same keys for users; a test keeps the two equal.
"""

from dataclasses import dataclass
from typing import Literal

from dualad.design.parameters import CommonParams

Backbone = Literal[
    "mobilenet_v2",
    "resnet50",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
]


@dataclass(frozen=True)
class ColourParams(CommonParams):
    """What every method has that sees the images in colour, from a cache of its own."""

    input_size: int = 224
    """Side, in pixels, of the square images that the method sees."""


@dataclass(frozen=True)
class FeatureParams(ColourParams):
    """What every method on a pretrained network has."""

    backbone: Backbone = "mobilenet_v2"
    weights: str = "imagenet"
    """`imagenet`, which Keras downloads; `random`, which is no pretrained network at all and is
    said wherever the result appears; or the path of a weights file."""


@dataclass(frozen=True)
class PadimParams(FeatureParams):
    """PaDiM (Defard et al., ICPR 2021)."""

    channels: int = 100
    """How many of the concatenated channels are kept, drawn at random."""
    regularization: float = 0.01
    """Added to the diagonal of every covariance."""


@dataclass(frozen=True)
class PatchcoreParams(FeatureParams):
    """PatchCore (Roth et al., CVPR 2022)."""

    patch: int = 3
    """Side of the neighbourhood whose mean describes a position."""
    max_patches: int = 50000
    """Most patches that the core set is chosen from: bounds memory and time."""
    coreset: float = 0.1
    """Share of them that the memory bank keeps."""
    projection: int = 128
    """Dimension of the random projection in which the core set is chosen."""
    neighbours: int = 9
    """Rows of the bank around the nearest one that weigh the score."""


@dataclass(frozen=True)
class CutpasteParams(FeatureParams):
    """CutPaste, three-way (Li et al., CVPR 2021)."""

    input_size: int = 128
    head: int = 128
    """Units of the classifier's hidden layer."""
    steps: int = 200
    """Training steps."""
    batch_size: int = 32
    """Normal images of a step; each also comes with a patch and with a scar."""
    learning_rate: float = 0.001
    """Of stochastic gradient descent, falling along a cosine. The publication's 0.03 is for a
    network trained from scratch; with batch normalisation held fixed it diverges."""
    momentum: float = 0.9
    """Of the descent."""
    weight_decay: float = 3e-5
    """Of the descent."""


@dataclass(frozen=True)
class UtradParams(FeatureParams):
    """UTRAD (Chen et al., Neural Networks 147, 2022)."""

    grid: int = 32
    """Side of the grid to which all stages are brought, a multiple of 16."""
    width: int = 256
    """Length of a token."""
    bottleneck: int = 64
    """Length to which tokens shrink on the way across."""
    heads: int = 4
    """Of every self-attention."""
    max_images: int = 500
    """Most images that are trained on: bounds memory."""
    epochs: int = 60
    """Passes over them."""
    batch_size: int = 16
    """Images of a step."""
    learning_rate: float = 1e-4
    """Adam's."""


@dataclass(frozen=True)
class CflowParams(FeatureParams):
    """CFLOW-AD (Gudovskiy et al., WACV 2022)."""

    blocks: int = 8
    """Affine couplings per level."""
    clamp: float = 1.9
    """Bound of the logarithms of their scales."""
    code: int = 128
    """Length of the position code, a multiple of 4."""
    max_images: int = 1000
    """Most images that are trained on: bounds memory."""
    steps: int = 1500
    """Training steps per level."""
    batch_size: int = 256
    """Feature vectors of a step."""
    learning_rate: float = 1e-3
    """Adam's; the publication's 2e-4 goes with a hundred times as many steps."""


@dataclass(frozen=True)
class CsFlowParams(FeatureParams):
    """CS-Flow (Rudolph et al., WACV 2022)."""

    hidden: int = 64
    """Channels inside the couplings' networks."""
    kernels: tuple[int, ...] = (3, 3, 3, 5)
    """Sides of the convolutions, one coupling block each."""
    clamp: float = 3.0
    """Bound of the logarithms of the couplings' scales."""
    max_images: int = 1000
    """Most images that are trained on: bounds memory."""
    epochs: int = 30
    """Passes over them."""
    batch_size: int = 16
    """Images of a step."""
    learning_rate: float = 2e-4
    """Adam's."""
    weight_decay: float = 1e-5
    """Adam's."""
    max_gradient: float = 1.0
    """Largest norm of a gradient; longer ones are shortened."""


@dataclass(frozen=True)
class SimplenetParams(FeatureParams):
    """SimpleNet (Liu et al., CVPR 2023)."""

    patch: int = 3
    """Side of the neighbourhood whose mean describes a position."""
    max_patches: int = 200000
    """Most patches that are trained on: bounds memory."""
    noise: float = 0.15
    """Standard deviation of the noise that makes features anomalous, relative to the features'
    own. The publication's 0.015 is in units of WideResNet50's features."""
    hidden: int = 1024
    """Units of the discriminator's hidden layer."""
    margin: float = 0.5
    """Of the hinge loss."""
    steps: int = 500
    """Training steps."""
    batch_size: int = 2048
    """Patches of a step."""
    learning_rate: float = 2e-4
    """Adam's, for the discriminator."""
    adaptor_learning_rate: float = 1e-4
    """Adam's, for the adaptor."""
    weight_decay: float = 1e-5
    """Of the discriminator."""


@dataclass(frozen=True)
class AdprParams(FeatureParams):
    """ADPR (Mishra et al., ICPR 2021), an interpretation."""

    input_size: int = 128
    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of the pyramid's levels, each half as large as the one before."""
    code: int = 8
    """Channels to which every level is squeezed."""
    perceptual: float = 0.1
    """Weight of the difference of features in the loss."""
    epochs: int = 40
    """Passes over the training images."""
    batch_size: int = 16
    """Images of a step."""
    learning_rate: float = 1e-3
    """Adam's."""


@dataclass(frozen=True)
class CitnParams(ColourParams):
    """CITN (Bhushan et al., PARC 2024), an interpretation."""

    input_size: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of the levels, each half as large as the one before."""
    instances: int = 3
    """How often each transformation is applied to an image that is scored."""
    epochs: int = 100
    """Passes over the training images."""
    batch_size: int = 16
    """Images of a step."""
    learning_rate: float = 1e-3
    """Adam's."""


@dataclass(frozen=True)
class MgadParams(FeatureParams):
    """MGAD (Wei et al., Measurement Science and Technology 35, 2024), an interpretation."""

    mixture: int = 2
    """Components of each position's mixture."""
    components: int = 12
    """Principal components that are kept of the features."""
    max_images: int = 500
    """Most images that are fitted on: bounds memory and time."""
    regularization: float = 0.01
    """Added to the diagonal of every covariance."""


@dataclass(frozen=True)
class MpdeParams(CommonParams):
    """MPDE (Azri et al., Journal of Quality Measurement and Analysis 21, 2025), an interpretation.

    It sees the gray images that the dual autoencoder sees.
    """

    encoder_widths: tuple[int, ...] = (2048, 1024, 512, 256)
    """Units of each encoder's layers."""
    decoder_widths: tuple[int, ...] = (512, 1024, 2048)
    """Units of the decoder's hidden layers."""
    dropout: float = 0.2
    """Rate of every dropout layer."""
    batch_size: int = 128
    """Images of a step."""
    learning_rates: tuple[float, ...] = (3e-4, 1e-4, 3e-5)
    """Adam's in each phase."""
    epochs: int = 30
    """Of each phase."""
