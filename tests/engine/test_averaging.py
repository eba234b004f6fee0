import json

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.engine.averaging import WeightAverage

SHAPE = (3,)
X = np.random.default_rng(0).normal(size=(32, *SHAPE)).astype(np.float32)


def model():
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(4,)),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(4,)),
        likelihood="gaussian_fixed",
        seed=0,
    )
    vae.compile(keras_vae.Adam(0.05), steps_per_execution=1)
    vae.ensure_built()
    return vae


def values(vae):
    return [np.array(v.numpy()) for v in vae.trainable_variables]


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


class Record(keras.callbacks.Callback):
    """Keeps the weights after each step, in validation, and at the end of epochs."""

    def on_train_begin(self, logs=None):
        self.steps, self.validation, self.epochs = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(values(self.model))

    def on_test_batch_end(self, batch, logs=None):
        self.validation.append(values(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(values(self.model))


@pytest.fixture(scope="module")
def trained():
    """A model after 16 steps in 2 epochs, and what was seen on the way."""
    vae, average, record = model(), WeightAverage(0.99), Record()
    start = values(vae)
    vae.fit(
        X,
        validation_data=X,
        epochs=2,
        batch_size=4,
        verbose=0,
        callbacks=[average, average.show, record, average.hide],
    )
    return vae, average, record, start


def expected(record, start):
    average, after_epochs = start, []
    for step in range(1, 17):
        decay = min(0.99, (1 + step) / (10 + step))
        pairs = zip(average, record.steps[step - 1], strict=True)
        average = [a - (1 - decay) * (a - w) for a, w in pairs]
        if step % 8 == 0:
            after_epochs.append(average)
    return after_epochs


def test_validation_and_callbacks_between_see_the_average_by_its_formula(trained):
    _, _, record, start = trained
    assert len(record.steps) == 16
    for epoch, average in enumerate(expected(record, start)):
        for seen in (record.validation[epoch * 8], record.epochs[epoch]):
            for a, b in zip(seen, average, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_training_goes_on_with_the_weights_themselves(trained):
    vae, _, record, _ = trained
    same(values(vae), record.steps[-1])
    alone = model()
    alone.fit(X, epochs=2, batch_size=4, verbose=0)
    same(values(alone), record.steps[-1])


def test_choosing_leaves_the_average_and_twice_is_once(trained):
    vae, average, record, start = trained
    weights = values(vae)
    for _ in range(2):
        average.choose()
        for a, b in zip(values(vae), expected(record, start)[-1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    average.on_test_end()
    same(values(vae), weights)


@pytest.mark.parametrize("shown", [False, True])
def test_a_state_of_any_moment_comes_back(trained, shown):
    vae, average, _, _ = trained
    weights = values(vae)
    if shown:
        average.on_test_begin()
    kept, (state, arrays) = vae.get_weights(), average.get_state()
    average.on_test_end()

    other, second = model(), WeightAverage(0.99)
    second.set_model(other)
    other.set_weights(kept)
    second.set_state(json.loads(json.dumps(state)), arrays)
    same(values(other), weights)
    average.on_test_begin()
    second.on_test_begin()
    same(values(other), values(vae))
    average.on_test_end()
