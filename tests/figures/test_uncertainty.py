import numpy as np
import pytest

from dualad.figures.uncertainty import MonteCarlo, uncertainty_figure


@pytest.mark.parametrize("error", ["mean", "deterministic"])
def test_the_dashed_line_is_the_combined_rule(results, error):
    test = results[0].test
    method = MonteCarlo("dual", test, 0.31, error, lambda_=2.0, combined_cutoff=0.33)
    axes = uncertainty_figure([method], "a title").axes[0]
    line = axes.lines[-1]
    assert np.allclose(line.get_xdata() + 2.0 * np.asarray(line.get_ydata()), 0.33)
    assert ("eq. 31" in axes.get_xlabel()) == (error == "mean")
    assert sum(len(line.get_xdata()) for line in axes.lines[:2]) == len(test)
