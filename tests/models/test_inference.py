"""What one does with a model: arrays of any size in, arrays out."""

import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.engine.chunks import NUMBERS_PER_CALL, chunk_size

METHODS = ["encode", "reconstruct", "elbo"]


class Streamed:
    """Examples that are read in the graph, as those of an `ImageFolder`."""

    def __init__(self, x):
        self._x = tf.constant(x)
        self.shape = x.shape[1:]

    def __len__(self):
        return len(self._x)

    def gather(self, rows):
        return tf.gather(self._x, rows)


@pytest.fixture(scope="module")
def vae(small_vae):
    return small_vae()


@pytest.fixture(scope="module")
def x(grey):
    return grey(9)


# Sizes and sources


@pytest.mark.parametrize("n", [0, 1, 9])
def test_any_number_of_examples(vae, grey, n):
    x = grey(n) if n else np.zeros((0, 3, 5), np.float32)
    z_mean, z_log_var = vae.posterior(x)
    assert z_mean.shape == z_log_var.shape == (n, 2)
    assert vae.decode(z_mean).shape == (n, 3, 5)
    assert vae.reconstruct(x).shape == (n, 3, 5)
    assert vae.elbo(x).shape == (n,)
    assert vae.sample(n).shape == vae.sample(n, draw=True).shape == (n, 3, 5)


@pytest.mark.parametrize("name", METHODS)
def test_results_do_not_depend_on_how_examples_are_cut(vae, grey, name):
    x = grey(1100)  # more than go through the model together
    parts = tf.data.Dataset.from_tensor_slices(x).batch(300)
    expected = getattr(vae, name)(parts)
    np.testing.assert_allclose(getattr(vae, name)(x), expected, rtol=1e-5)


def test_what_is_generated_is_copied_once(small_vae):
    vae = small_vae((40, 50, 1))
    z = np.zeros((1100, 2), np.float32)
    vae.decode(z[:1])  # traces
    tracemalloc.start()  # counts what NumPy allocates
    try:
        x = vae.decode(z)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * x.nbytes


def test_a_larger_sample_begins_with_the_smaller_one(vae):
    many = vae.sample(1100, seed=1, draw=True)
    np.testing.assert_allclose(vae.sample(1030, seed=1, draw=True), many[:1030])


@pytest.mark.parametrize("name", METHODS)
def test_results_do_not_depend_on_where_examples_come_from(vae, x, name):
    expected = getattr(vae, name)(x)
    data = tf.data.Dataset.from_tensor_slices(x)
    for source in (
        x.astype(np.float64),
        np.rint(x * 255).astype(np.uint8),
        tf.constant(x),
        Streamed(x),
        data.batch(4),
        data.map(lambda row: (row, row)).batch(4),
    ):
        got = getattr(vae, name)(source)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_subclass_may_branch_on_tensors(x):
    class Branching(VAE):
        def decode_params(self, z, condition=None, training=None):
            params = super().decode_params(z, condition, training)
            if tf.reduce_sum(z) > 0:
                params = params + 1.0
            return params

    vae = Branching(2, (3, 5), seed=0, encoder=networks.mlp_encoder((3, 5), 2))
    z = np.ones((1, 2), np.float32)
    found = vae.decode(z)
    assert vae.decode(-z).shape == found.shape
    params = VAE.decode_params(vae, tf.constant(z)) + 1.0
    np.testing.assert_allclose(found, tf.sigmoid(params), rtol=1e-5)


def test_predict_is_reconstruct_also_of_a_model_that_was_not_built(small_vae, x):
    vae = small_vae()
    predicted = vae.predict(x, batch_size=4, verbose=0)
    np.testing.assert_allclose(predicted, vae.reconstruct(x), atol=1e-6)


# Samples and paths


def test_the_same_seed_gives_the_same_samples_and_more_start_with_them(vae):
    for draw in (False, True):
        few = vae.sample(4, seed=7, draw=draw)
        np.testing.assert_allclose(vae.sample(9, seed=7, draw=draw)[:4], few, atol=1e-6)
        assert not np.allclose(vae.sample(4, seed=8, draw=draw), few)
        assert not np.allclose(vae.sample(4, seed=7 + 2**31, draw=draw), few)


def test_samples_without_a_seed_differ_each_time(vae):
    assert not np.allclose(vae.sample(4), vae.sample(4))


def test_draws_are_draws_of_the_likelihood(vae):
    draws = vae.sample(4000, seed=1, draw=True)
    means = vae.sample(4000, seed=1)
    assert set(np.unique(draws)) == {0.0, 1.0}
    error = np.sqrt(np.mean(means * (1 - means), axis=0) / 4000)
    difference = np.abs(np.mean(draws - means, axis=0))
    assert np.all(difference < 4.5 * error)


@pytest.mark.parametrize("spherical", [False, True])
def test_the_ends_of_a_path_are_the_reconstructions(vae, x, spherical):
    path = vae.interpolate(x[0], x[1], 5, spherical)
    assert path.shape == (5, 3, 5)
    np.testing.assert_allclose(path[[0, -1]], vae.reconstruct(x[:2]), atol=1e-6)
    assert not np.allclose(path[2], path[0], atol=1e-4)


def test_a_path_of_one_step_is_its_start(vae, x):
    path = vae.interpolate(x[0], x[1], 1)
    np.testing.assert_allclose(path, vae.reconstruct(x[:1]), atol=1e-6)


# adapt


def test_adapt_starts_the_output_at_the_mean_of_the_data(grey):
    x = grey(30)
    decoder = networks.mlp_decoder(2, (3, 5), hidden_units=(4,))
    vae = VAE(2, (3, 5), encoder="mlp", decoder=decoder, seed=1)
    vae.adapt(x)
    at_origin = vae.decode(np.zeros((1, 2)))[0]
    np.testing.assert_allclose(at_origin, x.mean(axis=0), atol=1e-4)


@pytest.mark.slow
def test_adapt_does_not_make_the_latent_superfluous(mnist10k):
    with np.load(mnist10k) as images:
        x, x_test = (
            images["x_train"][..., np.newaxis],
            images["x_test"][..., np.newaxis],
        )
    options = {"activation": "softplus", "initializer": "glorot_uniform"}
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder((28, 28, 1), 20, hidden_units=(500, 500), **options)
    decoder = networks.mlp_decoder(20, (28, 28, 1), hidden_units=(500, 500), **options)
    vae = VAE(20, (28, 28, 1), encoder=encoder, decoder=decoder, seed=0)
    vae.compile(optimizer="adam")
    vae.adapt(x)
    vae.fit(np.tile(x, (5, 1, 1, 1)), batch_size=100, epochs=1, verbose=0)
    figures = vae.evaluate(x_test, verbose=0, return_dict=True)
    assert figures["kl_loss"] > 5.0  # 0.0 where it has collapsed
    assert figures["reconstruction_loss"] + figures["kl_loss"] < 160.0  # 206


@pytest.mark.parametrize("shape", [(4,), (6, 4)])
def test_adapt_standardises_each_feature(small_vae, shape):
    rng = np.random.default_rng(0)
    unit, offset = [1e-9, 1.0, 1e5, 1.0], [0.0, -3.0, 1e6, 7.0]
    x = (rng.normal(size=(200, *shape)) * unit + offset).astype(np.float32)
    x[..., 3] = 7.0  # a constant has no scale to divide by
    vae = small_vae(shape, likelihood="gaussian")
    vae.adapt(x)
    axes = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(vae.data_mean.numpy(), x.mean(axes), rtol=1e-3)
    scale = vae.data_scale.numpy()
    np.testing.assert_allclose(scale[:3], unit[:3], rtol=0.2)
    assert scale[3] == 1.0
    inside = vae.to_model(tf.constant(x)).numpy()
    np.testing.assert_allclose(inside[..., :3].std(axes), 1, rtol=0.01)
    back = vae.to_data(tf.constant(inside)).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-5, atol=1e-12)


def test_log_likelihoods_carry_the_jacobian_of_the_standardisation(small_vae):
    x = np.random.default_rng(0).normal(size=(20, 6, 4)).astype(np.float32)
    elbos = []
    for unit in (1.0, 1000.0):
        vae = small_vae((6, 4), likelihood="gaussian")
        vae.adapt(unit * x)
        elbos.append(vae.elbo(unit * x))
    shift = 6 * 4 * np.log(1000.0)
    np.testing.assert_allclose(elbos[1], elbos[0] - shift, rtol=1e-4)


def test_adapt_takes_a_dataset_of_batches(small_vae):
    x = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    whole, parts = (small_vae((4,), likelihood="gaussian") for _ in range(2))
    whole.adapt(x)
    parts.adapt(tf.data.Dataset.from_tensor_slices(x).batch(7))
    for name in ("data_mean", "data_scale"):
        np.testing.assert_allclose(
            getattr(parts, name).numpy(), getattr(whole, name).numpy(), rtol=1e-6
        )


def test_adapt_refuses_what_training_would(small_vae):
    with pytest.raises(ValueError, match="finite"):
        small_vae().adapt(np.full((4, 3, 5), np.nan))


# Refusals


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("wrap", [np.asarray, tf.constant, Streamed])
def test_examples_of_another_shape_are_refused(vae, name, wrap):
    with pytest.raises(ValueError, match=r"\(n, 3, 5\).*shape \(2, 5, 3\)"):
        getattr(vae, name)(wrap(np.zeros((2, 5, 3), np.float32)))


@pytest.mark.parametrize("z", [np.zeros((2, 3)), np.zeros(2)])
def test_latents_of_another_size_are_refused(vae, z):
    with pytest.raises(ValueError, match=r"`z`.*\(n, 2\)"):
        vae.decode(z)


def test_a_condition_is_refused(vae, x):
    for name in METHODS:
        with pytest.raises(ValueError, match="`condition`.*not a conditional model"):
            getattr(vae, name)(x, condition=np.zeros(9))


def test_counts_out_of_range_are_refused(vae, x):
    with pytest.raises(ValueError, match="`n`.*n=-1"):
        vae.sample(-1)
    with pytest.raises(ValueError, match="`steps`.*steps=0"):
        vae.interpolate(x[0], x[1], 0)


def test_a_dataset_without_end_is_refused(vae, x):
    endless = tf.data.Dataset.from_tensor_slices(x).batch(4).repeat()
    for name in (*METHODS, "adapt"):
        with pytest.raises(ValueError, match="a dataset that ends"):
            getattr(vae, name)(endless)


def test_a_half_precision_model_gives_float32(grey):
    keras.utils.set_random_seed(0)
    vae = VAE(2, (3, 5), seed=1, dtype="mixed_bfloat16")
    for got in (*vae.posterior(grey(3)), vae.reconstruct(grey(3)), vae.elbo(grey(3))):
        assert got.dtype == np.float32


def test_many_samples_of_an_elbo_are_not_decoded_at_once(small_vae, x):
    vae, rows = small_vae(), []
    generate = vae.decode_params

    def noted(z, *rest):
        shape = tf.py_function(
            lambda n: rows.append(int(n)) or n, [tf.shape(z)[1]], tf.int32
        )
        with tf.control_dependencies([shape]):
            return generate(tf.identity(z), *rest)

    vae.decode_params = noted
    vae.elbo(x, 20_000)
    most = chunk_size(vae, 20_000)
    assert rows == [most] * (len(x) // most) + [len(x) % most] * (len(x) % most > 0)
    assert most * 20_000 * 15 <= max(NUMBERS_PER_CALL.values())
