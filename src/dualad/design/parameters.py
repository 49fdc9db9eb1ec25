"""Parameters of the configuration's sections and of every family of methods.

Each field is one configuration key, and everything about that key stands here. `make config-docs`
writes the schema and the tables of `config/README.md` from it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal

from dualad.design.keys import key

Score = Literal["l2", "msle", "standardised", "blurred_z"]
FeatureScore = Literal["standardised", "mahalanobis", "standardised_mean", "mahalanobis_mean"]
ThresholdRule = Literal["closest_to_corner", "youden", "f1", "quantile", "conformal", "fixed"]
Criterion = Literal["validation_loss", "detection_metric"]
Backbone = Literal[
    "efficientnet_lite0",
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


RULES_ON_NORMALS: tuple[ThresholdRule, ...] = ("quantile", "conformal", "fixed")
"""Rules for a threshold that need no anomalous validation image."""

LARGEST_SEED = 2**31 - 1
"""Seeds of NumPy are below 2**32, and the numbers of repeats are added to a seed."""


@dataclass(frozen=True)
class EvaluationParams:
    """Settings of the evaluator, the same for every method."""

    bootstrap: int = key(
        "number of resamples behind every interval but those of rates, 0 for none", 1000, minimum=0
    )
    confidence: float = key("confidence level of the intervals", 0.95, above=0, below=1)
    ece_bins: int = key("number of bins of the expected calibration error", 10, minimum=1)
    fpr_limit: float = key(
        "false positive rate up to which AUPRO integrates", 0.3, above=0, maximum=1
    )


@dataclass(frozen=True)
class ComputeParams:
    """What a job may use."""

    threads: int = key(
        "number of threads of a job that computes. Networks use this many whatever `--cores` is, "
        "because another number changes the last digits of a result",
        2,
        minimum=1,
    )
    gpu: Literal[0, 1] = key(
        "number of GPUs that a job with a network asks for. With 1 such jobs take turns, as "
        "`--resources gpu=1` allows, and run on the CPU where there is no GPU; with 0 they run on "
        "the CPU, as many at a time as `--cores` has room for",
        1,
    )
    gpu_memory_mb: int = key(
        "GPU memory in MiB that TensorFlow may take, without the CUDA context", 5600, minimum=512
    )
    tf32: bool = key(
        "whether a GPU may round the factors of matrix products and convolutions to 10 bits after "
        "the point (TF32). Faster from the Ampere generation on; cards differ more in their "
        "results, which older ones and CPUs compute in full precision either way",
        False,
    )
    environment: Literal["cpu", "gpu"] = key(
        "conda environment of the jobs, which is read with `--sdm conda` only", "cpu"
    )


@dataclass(frozen=True)
class ThresholdParams:
    """How a score becomes a decision (section 3.6.2, eq. 36)."""

    rule: ThresholdRule = key(
        "how the threshold is chosen on the validation images; `quantile` and `conformal` need no "
        "anomalies, `conformal` bounds the false positive rate by `alpha`, and `fixed` takes "
        "`value`",
        "closest_to_corner",
        stage="evaluate",
    )
    q: float = key(
        "quantile of the scores of the validation normals, for the rule `quantile`",
        0.95,
        stage="evaluate",
        above=0,
        below=1,
    )
    alpha: float = key(
        "wanted false positive rate, for the rule `conformal`; needs 1 / alpha - 1 validation "
        "normals",
        0.05,
        stage="evaluate",
        above=0,
        below=1,
    )

    value: float | None = key(
        "threshold itself, for the rule `fixed`: images that score above it are called anomalous",
        None,
        stage="evaluate",
    )

    @property
    def exact_alpha(self) -> Fraction:
        """`alpha` as the decimal number that was written, free of binary rounding.

        In floating point, (1 - 0.95) * 20 is above 1 and (n + 1)(1 - alpha) may round up to the
        next whole number, which would ask for one image too many.
        """
        return Fraction(str(self.alpha))

    @property
    def normals_needed(self) -> int:
        """Fewest validation normals with which the rule has a threshold; 0 without `conformal`.

        n normals allow no wanted rate below 1 / (n + 1).
        """
        return ceil(1 / self.exact_alpha - 1) if self.rule == "conformal" else 0


@dataclass(frozen=True)
class SearchParams:
    """Keras Tuner's search over dropout rates (section 3.3, Tables 2 and 3)."""

    tuner: Literal["random", "bayesian", "hyperband"] = key("Keras Tuner's algorithm", "random")
    trials: int = key(
        "number of trials; `hyperband` makes as many as its schedule has for `epochs`",
        20,
        minimum=1,
    )
    epochs: int = key(
        "number of epochs of a trial; for `hyperband` the most of any trial", 50, minimum=1
    )
    max_dropout: float = key("largest dropout rate that is tried", 0.5, above=0, below=1)
    learning_rates: tuple[float, ...] = key(
        "learning rates to choose from; an empty list leaves the learning rate alone",
        (),
        above=0,
        empty=True,
    )


@dataclass(frozen=True)
class MonteCarloParams:
    """Monte Carlo dropout (section 3.3.4, eqs. 29-32)."""

    samples: int = key(
        "number of passes with fresh dropout masks, 0 for none", 100, stage="score", minimum=0
    )
    error: Literal["mean", "deterministic"] = key(
        "error that the uncertainty is added to: the mean over the samples (eq. 31), or the score "
        "with dropout off",
        "mean",
        stage="score",
    )
    lambdas: tuple[float, ...] = key(
        "weights of the uncertainty, of which the validation AUROC chooses one, the smaller one on "
        "a tie",
        (0.0, 0.5, 1.0, 2.0, 3.0),
        stage="score",
        minimum=0,
    )


@dataclass(frozen=True)
class CommonParams:
    """Parameters that every family has."""

    seed: int | Literal["dynamic", "none"] = key(
        "seed of the method: `dynamic` for equation 24, `none` for one that no second run gets, or "
        "an integer s, which seeds NumPy, TensorFlow and Python with s, s + 1 and s + 2",
        "dynamic",
        minimum=0,
        maximum=LARGEST_SEED,
    )
    repeat: int = key(
        "which of the seeds derived from `seed`: 0 is `seed` itself, r lies 1000 r further; "
        "`repeats` sets it",
        0,
        minimum=0,
        maximum=1_000_000,
    )
    threshold: ThresholdParams = key(
        "rule that turns a score into a decision", ThresholdParams(), stage="evaluate"
    )
    calibrator: Literal["logistic", "isotonic"] = key(
        "model that turns a score into a probability, fitted on the validation images",
        "logistic",
        stage="evaluate",
    )


def _dropout_names(
    encoders: Mapping[str, tuple[int, ...]], decoder_widths: tuple[int, ...]
) -> tuple[str, ...]:
    """Names of dropout rates, `image_0` to `decoder_2` in the paper's network.

    Every layer of an encoder but the last has one, and every hidden layer of the decoder.
    """
    return (
        *(
            f"{name}_{layer}"
            for name, widths in encoders.items()
            for layer in range(len(widths) - 1)
        ),
        *(f"decoder_{layer}" for layer in range(len(decoder_widths))),
    )


@dataclass(frozen=True)
class AdaptiveParams(CommonParams, ABC):
    """Parameters of the adaptive pipeline around a network; the defaults are the paper's."""

    leaky_relu_slope: float = key("slope of the leaky ReLU for negative inputs", 0.3, minimum=0)
    learning_rate: float = key("learning rate of Adam", 3e-4, above=0)
    batch_size: int | Literal["adaptive"] = key(
        "number of images of a training step; `adaptive` for equation 25", "adaptive", minimum=1
    )
    dropout: float | tuple[float, ...] | Literal["tuned"] = key(
        "dropout rate of all layers, a list with one rate for each dropout layer, or `tuned` for "
        "the rates that the search finds",
        "tuned",
        stage="train",
        minimum=0,
        below=1,
    )
    search: SearchParams = key("search over the dropout rates", SearchParams())
    epochs: int = key("most epochs of an attempt", 1000, stage="train", minimum=1)
    early_stopping: bool = key(
        "whether an attempt ends when `stop_on` no longer improves", True, stage="train"
    )
    stop_on: Criterion = key(
        "criterion that has to keep improving within an attempt: the smoothed TPR + TNR, or the "
        "validation loss",
        "detection_metric",
        stage="train",
    )
    patience: int = key(
        "number of epochs without improvement after which an attempt stops",
        50,
        stage="train",
        minimum=1,
    )
    ema_alpha: float = key(
        "weight of the newest value in the smoothed detection metric (eq. 27)",
        0.3,
        stage="train",
        above=0,
        maximum=1,
    )
    attempts: int = key("most attempts", 10, stage="train", minimum=1)
    attempt_rule: Literal["pseudocode", "all"] = key(
        "when the attempts end: `pseudocode` ends them once M_t <= M_{t-1} and M_{t-1} >= M_{t-2}, "
        "`all` makes every one",
        "pseudocode",
        stage="train",
    )
    select_by: Criterion = key(
        "criterion that selects the epoch and the attempt whose weights are kept",
        "validation_loss",
        stage="train",
    )
    divergence_factor: float = key(
        "multiple of the mean image's loss above which an attempt has diverged",
        1.5,
        stage="train",
        above=0,
    )
    mc: MonteCarloParams = key("Monte Carlo dropout", MonteCarloParams(), stage="score")

    @property
    @abstractmethod
    def dropout_names(self) -> tuple[str, ...]:
        """Names of the dropout rates in the order of the layers: encoders first, then decoder."""


@dataclass(frozen=True)
class DualAutoencoderParams(AdaptiveParams):
    """Parameters of the paper's method; the defaults are the paper's where it names one."""

    encoders: tuple[Literal["image", "pixel"], ...] = key(
        "encoders of the network", ("image", "pixel"), unique=True
    )
    encoder_widths: tuple[int, ...] = key(
        "units of the layers of each encoder, the last of which is its code",
        (2048, 1024, 512, 256),
        minimum=1,
    )
    decoder_widths: tuple[int, ...] = key(
        "units of the hidden layers of the decoder", (512, 1024, 2048), minimum=1
    )
    centering: bool = key(
        "whether the training-mean image is subtracted before the encoders and the output starts "
        "at its logit (an extension of the paper's method)",
        False,
    )
    score: Score | Literal["auto"] = key(
        "score that decides; `auto` for the one of highest validation AUROC, or `blurred_z` where "
        "the validation images are of one class",
        "l2",
        stage="score",
    )
    blur_sigmas: tuple[float, ...] = key(
        "blurs that `blurred_z` may use, in pixels of a 68 x 68 image; the validation AUROC "
        "chooses one, the first on a tie or where the validation images are of one class",
        (2.0, 1.0, 4.0),
        stage="train",
        above=0,
    )

    @property
    def dropout_names(self) -> tuple[str, ...]:
        encoders = {str(name): self.encoder_widths for name in self.encoders}
        return _dropout_names(encoders, self.decoder_widths)


@dataclass(frozen=True)
class SupervisedParams(CommonParams):
    """Parameters of the logistic regression on labelled validation images."""

    folds: int = key(
        "number of parts of the validation images; each is scored by a regression that is fitted "
        "on the others, and every fit is divided so once more to choose the penalty",
        5,
        minimum=2,
    )
    penalties: tuple[float, ...] = key(
        "strengths of the L2 penalty to choose from, 1 / C in scikit-learn's words",
        (1e4, 1e3, 1e2, 1e1, 1e0, 1e-1),
        above=0,
        unique=True,
    )


@dataclass(frozen=True)
class DualHybridParams(SupervisedParams):
    """Parameters of the regression on what a dual autoencoder finds."""

    network: str = key(
        "name of the method whose network is used, of the family `dual_autoencoder`", "dual_plus"
    )


@dataclass(frozen=True)
class PixelsSupervisedParams(SupervisedParams):
    """Parameters of the regression on the principal components of the pixels."""

    components: int = key("number of principal components of the training images", 64, minimum=1)


@dataclass(frozen=True)
class MeanImageParams(CommonParams):
    """Parameters of the control that measures the distance to the training-mean image."""


@dataclass(frozen=True)
class PCAParams(CommonParams):
    """Parameters of the control that reconstructs from principal components."""

    components: int = key("number of principal components", 64, minimum=1)


@dataclass(frozen=True)
class PixelStdParams(CommonParams):
    """Parameters of the control that takes the standard deviation of the pixels."""


@dataclass(frozen=True)
class BrightnessParams(CommonParams):
    """Parameters of the control that takes the mean of the pixels."""


@dataclass(frozen=True)
class GradientParams(CommonParams):
    """Parameters of the control that takes the mean absolute gradient."""


@dataclass(frozen=True)
class ExternalParams(CommonParams):
    """Parameters of a method of the user's own, in a file outside the package."""

    module: str = key("path of the Python file", "", empty=True)
    class_name: str = key(
        "class in that file that derives from `dualad.methods.base.Detector`", "Method"
    )
    input_size: int | None = key(
        "side in pixels of the colour images that the method sees; null for the common grey ones",
        None,
        minimum=8,
        maximum=1024,
    )
    options: Mapping[str, Any] = key("whatever the class reads from `params.options`", {})


@dataclass(frozen=True)
class ColourParams(CommonParams):
    """Parameters of methods that see the images in colour, from a cache of their own."""

    input_size: int = key(
        "side in pixels of the square images that the method sees; every size has a cache of its "
        "own",
        224,
        minimum=32,
        maximum=1024,
    )


@dataclass(frozen=True)
class FeatureParams(ColourParams):
    """Parameters of methods on a pretrained network."""

    backbone: Backbone = key("pretrained network whose features are used", "efficientnet_lite0")
    weights: str = key(
        "weights of the backbone: `imagenet`, which come with the installation for "
        "`efficientnet_lite0` and which Keras downloads for the others; `random`, which is no "
        "pretrained network at all and is said wherever the result appears; or the path of a file",
        "imagenet",
    )


@dataclass(frozen=True)
class DualFeaturesParams(AdaptiveParams, FeatureParams):
    """Parameters of the dual encoder on pretrained features, an extension of the paper's method."""

    encoders: tuple[Literal["image", "pixel"], ...] = key(
        "encoders of the network", ("image", "pixel"), unique=True
    )
    image_encoder_widths: tuple[int, ...] = key(
        "units of the layers of the image encoder, the last of which is its code",
        (256, 64),
        minimum=1,
    )
    pixel_encoder_widths: tuple[int, ...] = key(
        "units of the layers of the pixel encoder, the last of which is its code",
        (256, 32),
        minimum=1,
    )
    decoder_widths: tuple[int, ...] = key(
        "units of the hidden layers of the decoder", (256, 256), minimum=1
    )
    locations: int = key(
        "number of locations of each image in a training step; an epoch sees every location once",
        16,
        minimum=1,
    )
    max_images: int = key(
        "most images, training and validation together, whose features are kept in memory for "
        "training",
        2000,
        minimum=2,
    )
    learning_rate: float = key("learning rate of Adam", 1e-3, above=0)
    search: SearchParams = key("search over the dropout rates", SearchParams(trials=8, epochs=4))
    epochs: int = key("most epochs of an attempt", 40, stage="train", minimum=1)
    patience: int = key(
        "number of epochs without improvement after which an attempt stops",
        8,
        stage="train",
        minimum=1,
    )
    channels: int = key(
        "number of channels, drawn at random, whose residuals' covariance is estimated together "
        "with that of the pixel encoder's code",
        100,
        stage="train",
        minimum=1,
    )
    shrinkage: float = key(
        "share of the covariance of all locations in that of each location",
        0.1,
        stage="train",
        minimum=0,
        maximum=1,
    )
    score: FeatureScore | Literal["auto"] = key(
        "score that decides; `auto` for the one of highest validation AUROC, or `mahalanobis` "
        "where the validation images are of one class",
        "auto",
        stage="score",
    )
    mc: MonteCarloParams = key("Monte Carlo dropout", MonteCarloParams(samples=20), stage="score")

    @property
    def dropout_names(self) -> tuple[str, ...]:
        widths = {"image": self.image_encoder_widths, "pixel": self.pixel_encoder_widths}
        return _dropout_names({name: widths[name] for name in self.encoders}, self.decoder_widths)


@dataclass(frozen=True)
class PadimParams(FeatureParams):
    """Parameters of PaDiM (Defard et al., ICPR 2021)."""

    channels: int = key(
        "number of the concatenated channels that are kept, drawn at random", 100, minimum=1
    )
    regularization: float = key("constant added to the diagonal of every covariance", 0.01, above=0)


@dataclass(frozen=True)
class PatchcoreParams(FeatureParams):
    """Parameters of PatchCore (Roth et al., CVPR 2022)."""

    patch: int = key("side of the neighbourhood whose mean describes a position", 3, minimum=1)
    max_patches: int = key(
        "most patches that the core set is chosen from, which bounds memory and time",
        50000,
        minimum=1,
    )
    coreset: float = key("share of the patches that the memory bank keeps", 0.1, above=0, maximum=1)
    projection: int = key(
        "dimension of the random projection in which the core set is chosen", 128, minimum=1
    )
    neighbours: int = key(
        "number of rows of the bank around the nearest one that weigh the score", 9, minimum=1
    )


@dataclass(frozen=True)
class CutpasteParams(FeatureParams):
    """Parameters of CutPaste, the three-way variant (Li et al., CVPR 2021)."""

    input_size: int = key(
        "side in pixels of the square images that the method sees", 128, minimum=32, maximum=1024
    )
    head: int = key("units of the hidden layer of the classifier", 128, minimum=1)
    steps: int = key("number of training steps", 200, minimum=1)
    batch_size: int = key(
        "number of normal images of a step, each of which also comes with a patch and with a scar",
        32,
        minimum=1,
    )
    learning_rate: float = key(
        "learning rate of stochastic gradient descent, falling along a cosine. The publication's "
        "0.03 is for a network trained from scratch; with batch normalisation held fixed it "
        "diverges",
        0.001,
        above=0,
    )
    momentum: float = key("momentum of stochastic gradient descent", 0.9, minimum=0, below=1)
    weight_decay: float = key(
        "weight decay of stochastic gradient descent", 3e-5, minimum=0, below=1
    )


@dataclass(frozen=True)
class UtradParams(FeatureParams):
    """Parameters of UTRAD (Chen et al., Neural Networks 147, 2022)."""

    grid: int = key("side of the grid to which all stages are brought", 32, minimum=16, multiple=16)
    width: int = key("length of a token", 256, minimum=1)
    bottleneck: int = key("length to which tokens shrink on the way across", 64, minimum=1)
    heads: int = key("number of heads of every self-attention", 4, minimum=1)
    max_images: int = key("most images that are trained on, which bounds memory", 500, minimum=1)
    epochs: int = key("number of passes over the training images", 60, minimum=1)
    batch_size: int = key("number of images of a step", 16, minimum=1)
    learning_rate: float = key("learning rate of Adam", 1e-4, above=0)


@dataclass(frozen=True)
class CflowParams(FeatureParams):
    """Parameters of CFLOW-AD (Gudovskiy et al., WACV 2022)."""

    blocks: int = key("number of affine couplings of each level", 8, minimum=1)
    clamp: float = key("bound of the logarithms of the couplings' scales", 1.9, above=0)
    code: int = key("length of the position code", 128, minimum=4, multiple=4)
    max_images: int = key("most images that are trained on, which bounds memory", 1000, minimum=1)
    steps: int = key("number of training steps of each level", 1500, minimum=1)
    batch_size: int = key("number of feature vectors of a step", 256, minimum=1)
    learning_rate: float = key(
        "learning rate of Adam; the publication's 2e-4 goes with a hundred times as many steps",
        1e-3,
        above=0,
    )


@dataclass(frozen=True)
class CsFlowParams(FeatureParams):
    """Parameters of CS-Flow (Rudolph et al., WACV 2022)."""

    hidden: int = key("number of channels inside the networks of the couplings", 64, minimum=1)
    kernels: tuple[int, ...] = key(
        "sides of the convolutions, one coupling block each", (3, 3, 3, 5), minimum=1
    )
    clamp: float = key("bound of the logarithms of the couplings' scales", 3.0, above=0)
    max_images: int = key("most images that are trained on, which bounds memory", 1000, minimum=1)
    epochs: int = key("number of passes over the training images", 30, minimum=1)
    batch_size: int = key("number of images of a step", 16, minimum=1)
    learning_rate: float = key("learning rate of Adam", 2e-4, above=0)
    weight_decay: float = key("weight decay of Adam", 1e-5, minimum=0, below=1)
    max_gradient: float = key(
        "largest norm of a gradient; longer gradients are shortened", 1.0, above=0
    )


@dataclass(frozen=True)
class SimplenetParams(FeatureParams):
    """Parameters of SimpleNet (Liu et al., CVPR 2023)."""

    patch: int = key("side of the neighbourhood whose mean describes a position", 3, minimum=1)
    max_patches: int = key(
        "most patches that are trained on, which bounds memory", 200000, minimum=1
    )
    noise: float = key(
        "standard deviation of the noise that makes features anomalous, relative to the features' "
        "own. The publication's 0.015 is in units of WideResNet50's features",
        0.15,
        above=0,
    )
    hidden: int = key("units of the hidden layer of the discriminator", 1024, minimum=1)
    margin: float = key("margin of the hinge loss", 0.5, above=0)
    steps: int = key("number of training steps", 500, minimum=1)
    batch_size: int = key("number of patches of a step", 2048, minimum=1)
    learning_rate: float = key("learning rate of the discriminator's Adam", 2e-4, above=0)
    adaptor_learning_rate: float = key("learning rate of the adaptor's Adam", 1e-4, above=0)
    weight_decay: float = key("weight decay of the discriminator", 1e-5, minimum=0, below=1)


@dataclass(frozen=True)
class AdprParams(FeatureParams):
    """Parameters of ADPR (Mishra et al., ICPR 2021), an interpretation."""

    input_size: int = key(
        "side in pixels of the square images that the method sees", 128, minimum=32, maximum=1024
    )
    widths: tuple[int, ...] = key(
        "numbers of channels of the pyramid's levels, each half as large as the one before",
        (16, 32, 64, 128),
        minimum=1,
    )
    code: int = key("number of channels to which every level is squeezed", 8, minimum=1)
    perceptual: float = key("weight of the difference of features in the loss", 0.1, minimum=0)
    epochs: int = key("number of passes over the training images", 40, minimum=1)
    batch_size: int = key("number of images of a step", 16, minimum=1)
    learning_rate: float = key("learning rate of Adam", 1e-3, above=0)


@dataclass(frozen=True)
class CitnParams(ColourParams):
    """Parameters of CITN (Bhushan et al., PARC 2024), an interpretation."""

    input_size: int = key(
        "side in pixels of the square images that the method sees", 64, minimum=32, maximum=1024
    )
    widths: tuple[int, ...] = key(
        "numbers of channels of the levels, each half as large as the one before",
        (16, 32, 64, 128),
        minimum=1,
    )
    instances: int = key(
        "how often each transformation is applied to an image that is scored", 3, minimum=1
    )
    epochs: int = key("number of passes over the training images", 100, minimum=1)
    batch_size: int = key("number of images of a step", 16, minimum=1)
    learning_rate: float = key("learning rate of Adam", 1e-3, above=0)


@dataclass(frozen=True)
class MgadParams(FeatureParams):
    """Parameters of MGAD (Wei et al., Meas. Sci. Technol. 35, 2024), an interpretation."""

    mixture: int = key("number of components of each position's mixture", 2, minimum=1)
    components: int = key(
        "number of principal components that are kept of the features", 12, minimum=1
    )
    max_images: int = key(
        "most images that are fitted on, which bounds memory and time", 500, minimum=2
    )
    regularization: float = key("constant added to the diagonal of every covariance", 0.01, above=0)


@dataclass(frozen=True)
class MpdeParams(CommonParams):
    """Parameters of MPDE (Azri et al., JQMA 21, 2025), an interpretation.

    The method sees the grey images that the dual autoencoder sees.
    """

    encoder_widths: tuple[int, ...] = key(
        "units of the layers of each encoder", (2048, 1024, 512, 256), minimum=1
    )
    decoder_widths: tuple[int, ...] = key(
        "units of the hidden layers of the decoder", (512, 1024, 2048), minimum=1
    )
    dropout: float = key("rate of every dropout layer", 0.2, minimum=0, below=1)
    batch_size: int = key("number of images of a step", 128, minimum=1)
    learning_rates: tuple[float, ...] = key(
        "learning rate of Adam in each phase", (3e-4, 1e-4, 3e-5), above=0
    )
    epochs: int = key("number of epochs of each phase", 30, minimum=1)
