"""Parameters of the method families: names, defaults, checks, and which stage each one touches.

`workflow/schemas/config.schema.yaml` documents the same keys for users; a test keeps the two equal.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar

from dualad.errors import DualadError

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

    seed: int | Literal["dynamic"] = "dynamic"
    """`dynamic` is eq. 24; an integer s seeds NumPy, TensorFlow, Python with s, s + 1, s + 2."""
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


FAMILIES: dict[str, type[CommonParams]] = {
    "dual_autoencoder": DualAutoencoderParams,
    "mean_image": MeanImageParams,
    "pca": PCAParams,
    "pixel_std": PixelStdParams,
}

T = TypeVar("T")
Stage = Literal["search", "train", "score"]

_EVALUATION_KEYS = frozenset({"threshold", "calibrator"})
_SCORING_KEYS = frozenset({"score", "mc"})
_TRAINING_KEYS = frozenset(
    {
        "dropout",
        "epochs",
        "early_stopping",
        "stop_on",
        "patience",
        "ema_alpha",
        "attempts",
        "attempt_rule",
        "select_by",
        "divergence_factor",
        "blur_sigmas",
    }
)


@dataclass(frozen=True)
class Method:
    """A named experiment arm: a family and its parameters, defaults filled in."""

    name: str
    family: str
    params: CommonParams

    @property
    def tunes_dropout(self) -> bool:
        """Whether a search comes before training."""
        return getattr(self.params, "dropout", None) == "tuned"

    def stage_params(self, stage: Stage) -> dict[str, Any]:
        """The parameters that can change what `stage` computes, as plain values."""
        dropped = {
            "search": _EVALUATION_KEYS | _SCORING_KEYS | _TRAINING_KEYS,
            "train": _EVALUATION_KEYS | _SCORING_KEYS,
            "score": _EVALUATION_KEYS,
        }[stage]
        if stage != "search" and not self.tunes_dropout:
            dropped = dropped | {"search"}
        kept = {key: value for key, value in asdict(self.params).items() if key not in dropped}
        return {"family": self.family, **kept}


def resolve_methods(
    methods: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Method]:
    """Turn the configuration's `methods` and `defaults` sections into `Method`s, in order.

    Raises
    ------
    DualadError
        On an unknown family or key or a value of the wrong type; the message names the key.
    """
    resolved = {}
    for name, entry in methods.items():
        overrides = dict(entry)
        family = overrides.pop("family", None)
        if family not in FAMILIES:
            raise DualadError(
                f"methods.{name}.family: unknown family {family!r}; "
                f"choose one of {', '.join(FAMILIES)}"
            )
        params: CommonParams = FAMILIES[family]()
        for where, values in (
            (f"defaults.{family}", (defaults or {}).get(family, {})),
            (f"methods.{name}", overrides),
        ):
            params = _override(params, values, where)
        resolved[name] = Method(name, family, params)
    return resolved


def stage_owner(methods: Mapping[str, Method], name: str, stage: Stage) -> str:
    """Name of the first method that computes the same `stage`; `name` itself if none is earlier."""
    wanted = methods[name].stage_params(stage)
    return next(
        other
        for other, method in methods.items()
        if method.stage_params(stage) == wanted
        and (stage != "search" or method.tunes_dropout or other == name)
    )


def _override(params: T, values: Mapping[str, Any], where: str) -> T:
    known = {f.name: f for f in fields(params)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise DualadError(f"{where}.{key}: unknown key; known here: {', '.join(known)}")
        current = getattr(params, key)
        if is_dataclass(current):
            if not isinstance(value, Mapping):
                raise DualadError(f"{where}.{key}: expected a mapping, got {value!r}")
            changes[key] = _override(current, value, f"{where}.{key}")
        else:
            changes[key] = tuple(value) if isinstance(value, list) else value
    return type(params)(**{f: changes.get(f, getattr(params, f)) for f in known})
