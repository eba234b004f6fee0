"""Datasets that do not fit are refused as arrays are, before a step is made on them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import CVAE, FactorVAE
from keras_vae.models.semi_supervised import M2

pytestmark = pytest.mark.usefixtures("no_garbage")

SHAPE = (3, 5)
IN_UNITS = r"`x` must lie in \[0, 1\].*Bernoulli.*divide by 255"


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 4

    def __getitem__(self, index):
        return self.x[4 * index : 4 * index + 4]


def dataset(*parts, batch_size=4):
    return tf.data.Dataset.from_tensor_slices(parts if parts[1:] else parts[0]).batch(
        batch_size
    )


def generator(x):
    return (x[first : first + 4] for first in range(0, len(x), 4))


def of_int64(x):
    return dataset(x.astype(np.int64))


def pairs(x):
    return iter([(x[:4], x[:4]), (x[4:8], x[4:8])])


WAYS = {
    "tf.data": dataset,
    "tf.data of int64": of_int64,
    "PyDataset": Batches,
    "generator": generator,
    "iterator of pairs": pairs,
}
METHODS = {
    "fit": lambda vae, x: vae.fit(x, verbose=0),
    "validate": lambda vae, x: vae.fit(
        np.zeros((4, *SHAPE)), validation_data=x, verbose=0
    ),
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
    "predict": lambda vae, x: vae.predict(x, verbose=0),
    "posterior": lambda vae, x: vae.posterior(x),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "elbo": lambda vae, x: vae.elbo(x),
    "adapt": lambda vae, x: vae.adapt(x),
}
ON_BATCH = {
    "train_on_batch": lambda vae, x: vae.train_on_batch(x),
    "test_on_batch": lambda vae, x: vae.test_on_batch(x),
    "predict_on_batch": lambda vae, x: vae.predict_on_batch(x),
}


@pytest.fixture
def vae(small_vae):
    model = small_vae()
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def refusing(small_vae):
    """A compiled model for all tests in which nothing is learned."""
    model = small_vae()
    model.compile("adam")
    return model


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_whatever_way_it_comes(refusing, grey, way):
    for method in ("fit", "predict", "posterior"):
        with pytest.raises(ValueError, match=IN_UNITS):
            METHODS[method](refusing, WAYS[way](255 * grey(8)))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_refuses_it(refusing, grey, method):
    with pytest.raises(ValueError, match=IN_UNITS):
        METHODS[method](refusing, dataset(255 * grey(8)))


@pytest.mark.parametrize("method", {**METHODS, **ON_BATCH})
def test_and_of_arrays_too(refusing, grey, method):
    with pytest.raises(ValueError, match=IN_UNITS):
        {**METHODS, **ON_BATCH}[method](refusing, 255 * grey(8))


@pytest.mark.parametrize(
    ("dtype", "top"),
    [(np.uint8, 255), (np.uint16, 65_535), (np.int64, 1), (np.float64, 1), (bool, 1)],
)
def test_the_type_decides_and_not_the_values(refusing, grey, dtype, top):
    vae = refusing
    x = np.rint(grey(8))
    stored = dataset((x * top).astype(dtype))
    assert vae.evaluate(stored, verbose=0) == pytest.approx(vae.evaluate(x, verbose=0))
    np.testing.assert_allclose(vae.encode(stored), vae.encode(x), atol=1e-6)


def state(vae):
    return [variable.numpy().copy() for variable in vae.variables]


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 1},
        {"steps_per_execution": 4},
        {"run_eagerly": True},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        pytest.param({"accumulate_steps": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_later_batch_is_refused_before_its_update(small_vae, grey, options):
    good, bad = grey(8), 255 * grey(4, seed=1)
    vae, sound = small_vae(), small_vae()
    for model in (vae, sound):
        model.compile("adam", **options)
    sound.fit(dataset(good), verbose=0)
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.fit(dataset(np.concatenate([good, bad, good])), verbose=0)
    assert int(vae.step.numpy()) == int(vae.optimizer.iterations.numpy()) == 2
    for now, then in zip(vae.get_weights(), sound.get_weights(), strict=True):
        np.testing.assert_allclose(now, then, atol=1e-6)


@pytest.mark.slow
def test_no_statistic_and_no_other_optimizer_has_seen_it(grey):
    image = keras.Input(SHAPE)
    h = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
    heads = [keras.layers.Dense(2)(h) for _ in range(2)]
    vae = FactorVAE(2, SHAPE, encoder=keras.Model(image, heads), seed=3)
    vae.compile("adam")
    vae.ensure_built()
    before = state(vae)
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.fit(dataset(255 * grey(4)), verbose=0)
    for now, then in zip(state(vae), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_model_trains_on_after_a_refusal(vae, grey):
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.fit(dataset(255 * grey(8)), verbose=0)
    history = vae.fit(dataset(grey(8)), epochs=2, verbose=0).history
    assert int(vae.step.numpy()) == 4
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.slow
@pytest.mark.parametrize("bad_row", [1, 6])
def test_one_replica_holds_all_back(replicas, small_vae, grey, bad_row):
    x = grey(24)
    x[16 + bad_row] *= 255  # of either replica of the third batch
    with replicas(2).scope():
        vae = small_vae()
        vae.compile("adam", steps_per_execution=3)
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.fit(dataset(x, batch_size=8), verbose=0)
    assert int(vae.step.numpy()) == int(vae.optimizer.iterations.numpy()) == 2
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.evaluate(dataset(x, batch_size=8), verbose=0)
    with pytest.raises(ValueError, match=IN_UNITS):
        vae.predict(dataset(x, batch_size=8), verbose=0)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_what_is_not_finite_is_a_fault_of_the_data(small_vae, grey, likelihood):
    x = grey(8)
    x[5, 1, 1] = np.nan
    vae = small_vae(likelihood=likelihood)
    vae.compile("adam")
    with pytest.raises(ValueError, match="`x`"):
        vae.fit(dataset(x), verbose=0)
    assert int(vae.step.numpy()) == 1


@pytest.mark.slow
def test_binarised_batches_are_refused_by_the_continuous_bernoulli(small_vae, grey):
    x = np.rint(grey(32))
    vae = small_vae(likelihood="continuous_bernoulli")
    vae.compile("adam")
    with pytest.raises(ValueError, match="take Bernoulli for binarised"):
        vae.fit(dataset(x, batch_size=16), verbose=0)
    # An image may be black and white; only data to learn from may not.
    assert vae.posterior(x[:1])[0].shape == (1, 2)


@pytest.mark.slow
def test_an_array_of_a_few_grey_values_is_not_refused_for_its_other_batches(
    small_vae, grey
):
    x = np.concatenate([grey(2), np.rint(grey(46))])
    vae = small_vae(likelihood="continuous_bernoulli")
    vae.compile("adam")
    figures = vae.fit(x, batch_size=16, validation_data=(x,), verbose=0).history
    assert np.isfinite(figures["val_loss"]).all() and int(vae.step.numpy()) == 3
    assert np.isfinite(vae.evaluate(x, batch_size=16, verbose=0)).all()


@pytest.mark.slow
def test_data_checked_whole_need_no_check_of_their_batches(small_vae, grey):
    x = np.concatenate([grey(2), np.rint(grey(46))])
    vae = small_vae(likelihood="continuous_bernoulli")
    vae.compile("adam")
    vae.checks_batches = False
    vae.fit(dataset(x, batch_size=16), verbose=0)
    assert int(vae.step.numpy()) == 3
    vae.checks_batches = True
    with pytest.raises(ValueError, match="take Bernoulli for binarised"):
        vae.fit(dataset(x[2:], batch_size=16), verbose=0)


@pytest.mark.parametrize("method", ["posterior", "adapt", "elbo"])
def test_a_dataset_without_a_batch_is_refused(refusing, grey, method):
    with pytest.raises(ValueError, match="`x`"):
        METHODS[method](refusing, dataset(grey(4)).take(0))


# Weights of the examples


BAD_WEIGHTS = {
    "negative": np.linspace(1, -1, 8),
    "NaN": np.r_[np.ones(7), np.nan],
    "infinite": np.r_[np.ones(7), np.inf],
    "one for each pixel": np.ones((8, *SHAPE)),
    "two for each": np.ones((8, 2)),
}


@pytest.mark.parametrize("weight", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_weights_are_one_sound_number_for_each_example(refusing, grey, weight):
    vae, x = refusing, grey(8)
    vae.ensure_built()
    before = int(vae.step.numpy())
    calls = [
        lambda: vae.fit(x, sample_weight=weight, verbose=0),
        lambda: vae.fit(dataset(x, x, weight, batch_size=8), verbose=0),
        lambda: vae.evaluate(x, sample_weight=weight, verbose=0),
        lambda: vae.evaluate(dataset(x, x, weight, batch_size=8), verbose=0),
        lambda: vae.train_on_batch(x, sample_weight=weight),
        lambda: vae.test_on_batch(x, sample_weight=weight),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`sample_weight`"):
            call()
    assert int(vae.step.numpy()) == before


@pytest.mark.slow
def test_weights_of_another_number_of_examples_are_refused(vae, grey):
    x = grey(8)
    ragged = iter([(x, None, np.ones(7))])
    for data, weight in ((x, np.ones(7)), (ragged, None)):
        with pytest.raises(ValueError, match="`sample_weight`"):
            vae.fit(data, sample_weight=weight, verbose=0)


# Conditions


def labelled(kind):
    vae = kind(2, SHAPE, num_classes=3, seed=0)
    vae.compile("adam")
    return vae


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (CVAE, 3),
        (CVAE, -1),
        (M2, 3),
        (M2, -2),
    ],
)
def test_labels_of_a_dataset_are_refused_as_those_of_an_array(grey, kind, label):
    x, y = grey(8), np.array([0, 1, 2, 0, 1, 2, label, 0])
    vae = labelled(kind)
    calls = [
        lambda: vae.fit(x, y, verbose=0),
        lambda: vae.fit(dataset(x, y), verbose=0),
        lambda: vae.evaluate(dataset(x, y), verbose=0),
        lambda: vae.posterior(dataset(x, y)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`y`"):
            call()
    assert int(vae.step.numpy()) == 1  # the first batch of the dataset was sound


@pytest.mark.slow
def test_vectors_to_condition_on_are_refused_where_they_are_not_finite(grey):
    vae = CVAE(2, SHAPE, condition="vector", condition_shape=(2,), seed=0)
    vae.compile("adam")
    y = np.ones((8, 2), np.float32)
    y[7, 1] = np.nan
    with pytest.raises(ValueError, match="`y`"):
        vae.fit(dataset(grey(8), y), verbose=0)
    assert int(vae.step.numpy()) == 1
