"""The engine trains whatever has a step and a state: here a straight line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.engine.divergence import Diverged, Update, apply_if_finite
from keras_vae.engine.microbatches import accumulated, weighted_batch
from keras_vae.engine.trainer import MultiStepTrainer

SLOPE = np.array([[2.0], [-1.0]], np.float32)
N = 13  # examples, in batches of 4: uneven for two replicas


class Line(MultiStepTrainer):
    """Least squares of y on x: all that a `StepModel` has to give."""

    data_shape = (2,)

    def build(self, input_shape=None):
        self.step = self.add_weight(
            shape=(), dtype="int64", trainable=False, initializer="zeros",
            aggregation="only_first_replica",
        )  # fmt: skip
        self.slope = self.add_weight(shape=(2, 1), initializer="zeros", name="slope")
        self.error = keras.metrics.Mean(name="error")
        self.built = True

    def call(self, x):
        return tf.matmul(x, self.slope)

    def errors(self, batch):
        x, y = batch.inputs
        errors = tf.reduce_sum(tf.square(self(x) - y), axis=-1)
        self.error.total.assign_add(tf.reduce_sum(errors))
        self.error.count.assign_add(tf.cast(batch.span.count, tf.float32))
        return tf.reduce_sum(batch.weight * errors)

    def train_step(self, data):
        def work(batch):
            with tf.GradientTape() as tape:
                loss = self.errors(batch)
            return loss, [tape.gradient(loss, self.trainable_variables)]

        x, y, weight = self.parts_of(data)
        variables = self.optimized_variables
        loss, gradients = accumulated(
            work, weighted_batch((x, y), x, weight), self.accumulate_steps, variables
        )
        updates = [Update(self.optimizer, gradients[0], variables[0])]
        finite = apply_if_finite(loss, updates)
        self.step.assign_add(tf.cast(finite, tf.int64))
        return self.get_metrics_result()

    def test_step(self, data):
        x, y, weight = self.parts_of(data)
        self.errors(weighted_batch((x, y), x, weight))
        return self.get_metrics_result()

    def parts_of(self, data):
        return keras.utils.unpack_x_y_sample_weight(data)

    def batch_fits(self, data):
        return tf.reduce_all(tf.math.is_finite(self.parts_of(data)[0]))

    def batch_arrays(self, data):
        x, y, _ = self.parts_of(data)
        return [x, y, tf.zeros((0, 0))]

    def check_batch(self, x, y, weight):
        self.check_examples(x)

    def check_examples(self, x):
        if not np.isfinite(x).all():
            raise ValueError("x is not finite")

    check_input = check_examples


@pytest.fixture
def data():
    x = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    return x, x @ SLOPE


def line(strategy=None, optimizer=None, **options):
    with (strategy or tf.distribute.get_strategy()).scope():
        model = Line(seed=0)
        model.compile(optimizer or keras.optimizers.SGD(0.1), **options)
    return model


def fit(model, data, **options):
    return model.fit(*data, batch_size=4, verbose=0, **options).history["error"]


def test_it_learns_in_calls_of_many_steps(data):
    model = line(steps_per_execution=3)
    errors = fit(model, data, epochs=20)
    np.testing.assert_allclose(model.slope, SLOPE, atol=1e-2)
    assert int(model.step.numpy()) == 20 * 4
    assert errors[-1] < 1e-3 < errors[0]


@pytest.mark.parametrize("options", [{}, {"accumulate_steps": 2}])
def test_two_replicas_train_the_same_model(data, replicas, options):
    one, two = line(**options), line(replicas(2), **options)
    np.testing.assert_allclose(
        fit(one, data, epochs=3), fit(two, data, epochs=3), rtol=1e-5
    )
    np.testing.assert_allclose(one.slope, two.slope, rtol=1e-5)


def test_evaluation_is_the_mean_over_the_examples(data):
    x, y = data
    metrics = line().evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    assert metrics["error"] == pytest.approx(np.square(y).sum(axis=-1).mean())


def test_a_batch_that_does_not_fit_makes_no_step(data):
    x, y = data
    x[9] = np.nan
    model = line(steps_per_execution=4)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), verbose=0)
    assert int(model.step.numpy()) == 2


def test_what_is_not_finite_is_named_by_its_metric(data):
    x, y = data
    y[:] = np.inf
    with pytest.raises(Diverged) as failed:
        fit(line(), (x, y))
    assert failed.value.term == "error"


def test_the_old_name_of_needs_global_batch_still_says_so(data):
    class Coupled(Line):
        couples_examples = True

    class Apart(Coupled):
        couples_examples = False

    assert [kind(seed=0).needs_global_batch for kind in (Coupled, Apart)] == [1, 0]
    assert Coupled(seed=0).couples_examples
    with pytest.raises(ValueError, match="accumulate_steps"):
        Coupled(seed=0).compile("sgd", accumulate_steps=2)
    model = Line(seed=0)
    model.couples_examples = True
    assert model.needs_global_batch
    assert keras_vae.BetaTCVAE.needs_global_batch
    assert keras_vae.BetaTCVAE.couples_examples
    assert not keras_vae.VAE.couples_examples
