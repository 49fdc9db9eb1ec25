"""Parameters of the eleven baselines: names and defaults, called as in each publication.

`workflow/schemas/config.schema.yaml` documents the same keys for users; a test keeps the two equal.
"""

from dataclasses import dataclass
from typing import Literal

from dualad.params import CommonParams

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


@dataclass(frozen=True)
class PatchcoreParams(FeatureParams):
    """PatchCore (Roth et al., CVPR 2022)."""


@dataclass(frozen=True)
class CutpasteParams(FeatureParams):
    """CutPaste, three-way (Li et al., CVPR 2021)."""


@dataclass(frozen=True)
class UtradParams(FeatureParams):
    """UTRAD (Chen et al., Neural Networks 147, 2022)."""


@dataclass(frozen=True)
class CflowParams(FeatureParams):
    """CFLOW-AD (Gudovskiy et al., WACV 2022)."""


@dataclass(frozen=True)
class CsFlowParams(FeatureParams):
    """CS-Flow (Rudolph et al., WACV 2022)."""


@dataclass(frozen=True)
class SimplenetParams(FeatureParams):
    """SimpleNet (Liu et al., CVPR 2023)."""


@dataclass(frozen=True)
class AdprParams(FeatureParams):
    """ADPR (Mishra et al., ICPR 2021), an interpretation."""


@dataclass(frozen=True)
class CitnParams(ColourParams):
    """CITN (Bhushan et al., PARC 2024), an interpretation."""


@dataclass(frozen=True)
class MgadParams(FeatureParams):
    """MGAD (Wei et al., Measurement Science and Technology 35, 2024), an interpretation."""


@dataclass(frozen=True)
class MpdeParams(CommonParams):
    """MPDE (Azri et al., Journal of Quality Measurement and Analysis 21, 2025), an interpretation.

    It sees the gray images that the dual autoencoder sees.
    """
