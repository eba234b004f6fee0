"""What users naturally give: the right result, or a sentence that says what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import CVAE

SHAPE = (3, 5)


class Table:
    """As much of a pandas.DataFrame as there is to see."""

    def __init__(self, values):
        self._values, self.shape = values, values.shape
        self.columns = list(range(values.shape[1]))

    def __array__(self, dtype=None, copy=None):
        return self._values

    def __len__(self):
        return len(self._values)

    def __getitem__(self, column):
        return self._values[:, column]


@pytest.fixture
def vae(small_vae):
    model = small_vae()
    model.compile("adam")
    return model


def of_slices(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


METHODS = {
    "fit": lambda vae, x: vae.fit(x, verbose=0),
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
    "predict": lambda vae, x: vae.predict(x, verbose=0),
    "posterior": lambda vae, x: vae.posterior(x),
    "adapt": lambda vae, x: vae.adapt(x),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_table_is_an_array(small_vae, grey, method):
    x = grey(8)
    with pytest.raises(ValueError, match="`x`"):
        model = small_vae()
        model.compile("adam")
        METHODS[method](model, Table(x.reshape(8, -1)))
    vector = small_vae((15,))
    vector.compile("adam")
    METHODS[method](vector, Table(x.reshape(8, -1)))


def test_a_list_of_examples_is_an_array(vae, grey):
    x = grey(8)
    expected = vae.evaluate(x, verbose=0)
    assert vae.evaluate(list(x), verbose=0) == expected
    assert vae.evaluate(x.tolist(), verbose=0) == pytest.approx(expected)
    np.testing.assert_array_equal(vae.encode(list(x)), vae.encode(x))


def test_a_list_of_batches_is_read_or_refused(vae, grey):
    x = grey(8)
    np.testing.assert_allclose(vae.encode([x[:3], x[3:]]), vae.encode(x), atol=1e-6)
    with pytest.raises(ValueError, match="`x`"):
        vae.fit([x[:3], x[3:]], verbose=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_dataset_of_examples_is_to_be_batched(vae, grey, method):
    data = tf.data.Dataset.from_tensor_slices(grey(8))
    with pytest.raises(ValueError, match="`x`") as caught:
        METHODS[method](vae, data)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_generators_of_arrays_train_as_datasets_of_them(small_vae, grey):
    x, weights = grey(8), []
    for data in (
        (x[first : first + 4] for first in (0, 4)),
        iter([(x[:4],), (x[4:],)]),
        of_slices(x),
    ):
        vae = small_vae()
        vae.compile("adam")
        vae.fit(data, steps_per_epoch=2, verbose=0)
        weights.append(vae.get_weights())
    for other in weights[1:]:
        for one, two in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        None,
        "digits",
        3,
        {"x": np.zeros((4, *SHAPE))},
        np.full((4, *SHAPE), "a"),
        lambda: of_slices(np.full((4, *SHAPE), "a")),
        lambda: of_slices({"x": np.zeros((4, *SHAPE))}),
        [np.zeros(SHAPE), np.zeros((2, 5))],
    ],
    ids=["none", "name", "number", "dict", "text", "texts", "dicts", "two shapes"],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_example_is_refused_in_one_sentence(vae, method, x):
    x = x() if callable(x) else x
    with pytest.raises(ValueError, match="`x`") as caught:
        METHODS[method](vae, x)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_channels_that_come_first_are_to_be_moved(small_vae, grey):
    vae = small_vae((6, 8, 3))
    with pytest.raises(ValueError, match=r"np\.moveaxis\(x, 1, -1\)"):
        vae.posterior(np.zeros((4, 3, 6, 8)))


# Conditional models


@pytest.mark.parametrize(
    "call",
    [
        lambda cvae, x: cvae.sample(4),
        lambda cvae, x: cvae.sample(4, draw=True),
        lambda cvae, x: cvae.decode(np.zeros((2, 2))),
        lambda cvae, x: cvae.posterior(x),
        lambda cvae, x: cvae.interpolate(x[0], x[1]),
        lambda cvae, x: cvae.fit(x, verbose=0),
        lambda cvae, x: cvae.fit(of_slices(x), verbose=0),
        lambda cvae, x: cvae.train_on_batch(x),
        lambda cvae, x: cvae.predict_on_batch(x),
    ],
)
def test_a_missing_label_is_asked_for(grey, call):
    cvae = CVAE(2, SHAPE, num_classes=3, seed=0)
    cvae.compile("adam")
    with pytest.raises(ValueError, match=r"`(condition|y)`.*from 0 to 2") as caught:
        call(cvae, grey(8))
    assert "\n" not in str(caught.value)


# What Keras takes and these models do not


def test_losses_and_metrics_are_those_of_the_model(small_vae):
    vae = small_vae()
    for argument in ("loss", "metrics", "weighted_metrics", "loss_weights"):
        with pytest.raises(ValueError, match=f"`{argument}`"):
            vae.compile("adam", **{argument: ["mse"]})
    with pytest.raises(ValueError, match="`loss`"):
        vae.compile("adam", "mse")
    vae.compile("adam", loss=None, metrics=[])
    assert vae.compiled


def test_class_weights_are_weights_of_examples(vae, grey):
    x = grey(8)
    with pytest.raises(ValueError, match="`class_weight`"):
        vae.fit(x, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="`class_weight`"):
        vae.train_on_batch(x, class_weight={0: 1.0})


@pytest.mark.parametrize("size", [0, -1, "many"])
def test_a_batch_holds_an_example_at_least(vae, grey, size):
    with pytest.raises(ValueError, match="`batch_size`"):
        vae.fit(grey(8), batch_size=size, verbose=0)


# Examples kept aside


class Counted(keras.Model):
    """Counts the examples of `fit` and of its validation."""

    def __init__(self):
        super().__init__()
        self.rows = keras.metrics.Sum(name="rows")

    def train_step(self, data):
        self.rows.update_state(tf.ones(tf.shape(data[0])[0]))
        return {"rows": self.rows.result()}

    test_step = train_step


@pytest.mark.slow
@pytest.mark.parametrize(("n", "fraction"), [(10, 0.25), (10, 0.99), (9, 1 / 3)])
def test_as_many_are_kept_aside_as_keras_keeps(small_vae, grey, n, fraction):
    x = grey(n)
    vae = small_vae()
    vae.compile(keras.optimizers.SGD(0.0))
    try:
        reference = Counted()
        reference.compile()
        rows = reference.fit(
            x, x, batch_size=1, validation_split=fraction, verbose=0
        ).history["rows"][0]
    except ValueError:  # nothing would be left to train on
        with pytest.raises(ValueError, match="`validation_split`"):
            vae.fit(x, validation_split=fraction, verbose=0)
        return
    vae.fit(x, batch_size=1, validation_split=fraction, verbose=0)
    assert int(vae.step.numpy()) == rows


@pytest.mark.parametrize("fraction", [1.5, -0.1, 1, 0.9999, "half", np.nan])
def test_a_split_that_leaves_one_part_empty_is_refused(vae, grey, fraction):
    with pytest.raises(ValueError, match="`validation_split`"):
        vae.fit(grey(8), validation_split=fraction, verbose=0)


# One batch, and weights


def test_a_batch_is_predicted_before_anything_was_built(small_vae, grey):
    x = grey(4)
    np.testing.assert_allclose(
        small_vae().predict_on_batch(x), small_vae().reconstruct(x), atol=1e-6
    )
    cvae, y = CVAE(2, SHAPE, num_classes=3, seed=0), np.array([0, 1, 2, 0])
    np.testing.assert_allclose(
        cvae.predict_on_batch((x, y)), cvae.reconstruct(x, y), atol=1e-6
    )


def test_weights_are_read_and_written_before_anything_was_built(small_vae, tmp_path):
    path = tmp_path / "vae.weights.h5"
    first, second = small_vae(), keras_vae.VAE(2, SHAPE, seed=5)
    second.set_weights([w + 1 for w in second.get_weights()])
    assert second.count_params() > 0
    other = keras_vae.VAE(2, SHAPE, seed=6)
    second.save_weights(path)
    other.load_weights(path)
    for one, two in zip(other.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(first.get_weights()) == len(first.variables)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_a_batch_of_another_shape_is_refused_in_one_sentence(vae, grey, method):
    with pytest.raises(ValueError, match="`x`") as caught:
        getattr(vae, method)(grey(4)[:, 0])
    assert "\n" not in str(caught.value)
