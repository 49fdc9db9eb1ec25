"""Parameters of the dual autoencoder and of the controls: names and defaults.

`workflow/schemas/config.schema.yaml` documents the same keys for users; a test keeps the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Score = Literal["l2", "msle", "standardised", "blurred_z"]
ThresholdRule = Literal["closest_to_corner", "youden", "f1", "quantile"]
Criterion = Literal["validation_loss", "detection_metric"]


@dataclass(frozen=True)
class ThresholdParams:
    """How a score becomes a decision (section 3.6.2, eq. 36)."""

    rule: ThresholdRule = "closest_to_corner"
    q: float = 0.95
    """Quantile of the validation normals' scores, for the rule `quantile`."""


@dataclass(frozen=True)
class SearchParams:
    """Keras Tuner's search over dropout rates (section 3.3, tables 2 and 3)."""

    tuner: Literal["random", "bayesian", "hyperband"] = "random"
    trials: int = 20
    epochs: int = 50
    max_dropout: float = 0.5
    learning_rates: tuple[float, ...] = ()
    """Learning rates to choose from; empty leaves the learning rate alone."""


@dataclass(frozen=True)
class MonteCarloParams:
    """Monte Carlo dropout (section 3.3.4, eqs. 29-32)."""

    samples: int = 100
    error: Literal["mean", "deterministic"] = "mean"
    """The error in `error + lambda * sigma`: eq. 31's mean, or the score with dropout off."""
    lambdas: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 3.0)
    """Candidates for lambda; the validation AUROC chooses, the smaller one on a tie."""


@dataclass(frozen=True)
class CommonParams:
    """What every family has: the evaluator reads these."""

    seed: int | Literal["dynamic", "none"] = "dynamic"
    """`dynamic` is eq. 24; an integer s seeds NumPy, TensorFlow, Python with s, s + 1, s + 2;
    `none` asks the operating system for a seed, which no second run will get again."""
    repeat: int = 0
    """Which of the seeds derived from `seed`: 0 is `seed` itself, r is 1000 r further."""
    threshold: ThresholdParams = field(default_factory=ThresholdParams)
    calibrator: Literal["logistic", "isotonic"] = "logistic"
    """What turns a score into a probability, fitted on validation."""


@dataclass(frozen=True)
class DualAutoencoderParams(CommonParams):
    """The paper's method; defaults are the paper's where it names one."""

    encoders: tuple[Literal["image", "pixel"], ...] = ("image", "pixel")
    encoder_widths: tuple[int, ...] = (2048, 1024, 512, 256)
    decoder_widths: tuple[int, ...] = (512, 1024, 2048)
    leaky_relu_slope: float = 0.3
    learning_rate: float = 3e-4
    centering: bool = False
    """Subtract the training-mean image before the encoders and start the output at its logit."""
    batch_size: int | Literal["adaptive"] = "adaptive"
    """`adaptive` is eq. 25."""
    dropout: float | tuple[float, ...] | Literal["tuned"] = "tuned"
    """One rate for all layers, one per dropout layer, or what the search finds."""
    search: SearchParams = field(default_factory=SearchParams)
    epochs: int = 1000
    """Upper limit per attempt."""
    early_stopping: bool = True
    stop_on: Criterion = "detection_metric"
    """What has to keep improving within an attempt: smoothed TPR + TNR, or the validation loss."""
    patience: int = 50
    """Epochs without improvement before an attempt stops."""
    ema_alpha: float = 0.3
    """Weight of the newest detection metric in its moving average (eq. 27)."""
    attempts: int = 10
    attempt_rule: Literal["pseudocode", "all"] = "pseudocode"
    """`pseudocode`: stop once M_t <= M_{t-1} and M_{t-1} >= M_{t-2}; `all`: make every attempt."""
    select_by: Criterion = "validation_loss"
    """What picks the epoch and the attempt whose weights are kept."""
    divergence_factor: float = 1.5
    """An attempt whose final loss exceeds this multiple of the mean image's has diverged."""
    score: Score = "l2"
    blur_sigmas: tuple[float, ...] = (2.0, 1.0, 4.0)
    """Blurs that `blurred_z` may use, in pixels of a 68 x 68 image; the validation AUROC chooses,
    the first on a tie or where validation has one class."""
    mc: MonteCarloParams = field(default_factory=MonteCarloParams)


@dataclass(frozen=True)
class MeanImageParams(CommonParams):
    """Control: distance to the training-mean image."""


@dataclass(frozen=True)
class PCAParams(CommonParams):
    """Control: reconstruction error of a principal component analysis."""

    components: int = 64


@dataclass(frozen=True)
class PixelStdParams(CommonParams):
    """Control: negative standard deviation of an image's pixels."""


@dataclass(frozen=True)
class ExternalParams(CommonParams):
    """A method of the user's own, in a file outside the package."""

    module: str = ""
    """Path of a Python file."""
    class_name: str = "Method"
    """Its class that meets `dualad.methods.base.Detector`."""
    input_size: int | None = None
    """Side of the colour images that it sees; None for the common gray ones."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it wants to know."""
