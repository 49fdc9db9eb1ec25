"""All figures of one dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.evaluation.examples import LOCALISED, spread_over_defects
from dualad.figures.curves import precision_recall_figure, roc_figure
from dualad.figures.distributions import confidence_figure, error_density_figure
from dualad.figures.evidence import gather
from dualad.figures.inputs import MethodResults, conformal_note, method_series
from dualad.figures.localisation import localisation_figure
from dualad.figures.mistakes import WORST, count_text, mistakes_figure, select_mistakes
from dualad.figures.style import Footnotes, Style, message_figure, save_figure, styles
from dualad.figures.training import search_trials_figure, training_curves_figure
from dualad.figures.uncertainty import MonteCarlo, uncertainty_figure
from dualad.results.experiment import dataset_note


def draw_dataset_figures(
    out_dir: Path | str,
    dataset_h5: Path | str,
    methods: Sequence[MethodResults],
    families: Mapping[str, str] | None = None,
) -> list[Path]:
    """Draw every figure of a dataset, as PNG and PDF.

    Figures over all methods are called `{figure}.png`, those of one `{figure}__{method}.png`.

    Parameters
    ----------
    out_dir
        Made if missing.
    dataset_h5
        The cached images. The note in `dataset.json` beside it goes under the figures.
    methods
        In the configuration's order, which decides about rows.
    families
        Families of all methods of the configuration by name, in its order, which decide how a
        method looks; those of `methods` if not given.

    Returns
    -------
    list
        Paths of the pictures, in the order in which they were drawn.

    Raises
    ------
    DualadError
        If a picture cannot be written, the predictions are missing, damaged or of another dataset,
        or there is no method.
    """
    if not methods:
        raise DualadError(f"{dataset_h5}: no method has results to draw")
    out_dir = Path(out_dir)
    note = dataset_note(Path(dataset_h5).parent)
    written: list[Path] = []
    with Dataset(dataset_h5) as dataset:
        looks = styles(families or {method.name: method.family for method in methods})
        for stem, figure in _shared_figures(dataset.name, methods, looks, note).items():
            written += save_figure(figure, out_dir, stem)
        for method in methods:
            for stem, figure in _method_figures(dataset, method, note).items():
                written += save_figure(figure, out_dir, f"{stem}__{method.name}")
    return written


def _shared_figures(
    name: str, results: Sequence[MethodResults], looks: Mapping[str, Style], note: str
) -> dict[str, Figure]:
    names = [method.name for method in results]
    footnotes = Footnotes(names)
    series = method_series(results, looks, footnotes)
    test = results[0].test
    anomalous = int((test["label"] == 1).sum())
    size = f"{len(test) - anomalous} normal and {anomalous} anomalous test images"
    reached = conformal_note({method.name: method for method in results})
    footnote = footnotes.text(size, reached, note)
    figures = {
        "roc": roc_figure(series, f"{name}: ROC", footnote),
        "precision_recall": precision_recall_figure(series, f"{name}: precision-recall", footnote),
        "confidence_boxes": confidence_figure(series, f"{name}: calibrated confidence", footnote),
        "error_density": error_density_figure(series, f"{name}: score densities", footnote),
    }
    # Notes of its own: those of methods without samples have no place under it.
    footnotes = Footnotes(names)
    sampled = [_monte_carlo(method, footnotes) for method in results if method.has_monte_carlo]
    footnote = footnotes.text(size, note)
    title = f"{name}: Monte Carlo dropout, uncertainty against error"
    figures["uncertainty"] = (
        uncertainty_figure(sampled, title, footnote)
        if sampled
        else message_figure(title, "No method was scored with Monte Carlo dropout.", footnote)
    )
    return figures


def _method_figures(dataset: Dataset, method: MethodResults, note: str) -> dict[str, Figure]:
    where = f"{dataset.name}, {method.name}"
    footnote = "; ".join(part for part in (note, method.note) if part)
    figures = {}
    if method.epochs is not None and method.attempts is not None:
        figures["training_curves"] = training_curves_figure(
            method.epochs, method.attempts, f"{where}: every training attempt", footnote
        )
    if method.trials is not None:
        figures["search_trials"] = search_trials_figure(
            method.trials, f"{where}: dropout search", footnote
        )
    evidence = gather(dataset, method, spread_over_defects(method.test, LOCALISED))
    if evidence.anomaly_map is not None:
        figures["localisation"] = localisation_figure(evidence, f"{where}: localisation", footnote)
    figures["false_positives"] = _mistakes(dataset, method, where, footnote, label=0)
    figures["false_negatives"] = _mistakes(dataset, method, where, footnote, label=1)
    return figures


def _mistakes(
    dataset: Dataset, method: MethodResults, where: str, footnote: str, *, label: int
) -> Figure:
    rows = select_mistakes(method.test, method.cutoff, label)
    title = f"{where}: {count_text(method.test, label)}"
    if not len(rows):
        right = ("normal test images were left alone", "anomalous test images were detected")
        return message_figure(title, f"All {right[label]}.", footnote)
    if len(rows) > WORST:
        title += f"; the worst {WORST}"
    key = f"threshold {method.cutoff:.3g}; above each image: kind, file, score (distance from it)"
    footnote = "; ".join(part for part in (key, footnote) if part)
    return mistakes_figure(
        gather(dataset, method, rows.head(WORST)), method.cutoff, title, footnote
    )


def _monte_carlo(method: MethodResults, footnotes: Footnotes) -> MonteCarlo:
    combined = method.threshold["mc"]
    return MonteCarlo(
        label=footnotes.label(method.name, method.notes),
        test=method.test,
        cutoff=method.cutoff,
        error=str(combined["error"]),
        lambda_=float(combined["lambda"]),
        combined_cutoff=float(combined["threshold"]),
    )
