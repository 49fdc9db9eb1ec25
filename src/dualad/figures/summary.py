"""One method's test results in a small picture: score densities and ROC."""

import io

from matplotlib.figure import Figure

from dualad.figures.curves import draw_roc
from dualad.figures.distributions import density_legend, draw_density
from dualad.figures.inputs import MethodResults, method_series
from dualad.figures.style import Footnotes, panels, styles, themed

_DOTS_PER_INCH = 110


@themed()
def summary_figure(method: MethodResults) -> Figure:
    """Densities of the test images' scores, and their ROC, the threshold marked in both.

    Parameters
    ----------
    method
        Its title has the AUROC with its interval, and what the threshold lets through and stops.
    """
    looks = styles({method.name: method.family})
    (entry,) = method_series([method], looks, Footnotes([method.name]))
    metrics = method.metrics
    counts = metrics["counts"]
    normal, anomalous = counts["fp"] + counts["tn"], counts["tp"] + counts["fn"]
    figure, (left, right) = panels(
        2,
        columns=2,
        cell=(2.3, 2.0),
        title=f"{metrics['dataset']}, {method.name}: AUROC {metrics['auroc']:.3f}"
        f"{entry.interval('auroc')}",
        footnote=f"On the test images the threshold {method.cutoff:.4g} flags {counts['tp']} of "
        f"{anomalous} anomalous and {counts['fp']} of {normal} normal images. {method.note}",
        legend=density_legend("threshold"),
        left=0.35,
        gaps=(0.6, 0.6),
        above=0.05,
    )
    draw_density(left, entry)
    left.set(yticks=[], ylabel="density")
    draw_roc(right, [entry])
    return figure


@themed()
def as_png(figure: Figure) -> bytes:
    """The picture as the content of a PNG file; equal figures give equal bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()
