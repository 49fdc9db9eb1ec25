import numpy as np
import pytest
from texts import outside, overprinting

from dualad.figures.training import search_trials_figure, training_curves_figure


def test_every_attempt_has_losses_metric_and_its_end(results):
    dual = results[0]
    figure = training_curves_figure(dual.epochs, dual.attempts, "a title")
    assert len(figure.axes) == 2 * len(dual.attempts)
    titles = [axes.get_title() for axes in figure.axes[0::2]]
    assert titles == [
        "attempt 1\nepoch limit, epoch 6",
        "attempt 2: selected\nepoch limit, epoch 6",
    ]
    upper = figure.axes[0]
    mean_image = dual.attempts["mean_image_loss"][0]
    assert any(np.allclose(line.get_ydata(), mean_image) for line in upper.lines)
    stop = [line for line in upper.lines if list(line.get_ydata()) == [0, 1]]
    assert [line.get_xdata()[0] for line in stop if line.get_xdata()[0] == 6]


def test_selected_attempt_is_highlighted(results):
    dual = results[0]
    figure = training_curves_figure(dual.epochs, dual.attempts, "")
    faces = [axes.get_facecolor() for axes in figure.axes]
    assert faces[0] == faces[1] != faces[2] == faces[3]


@pytest.mark.parametrize("span", [1.2, 3.4, 5.0, 9.0, 30.0, 150.0])
@pytest.mark.parametrize("low", [1e-3, 2.1e-3])
def test_ticks_of_losses_keep_apart_whatever_their_range(results, low, span):
    loss = np.geomspace(low, span * low, len(results[0].epochs))
    epochs = results[0].epochs.assign(loss=loss, val_loss=loss)
    attempts = results[0].attempts.assign(mean_image_loss=low)
    figure = training_curves_figure(epochs, attempts, "a title")
    assert overprinting(figure) == [] and outside(figure) == []


def test_training_without_validation_anomalies_says_so(results):
    epochs = results[0].epochs.assign(detection_metric=np.nan, smoothed_metric=np.nan)
    figure = training_curves_figure(epochs, results[0].attempts, "")
    assert figure.axes[1].texts[0].get_text() == "no validation anomalies"


def test_ten_attempts_fit_in_two_bands(results):
    attempts = results[0].attempts.iloc[[0] * 10].assign(attempt=range(1, 11))
    figure = training_curves_figure(results[0].epochs, attempts, "")
    assert len(figure.axes) == 20
    assert len({round(axes.get_position().y0, 4) for axes in figure.axes}) == 4


def test_search_shows_every_trial_and_the_best_rates(results):
    trials = results[0].trials
    losses, rates, _ = search_trials_figure(trials, "a title").axes
    finished = (trials["status"] == "COMPLETED").sum()
    assert finished == len(trials) - 1
    assert max(len(line.get_xdata()) for line in losses.lines) == finished
    assert len(rates.lines) == finished
    best = trials.loc[trials["val_loss"].idxmin()]
    thick = max(rates.lines, key=lambda line: line.get_linewidth())
    layers = [t.get_text().replace("\n", "_") for t in rates.get_xticklabels()]
    assert layers[0] == "image_0" and layers[-1] == "decoder_2"
    assert list(thick.get_ydata()) == [best[layer] for layer in layers]


def test_search_with_learning_rates_gets_a_panel_for_them(results):
    trials = results[0].trials.assign(learning_rate=[1e-3, 3e-4, 1e-4, 1e-3])
    assert len(search_trials_figure(trials, "").axes) == 4


def test_search_in_which_every_trial_failed(results):
    trials = results[0].trials.assign(status="FAILED")
    search_trials_figure(trials, "").draw_without_rendering()
