"""What stands below the figures of performance."""

from dataclasses import replace

from dualad.figures.inputs import conformal_note


def test_a_conformal_thresholds_rates_stand_below_the_figures(results):
    """Other rules want no rate, and results of version 0.2 name no rule."""
    first, second, *_ = results
    low, high = first.metrics["ci"]["fpr"]
    wanted = {"threshold": {"rule": "conformal", "alpha": 0.05}}
    conformal = replace(first, metrics={**first.metrics, **wanted})
    old = replace(second, metrics={k: v for k, v in second.metrics.items() if k != "threshold"})
    assert conformal_note({"brick": conformal, "other": second, "old": old}) == (
        "false positive rates of conformal thresholds: brick wanted 0.05, reached "
        f"{first.metrics['fpr']:.3f} [{low:.3f}, {high:.3f}]"
    )
    assert conformal_note({"other": second, "old": old}) == ""
