"""Results as the paper's tables print them, and ours of the same experiments."""

import json

from dualad.paper.numbers import paper_numbers

KEYS = ("auroc", "balanced_accuracy", "f1", "f2", "tpr", "tnr", "fpr", "precision", "g_mean")
KEYS = (*KEYS, "mcc", "kappa", "ece")


def put_metrics(root, dataset, method, *, mc=True, notes=(), **values):
    metrics = {key: 0.9 for key in KEYS} | {"auroc": 0.97} | values
    content = {
        "dataset": dataset,
        "method": method,
        **metrics,
        "ci": {k: None if v is None else [v - 0.05, v + 0.04] for k, v in metrics.items()},
        "mc": {"fpr": 0.05, "ece": 0.1} if mc else None,
        "notes": list(notes),
    }
    path = root / "results" / dataset / method / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


def printed(table):
    """Batch sizes and AUROCs of Table 4 or 5 in the order of the rows."""
    rows = {}
    for number in paper_numbers(table):
        if number.metric in ("batch_size", "auroc"):
            rows.setdefault(number.row, []).append(number.fraction)
    return [(int(size), auroc) for size, auroc in rows.values()]
