import numpy as np
import pytest

from keras_vae.visualization import curves

X = np.linspace(-12.0, 12.0, 1201)


def kl(log_p, log_q):
    p = np.exp(log_p)
    return float(np.sum(p * (log_p - log_q)) * (X[1] - X[0]))


def test_curves_have_a_panel_for_each_part_and_a_line_for_each_split():
    history = {
        "epoch": [1, 2, 3],
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [3.5, 2.5, np.nan],
        "kl_loss": [0.1, 0.2, 0.3],
    }
    loss, kl_panel = curves.training_curves(history, "test").axes
    assert [line.get_label() for line in loss.lines] == ["training", "test"]
    assert (loss.get_title(), kl_panel.get_title()) == ("Loss", "KL")
    assert loss.get_ylabel() == "nats per example"
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), history["loss"])
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), history["val_loss"])
    assert len(kl_panel.lines) == 1


@pytest.mark.parametrize("epochs", [1, 11, 1000])
def test_any_number_of_epochs_is_drawn_with_plain_ticks(epochs):
    epoch = np.arange(1, epochs + 1)
    axes = curves.training_curves({"epoch": epoch, "loss": 1.0 / epoch}).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    if epochs == 1000:
        assert labels == ["1", "3", "10", "30", "100", "300", "1,000"]
    assert not any("10^" in label for label in labels)


def test_both_fits_of_a_normal_are_that_normal():
    p = np.exp(curves.Normal(1.5, 0.7).log_density(X))
    assert curves.forward_fit(X, p) == pytest.approx((1.5, 0.7), abs=1e-6)
    assert curves.reverse_fit(X, p) == pytest.approx((1.5, 0.7), abs=2e-3)


def test_the_forward_fit_has_the_moments_of_two_humps():
    mean = 0.6 * -2.0 + 0.4 * 2.5
    second = 0.6 * (0.8**2 + 2.0**2) + 0.4 * (0.6**2 + 2.5**2)
    fit = curves.forward_fit(X, curves.two_humps(X))
    assert fit == pytest.approx((mean, np.sqrt(second - mean**2)), abs=1e-6)


def test_the_reverse_fit_is_the_least_and_sits_on_the_larger_hump():
    p = curves.two_humps(X)
    assert np.sum(p) * (X[1] - X[0]) == pytest.approx(1.0)
    fit = curves.reverse_fit(X, p)
    assert fit == pytest.approx((-2.0, 0.8), abs=0.05)
    least = kl(fit.log_density(X), np.log(p))
    for mean, scale in ((0.02, 1.0), (-0.02, 1.0), (0.0, 1.03), (0.0, 0.97)):
        other = curves.Normal(fit.mean + mean, fit.scale * scale)
        assert kl(other.log_density(X), np.log(p)) > least
    assert kl(curves.Normal(2.5, 0.6).log_density(X), np.log(p)) > least


def test_both_directions_are_drawn_on_the_same_axes():
    first, second = curves.forward_and_reverse().axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    assert "Forward" in first.get_title() and "Reverse" in second.get_title()
