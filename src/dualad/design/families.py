"""The registry of method families: what each one is, and where its code stands.

Nothing is imported from the families' modules here: every invocation of the workflow reads this
file, and TensorFlow takes seconds to start.
"""

from dataclasses import dataclass
from typing import Literal

from dualad.design.parameters import (
    AdprParams,
    BrightnessParams,
    CflowParams,
    CitnParams,
    CommonParams,
    CsFlowParams,
    CutpasteParams,
    DualAutoencoderParams,
    DualFeaturesParams,
    DualHybridParams,
    ExternalParams,
    GradientParams,
    MeanImageParams,
    MgadParams,
    MpdeParams,
    PadimParams,
    PatchcoreParams,
    PCAParams,
    PixelsSupervisedParams,
    PixelStdParams,
    SimplenetParams,
    UtradParams,
)

Kind = Literal["dual", "semi-supervised", "control", "baseline"]
"""The kinds of families. What is `semi-supervised` learns from the labels of validation images; all
others are fitted on normal images, whatever a control or a baseline is called."""

SEMI_SUPERVISED: Literal["semi-supervised"] = "semi-supervised"
"""The kind of families that learn from labels, and the note that marks their results."""

ATTEMPTS = ("attempts.csv", "epochs.csv")
_FEATURES = ("backbone.keras", "model.npz")


@dataclass(frozen=True)
class Family:
    """One row of the paper's Table 7, and what the workflow needs to run it."""

    title: str
    kind: Kind
    category: str
    """Kind of mechanism."""
    summary: str
    """What it does, in a line."""
    publication: str
    params: type[CommonParams]
    module: str
    """Module below `dualad.methods`."""
    class_name: str
    model_files: tuple[str, ...]
    """What `Detector.save` leaves in the method's folder, and scoring needs."""
    uses_tensorflow: bool = True
    interpretation: bool = False
    """Whether the publication leaves so much open that this is our reading of it."""

    @property
    def is_control(self) -> bool:
        """Whether the family has no network, and so shows what can be had without one."""
        return self.kind == "control" or (self.kind == SEMI_SUPERVISED and not self.uses_tensorflow)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to stand beside every result of the family."""
        notes = {
            "interpretation": self.interpretation,
            SEMI_SUPERVISED: self.kind == SEMI_SUPERVISED,
        }
        return tuple(note for note, holds in notes.items() if holds)


FAMILIES: dict[str, Family] = {
    "dual_autoencoder": Family(
        title="Dual autoencoder",
        kind="dual",
        category="reconstruction",
        summary="two dense encoders, one decoder, tuned by the adaptive stability pipeline",
        publication="Pillai et al.",
        params=DualAutoencoderParams,
        module="dual_autoencoder",
        class_name="DualAutoencoder",
        model_files=("model.keras", "residuals.npz"),
    ),
    "dual_features": Family(
        title="Dual features",
        kind="dual",
        category="feature reconstruction",
        summary="the dual encoder reconstructs pretrained features location by location",
        publication="extension of Pillai et al.",
        params=DualFeaturesParams,
        module="dual_features",
        class_name="DualFeatures",
        model_files=("backbone.keras", "model.keras", "residuals.npz"),
    ),
    "mean_image": Family(
        title="Mean image",
        kind="control",
        category="control",
        summary="distance to the mean of the training images",
        publication="",
        params=MeanImageParams,
        module="controls",
        class_name="MeanImage",
        model_files=("model.npz",),
        uses_tensorflow=False,
    ),
    "pca": Family(
        title="PCA",
        kind="control",
        category="control",
        summary="error of the reconstruction from the leading principal components",
        publication="",
        params=PCAParams,
        module="controls",
        class_name="PrincipalComponents",
        model_files=("model.npz",),
        uses_tensorflow=False,
    ),
    "pixel_std": Family(
        title="Pixel deviation",
        kind="control",
        category="control",
        summary="standard deviation of an image's pixels; validation chooses the direction",
        publication="",
        params=PixelStdParams,
        module="controls",
        class_name="PixelStd",
        model_files=("model.npz",),
        uses_tensorflow=False,
    ),
    "gradient": Family(
        title="Gradient",
        kind="control",
        category="control",
        summary="mean absolute gradient of an image; validation chooses the direction",
        publication="",
        params=GradientParams,
        module="controls",
        class_name="Gradient",
        model_files=("model.npz",),
        uses_tensorflow=False,
    ),
    "brightness": Family(
        title="Brightness",
        kind="control",
        category="control",
        summary="mean of an image's pixels; validation chooses the direction",
        publication="",
        params=BrightnessParams,
        module="controls",
        class_name="Brightness",
        model_files=("model.npz",),
        uses_tensorflow=False,
    ),
    "dual_hybrid": Family(
        title="Dual hybrid",
        kind="semi-supervised",
        category="reconstruction and classification",
        summary="logistic regression on the scores, codes and statistics of a dual autoencoder",
        publication="",
        params=DualHybridParams,
        module="dual_hybrid",
        class_name="DualHybrid",
        model_files=("model.keras", "residuals.npz", "regression.npz"),
    ),
    "pixels_supervised": Family(
        title="Supervised pixels",
        kind="semi-supervised",
        category="classification",
        summary="logistic regression on the principal components of the pixels: no network",
        publication="",
        params=PixelsSupervisedParams,
        module="pixels_supervised",
        class_name="PixelsSupervised",
        model_files=("model.npz", "regression.npz"),
        uses_tensorflow=False,
    ),
    "adpr": Family(
        title="ADPR",
        kind="baseline",
        category="reconstruction",
        summary="convolutional autoencoder that joins the levels of a feature pyramid",
        publication="Mishra et al., ICPR 2021",
        params=AdprParams,
        module="baselines.adpr",
        class_name="Adpr",
        model_files=("model.keras",),
        interpretation=True,
    ),
    "cutpaste": Family(
        title="CutPaste",
        kind="baseline",
        category="self-supervision",
        summary="tells images from images with a pasted patch or scar; Gaussian on the embedding",
        publication="Li et al., CVPR 2021",
        params=CutpasteParams,
        module="baselines.cutpaste",
        class_name="Cutpaste",
        model_files=("model.keras", "model.npz"),
    ),
    "padim": Family(
        title="PaDiM",
        kind="baseline",
        category="feature distribution",
        summary="a Gaussian of pretrained features for every position",
        publication="Defard et al., ICPR 2021",
        params=PadimParams,
        module="baselines.padim",
        class_name="Padim",
        model_files=_FEATURES,
    ),
    "utrad": Family(
        title="UTRAD",
        kind="baseline",
        category="feature reconstruction",
        summary="a U-shaped transformer reconstructs pretrained features and predicts its error",
        publication="Chen et al., Neural Networks 147, 2022",
        params=UtradParams,
        module="baselines.utrad",
        class_name="Utrad",
        model_files=("backbone.keras", "model.keras"),
    ),
    "patchcore": Family(
        title="PatchCore",
        kind="baseline",
        category="memory bank",
        summary="distance to the nearest of a core set of normal patch features",
        publication="Roth et al., CVPR 2022",
        params=PatchcoreParams,
        module="baselines.patchcore",
        class_name="Patchcore",
        model_files=_FEATURES,
    ),
    "cflow": Family(
        title="CFLOW",
        kind="baseline",
        category="normalizing flow",
        summary="likelihood of pretrained features under flows conditioned on the position",
        publication="Gudovskiy et al., WACV 2022",
        params=CflowParams,
        module="baselines.cflow",
        class_name="Cflow",
        model_files=_FEATURES,
    ),
    "cs_flow": Family(
        title="CS-Flow",
        kind="baseline",
        category="normalizing flow",
        summary="likelihood of feature maps at three scales under one flow that couples the scales",
        publication="Rudolph et al., WACV 2022",
        params=CsFlowParams,
        module="baselines.cs_flow",
        class_name="CsFlow",
        model_files=_FEATURES,
    ),
    "simplenet": Family(
        title="SimpleNet",
        kind="baseline",
        category="feature discrimination",
        summary="a small network tells adapted features from the same with noise",
        publication="Liu et al., CVPR 2023",
        params=SimplenetParams,
        module="baselines.simplenet",
        class_name="Simplenet",
        model_files=_FEATURES,
    ),
    "citn": Family(
        title="CITN",
        kind="baseline",
        category="self-supervision",
        summary="a convolutional network undoes known transformations; the restoration error",
        publication="Bhushan et al., PARC 2024",
        params=CitnParams,
        module="baselines.citn",
        class_name="Citn",
        model_files=("model.keras",),
        interpretation=True,
    ),
    "mgad": Family(
        title="MGAD",
        kind="baseline",
        category="feature distribution",
        summary="a mixture of Gaussians with robust covariance for every position",
        publication="Wei et al., Measurement Science and Technology 35, 2024",
        params=MgadParams,
        module="baselines.mgad",
        class_name="Mgad",
        model_files=_FEATURES,
        interpretation=True,
    ),
    "mpde": Family(
        title="MPDE",
        kind="baseline",
        category="reconstruction",
        summary="the dual-encoder network without the adaptive pipeline, trained in phases",
        publication="Azri et al., Journal of Quality Measurement and Analysis 21, 2025",
        params=MpdeParams,
        module="baselines.mpde",
        class_name="Mpde",
        model_files=("model.keras",),
        interpretation=True,
    ),
    "external": Family(
        title="Own method",
        kind="baseline",
        category="own",
        summary="a method from a file of the user's",
        publication="",
        params=ExternalParams,
        module="external",
        class_name="External",
        model_files=("model.npz",),
    ),
}
