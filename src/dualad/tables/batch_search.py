"""What Algorithm 1 tried: the paper's Tables 4 and 5, and our datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dualad.paper.algorithm_1 import search_batch_size
from dualad.paper.batch_law import paper_optima
from dualad.paper.numbers import paper_numbers
from dualad.results.batch_search import BatchSearch, read_batch_search
from dualad.tables.cells import cell, per_cent
from dualad.tables.formats import Table

_PRINTED = {"bracket_brown": "Table 4", "rsna": "Table 5"}


def batch_search_table(result_json: Sequence[Path | str]) -> Table:
    """Every step of the searches, the paper's two examples first.

    Parameters
    ----------
    result_json
        `results/{dataset}/batch_search/result.json`; `evaluations.csv` is read beside each.

    Raises
    ------
    DualadError
        If a file is missing or damaged.
    """
    searches = {
        (f"paper, {_PRINTED[dataset]}", dataset): search
        for dataset, search in _paper_searches().items()
    }
    for path in map(Path, result_json):
        searches["ours", path.parents[1].name] = read_batch_search(path.parent)
    records = [
        {"source": source, "dataset": dataset, "n_images": search.n_images, **step}
        for (source, dataset), search in searches.items()
        for step in search.steps
    ]
    return Table(
        caption="Batch sizes that Algorithm 1 tried, with their AUROC in per cent; in bold, the "
        "best. Of the paper's examples the sizes are found anew by our search from the AUROCs that "
        "the paper prints; ours are AUROCs of validation images. A size without an AUROC was too "
        "large to be trained with and was only halved.",
        label="tab:batch-search",
        head=["Source", "Dataset", "N", "Step", "Batch size", "AUROC", "Computed from"],
        rows=[
            [
                record["source"],
                record["dataset"],
                f"{record['n_images']:,}",
                str(record["step"]),
                f"{record['batch_size']:,}",
                cell(record["auroc"], per_cent),
                record["origin"],
            ]
            for record in records
        ],
        texts=2,
        breaks=frozenset(i for i, record in enumerate(records) if i and record["step"] == 1),
        bold=frozenset((i, 4) for i, record in enumerate(records) if record["best"]),
        records=records,
    )


def _paper_searches() -> Mapping[str, BatchSearch]:
    """Algorithm 1 on the AUROCs that Tables 4 and 5 print, by dataset."""
    searches = {}
    for optimum in paper_optima():
        rows: dict[str, dict[str, float | None]] = {}
        for number in paper_numbers(_PRINTED[optimum.dataset]):
            rows.setdefault(number.row, {})[number.metric] = number.fraction
        # A size without an AUROC is too large to be evaluated, and never asked for.
        printed = {int(row["batch_size"] or 0): row["auroc"] or 0.0 for row in rows.values()}
        searches[optimum.dataset] = search_batch_size(optimum.n_images, printed.__getitem__)
    return searches
