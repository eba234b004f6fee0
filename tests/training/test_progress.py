import io

import keras
import pytest

from keras_vae.training.progress import COLUMNS, Progress

LOGS = {
    "loss": 101.25,
    "neg_elbo": 103.5,
    "kl_loss": 20.0,
    "val_loss": 104.0,
    "val_neg_elbo": 104.0,
    "val_kl_loss": 21.0,
}


def lines_of(epochs, logs=LOGS, **options):
    lines = []
    progress = Progress(lines.append, **options)
    model = keras.Model()
    model.stop_training = False
    progress.set_model(model)
    progress.set_params({"epochs": epochs, "steps": 4})
    progress.on_train_begin()
    for epoch in range(epochs):
        progress.on_epoch_begin(epoch)
        progress.on_train_batch_end(1, logs)
        progress.on_epoch_end(epoch, logs)
    return lines


def test_a_line_says_what_its_numbers_are_and_of_which_part():
    (line,) = lines_of(1, held_out="test")
    assert "training loss 101.25, -ELBO 103.50" in line
    assert "test -ELBO 104.00" in line
    assert line.startswith("epoch 1/1 ")


def test_a_model_without_a_bound_has_its_loss():
    (line,) = lines_of(1, {"loss": 1.0, "val_loss": 2.0})
    assert "training loss 1.00  validation loss 2.00" in line


@pytest.mark.parametrize("value", [1.0, -12345.678, 1e7, float("nan")])
@pytest.mark.parametrize("terminal", [None, io.StringIO()])
def test_a_line_fits_100_columns_whatever_it_says(value, terminal):
    logs = {name: value * (1 + place) for place, name in enumerate(LOGS)}
    for line in lines_of(3, {**logs, "val_accuracy": 0.5}, terminal=terminal):
        assert len(line) <= COLUMNS


@pytest.mark.parametrize("epochs", [1, 5, 20, 100, 1000])
def test_a_log_has_a_line_every_so_often_first_and_last_included(epochs):
    lines = lines_of(epochs)
    assert min(epochs, 20) <= len(lines) <= 22
    assert lines[0].split()[1].startswith("1/")
    assert f"{epochs}/{epochs}" in lines[-1]


def test_on_a_terminal_every_epoch_has_its_line_and_its_bar_is_replaced():
    terminal = io.StringIO()
    assert len(lines_of(100, terminal=terminal)) == 100
    drawn = terminal.getvalue()
    assert " 50%" in drawn and "\n" not in drawn
    assert (
        drawn.count("\r") == 200
    )  # each bar starts the line anew, and so does its end
    assert drawn.endswith("\r\x1b[K")
