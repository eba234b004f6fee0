"""The SavedModel against the living model, and without the package."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, FlowPrior, HierarchicalVAE, networks
from keras_vae.evaluation.likelihood import importance_weighted_nll
from keras_vae.export import export
from keras_vae.probability.likelihoods import LIKELIHOODS

SHAPE = (3, 5)
SIGNATURES = {
    "generate": ["num", "seed"],
    "generate_draws": ["num", "seed"],
    "decode": ["z"],
    "encode": ["x"],
    "reconstruct": ["x"],
    "interpolate": ["a", "b", "steps"],
    "sample_posterior": ["num", "seed", "x"],
    "log_prior": ["z"],
    "serving_default": ["num", "seed"],
}


def small_vae(shape=SHAPE, likelihood="bernoulli", seed=3):
    keras.utils.set_random_seed(0)
    params_shape = LIKELIHOODS[likelihood]().params_shape(shape)
    return VAE(
        2,
        shape,
        encoder=networks.mlp_encoder(shape, 2, hidden_units=(8,)),
        decoder=networks.mlp_decoder(2, params_shape, hidden_units=(8,)),
        likelihood=likelihood,
        seed=seed,
    )


def examples(n, shape=SHAPE):
    levels = np.random.default_rng(0).integers(0, 256, (n, *shape))
    return (levels / 255).astype(np.float32)


def generated(saved, num, seed, signature="generate"):
    inputs = {"num": tf.constant(num), "seed": tf.constant(seed)}
    return saved.signatures[signature](**inputs)["x"].numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A trained model, its SavedModel as loaded, and where that is."""
    vae = small_vae()
    vae.compile("adam")
    vae.fit(examples(20), batch_size=5, verbose=0)
    path = tmp_path_factory.mktemp("export") / "saved_model"
    vae.export(path)
    return vae, tf.saved_model.load(path), path


def test_the_signatures_and_their_inputs_have_their_names(exported):
    _, saved, _ = exported
    assert set(saved.signatures) == set(SIGNATURES)
    for name, inputs in SIGNATURES.items():
        _, keywords = saved.signatures[name].structured_input_signature
        assert sorted(keywords) == sorted(inputs)
    outputs = saved.signatures["encode"].structured_outputs
    assert sorted(outputs) == ["z_log_var", "z_mean"]


@pytest.mark.parametrize("signature", ["generate", "generate_draws"])
def test_seeds_are_honoured(exported, signature):
    _, saved, _ = exported
    first = generated(saved, 8, [1, 2], signature)
    assert first.shape == (8, *SHAPE) and first.dtype == np.float32
    np.testing.assert_array_equal(generated(saved, 8, [1, 2], signature), first)
    for other in ([1, 3], [2, 2], [2, 1]):
        assert not np.allclose(generated(saved, 8, other, signature), first)


@pytest.mark.parametrize("signature", ["generate", "generate_draws"])
def test_a_larger_number_starts_with_the_same_images(exported, signature):
    _, saved, _ = exported
    many = generated(saved, 64, [1, 2], signature)
    for num in (1, 7):
        few = generated(saved, num, [1, 2], signature)
        np.testing.assert_allclose(few, many[:num], atol=1e-6)


def test_it_generates_what_the_model_samples(exported):
    vae, saved, _ = exported
    for draw, signature in ((False, "generate"), (True, "generate_draws")):
        got = generated(saved, 6, [9, 0], signature)
        np.testing.assert_allclose(got, vae.sample(6, seed=9, draw=draw), atol=1e-6)
    serving = generated(saved, 6, [9, 0], "serving_default")
    np.testing.assert_array_equal(serving, generated(saved, 6, [9, 0]))


def test_draws_are_0_or_1(exported):
    _, saved, _ = exported
    drawn = generated(saved, 64, [1, 2], "generate_draws")
    assert set(np.unique(drawn)) == {0.0, 1.0}


@pytest.mark.parametrize("n", [1, 7, 64])
def test_batches_of_any_size_give_what_the_model_gives(exported, n):
    vae, saved, _ = exported
    x = examples(n)
    encoded = saved.signatures["encode"](x=tf.constant(x))
    z_mean, z_log_var = vae.posterior(x)
    np.testing.assert_allclose(encoded["z_mean"], z_mean, atol=1e-6)
    np.testing.assert_allclose(encoded["z_log_var"], z_log_var, atol=1e-6)
    decoded = saved.signatures["decode"](z=encoded["z_mean"])["x"]
    np.testing.assert_allclose(decoded, vae.decode(z_mean), atol=1e-6)
    reconstructed = saved.signatures["reconstruct"](x=tf.constant(x))["x"]
    np.testing.assert_allclose(reconstructed, vae.reconstruct(x), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_ends_of_an_interpolation_are_the_reconstructions(exported, steps):
    vae, saved, _ = exported
    a, b = examples(2)
    path = saved.signatures["interpolate"](
        a=tf.constant(a), b=tf.constant(b), steps=tf.constant(steps)
    )["x"].numpy()
    ends = vae.reconstruct(np.stack([a, b]))
    np.testing.assert_allclose(path[0], ends[0], atol=1e-6)
    if steps > 1:
        np.testing.assert_allclose(path[-1], ends[1], atol=1e-6)
    np.testing.assert_allclose(path, vae.interpolate(a, b, steps), atol=1e-6)


CHILD = """
import sys
sys.modules["keras_vae"] = None  # from now on it cannot be imported
import numpy as np
import tensorflow as tf

try:
    import keras_vae
except ImportError:
    pass
else:
    raise SystemExit("keras_vae can be imported")
saved = tf.saved_model.load(sys.argv[1])
x = saved.signatures["generate"](num=tf.constant(5), seed=tf.constant([1, 2]))["x"]
expected = np.load(sys.argv[2])
np.testing.assert_allclose(x.numpy(), expected, atol=1e-6)
for name in sys.modules:
    assert not name.startswith(("keras_vae.", "tensorflow_probability")), name
print("equal")
"""


@pytest.mark.slow
def test_it_loads_where_the_package_cannot_be_imported(exported, run_python, tmp_path):
    _, saved, path = exported
    np.save(tmp_path / "expected.npy", generated(saved, 5, [1, 2]))
    result = run_python("-c", CHILD, path, tmp_path / "expected.npy")
    assert result.stdout == "equal\n", result.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", [*LIKELIHOODS][1:])
def test_every_likelihood_is_exported_before_the_first_step(likelihood, tmp_path):
    vae = small_vae((4, 4, 1), likelihood)
    vae.export(tmp_path / "saved")
    saved = tf.saved_model.load(tmp_path / "saved")
    means = generated(saved, 5, [4, 0])
    np.testing.assert_allclose(means, vae.sample(5, seed=4), rtol=1e-5, atol=1e-6)
    draws = generated(saved, 5, [4, 0], "generate_draws")
    np.testing.assert_allclose(
        draws, vae.sample(5, seed=4, draw=True), rtol=1e-5, atol=1e-6
    )
    assert not np.allclose(draws, means)


@pytest.mark.slow
def test_outputs_are_in_the_units_of_the_data(tmp_path):
    x = 1000 + 50 * np.random.default_rng(0).normal(size=(40, 6, 2))
    vae = small_vae((6, 2), "gaussian")
    vae.adapt(x)
    vae.export(tmp_path / "saved")
    saved = tf.saved_model.load(tmp_path / "saved")
    got = saved.signatures["reconstruct"](x=tf.constant(x[:4], tf.float32))["x"]
    assert 900 < float(tf.reduce_mean(got)) < 1100
    np.testing.assert_allclose(got, vae.reconstruct(x[:4]), rtol=1e-5)


def flows():
    shape, small = (4, 4, 1), {"hidden_units": (8,)}
    keras.utils.set_random_seed(0)
    return VAE(
        2,
        shape,
        encoder=networks.mlp_encoder(shape, 2, context=128, **small),
        decoder=networks.mlp_decoder(2, shape, **small),
        posterior="iaf",
        posterior_flows=1,
        prior=FlowPrior(2, width=8),
        seed=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: small_vae((4, 4, 1)),
        lambda: HierarchicalVAE(2, (4, 4, 1), groups=(1, 1), width=4, seed=0),
        flows,
    ],
)
def test_the_likelihood_can_be_estimated_from_the_saved_model_alone(make, tmp_path):
    x = (examples(6, (4, 4, 1)) > 0.5).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(keras.optimizers.Adam(0.01))
    # For posteriors that fit; after more, narrow ones make single weights large.
    model.fit(x, epochs=30, verbose=0)
    model.export(tmp_path / "saved_model")
    saved = tf.saved_model.load(tmp_path / "saved_model")
    num = 4000
    drawn = saved.signatures["sample_posterior"](
        x=tf.constant(x), num=tf.constant(num), seed=tf.constant([1, 2])
    )
    z, log_q = drawn["z"], drawn["log_q"]
    assert z.shape == (num, 6, model.z_dim) and log_q.shape == (num, 6)
    flat = tf.reshape(z, [-1, model.z_dim])
    log_p = tf.reshape(saved.signatures["log_prior"](z=flat)["log_p"], [num, 6])
    mean = saved.signatures["decode"](z=flat)["x"]
    mean = tf.reshape(mean, [num, *x.shape])
    log_x = tf.reduce_sum(
        tf.math.log(tf.where(x == 1.0, mean, 1.0 - mean)), axis=[2, 3, 4]
    )
    weight = tf.cast(log_x + log_p - log_q, tf.float64)
    found = tf.reduce_logsumexp(weight, axis=0) - np.log(num)
    known = importance_weighted_nll(model, x, num, seed=5).log_prob
    np.testing.assert_allclose(found, known, atol=0.15)


@pytest.mark.slow
def test_an_export_replaces_the_one_that_was_there(tmp_path):
    path = tmp_path / "new" / "saved"
    first, second = small_vae(seed=1), small_vae(seed=2)
    second.ensure_built()
    second.set_weights([1.5 * weight for weight in second.get_weights()])
    export(first, path)
    (path / "stale").write_text("")
    export(second, path)
    assert os.listdir(tmp_path / "new") == ["saved"]
    assert not (path / "stale").exists()
    saved = tf.saved_model.load(path)
    got = generated(saved, 3, [1, 0])
    np.testing.assert_allclose(got, second.sample(3, seed=1), atol=1e-6)
    assert not np.allclose(got, first.sample(3, seed=1), atol=1e-4)


@pytest.mark.slow
def test_a_loaded_model_that_was_never_called_is_exported(exported, tmp_path):
    vae, saved, _ = exported
    vae.save(tmp_path / "vae.keras")
    keras.models.load_model(tmp_path / "vae.keras").export(tmp_path / "saved")
    again = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(
        generated(again, 4, [1, 2]), generated(saved, 4, [1, 2]), atol=1e-6
    )
