"""The bound and its parts: what the loss is, and what each argument changes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import VAE, networks
from keras_vae.noise import RowNoise, noise_scope

SHAPE = (3, 5)


@pytest.fixture(scope="module")
def x(grey):
    return grey(70)


@pytest.fixture(scope="module")
def compiled(small_vae):
    """Makes a compiled model that does not learn; one for each set of arguments."""
    made = {}

    def make(**options):
        key = repr(sorted(options.items(), key=str))
        if key not in made:
            made[key] = small_vae(**options)
            made[key].compile(keras.optimizers.SGD(0.0))
        return made[key]

    return make


def figures(vae, x, **options):
    return vae.evaluate(x, verbose=0, return_dict=True, **options)


# The loss


@pytest.mark.parametrize("beta", [1.0, 0.0, 4.0])
def test_the_loss_is_reconstruction_plus_beta_kl(compiled, x, beta):
    got = figures(compiled(beta=beta), x)
    assert set(got) == {"loss", "reconstruction_loss", "kl_loss", "neg_elbo"}
    assert got["kl_loss"] > 0.01
    assert got["loss"] == pytest.approx(
        got["reconstruction_loss"] + beta * got["kl_loss"], rel=1e-6
    )


def test_elbo_is_its_definition(compiled, x):
    vae = compiled()
    z_mean, z_log_var = (part.astype(float) for part in vae.posterior(x))
    noise = RowNoise(vae.seed, domain="evaluation").normal(len(x), (2,)).numpy()
    p = vae.decode(z_mean + np.exp(0.5 * z_log_var) * noise).astype(float)
    log_likelihood = np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=(1, 2))
    kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
    np.testing.assert_allclose(vae.elbo(x), log_likelihood - kl, rtol=1e-4)


def test_more_samples_make_the_elbo_steadier_but_not_different(compiled, x):
    vae = compiled()
    few = np.stack([vae.elbo(x[:5], 1, seed) for seed in range(40)])
    many = np.stack([vae.elbo(x[:5], 16, seed) for seed in range(40)])
    ratio = few.var(axis=0).mean() / many.var(axis=0).mean()
    assert 8 < ratio < 32
    error = np.sqrt(few.var(axis=0) / 40)
    assert np.all(np.abs(few.mean(axis=0) - many.mean(axis=0)) < 4.5 * error)


def loss_of(vae, x):
    """The whole loss, with its noise held fixed."""
    with noise_scope(RowNoise(0)):
        return vae.compute_loss(x, None, vae(x, training=True))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("posterior", ["diagonal", "isotropic"])
def test_gradients_agree_with_finite_differences(small_vae, x, likelihood, posterior):
    vae = small_vae(
        units=4,
        likelihood=likelihood,
        posterior=posterior,
        dtype="float64",
        beta=2.0,
        num_samples=2,
    )
    vae.compile(keras.optimizers.SGD(0.0))
    batch = tf.constant(x[:3], tf.float64)
    with tf.GradientTape() as tape:
        loss = loss_of(vae, batch)
    assert loss.dtype == tf.float64
    gradients = tape.gradient(loss, vae.trainable_variables)
    value = tf.function(lambda: loss_of(vae, batch))
    for weight, gradient in zip(vae.trainable_variables, gradients, strict=True):
        if weight.dtype != "float64":
            continue  # the Gaussian's scale is always float32
        start = weight.numpy()
        place = np.unravel_index(np.argmax(np.abs(gradient)), start.shape)
        sides = []
        for change in (1e-5, -1e-5):
            moved = start.copy()
            moved[place] += change
            weight.assign(moved)
            sides.append(float(value()))
        weight.assign(start)
        difference = (sides[0] - sides[1]) / 2e-5
        assert float(gradient.numpy()[place]) == pytest.approx(
            difference, rel=1e-5, abs=1e-8
        )


# What the arguments change


def test_a_schedule_of_beta_has_effect_after_tracing(small_vae, x):
    vae = small_vae(beta=keras_vae.LinearWarmup(4, value=2.0))
    vae.compile(keras.optimizers.SGD(0.0))
    history = vae.fit(x[:8], batch_size=8, epochs=6, verbose=0).history
    for name, values in history.items():
        history[name] = np.array(values)
    weighted = history["loss"] - history["reconstruction_loss"]
    expected = np.array([0, 0.5, 1, 1.5, 2, 2]) * history["kl_loss"]
    np.testing.assert_allclose(weighted, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "final"),
    [
        (keras_vae.LinearWarmup(4, value=2.0), 2.0),
        (keras.optimizers.schedules.PiecewiseConstantDecay([1], [3.0, 5.0]), 5.0),
    ],
)
def test_held_out_loss_has_the_final_beta_in_every_epoch(small_vae, x, beta, final):
    vae = small_vae(beta=beta)
    vae.compile(keras.optimizers.SGD(0.0))
    got = vae.fit(
        x[:8], batch_size=8, epochs=4, validation_data=x[:8], verbose=0
    ).history
    got = {name: np.array(values) for name, values in got.items()}
    expected = got["val_reconstruction_loss"] + final * got["val_kl_loss"]
    np.testing.assert_allclose(got["val_loss"], expected, rtol=1e-5)


@pytest.mark.slow
def test_minus_elbo_is_a_metric_whatever_beta_is(compiled, x):
    vae = compiled(beta=4.0)
    history = vae.fit(x, epochs=1, validation_data=x, verbose=0).history
    for part in ("", "val_"):
        terms = history[f"{part}reconstruction_loss"][0], history[f"{part}kl_loss"][0]
        assert history[f"{part}neg_elbo"][0] == pytest.approx(sum(terms), rel=1e-5)
    known = vae.evaluate(x, verbose=0, return_dict=True)
    assert known["neg_elbo"] == pytest.approx(-np.mean(vae.elbo(x)), rel=1e-5)
    listed = vae.evaluate(x, verbose=0)
    assert listed == [known[metric.name] for metric in vae.metrics]


def test_any_schedule_of_keras_can_be_beta(small_vae, x):
    vae = small_vae(beta=keras.optimizers.schedules.PiecewiseConstantDecay([1], [3, 5]))
    vae.compile(keras.optimizers.SGD(0.0))
    got = vae.fit(x[:8], batch_size=8, epochs=3, verbose=0).history
    weighted = np.subtract(got["loss"], got["reconstruction_loss"])
    np.testing.assert_allclose(weighted / got["kl_loss"], [3, 3, 5], rtol=1e-4)


def test_free_bits_cost_nothing_below_and_the_kl_above(compiled, x):
    bits, beta = 0.05, 3.0
    vae = compiled(free_bits=bits, beta=beta)
    kl = vae(x).latent.kl.numpy()
    assert np.any(kl < bits) and np.any(kl > bits)
    got = figures(vae, x)
    assert got["kl_loss"] == pytest.approx(np.mean(kl.sum(axis=1)), rel=1e-5)
    penalty = beta * np.mean(np.maximum(kl, bits).sum(axis=1))
    assert got["penalty_loss"] == pytest.approx(penalty, rel=1e-5)
    assert got["loss"] == pytest.approx(got["reconstruction_loss"] + penalty, rel=1e-5)


def test_num_samples_are_that_many_different_samples(compiled, x):
    vae = compiled(num_samples=3)
    params, latent, *_ = vae(x)
    assert params.shape == (3, 70, *SHAPE)
    assert latent.z.shape == (3, 70, 2)
    assert latent.log_q.shape == latent.log_p.shape == (3, 70)
    assert latent.kl.shape == (70, 2)
    assert len(np.unique(latent.z)) == 3 * 70 * 2
    each = -vae.log_likelihood(tf.constant(x), params).numpy()
    np.testing.assert_allclose(
        vae.reconstruction_loss(tf.constant(x), params), each.mean(axis=0), rtol=1e-5
    )


def test_an_isotropic_posterior_has_one_variance_for_all_dimensions(compiled, x):
    _, diagonal = compiled().posterior(x)
    _, isotropic = compiled(posterior="isotropic").posterior(x)
    assert np.abs(np.diff(diagonal, axis=1)).min() > 1e-6
    np.testing.assert_array_equal(np.diff(isotropic, axis=1), 0)
    np.testing.assert_allclose(isotropic[:, 0], diagonal.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("raw", [-1e30, 1e30, np.inf])
def test_log_variances_are_bounded_everywhere(raw):
    x = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(x)
    zeros = keras.initializers.Zeros()
    heads = [
        keras.layers.Dense(2, kernel_initializer=zeros, bias_initializer=bias)(flat)
        for bias in (zeros, keras.initializers.Constant(raw))
    ]
    decoder = networks.mlp_decoder(2, SHAPE, hidden_units=())
    vae = VAE(2, SHAPE, encoder=keras.Model(x, heads), decoder=decoder, seed=1)
    _, z_log_var = vae.posterior(np.zeros((3, *SHAPE), np.float32))
    assert np.all(np.abs(z_log_var) == pytest.approx(15, abs=1e-3))
    assert np.all(np.isfinite(vae.elbo(np.zeros((3, *SHAPE), np.float32))))


class Capacity(VAE):
    """Overrides the hook and nothing else."""

    def latent_penalty(self, latent):
        return 7.0 * tf.abs(tf.reduce_sum(latent.kl, axis=-1) - 2.0)


def test_the_hook_alone_makes_another_objective(compiled, x):
    vae = compiled(kind=Capacity)
    kl = vae(x).latent.kl.numpy().sum(axis=1)
    got = figures(vae, x)
    assert got["kl_loss"] == pytest.approx(np.mean(kl), rel=1e-5)
    assert got["penalty_loss"] == pytest.approx(np.mean(7 * np.abs(kl - 2)), rel=1e-5)
    assert got["loss"] == pytest.approx(
        got["reconstruction_loss"] + got["penalty_loss"], rel=1e-6
    )


def test_training_lowers_the_loss(small_vae, x):
    vae = small_vae()
    vae.compile(keras_vae.Adam(0.02))
    before = figures(vae, x)["loss"]
    vae.fit(x, batch_size=10, epochs=20, verbose=0)
    assert figures(vae, x)["loss"] < before - 0.5


# Refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent_dim": 0}, "`latent_dim`.*whole number of at least 1.*=0"),
        ({"latent_dim": 2.5}, "`latent_dim`.*=2.5"),
        ({"latent_dim": "20"}, "`latent_dim`.*='20'"),
        ({"latent_dim": True}, "`latent_dim`.*=True"),
        ({"num_samples": 0}, "`num_samples`.*=0"),
        ({"num_samples": 1.5}, "`num_samples`.*=1.5"),
        ({"beta": -1}, "`beta`.*at least 0.*=-1"),
        ({"beta": float("nan")}, "`beta`.*=nan"),
        ({"beta": float("inf")}, "`beta`.*=inf"),
        ({"beta": "warmup"}, "`beta`.*='warmup'"),
        ({"free_bits": -0.1}, "`free_bits`.*=-0.1"),
        ({"input_shape": ()}, "`input_shape`"),
        ({"input_shape": (3, 0)}, r"`input_shape`.*\(3, 0\)"),
        ({"input_shape": (None, 5)}, "`input_shape`.*None"),
        ({"input_shape": (1, 2, 3, 4)}, "`input_shape`"),
        ({"encoder": "mlpp"}, "`encoder`.*Did you mean 'mlp'"),
        ({"decoder": "MLP"}, "`decoder`.*Did you mean 'mlp'"),
        ({"likelihood": "bernouli"}, "Did you mean 'bernoulli'"),
        ({"prior": "standard"}, "`prior`.*Did you mean 'standard_normal'"),
        ({"posterior": "isotopic"}, "Did you mean 'isotropic'"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        VAE(**{"latent_dim": 2, "input_shape": SHAPE, **options})


def dense_from(shape, *sizes):
    """A model from `shape` to vectors of these sizes."""
    x = keras.Input(shape)
    flat = keras.layers.Flatten()(x)
    outputs = [keras.layers.Dense(size)(flat) for size in sizes]
    return keras.Model(x, outputs if len(outputs) > 1 else outputs[0])


@pytest.mark.parametrize("sizes", [(3, 3), (2,), (2, 2, 2), (2, 3)], ids=str)
def test_an_encoder_of_another_shape_is_refused_with_both_shapes(sizes):
    vae = VAE(2, SHAPE, encoder=dense_from(SHAPE, *sizes))
    with pytest.raises(ValueError, match="`encoder`") as error:
        vae.build()
    assert "(None, 2)" in str(error.value)
    for size in sizes:
        assert f"(None, {size})" in str(error.value)


def test_a_decoder_of_another_shape_is_refused_with_both_shapes():
    vae = VAE(2, SHAPE, decoder=dense_from((2,), 15))
    with pytest.raises(ValueError, match="`decoder`") as error:
        vae.build()
    assert "(None, 3, 5)" in str(error.value) and "(None, 15)" in str(error.value)


def test_a_decoder_for_another_likelihood_is_refused():
    decoder = networks.mlp_decoder(2, SHAPE, hidden_units=())
    vae = VAE(2, SHAPE, decoder=decoder, likelihood="gaussian_per_pixel")
    with pytest.raises(ValueError, match=r"\(None, 3, 10\).*\(None, 3, 5\)"):
        vae.build()


def test_a_network_that_cannot_take_its_input_is_refused():
    vae = VAE(2, SHAPE, decoder=dense_from((7,), 15))
    with pytest.raises(ValueError, match="`decoder`"):
        vae.build()


# Saving


def test_a_config_is_plain_and_makes_an_equal_model(small_vae, x):
    vae = small_vae(
        likelihood="gaussian",
        posterior="isotropic",
        beta=keras_vae.Cyclical(10, 0.5, 2.0),
        num_samples=2,
        free_bits=0.5,
    )
    config = json.loads(json.dumps(vae.get_config()))
    again = VAE.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    for model in (vae, again):
        model.ensure_built()
    again.set_weights(vae.get_weights())
    np.testing.assert_array_equal(again.elbo(x), vae.elbo(x))


def test_a_model_keeps_the_precision_it_was_saved_with(grey, tmp_path):
    keras.utils.set_random_seed(0)
    vae = VAE(2, SHAPE, seed=1, dtype="mixed_bfloat16")
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert keras.config.dtype_policy().name == "float32"
    assert loaded.encoder.compute_dtype == "bfloat16"
    np.testing.assert_array_equal(loaded.encode(grey(4)), vae.encode(grey(4)))


CHILD = """
import sys
import numpy as np
import keras_vae

for path in sys.argv[1:]:
    expected = np.load(path.replace(".keras", ".npz"))
    vae = keras_vae.load_model(path)
    x = expected["x"]
    got = {
        "z": vae.encode(x),
        "elbo": vae.elbo(x, 2),
        "reconstruction": vae.reconstruct(x),
        "sample": vae.sample(3, seed=5),
        "draw": vae.sample(3, seed=5, draw=True),
        "step": vae.step.numpy(),
    }
    for name, value in got.items():
        np.testing.assert_allclose(
            value, expected[name], rtol=1e-5, atol=1e-6, err_msg=path + " " + name
        )
    history = vae.fit(x, batch_size=4, epochs=1, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], expected["loss"], rtol=1e-5)
print("equal:", len(sys.argv) - 1)
"""


def saved_models(small_vae):
    """Returns models by name, of networks that are named or made by the user."""
    keras.utils.set_random_seed(0)
    options = {"likelihood": "gaussian", "posterior": "isotropic"}
    return {
        "own": small_vae((4, 4, 1), beta=keras_vae.LinearWarmup(5)),
        "named": VAE(2, (8, 8, 1), encoder="conv", decoder="conv", num_samples=2),
        "standardised": small_vae((6, 4), **options),
    }


@pytest.mark.slow
def test_saved_models_are_equal_in_a_fresh_process(
    small_vae, grey, tmp_path, run_forked
):
    paths = []
    for name, vae in saved_models(small_vae).items():
        x = grey(10, vae.data_shape)
        if name == "standardised":
            x = 100 * x - 3
        vae.compile("adam")
        vae.adapt(x)
        vae.fit(x, batch_size=4, epochs=1, verbose=0)
        path = tmp_path / f"{name}.keras"
        vae.save(path)
        paths.append(path)
        expected = {
            "x": x,
            "z": vae.encode(x),
            "elbo": vae.elbo(x, 2),
            "reconstruction": vae.reconstruct(x),
            "sample": vae.sample(3, seed=5),
            "draw": vae.sample(3, seed=5, draw=True),
            "step": vae.step.numpy(),
        }
        # Training goes on in the child as it does here.
        history = vae.fit(x, batch_size=4, epochs=1, verbose=0).history
        np.savez(path.with_suffix(".npz"), **expected, loss=history["loss"][0])
    result = run_forked("-c", CHILD, *paths, timeout=600)
    assert result.stdout.endswith(f"equal: {len(paths)}\n"), result.stderr[-2000:]


def test_dropout_of_a_sample_depends_on_its_example_not_on_the_batch(x):
    decoder = networks.mlp_decoder(2, SHAPE, hidden_units=(40,), dropout=0.5)
    vae = VAE(2, SHAPE, decoder=decoder, num_samples=3, seed=0)
    vae.ensure_built()
    z = tf.ones([3, 6, 2])

    def dropped(z, first):
        with noise_scope(RowNoise(0, 0, first, "training")):
            return vae.decode_params(z, training=True).numpy()

    whole = dropped(z, 0)
    parts = [dropped(z[:, :4], 0), dropped(z[:, 4:], 4)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)
    flat = whole.reshape(18, -1)
    assert len(np.unique(flat[:, 0])) == 18


def test_a_subclass_of_0_1_0_may_override_and_call_the_old_names():
    class Shifted(VAE):
        def infer(self, x, condition=None, training=None):
            z_mean, z_log_var = super().infer(x, condition, training)
            return z_mean + 1.0, z_log_var

    plain, shifted = VAE(2, SHAPE, seed=0), Shifted(2, SHAPE, seed=0)
    x = np.zeros((3, *SHAPE), np.float32)
    plain.ensure_built()
    shifted.ensure_built()
    shifted.set_weights(plain.get_weights())
    np.testing.assert_allclose(shifted.encode(x), plain.encode(x) + 1.0, rtol=1e-5)
    assert VAE.generate is VAE.decode_params


@pytest.mark.slow
@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_step_in_a_graph_of_ones_own_is_read_by_autograph(microbatches, monkeypatch):
    said = []
    monkeypatch.setattr(tf.get_logger(), "handle", said.append)
    vae = VAE(2, SHAPE, seed=0)
    vae.compile(accumulate_steps=microbatches)
    vae.ensure_built()
    tf.function(vae.train_step)(tf.zeros((4, *SHAPE)))
    assert not [record.getMessage() for record in said]
