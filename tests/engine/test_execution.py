"""Many steps in a call: what runs, what callbacks see, where data end."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

N = 40


class Log(keras.callbacks.Callback):
    """Remembers which batches it was told of, and the model's step by then."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.begins, self.ends, self.steps = [], [], []
        self.test_begins, self.test_ends = [], []
        self.stop_at = stop_at

    def on_train_batch_begin(self, batch, logs=None):
        self.begins.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)
        self.steps.append(int(self.model.step.numpy()))
        assert np.isfinite(logs["loss"])
        if self.stop_at is not None and batch >= self.stop_at:
            self.model.stop_training = True

    def on_test_batch_begin(self, batch, logs=None):
        self.test_begins.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.test_ends.append(batch)


@pytest.fixture
def x(grey):
    return grey(N)


@pytest.fixture
def model(small_vae):
    """A fresh model, compiled; `model(steps_per_execution=4)`."""

    def make(**options):
        vae = small_vae()
        vae.compile(keras.optimizers.SGD(0.05), **options)
        return vae

    return make


def fit(vae, x, **options):
    return vae.fit(x, **{"batch_size": 4, "verbose": 0, **options}).history


def weights(vae):
    return np.concatenate([w.numpy().ravel() for w in vae.trainable_variables])


def counts(vae):
    """Returns the model's count of steps and the optimizer's."""
    return int(vae.step.numpy()), int(vae.optimizer.iterations.numpy())


# Calls and callbacks


@pytest.mark.slow
def test_callbacks_hear_of_a_batch_only_where_a_call_ends(model, x):
    log = Log()
    fit(model(steps_per_execution=4), x, validation_data=x, epochs=2, callbacks=[log])
    assert log.begins == [0, 4, 8] * 2
    assert log.ends == [3, 7, 9] * 2
    assert log.steps == [4, 8, 10, 14, 18, 20]
    assert log.test_begins == [0, 4, 8] * 2
    assert log.test_ends == [3, 7, 9] * 2


def test_evaluation_by_itself_is_told_of_in_the_same_way(model, x):
    log = Log()
    vae = model(steps_per_execution=4)
    vae.evaluate(x, batch_size=4, verbose=0, callbacks=[log])
    assert log.test_begins == [0, 4, 8]
    assert log.test_ends == [3, 7, 9]


@pytest.mark.slow
def test_auto_runs_short_steps_in_few_calls(model, x):
    log = Log()
    fit(model(), x, epochs=1, steps_per_epoch=300, callbacks=[log])
    assert log.ends[0] == 0
    assert log.ends[-1] == 299
    assert len(log.ends) < 60
    assert log.steps == [end + 1 for end in log.ends]


@pytest.mark.slow
def test_training_does_not_depend_on_the_steps_of_a_call(model, x):
    reference = model(steps_per_execution=1)
    history = fit(reference, x, epochs=3, validation_data=x[:6])
    for steps in (4, 100):
        vae = model(steps_per_execution=steps)
        again = fit(vae, x, epochs=3, validation_data=x[:6])
        for name, values in history.items():
            np.testing.assert_allclose(again[name], values, rtol=1e-5)
        np.testing.assert_allclose(weights(vae), weights(reference), atol=1e-6)


# Stopping


@pytest.mark.parametrize(("stop_at", "ran"), [(0, 4), (5, 8)])
def test_stop_training_stops_where_the_call_ended(model, x, stop_at, ran):
    vae = model(steps_per_execution=4)
    log = Log(stop_at=stop_at)
    history = fit(vae, x, epochs=3, callbacks=[log])
    assert counts(vae) == (ran, ran)
    assert len(history["loss"]) == 1


@pytest.mark.slow
def test_a_stopped_model_trains_on_with_whole_epochs(model, x):
    vae = model(steps_per_execution=4)
    fit(vae, x, callbacks=[Log(stop_at=0)])
    log = Log()
    fit(vae, x, callbacks=[log])
    assert log.ends == [3, 7, 9]
    assert counts(vae) == (14, 14)


@pytest.mark.slow
def test_a_callback_may_evaluate_in_the_middle_of_an_epoch(model, x):
    seen = []

    class Evaluate(Log):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            seen.append(self.model.evaluate(x[:6], verbose=0))

    vae = model(steps_per_execution=4)
    log = Evaluate()
    fit(vae, x, epochs=2, callbacks=[log])
    assert log.ends == [3, 7, 9] * 2
    assert counts(vae) == (20, 20)
    assert len(seen) == 6


@pytest.mark.slow
def test_a_callback_may_take_a_batch_in_the_middle_of_an_epoch(model, x):
    class Take(Log):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.model.train_on_batch(x[:4])
            self.model.test_on_batch(x[:4])

    vae, by_hand = model(steps_per_execution=4), model()
    log = Take()
    fit(vae, x, epochs=2, shuffle=False, callbacks=[log])
    assert log.ends == [3, 7, 9] * 2
    for batch in [*range(10)] * 2:
        by_hand.train_on_batch(x[4 * batch : 4 * batch + 4])
        if batch in log.ends:
            by_hand.train_on_batch(x[:4])
    assert counts(vae) == counts(by_hand) == (26, 26)
    np.testing.assert_allclose(weights(vae), weights(by_hand), atol=1e-6)


# The end of data


@pytest.mark.slow
def test_data_of_unknown_length_are_run_to_their_end(model, x):
    data = tf.data.Dataset.from_tensor_slices(x).filter(lambda _: True).batch(6)
    assert int(data.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    vae, log = model(steps_per_execution=4), Log()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns at the end of such data
        history = fit(
            vae, data, batch_size=None, validation_data=data, epochs=2, callbacks=[log]
        )
    assert log.ends == [3, 6] * 2
    assert log.steps == [4, 7, 11, 14]
    assert counts(vae) == (14, 14)
    assert len(history["val_loss"]) == 2
    known = vae.evaluate(x, batch_size=6, verbose=0, return_dict=True)
    assert known["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)


@pytest.mark.slow
def test_data_of_unknown_length_train_the_same_model_as_arrays(model, x):
    data = tf.data.Dataset.from_tensor_slices(x)
    ends = []
    for batches in (data.batch(6), data.filter(lambda _: True).batch(6)):
        vae = model(steps_per_execution=4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(vae, batches, batch_size=None, epochs=2)
        ends.append(weights(vae))
    np.testing.assert_array_equal(*ends)


def test_data_that_end_early_are_counted_as_far_as_they_went(model, x):
    vae = model(steps_per_execution=4)
    data = tf.data.Dataset.from_tensor_slices(x).batch(6)  # 7 batches
    with pytest.warns(UserWarning, match="ran out of data"):
        history = fit(vae, data, batch_size=None, steps_per_epoch=10, epochs=2)
    assert counts(vae) == (14, 14)
    assert np.all(np.isfinite(history["loss"]))


def test_a_dataset_of_known_length_is_run_in_calls_of_many_steps(model, x):
    vae, log = model(steps_per_execution=4), Log()
    data = tf.data.Dataset.from_tensor_slices(x).batch(4)
    fit(vae, data, batch_size=None, callbacks=[log], epochs=2)
    assert log.ends == [3, 7, 9] * 2


# Steps already run


@pytest.mark.parametrize("done", [3, 10])
def test_a_pass_begun_before_runs_only_what_is_left(model, x, done):
    class Resume(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 0:
                self.model.train_function.start(done)

    vae = model(steps_per_execution=4)
    history = fit(vae, x, epochs=2, callbacks=[Resume()])
    assert counts(vae) == (20 - done, 20 - done)
    # With nothing left to run, the figures are those that were there.
    assert len(history["loss"]) == 2


# One batch at a time


def test_train_on_batch_is_one_step(model, x):
    vae = model(steps_per_execution=4)
    fit(vae, x)
    for more in (1, 2, 3):
        figures = vae.train_on_batch(x[:5], return_dict=True)
        assert counts(vae) == (10 + more, 10 + more)
        assert figures["loss"] == pytest.approx(
            figures["reconstruction_loss"] + figures["kl_loss"], rel=1e-5
        )
    fit(vae, x)
    assert counts(vae) == (23, 23)


def test_test_on_batch_is_evaluate_on_one_batch(model, x):
    vae = model(steps_per_execution=4)
    expected = vae.evaluate(x[:5], verbose=0, return_dict=True)
    got = vae.test_on_batch(x[:5], return_dict=True)
    assert got == pytest.approx(expected, rel=1e-6)
    assert counts(vae) == (0, 0)


@pytest.mark.slow
def test_test_on_batch_does_not_end_where_other_data_did(model, x):
    vae = model(steps_per_execution=4)
    data = tf.data.Dataset.from_tensor_slices(x).filter(lambda _: True).batch(6)
    expected = vae.evaluate(x[:5], verbose=0, return_dict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns at the end of such data
        vae.evaluate(data, verbose=0)
    got = vae.test_on_batch(x[:5], return_dict=True)
    assert got == pytest.approx(expected, rel=1e-6)
