import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import CVAE, VAE, HierarchicalVAE, networks
from keras_vae.evaluation import samplers
from keras_vae.evaluation.samplers import (
    fit_aggregate,
    fit_density,
    nll_of,
    posterior_draws,
    sampler_scores,
    squared_mmd,
    top_posterior,
)
from keras_vae.models.autoencoder import Autoencoder

SHAPE = (4, 4, 1)


def make(kind=VAE, **options):
    keras.utils.set_random_seed(1)
    model = kind(
        latent_dim=2,
        input_shape=SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(16,)),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(16,)),
        seed=0,
        **options,
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    return model


@pytest.fixture(scope="module")
def x():
    """Images of two kinds, with some noise."""
    rng = np.random.default_rng(0)
    kinds = np.zeros((2, *SHAPE))
    kinds[0, :2], kinds[1, :, 2:] = 1.0, 1.0
    images = kinds[rng.integers(0, 2, 600)]
    flips = rng.uniform(size=images.shape) < 0.05
    return np.abs(images - flips).astype(np.float32)


@pytest.fixture(scope="module")
def trained(x):
    model = make(beta=0.1)  # a small weight: the posterior stays off the prior
    model.fit(x, epochs=30, batch_size=60, verbose=0)
    return model


def test_draws_are_of_the_posterior_one_an_example(trained, x):
    many = np.repeat(x[:3], 2000, axis=0)
    z = posterior_draws(trained, many).reshape(3, 2000, 2)
    z_mean, z_log_var = trained.posterior(x[:3])
    sd = np.exp(0.5 * z_log_var)
    assert np.all(np.abs(z.mean(axis=1) - z_mean) < 4 * sd / np.sqrt(2000))
    assert z.std(axis=1) == pytest.approx(sd, rel=0.08)
    head = posterior_draws(trained, many[:10])
    assert head == pytest.approx(z.reshape(-1, 2)[:10], abs=1e-5)


def test_a_normal_has_the_moments_of_the_draws():
    z = np.random.default_rng(0).normal(size=(500, 3)) @ np.diag([1.0, 2.0, 0.1]) + 3.0
    density = fit_density(z)
    assert density.means.numpy()[0] == pytest.approx(z.mean(axis=0), abs=1e-4)
    scale = density.scales.numpy()[0]
    assert scale @ scale.T == pytest.approx(np.cov(z.T, ddof=0), abs=1e-3)


def test_a_mixture_finds_clusters():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(-5, 0.5, (300, 2)), rng.normal(5, 0.5, (100, 2))])
    density = fit_density(z, components=2)
    order = np.argsort(density.means.numpy()[:, 0])
    assert np.exp(density.log_weights.numpy())[order] == pytest.approx([0.75, 0.25])
    assert density.means.numpy()[order, 1] == pytest.approx([-5, 5], abs=0.2)
    assert nll_of(density, z.astype(np.float32)) < nll_of(
        fit_density(z), z.astype(np.float32)
    )


@pytest.fixture(scope="module")
def hierarchy():
    keras.utils.set_random_seed(0)
    # Below two numbers at the top are 1,024 of maps.
    model = HierarchicalVAE(2, SHAPE, groups=(1, 1), group_channels=256, width=4)
    model.ensure_built()
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:  # at first each posterior is its prior
        weight.assign_add(0.1 * rng.normal(size=weight.shape))
    return model


def test_the_top_of_a_hierarchy_is_that_of_all_of_z(hierarchy, x):
    for top, moments in zip(
        top_posterior(hierarchy, x), hierarchy.posterior(x), strict=True
    ):
        np.testing.assert_allclose(top, moments[:, :2], rtol=1e-5, atol=1e-6)
    z = posterior_draws(hierarchy, x)
    standardized = posterior_draws(hierarchy, x, to_aggregate=True)
    expected = hierarchy.to_aggregate(tf.constant(z))
    np.testing.assert_allclose(standardized, expected, rtol=1e-5, atol=1e-5)


def test_of_a_hierarchy_no_more_than_the_top_is_worked_out(hierarchy, x):
    def find():
        top_posterior(hierarchy, x)
        posterior_draws(hierarchy, x, to_aggregate=True)

    find()  # traces
    tracemalloc.start()  # counts what NumPy allocates
    try:
        find()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * len(x) * hierarchy.z_dim * 4  # bytes


def test_many_dimensions_have_a_variance_each():
    z = np.random.default_rng(0).normal(scale=2.0, size=(400, 65))
    density = fit_density(z)
    assert density.covariance == "diagonal"
    assert density.scales.numpy()[0] == pytest.approx(z.std(axis=0), abs=1e-3)


@pytest.mark.parametrize("scale", [1e3, 1e8])
@pytest.mark.parametrize("components", [1, 2])
def test_latents_of_any_scale_and_few_dimensions_are_fitted(scale, components):
    line = np.linspace(-1, 1, 300)[:, np.newaxis] * np.linspace(0.1, 1, 20)
    z = (scale * line).astype(np.float32)
    density = fit_density(z, components)
    assert np.isfinite(nll_of(density, z))
    drawn = density.sample(500, 0).numpy()
    assert drawn.std(axis=0) == pytest.approx(z.std(axis=0), rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [VAE, Autoencoder])
def test_a_model_whose_latents_are_not_finite_is_exported_all_the_same(
    kind, x, tmp_path
):
    model = make(kind)
    model.ensure_built()
    model.set_weights([
        np.full_like(w, np.inf) if w.shape[:1] == (16,) else w
        for w in model.get_weights()
    ])  # fmt: skip
    assert not np.isfinite(posterior_draws(model, x[:20])).any()
    taken = fit_aggregate(model, x[:20])
    assert taken == {"sampler": "none", "sampler_components": 0}
    model.export(tmp_path / "saved")
    assert "generate" in tf.saved_model.load(tmp_path / "saved").signatures


def test_latents_that_are_not_finite_are_left_out(x, monkeypatch):
    z = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    z[::5] = np.nan
    monkeypatch.setattr(samplers, "posterior_draws", lambda *_, **__: z)
    model = make()
    assert fit_aggregate(model, x[:50])["sampler_components"] >= 1
    assert model.aggregate.means.numpy()[0] == pytest.approx(0, abs=0.5)


def test_the_mixture_is_taken_for_clusters_and_the_normal_for_a_normal(x):
    taken = {}
    for name, spread in (("clusters", 6.0), ("normal", 0.0)):
        model = make()
        rng = np.random.default_rng(3)
        z = rng.normal(size=(300, 2)) + spread * rng.choice([-1, 1], (300, 1))
        model.ensure_built()
        original = samplers.posterior_draws
        samplers.posterior_draws = lambda *_, z=z, **__: z.astype(np.float32)
        try:
            taken[name] = fit_aggregate(model, x)
        finally:
            samplers.posterior_draws = original
    assert taken["clusters"]["sampler"] == "gaussian_mixture"
    assert taken["clusters"]["sampler_components"] > 1
    assert taken["normal"] == {"sampler": "normal", "sampler_components": 1}


def test_the_density_is_fitted_to_the_aggregate_posterior(trained, x):
    fit_aggregate(trained, x[:500])
    held = posterior_draws(trained, x[500:])
    assert nll_of(trained.aggregate, held) < nll_of(trained.prior, held) - 0.1


def test_one_example_is_enough(x):
    model = make()
    fit_aggregate(model, x[:1])
    assert np.isfinite(model.aggregate.sample(3, 0).numpy()).all()


def test_a_second_fit_takes_the_place_of_the_first(x):
    model = make()
    fit_aggregate(model, x[:10])
    count = len(model.variables)
    fit_aggregate(model, x)
    assert len(model.variables) == count
    assert any(v is model.aggregate.means for v in model.non_trainable_variables)


@pytest.mark.slow
def test_a_model_that_has_a_density_still_trains(x):
    model = make()
    fit_aggregate(model, x)
    before = model.aggregate.means.numpy()
    history = model.fit(x, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]
    assert np.array_equal(model.aggregate.means.numpy(), before)


@pytest.mark.parametrize("fitted", [True, False])
def test_the_density_is_saved_with_the_model(trained, x, tmp_path, fitted):
    model = trained if fitted else make()
    model.ensure_built()
    if fitted:
        fit_aggregate(model, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    if not fitted:
        assert loaded.aggregate is None
        return
    z = model.aggregate.sample(20, 4)
    assert np.array_equal(loaded.aggregate.sample(20, 4).numpy(), z.numpy())
    assert np.array_equal(
        loaded.aggregate.log_prob(z).numpy(), model.aggregate.log_prob(z).numpy()
    )


@pytest.mark.slow
def test_the_saved_model_generates_from_the_density(trained, x, tmp_path):
    fit_aggregate(trained, x)
    trained.export(tmp_path / "saved")
    generate = tf.saved_model.load(str(tmp_path / "saved")).signatures[
        "generate_from_aggregate"
    ]

    def images(num, seed):
        return generate(num=tf.constant(num), seed=tf.constant([seed, 0]))["x"].numpy()

    z = trained.aggregate.sample(12, tf.constant([7, 0]))
    assert images(12, 7) == pytest.approx(trained.decode(z), abs=1e-6)
    assert images(3, 7) == pytest.approx(images(12, 7)[:3], abs=1e-6)
    assert not np.allclose(images(3, 8), images(3, 7))


def test_samples_of_the_density_score_better_than_those_of_the_prior(linear_gaussian):
    known = linear_gaussian()
    rng = np.random.default_rng(0)
    z = rng.normal(2.0, 0.5, size=(800, 3))  # not where the prior is
    noise = known.scale * rng.normal(size=(800, 6))
    x = (z @ known.weights.T + known.bias + noise).astype(np.float32)
    fit_aggregate(known.model, x[:400])
    scores = sampler_scores(known.model, x[400:])
    assert scores["aggregate_latent_nll"] < scores["prior_latent_nll"] - 3.0
    assert scores["prior_mmd"] > 300.0
    assert scores["aggregate_mmd"] < 0.25 * scores["prior_mmd"]


def test_the_latent_nll_of_the_prior_is_that_of_a_standard_normal(trained, x):
    z = posterior_draws(trained, x)
    expected = 0.5 * np.mean(np.sum(z**2 + np.log(2 * np.pi), axis=1))
    scores = sampler_scores(trained, x)
    assert scores["prior_latent_nll"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_an_autoencoder_has_no_prior_to_score(x):
    model = make(Autoencoder)
    model.fit(x, epochs=3, verbose=0)
    assert sampler_scores(model, x) == {}
    fit_aggregate(model, x)
    assert set(sampler_scores(model, x)) == {"aggregate_latent_nll", "aggregate_mmd"}


def test_the_discrepancy_is_0_on_average_for_equals_and_grows_with_distance():
    rng = np.random.default_rng(0)

    def estimates(shift):
        pairs = rng.normal(size=(40, 2, 60, 5))
        return np.array([squared_mmd(a + shift, b) for a, b in pairs])

    same, near, far = (estimates(shift) for shift in (0.0, 0.3, 1.0))
    assert abs(same.mean()) < 4 * same.std() / np.sqrt(40)
    assert near.mean() > 4 * same.std() / np.sqrt(40)
    assert far.mean() > 4 * near.mean()


def test_the_discrepancy_is_the_sum_over_pairs():
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0], [3.0]])

    def kernel(x, y):
        return np.exp(-((x - y) ** 2) / (2 * 4.0))  # distances of b: 1, 4, 9

    across = np.mean([kernel(x, y) for x in a[:, 0] for y in b[:, 0]])
    within = kernel(0, 1) + (kernel(0, 2) + kernel(0, 3) + kernel(2, 3)) / 3
    assert squared_mmd(a, b) == pytest.approx(within - 2 * across)


def placed_by_label(shape, code, places):
    """An encoder of x and a label's code whose means are where the code says."""
    inputs = [keras.Input(shape), keras.Input(code)]
    flat = keras.layers.Flatten()(inputs[0])
    near, log_var = (keras.layers.Dense(2)(flat) for _ in range(2))
    place = keras.layers.Dense(2, use_bias=False)
    z_mean = keras.layers.Add()([near, place(inputs[1])])
    place.set_weights([places])
    return keras.Model(inputs, [z_mean, log_var])


def test_under_a_learned_prior_the_density_goes_where_the_condition_says(x):
    y = (x[:, 3, 0, 0] < 0.5).astype(np.int32)
    places = np.array([[-30.0, 0.0], [30.0, 0.0]])
    options = {"condition": "label", "num_classes": 2, "prior": "conditional"}
    encoder = placed_by_label(SHAPE, (2,), places)
    model = CVAE(2, SHAPE, encoder=encoder, seed=0, **options)
    model.ensure_built()
    head = model.prior_network.get_layer("prior_head")
    head.set_weights([np.pad(places, [[0, 0], [0, 2]]), np.array([0, 0, 0, 1.0])])
    fit_aggregate(model, x, y)
    given = tf.constant(y)
    posterior = posterior_draws(model, x, y)
    drawn = model.aggregate_sample(600, 1, given).numpy()
    for label in (0, 1):
        centre = posterior[y == label].mean(axis=0)
        assert np.abs(drawn[y == label].mean(axis=0) - centre).max() < 3.0
    e = (posterior - places[y]) * np.array([1.0, np.exp(-0.5)])
    expected = model.aggregate.log_prob(tf.constant(e, tf.float32)) - 0.5
    found = model.aggregate_log_prob(tf.constant(posterior), given)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    scores = sampler_scores(model, x[:100], y[:100])
    assert scores["aggregate_latent_nll"] == pytest.approx(-np.mean(found[:100]), abs=1)
