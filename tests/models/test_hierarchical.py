import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import ConditionalHierarchicalVAE, HierarchicalVAE
from keras_vae.evaluation.likelihood import importance_weighted_nll
from keras_vae.evaluation.samplers import top_posterior
from keras_vae.networks import hierarchy
from keras_vae.noise import RowNoise, noise_scope

SHAPE = (8, 8, 1)
SMALL = {"width": 4, "group_channels": 1, "seed": 0}


@pytest.fixture(scope="module")
def x():
    images = np.random.default_rng(0).uniform(size=(24, *SHAPE))
    return (images > 0.5).astype(np.float32)


def made(shape=SHAPE, latent_dim=2, kind=HierarchicalVAE, **options):
    keras.utils.set_random_seed(0)
    model = kind(latent_dim, shape, **{**SMALL, **options})
    model.compile(keras.optimizers.Adam(0.01))
    model.ensure_built()
    return model


def stirred(model):
    """Moves all weights, so that no posterior is its prior as at the start."""
    generator = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign_add(0.1 * generator.standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return stirred(made(groups=(1, 2)))


def test_z_is_laid_out_from_the_top(model):
    names = [(group.name, group.shape) for group in model.latent_groups]
    assert names == [("top", (2,)), ("4x4/1", (4, 4, 1)), ("4x4/2", (4, 4, 1))]
    assert model.z_dim == 2 + 16 + 16
    assert model.latent_groups.by_resolution() == {"top": [0], "4x4": [1, 2]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((5, 9, 3), [(), (3, 5)]),
        ((33, 20, 1), [(), (5, 3), (9, 5), (17, 10)]),
        ((1, 1, 2), [(), (1, 1)]),
        ((12, 3), [(), (6,)]),
        ((7,), [(), ()]),
    ],
)
def test_any_shape_is_taken_and_given_back(shape, sizes):
    model = made(shape, likelihood="gaussian")
    levels = len(hierarchy.default_groups(shape))
    assert hierarchy.level_sizes(shape, levels) == sizes
    x = np.random.default_rng(0).uniform(size=(3, *shape)).astype(np.float32)
    model.fit(x, epochs=1, verbose=0)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(2, seed=1).shape == (2, *shape)


def test_levels_of_one_size_have_noise_of_their_own():
    model = made(groups=(1, 1, 1, 1, 1), latent_dim=1)
    names = [group.name for group in model.latent_groups]
    assert names == ["top", "1x1/1", "1x1/2", "2x2/1", "4x4/1"]
    z = model.prior_sample(50, 1).numpy()
    assert abs(np.corrcoef(z[:, 1], z[:, 2])[0, 1]) < 0.6


@pytest.mark.slow
def test_dropout_of_several_samples_does_not_depend_on_how_a_batch_is_split(x):
    model = stirred(made(network_options={"dropout": 0.5}, num_samples=2))

    def params(rows, first):
        noise = RowNoise(0, 0, first)
        with noise_scope(noise):
            latent = model.sample_posterior(tf.constant(rows), noise, training=True)
            return model.params_of(latent, training=True).numpy()

    whole, half = params(x[:8], 0), params(x[4:8], 4)
    np.testing.assert_allclose(whole[:, 4:], half, atol=1e-4)


@pytest.mark.slow
def test_microbatches_make_the_update_of_the_batch(x):
    def trained(microbatches):
        model = made(groups=(1, 1))
        model.compile(keras.optimizers.SGD(0.01), accumulate_steps=microbatches)
        model.fit(x, batch_size=8, epochs=1, shuffle=False, verbose=0)
        return model.get_weights()

    for a, b in zip(trained(1), trained(3), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_no_samples_are_an_empty_array(model):
    assert model.sample(0).shape == (0, *SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 4])
def test_the_finest_maps_have_the_stride_that_is_asked_for(stride, x):
    model = made(finest_stride=stride, groups=(1, 1))
    side = 8 // stride
    assert model.latent_groups[-1].shape == (side, side, 1)
    assert model.reconstruct(x[:2]).shape == (2, *SHAPE)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("groups", (1, 0)),
        ("groups", (1,)),
        ("groups", ()),
        ("network_options", {"width": 3}),
        ("group_channels", 0),
        ("width", 0),
        ("finest_stride", 3),
        ("prior", "vamp"),
        ("encoder", "mlp"),
    ],
)
def test_what_it_cannot_take_is_refused(argument, value):
    with pytest.raises(ValueError, match=argument):
        made(**{argument: value})


@pytest.mark.slow
def test_at_the_start_the_posterior_is_the_prior(x):
    assert made().evaluate(x, verbose=0, return_dict=True)["kl_loss"] == 0.0


def test_the_kl_is_what_draws_of_log_q_minus_log_p_come_to(model, x):
    latent = model.sample_posterior(tf.constant(x[:4]), RowNoise(0), num_samples=2000)
    drawn = np.mean(latent.log_q - latent.log_p, axis=0)
    spread = np.std(latent.log_q - latent.log_p, axis=0) / np.sqrt(2000)
    assert np.all(np.abs(np.sum(latent.kl, axis=-1) - drawn) < 5 * spread)


def test_the_terms_of_evaluate_are_those_of_the_elbo(model, x):
    found = model.evaluate(x, batch_size=7, verbose=0, return_dict=True)
    assert found["neg_elbo"] == pytest.approx(-np.mean(model.elbo(x)), rel=1e-5)
    assert found["loss"] == pytest.approx(found["neg_elbo"], rel=1e-5)


def test_no_activation_brings_a_gradient_of_its_own_into_a_graph():
    prior = hierarchy.group_networks("group", (2, 3), 2, width=4).prior
    h = tf.TensorSpec([None, 2, 3, 4], tf.float32)
    graph = tf.function(prior).get_concrete_function(h).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "Sigmoid" in kinds and "IdentityN" not in kinds  # which stands for one


@pytest.mark.parametrize("size", [(), (3,), (2, 3)])
def test_the_posterior_of_many_paths_is_that_of_each(size):
    networks = hierarchy.group_networks("group", size, 2, width=4)
    rng = np.random.default_rng(0)
    for weight in networks.posterior.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    h = rng.normal(size=(6, *size, 4)).astype(np.float32)
    e = rng.normal(size=(2, *size, 4)).astype(np.float32)
    split = networks.split_posterior
    found = split(h, np.tile(split.of_features(e), [3, *[1] * len(e[0].shape)]))
    expected = networks.posterior([h, np.tile(e, [3, *[1] * len(e[0].shape)])])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("normalization", [None, "layer"])
def test_the_first_of_many_samples_are_drawn_alone(x, normalization):
    options = {"normalization": normalization}
    model = stirred(made(groups=(1, 1), network_options=options))
    features = model.posterior_features(tf.constant(x[:3]))
    drawn = features, RowNoise(0), None, None, 4
    all_of_them = model.latent_from(*drawn)
    first = model.latent_from(*drawn, wanted=tf.constant(2))
    for name in ("z", "log_q", "log_p"):
        a, b = getattr(first, name), getattr(all_of_them, name)[:2]
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_posterior_of_ones_own_takes_the_place_of_a_groups(x):
    model = stirred(made(groups=(1, 1)))
    own = keras.models.clone_model(model.top_down.posteriors[1])
    model.top_down.posteriors[1] = own
    for weight in own.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    kl = model.kl_by_group(model.sample_posterior(tf.constant(x), RowNoise(0)).kl)
    assert np.all(kl[:, 0] > 1e-3)
    np.testing.assert_allclose(kl[:, 1], 0.0, atol=1e-5)


def test_free_bits_are_of_each_group(model, x):
    free = stirred(made(groups=(1, 2), free_bits=1e5))
    found = free.evaluate(x, verbose=0, return_dict=True)
    assert found["penalty_loss"] == pytest.approx(3e5)
    same = model.evaluate(x, verbose=0, return_dict=True)["kl_loss"]
    assert found["kl_loss"] == pytest.approx(same, rel=1e-5)


@pytest.mark.slow
def test_the_likelihood_of_two_groups_is_that_of_numerical_integration():
    model = stirred(made((1,), 1, groups=(1, 1), likelihood="gaussian_fixed"))
    data = np.random.default_rng(0).normal(size=(512, 1)).astype(np.float32)
    model.fit(data, batch_size=32, epochs=10, verbose=0)  # for a posterior that fits
    x = np.array([[0.3], [0.0]], np.float32)
    estimate = importance_weighted_nll(model, x, 200_000, seed=1)
    axis = np.linspace(-12, 12, 801, dtype=np.float32)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = model.prior_log_prob(tf.constant(z)[tf.newaxis])[0]
    params = model.decode_params(tf.constant(z))
    assert estimate.standard_error < 0.005
    for row, log_prob in zip(x, estimate.log_prob, strict=True):
        likelihood = model.log_likelihood(tf.constant(row[None]), params[:, None])[:, 0]
        total = tf.reduce_logsumexp(tf.cast(log_p + likelihood, tf.float64))
        integral = float(total) + 2 * np.log(axis[1] - axis[0])
        assert log_prob == pytest.approx(integral, abs=0.01)


@pytest.mark.slow
def test_decoding_the_first_groups_fills_in_the_means_of_the_others(model, x):
    z = model.encode(x[:3])
    assert np.allclose(model.decode(z), model.reconstruct(x[:3]), atol=1e-6)
    top = model.decode(z[:, :2])
    assert not np.allclose(top, model.decode(z), atol=1e-3)
    with pytest.raises(ValueError, match="`z`"):
        model.decode(z[:, :3])


def test_samples_without_temperature_are_those_of_the_means(model):
    cold = model.sample(4, seed=3, temperature=0.0)
    assert np.allclose(cold, cold[:1], atol=1e-6)
    warm = model.sample(4, seed=3)
    assert np.ptp(warm, axis=0).max() > 1e-3
    assert np.allclose(warm[:2], model.sample(2, seed=3), atol=1e-6)


@pytest.mark.slow
def test_two_replicas_train_the_same_model(x, replicas):
    def trained(count):
        with replicas(count).scope():
            model = made(groups=(1, 1))
        model.fit(x[:9], batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    for a, b in zip(trained(1), trained(2), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["label", "vector"])
def test_what_it_is_given_changes_what_it_generates(condition, x):
    given = {"num_classes": 3} if condition == "label" else {"condition_shape": (2,)}
    model = made(
        kind=ConditionalHierarchicalVAE, condition=condition, groups=(1, 1), **given
    )
    y = np.arange(24) % 3
    if condition == "vector":
        y = np.eye(3, 2, dtype=np.float32)[y]
    model.fit(x, y, epochs=1, verbose=0)
    stirred(model)
    a, b = (model.sample(2, seed=1, condition=y[row]) for row in (0, 1))
    assert a.shape == (2, *SHAPE)
    assert not np.allclose(a, b, atol=1e-3)
    assert model.elbo(x, condition=y).shape == (24,)
    (top, _), z = top_posterior(model, x, y), model.encode(x, y)
    assert np.allclose(top, z[:, : model.latent_dim], atol=1e-5)
    assert importance_weighted_nll(model, x[:2], 5, condition=y[:2]).nll > 0


def test_a_half_of_the_image_is_no_condition_of_a_hierarchy():
    with pytest.raises(ValueError, match="condition"):
        made(kind=ConditionalHierarchicalVAE, condition="left_half")


@pytest.mark.slow
@pytest.mark.parametrize("conditional", [False, True])
def test_a_saved_model_is_the_same(conditional, tmp_path, x):
    if conditional:
        kind, given, y = ConditionalHierarchicalVAE, {"num_classes": 3}, x[:, 0, 0, 0]
    else:
        kind, given, y = HierarchicalVAE, {}, None
    model = stirred(made(kind=kind, groups=(1, 1), **given))
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    y = None if y is None else y.astype(int)
    assert np.allclose(
        loaded.elbo(x, condition=y), model.elbo(x, condition=y), rtol=1e-5
    )


@pytest.mark.slow
def test_a_network_of_ones_own_takes_the_place_of_the_encoder(x):
    def features(widths):
        inputs = keras.Input(SHAPE)
        h = keras.layers.Conv2D(widths, 3, 2, "same")(inputs)
        top = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(h))
        return keras.Model(inputs, [top, h])

    model = made(groups=(1, 1), encoder=features(4))
    model.fit(x, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="`encoder`"):
        made(groups=(1, 1), encoder=features(5))


@keras.saving.register_keras_serializable(package="tests")
def scaled_block(h):
    """A block of one's own, of vectors and of maps."""
    return h + keras.layers.Dense(h.shape[-1])(keras.ops.tanh(h))


@pytest.mark.slow
def test_a_block_of_ones_own_takes_the_place_of_every_residual_block(x, tmp_path):
    options = {"groups": (1, 1), "network_options": {"block": scaled_block}}
    model, plain = stirred(made(**options)), made(groups=(1, 1))
    assert model.count_params() < plain.count_params()
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    assert np.allclose(loaded.reconstruct(x), model.reconstruct(x), atol=1e-6)
    flat = {"network_options": {"block": keras.layers.Flatten()}}
    with pytest.raises(ValueError, match="`block`"):
        made(**flat)


@pytest.mark.slow
def test_a_walk_in_the_top_leaves_the_rest_to_the_prior(model, x):
    whole, top = (model.interpolate(x[0], x[1], 5, groups=n) for n in (3, 1))
    assert np.array_equal(whole, model.interpolate(x[0], x[1], 5))
    z = model.encode(x[:2])
    assert np.allclose(top[[0, -1]], model.decode(z[:, :2]), atol=1e-6)
    assert not np.allclose(top, whole, atol=1e-3)
    with pytest.raises(ValueError, match="`groups`"):
        model.interpolate(x[0], x[1], 5, groups=4)


@pytest.mark.slow
def test_a_large_sample_is_drawn_as_the_small_one_it_begins_with():
    kind, y = ConditionalHierarchicalVAE, np.arange(1100, dtype=np.int32) % 3
    model = stirred(made(kind=kind, groups=(1, 1), num_classes=3))
    many = model.sample(1100, seed=3, condition=y)  # more than are drawn at once
    few = model.sample(3, seed=3, condition=y[:3])
    np.testing.assert_allclose(many[:3], few, atol=1e-6)
    whole = tf.function(model.prior_sample)(1100, 3, tf.constant(y))
    found = model.prior_sample(1100, 3, tf.constant(y))
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.slow
def test_the_aggregate_is_that_of_the_top(model, x):
    own = stirred(made(groups=(1, 1)))
    keras_vae.fit_aggregate(own, x)
    drawn = own.aggregate_sample(5, 1)
    assert drawn.shape == (5, own.z_dim)
    assert own.aggregate.means.shape[-1] == 2
    z = tf.constant(own.encode(x))
    # The two densities differ by that of the top alone.
    difference = own.aggregate_log_prob(z) - own.prior_log_prob(z[tf.newaxis])[0]
    moved = tf.concat([z[:, :2], z[:, 2:] + 1.0], axis=-1)
    again = own.aggregate_log_prob(moved) - own.prior_log_prob(moved[tf.newaxis])[0]
    assert np.allclose(difference, again, atol=1e-3)
