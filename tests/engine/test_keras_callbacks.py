"""What each callback of Keras gets of a training in calls of many steps."""

import csv
import http.server
import inspect
import json
import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import callbacks

N, BATCH, STEPS = 40, 4, 10
MANY = 7  # steps of a call, which divide nothing here
LEARNING_RATE = 0.01

# Without a test of their own here: base classes and what Keras adds by itself.
ELSEWHERE = {"Callback", "CallbackList", "MonitorCallback", "History", "ProgbarLogger"}
TESTED = {
    *("BackupAndRestore", "CSVLogger", "EarlyStopping", "LambdaCallback"),
    *("LearningRateScheduler", "ModelCheckpoint", "OrbaxCheckpoint"),
    *("ReduceLROnPlateau", "RemoteMonitor", "SwapEMAWeights", "TensorBoard"),
    "TerminateOnNaN",
}


class Stop(Exception):
    """Stands for what kills a process."""


@pytest.fixture
def x(grey):
    return grey(N)


@pytest.fixture
def model(small_vae):
    """A fresh model, compiled; `model(steps_per_execution=4)`."""

    def make(optimizer=None, **options):
        vae = small_vae()
        optimizer = optimizer or keras.optimizers.Adam(LEARNING_RATE)
        vae.compile(optimizer, **{"steps_per_execution": MANY, **options})
        return vae

    return make


def fit(vae, x, *watching, epochs=3, **options):
    options = {"batch_size": BATCH, "verbose": 0, **options}
    return vae.fit(x, epochs=epochs, callbacks=list(watching), **options).history


def weights(vae):
    return np.concatenate([w.numpy().ravel() for w in vae.trainable_variables])


def counts(vae):
    """Returns the model's count of steps and the optimizer's."""
    return int(vae.step.numpy()), int(vae.optimizer.iterations.numpy())


def killed_at(epoch=None, step=None):
    """A callback that raises `Stop` behind an epoch or a number of steps."""

    class Kill(callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            if number == epoch:
                raise Stop

        def on_train_batch_end(self, batch, logs=None):
            if step is not None and int(self.model.step.numpy()) >= step:
                raise Stop

    return Kill()


def test_every_callback_of_keras_is_known_here():
    found = {
        name
        for name, value in vars(callbacks).items()
        if inspect.isclass(value) and issubclass(value, callbacks.Callback)
    }
    assert found <= TESTED | ELSEWHERE


# BackupAndRestore


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save_freq", "kill", "steps_per_execution"),
    [
        ("epoch", {"epoch": 2}, 1),
        (5, {"epoch": 1}, MANY),
        (4, {"step": 18}, MANY),
    ],
)
def test_a_restored_run_ends_where_an_unbroken_one_does(
    model, x, tmp_path, save_freq, kill, steps_per_execution
):
    make = lambda: model(steps_per_execution=steps_per_execution)  # noqa: E731
    unbroken = make()
    fit(unbroken, x)

    def backup():
        return callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)

    with pytest.raises(Stop):
        fit(make(), x, backup(), killed_at(**kill))
    restored = make()
    fit(restored, x, backup())
    assert counts(restored) == (3 * STEPS, 3 * STEPS)
    np.testing.assert_array_equal(weights(restored), weights(unbroken))


@pytest.mark.slow
def test_a_restored_run_goes_on_where_the_model_had_been_trained_before(
    model, x, tmp_path
):
    def begun():
        vae = model()
        fit(vae, x[:27], epochs=1)
        assert counts(vae) == (7, 7)
        return vae

    unbroken = begun()
    fit(unbroken, x)
    backup = lambda: callbacks.BackupAndRestore(tmp_path / "b", save_freq=3)  # noqa: E731
    with pytest.raises(Stop):
        fit(begun(), x, backup(), killed_at(step=21))
    restored = begun()
    fit(restored, x, backup())
    np.testing.assert_array_equal(weights(restored), weights(unbroken))


@pytest.mark.slow
def test_after_a_restored_run_a_model_trains_on_for_whole_epochs(model, x, tmp_path):
    backup = lambda: callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(Stop):
        fit(model(), x, backup(), killed_at(epoch=2))
    restored = model()
    fit(restored, x, backup())
    assert len(fit(restored, x, epochs=2)["loss"]) == 2


# EarlyStopping


@pytest.mark.slow
def test_early_stopping_restores_weights_and_leaves_the_clock_alone(model, x):
    vae = model()
    seen = []
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((logs["val_loss"], weights(vae)))
    )
    stop = callbacks.EarlyStopping(
        "val_loss", patience=2, restore_best_weights=True, mode="max"
    )
    history = fit(vae, x, keep, stop, epochs=9, validation_data=x[:8])
    assert len(history["loss"]) == 3  # the loss falls, so the first epoch is "best"
    np.testing.assert_array_equal(weights(vae), seen[0][1])
    assert counts(vae) == (3 * STEPS, 3 * STEPS)
    # What follows is noise and an order not yet seen.
    fit(vae, x, epochs=1)
    assert counts(vae) == (4 * STEPS, 4 * STEPS)


# ModelCheckpoint


@pytest.mark.slow
@pytest.mark.parametrize("steps_per_execution", [MANY, "auto"])
def test_a_checkpoint_comes_every_so_many_batches(
    model, x, tmp_path, steps_per_execution
):
    vae, steps = model(steps_per_execution=steps_per_execution), []

    class Checkpoint(callbacks.ModelCheckpoint):
        def _save_model(self, *arguments, **keywords):
            steps.append(int(self.model.step.numpy()))
            super()._save_model(*arguments, **keywords)

    path = tmp_path / "{epoch}-{batch}.weights.h5"
    fit(vae, x, Checkpoint(path, save_freq=6, save_weights_only=True))
    assert steps == [6, 12, 18, 24, 30]
    names = {file.name for file in tmp_path.iterdir()}
    assert {"1-6.weights.h5", "2-2.weights.h5", "3-10.weights.h5"} <= names


@pytest.mark.slow
def test_a_checkpoint_of_each_epoch_loads(model, x, tmp_path):
    vae = model()
    path = tmp_path / "{epoch}.keras"
    fit(vae, x, callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True))
    loaded = keras.saving.load_model(tmp_path / "3.keras")
    np.testing.assert_array_equal(weights(loaded), weights(vae))


@pytest.fixture
def orbax():
    pytest.importorskip("orbax.checkpoint")


def test_orbax_keeps_a_state_every_so_many_batches(orbax, model, x, tmp_path):
    options = {"save_freq": 6, "max_to_keep": None, "save_on_background": False}
    fit(model(), x, callbacks.OrbaxCheckpoint(tmp_path / "states", **options))
    found = {int(folder.name) for folder in (tmp_path / "states").iterdir()}
    assert found == {6, 12, 18, 24, 30}


def test_a_model_that_orbax_kept_trains_on_as_the_one_itself(orbax, model, x, tmp_path):
    vae = model()
    fit(vae, x, callbacks.OrbaxCheckpoint(tmp_path / "states", monitor="loss"))
    loaded = keras.saving.load_model(tmp_path / "states")
    np.testing.assert_array_equal(weights(loaded), weights(vae))
    assert fit(loaded, x, epochs=2) == fit(vae, x, epochs=2)
    np.testing.assert_array_equal(weights(loaded), weights(vae))


# TerminateOnNaN


@pytest.mark.filterwarnings("ignore:invalid value")
def test_terminate_on_nan_ends_a_training_that_diverges(model, x, capsys):
    optimizer = keras.optimizers.SGD(1e30)
    vae = model(optimizer)
    history = fit(vae, x, callbacks.TerminateOnNaN(), epochs=9)
    assert len(history["loss"]) == 1
    step, updates = counts(vae)
    assert step == updates < STEPS
    assert np.isfinite(weights(vae)).all()
    assert f"Batch {step}:" in capsys.readouterr().out


def test_terminate_on_nan_may_raise(model, x):
    vae = model(keras.optimizers.SGD(1e30))
    with pytest.raises(RuntimeError, match="NaN"):
        fit(vae, x, callbacks.TerminateOnNaN(raise_error=True))


# Learning rates


def rates(vae, x, *watching, **options):
    """The learning rate at the end of each epoch."""
    found = []
    look = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(
            float(vae.optimizer.learning_rate)
        )
    )
    history = fit(vae, x, *watching, look, **options)
    return found, history


def test_a_schedule_sets_the_rate_that_steps_have(model, x):
    vae = model(keras.optimizers.SGD(0.1))
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 * (epoch < 2))
    before = []
    keep = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: before.append(weights(vae))
    )
    found, history = rates(vae, x, scheduler, keep, epochs=4)
    assert found == pytest.approx([0.1, 0.1, 0, 0])
    assert history["learning_rate"] == pytest.approx(found)
    assert np.any(before[1] != before[0])
    np.testing.assert_array_equal(before[3], before[2])


def test_a_plateau_lowers_the_rate(model, x):
    vae = model(keras.optimizers.SGD(0.1))
    plateau = callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=1e9, cooldown=0
    )
    found, _ = rates(vae, x, plateau, epochs=4)
    assert found == pytest.approx([0.1, 0.05, 0.025, 0.0125])


# Logs


@pytest.mark.slow
def test_a_csv_has_a_row_of_figures_for_each_epoch(model, x, tmp_path):
    path = tmp_path / "log.csv"
    history = fit(model(), x, callbacks.CSVLogger(path), validation_data=x[:8])
    table = list(csv.DictReader(path.open()))
    assert [row["epoch"] for row in table] == ["0", "1", "2"]
    for name, values in history.items():
        assert [float(row[name]) for row in table] == pytest.approx(values)


@pytest.mark.slow
def test_a_remote_monitor_sends_the_metrics_of_each_epoch(model, x):
    received = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Keep) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        monitor = callbacks.RemoteMonitor(root, path="/", send_as_json=True)
        history = fit(model(), x, monitor, validation_data=x[:8])
        server.shutdown()
    assert [sent.pop("epoch") for sent in received] == [0, 1, 2]
    for name, values in history.items():
        assert [sent[name] for sent in received] == pytest.approx(values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update_freq", "points"),
    [
        ("batch", 3 * STEPS),
        ("epoch", 0),
        (5, 6),
    ],
)
def test_tensorboard_gets_the_points_that_were_asked_for(
    model, x, tmp_path, update_freq, points
):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    board = callbacks.TensorBoard(tmp_path, update_freq=update_freq, histogram_freq=1)
    fit(model(), x, board, validation_data=x[:8])
    everything = {accumulator.TENSORS: 0}
    events = accumulator.EventAccumulator(str(tmp_path / "train"), everything)
    events.Reload()
    tags = events.Tags()["tensors"]
    assert [e.step for e in events.Tensors("epoch_loss")] == [0, 1, 2]
    if points:
        assert len(events.Tensors("batch_loss")) == points
    else:
        assert "batch_loss" not in tags


# Callbacks of one's own


def test_a_callback_of_ones_own_hears_where_calls_end(model, x):
    ends, epochs = [], []
    own = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(batch),
        on_epoch_end=lambda epoch, logs: epochs.append(epoch),
    )
    fit(model(), x, own, epochs=2)
    assert ends == [6, 9] * 2
    assert epochs == [0, 1]


@pytest.mark.slow
def test_a_callback_that_loads_a_whole_state_goes_back_with_it(model, x, tmp_path):
    unbroken, path = model(), tmp_path / "state.weights.h5"
    fit(unbroken, x, epochs=2)

    class Again(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.save_weights(path)
            elif epoch == 1:
                self.model.load_weights(path)

    vae = model()
    fit(vae, x, Again(), epochs=3)
    assert counts(vae) == (2 * STEPS, 2 * STEPS)
    np.testing.assert_array_equal(weights(vae), weights(unbroken))


@pytest.mark.slow
def test_a_step_by_hand_behind_a_loaded_state_leaves_the_order_with_it(
    model, x, tmp_path
):
    class Step(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.train_on_batch(x[:4])

    class BackAndStep(callbacks.Callback):
        path = tmp_path / "state.weights.h5"

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.save_weights(self.path)
            elif epoch == 1:
                self.model.load_weights(self.path)
                self.model.train_on_batch(x[:4])

    unbroken, vae = model(), model()
    fit(unbroken, x, Step(), epochs=2)
    fit(vae, x, BackAndStep(), epochs=3)
    assert counts(vae) == (2 * STEPS + 1, 2 * STEPS + 1)
    np.testing.assert_array_equal(weights(vae), weights(unbroken))


# SwapEMAWeights


@pytest.mark.slow
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averaged_weights_are_validated_and_left_in_the_model(model, x, swap_on_epoch):
    def averaging():
        return keras.optimizers.Adam(LEARNING_RATE, use_ema=True, ema_momentum=0.9)

    vae = model(averaging())
    swap = callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
    history = fit(vae, x, swap, validation_data=x[:8])
    plain = model()
    fit(plain, x)
    assert np.any(weights(vae) != weights(plain))
    last = vae.evaluate(x[:8], verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][-1] == pytest.approx(last, rel=1e-5)


# Where data end


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 10])
def test_data_that_end_within_a_call_leave_their_figures(model, x, steps):
    vae = model(steps_per_execution=steps)
    data = tf.data.Dataset.from_tensor_slices(x).batch(6)  # 7 batches
    with pytest.warns(UserWarning, match="ran out of data"):
        history = fit(vae, data, epochs=2, batch_size=None, steps_per_epoch=STEPS)
    assert counts(vae) == (14, 14)
    assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 10])
def test_an_evaluation_beyond_the_data_is_that_of_the_data(model, x, steps):
    vae = model(steps_per_execution=steps)
    known = vae.evaluate(x, batch_size=6, verbose=0, return_dict=True)
    data = tf.data.Dataset.from_tensor_slices(x).batch(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns at the end of the data
        found = vae.evaluate(data, steps=20, verbose=0, return_dict=True)
    assert found == pytest.approx(known, rel=1e-5)
