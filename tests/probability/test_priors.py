import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logsumexp
from scipy.stats import norm

from keras_vae import VAE, networks
from keras_vae.models.conditional import CVAE
from keras_vae.probability import priors
from keras_vae.probability.priors import (
    PRIORS,
    FlowPrior,
    GaussianMixture,
    Prior,
    StandardNormal,
    VampPrior,
)

SHAPE = (4, 4, 1)
DIM = 3
LEARNED = ["gaussian_mixture", "vamp"]


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.7, (60, *SHAPE)).astype(np.float32)


def mixture(weights: list, means: list, variances: list) -> GaussianMixture:
    prior = GaussianMixture(len(weights))
    prior.build((None, np.shape(means)[1]))
    prior.logits.assign(np.log(weights) + 5.0)  # only differences of logits count
    prior.means.assign(means)
    prior.log_vars.assign(np.log(variances))
    return prior


def affine(u: tf.Tensor, condition=None, training=None) -> tuple[tf.Tensor, tf.Tensor]:
    """A posterior that is known: of two pixels, (u_0 - u_1) with variance u_0^2."""
    assert training is False
    first, second = u[:, :1], u[:, 1:]
    return first - second, 2.0 * tf.math.log(first)


def make(prior: str | Prior, dropout: float = 0.0, kind=VAE, **options) -> VAE:
    keras.utils.set_random_seed(0)
    if kind is VAE:
        options["encoder"] = networks.mlp_encoder(
            SHAPE, DIM, hidden_units=(16,), dropout=dropout
        )
        options["decoder"] = networks.mlp_decoder(DIM, SHAPE, hidden_units=(16,))
    model = kind(DIM, SHAPE, prior=prior, seed=0, **options)
    model.compile("adam")
    return model


def learned(name: str) -> Prior:
    return PRIORS[name](components=5)


# Densities.


def test_mixture_density_is_the_explicit_sum() -> None:
    weights, means = [0.7, 0.2, 0.1], [[0.0, 1.0], [-3.0, 0.5], [2.0, 2.0]]
    variances = [[1.0, 0.1], [4.0, 1.0], [0.3, 2.0]]
    z = np.random.default_rng(0).normal(size=(4, 7, 2)).astype(np.float32)
    each = norm.logpdf(z[:, :, None], means, np.sqrt(variances)).sum(-1)
    wanted = logsumexp(each + np.log(weights), axis=-1)
    got = mixture(weights, means, variances).log_prob(tf.constant(z))
    assert got.shape == (4, 7)
    np.testing.assert_allclose(got, wanted, rtol=1e-4)


def test_narrow_components_far_from_the_origin_keep_their_digits() -> None:
    prior = mixture([1.0], [[100.0]], [[0.01]])
    z = np.float32(100.0) + np.float32(2**-4)
    wanted = norm.logpdf(float(z), 100.0, 0.1)
    assert float(prior.log_prob(tf.constant([z]))) == pytest.approx(wanted, abs=1e-4)


def test_one_standard_component_is_the_standard_normal() -> None:
    z = tf.constant(np.random.default_rng(0).normal(size=(9, 2)), tf.float32)
    standard = StandardNormal()
    standard.build((None, 2))
    one = mixture([1.0], [[0.0, 0.0]], [[1.0, 1.0]])
    np.testing.assert_allclose(one.log_prob(z), standard.log_prob(z), rtol=1e-6)


def test_vamp_density_is_the_mean_of_the_posteriors_of_its_pseudo_inputs() -> None:
    prior = VampPrior(3, data_shape=(2,))
    prior.build((None, 1))
    logits = np.array([[0.0, 1.0], [-2.0, 0.3], [1.0, -1.0]], np.float32)
    prior.logits.assign(logits)
    u = expit(logits)
    z = np.linspace(-2, 2, 5, dtype=np.float32)[:, None]
    each = norm.logpdf(z, u[:, 0] - u[:, 1], u[:, 0])
    wanted = logsumexp(each, axis=1) - np.log(3)
    np.testing.assert_allclose(
        prior.log_prob(tf.constant(z), affine), wanted, rtol=1e-5
    )


@pytest.mark.parametrize("components", [1, 2, 7])
def test_samples_have_the_weights_means_and_variances(components: int) -> None:
    rng = np.random.default_rng(components)
    weights = rng.dirichlet(np.ones(components))
    means = 100.0 * np.arange(components)[:, None] + [[1.0, -1.0]]
    variances = rng.uniform(0.1, 4.0, (components, 2))
    z = mixture(list(weights), means, variances).sample(20_000, 3).numpy()
    component = np.rint(z[:, 0] / 100).astype(int)
    counts = np.bincount(component, minlength=components)
    spread = np.sqrt(20_000 * weights * (1 - weights))
    assert (np.abs(counts - 20_000 * weights) <= 4 * spread + 1e-9).all()
    for k in np.flatnonzero(counts > 500):
        mine = z[component == k]
        error = np.sqrt(variances[k] / counts[k])
        assert (np.abs(mine.mean(axis=0) - means[k]) < 5 * error).all()
        np.testing.assert_allclose(mine.var(axis=0), variances[k], rtol=0.25)


def test_vamp_samples_are_draws_of_the_density() -> None:
    prior = VampPrior(2, data_shape=(2,))
    prior.build((None, 1))
    prior.logits.assign([[0.0, 3.0], [3.0, -3.0]])
    z = np.sort(prior.sample(4000, 0, affine).numpy()[:, 0])
    grid = np.linspace(-8, 8, 4001, dtype=np.float32)
    density = np.exp(prior.log_prob(tf.constant(grid[:, None]), affine))
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    assert cumulative[-1] == pytest.approx(1.0, abs=1e-3)
    rank = np.interp(z, grid, cumulative)
    assert np.abs(rank - (np.arange(4000) + 0.5) / 4000).max() < 0.03


@pytest.mark.parametrize("name", LEARNED)
def test_a_larger_number_of_samples_starts_with_the_same(name: str) -> None:
    model = make(learned(name))
    model.ensure_built()
    seed = tf.constant([3, 4])
    few, many = (model.prior_sample(n, seed).numpy() for n in (4, 11))
    np.testing.assert_array_equal(few, many[:4])
    assert (model.prior_sample(4, tf.constant([3, 5])).numpy() != few).all()


@pytest.mark.parametrize("name", LEARNED)
def test_kl_loss_is_the_mean_of_log_q_minus_log_p(name: str, x: np.ndarray) -> None:
    model = make(learned(name))
    model.adapt(x)
    figures = model.evaluate(x, verbose=0, return_dict=True)
    wanted = figures["reconstruction_loss"] + figures["kl_loss"]
    assert -model.elbo(x).mean() == pytest.approx(wanted, rel=1e-5)
    z_mean, z_log_var = model.encode_params(tf.constant(x[:1]))
    latent = model.sample_latent(
        z_mean, z_log_var, priors.RowNoise(0, domain="test"), None, 20_000
    )
    ratio = (latent.log_q - latent.log_p).numpy()
    assert latent.kl.shape == (1,)
    assert float(latent.kl[0]) == pytest.approx(ratio.mean(), rel=1e-4)
    assert ratio.mean() > 0


# What is learned.


@pytest.mark.slow
def test_a_learned_mixture_fits_what_has_two_humps() -> None:
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(-3, 0.5, 200), rng.normal(3, 0.5, 200)])
    z = tf.constant(z[:, None], tf.float32)
    prior = GaussianMixture(2)
    prior.build((None, 1))
    keras.utils.set_random_seed(0)
    prior.means.assign([[-0.1], [0.1]])
    optimizer = keras.optimizers.Adam(0.2)
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior.log_prob(z))
        variables = prior.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
    best_normal = -norm.logpdf(z, np.mean(z), np.std(z)).mean()
    assert float(loss) < best_normal - 0.8
    np.testing.assert_allclose(np.sort(prior.means.numpy()[:, 0]), [-3, 3], atol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNED)
def test_training_moves_every_weight_of_the_prior(name: str, x: np.ndarray) -> None:
    model = make(learned(name))
    model.adapt(x)
    weights = model.prior.trainable_variables
    before = [weight.numpy() for weight in weights]
    model.fit(x, epochs=2, verbose=0)
    assert weights
    for was, weight in zip(before, weights, strict=True):
        assert (weight.numpy() != was).all()


def test_the_encoder_learns_through_the_pseudo_inputs(x: np.ndarray) -> None:
    model = make(learned("vamp"))
    model.adapt(x)
    with tf.GradientTape() as tape:
        log_p = model.prior_log_prob(tf.ones((1, 2, DIM)))
    kernel = model.encoder.trainable_variables[0]
    assert np.abs(tape.gradient(log_p, kernel.value)).max() > 0


# Pseudo-inputs.


def test_adapt_makes_training_examples_the_pseudo_inputs(x: np.ndarray) -> None:
    model = make(VampPrior(20))
    model.adapt(x)
    u = model.prior.pseudo_inputs().numpy()
    distances = np.abs(u[:, None] - x[None]).max(axis=(2, 3, 4))
    nearest = distances.argmin(axis=1)
    margin = 0.011 * (x.max() - x.min())  # what they are kept away from the ends
    assert (distances.min(axis=1) <= margin).all()
    assert len(set(nearest)) == 20


@pytest.mark.slow
def test_pseudo_inputs_are_a_draw_of_all_examples_however_they_are_batched() -> None:
    x = np.linspace(0, 1, 4000, dtype=np.float32)[:, None, None, None]
    x = np.broadcast_to(x, (4000, *SHAPE))
    drawn = []
    for data in (x, tf.data.Dataset.from_tensor_slices(x).batch(7), x[:, ::1]):
        model = make(VampPrior(100))
        model.adapt(data)
        drawn.append(model.prior.pseudo_inputs().numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    quarters = np.bincount((4 * drawn[0][:, 0, 0, 0]).astype(int), minlength=4)
    assert quarters.min() >= 12  # of 25, in data that are in order


def test_few_examples_repeat(x: np.ndarray) -> None:
    model = make(VampPrior(7))
    model.adapt(x[:3])
    u = model.prior.pseudo_inputs().numpy()
    assert len(np.unique(u.round(5), axis=0)) == 3


@pytest.mark.slow
def test_pseudo_inputs_stay_in_the_range_of_the_data(x: np.ndarray) -> None:
    model = make(VampPrior(6))
    model.compile(keras.optimizers.Adam(3.0))  # strides that leave any range
    model.adapt(x)
    before = model.prior.pseudo_inputs().numpy()
    model.fit(x, epochs=3, verbose=0)
    after = model.prior.pseudo_inputs().numpy()
    assert np.abs(after - before).max() > 0.1
    assert after.min() >= x.min() - 1e-6
    assert after.max() <= x.max() + 1e-6


def test_each_feature_has_its_own_range() -> None:
    x = np.random.default_rng(0).normal([0, 50, 7], [1, 9, 0], (80, 3))
    model = VAE(2, (3,), likelihood="gaussian", prior=VampPrior(30), seed=0)
    model.adapt(x.astype(np.float32))
    u = model.prior.pseudo_inputs().numpy()
    assert (u >= x.min(axis=0) - 1e-4).all()
    assert (u <= x.max(axis=0) + 1e-4).all()
    np.testing.assert_allclose(u[:, 2], 7.0)
    assert (u.std(axis=0)[:2] > [0.5, 4.0]).all()


@pytest.mark.slow
def test_pseudo_inputs_of_a_conditional_model_keep_their_conditions() -> None:
    y = np.arange(60, dtype=np.int32) % 3
    x = np.broadcast_to((y / 2)[:, None, None, None], (60, *SHAPE)).astype(np.float32)
    model = make(VampPrior(12), kind=CVAE, condition="label", num_classes=3)
    model.adapt(x, y)
    u = model.prior.pseudo_inputs().numpy()[:, 0, 0, 0]
    np.testing.assert_array_equal(model.prior.conditions.numpy(), np.rint(2 * u))
    model.fit(x, y, epochs=1, verbose=0)
    assert model.sample(3, condition=1).shape == (3, *SHAPE)
    with pytest.raises(ValueError, match="condition"):
        model.adapt(x)


# Part of a model.


@pytest.mark.slow
def test_export_computes_the_components_once(x: np.ndarray, tmp_path) -> None:
    model = make(learned("vamp"))
    model.adapt(x)
    calls = []
    infer = model.encode_params

    def counted(*args, **kwargs):
        calls.append(kwargs.get("training"))
        return infer(*args, **kwargs)

    model.encode_params = counted
    model.export(tmp_path / "saved")
    assert calls.count(False) == 1  # the other signatures infer from their inputs
    generate = tf.saved_model.load(tmp_path / "saved").signatures["generate"]
    graph = generate.graph.as_graph_def()
    nodes = [node for part in graph.library.function for node in part.node_def]
    products = [node for node in nodes if node.op == "MatMul"]
    assert len(products) == 2  # the decoder's two layers, and no encoder
    before = model.sample(3, seed=0)
    model.prior.logits.assign(-model.prior.logits.value)
    assert np.abs(model.sample(3, seed=0) - before).max() > 1e-4  # not fixed for good


def test_vamp_says_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="`data_shape`"):
        VampPrior(2).build((None, 1))
    prior = VampPrior(2, data_shape=(2,))
    prior.build((None, 1))
    with pytest.raises(ValueError, match="`posterior`"):
        prior.sample(2, 0)


def standard_normal(latent_dim: int = 4) -> StandardNormal:
    prior = StandardNormal()
    prior.build((None, latent_dim))
    return prior


def test_the_standard_normal_density_is_the_product_of_scipys() -> None:
    z = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    expected = norm.logpdf(z).sum(axis=-1)
    np.testing.assert_allclose(standard_normal().log_prob(z), expected, rtol=1e-5)


def test_the_standard_normal_samples_by_row() -> None:
    prior = standard_normal()
    z = prior.sample(20_000, 1).numpy()
    assert np.all(np.abs(z.mean(axis=0)) < 4.5 / np.sqrt(len(z)))
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=0.05)
    np.testing.assert_array_equal(prior.sample(7, 1), z[:7])
    np.testing.assert_array_equal(prior.sample(7, tf.constant([1, 0])), z[:7])
    assert not np.any(prior.sample(7, 2).numpy() == z[:7])


def test_the_standard_normal_kl_is_what_its_samples_say() -> None:
    prior = standard_normal(1)
    z_mean, z_log_var = np.array([[0.7]], "f"), np.array([[-1.0]], "f")
    z = z_mean + np.exp(0.5 * z_log_var) * prior.sample(100_000, 1).numpy()
    log_q = norm.logpdf(z[:, 0], z_mean[0, 0], np.exp(0.5 * z_log_var[0, 0]))
    estimate = np.mean(log_q - prior.log_prob(z))
    assert float(prior.kl(z_mean, z_log_var)[0, 0]) == pytest.approx(estimate, abs=0.01)


# Flows.


def flow(size: int, steps: int = 3, dtype: str = "float64") -> FlowPrior:
    """A flow whose couplings do something."""
    prior = FlowPrior(steps, width=5, dtype=dtype)
    prior.build((None, size))
    random = np.random.default_rng(0)
    prior.set_weights([0.5 * random.normal(size=w.shape) for w in prior.get_weights()])
    return prior


@pytest.mark.parametrize("size, steps", [(1, 2), (2, 3), (5, 4)])
def test_a_flows_density_is_by_the_jacobian_of_its_inverse(size, steps) -> None:
    prior = flow(size, steps)
    z = tf.constant(np.random.default_rng(1).normal(size=(6, size)))
    with tf.GradientTape() as tape:
        tape.watch(z)
        u, _ = prior.inverse(z)
    sign, log_det = np.linalg.slogdet(tape.batch_jacobian(u, z))
    assert (sign > 0).all() and np.abs(log_det).max() > 0.05
    wanted = norm.logpdf(u).sum(-1) + log_det
    np.testing.assert_allclose(prior.log_prob(z), wanted, atol=1e-9)


def test_a_flows_density_sums_to_one_and_its_draws_follow_it() -> None:
    prior = flow(2, dtype="float32")
    edges = np.linspace(-12, 12, 481, dtype=np.float32)
    middle = 0.5 * (edges[1:] + edges[:-1])
    z = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    mass = np.exp(prior.log_prob(tf.constant(z)).numpy()) * 0.05**2
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    draws = prior.sample(20_000, 3).numpy()
    for axis in (0, 1):
        below = np.cumsum(mass.sum(axis=1 - axis))
        found = np.searchsorted(np.sort(draws[:, axis]), edges[1:]) / len(draws)
        assert np.abs(found - below).max() < 4 * 0.5 / np.sqrt(len(draws))
    assert np.abs(draws.mean(axis=0)).max() > 0.1  # it is no standard normal


def test_what_a_flow_draws_it_maps_back() -> None:
    prior = flow(5, dtype="float32")
    z = prior.sample(50, 3)
    u, back = prior.inverse(z)
    again = StandardNormal()
    again.build((None, 5))
    np.testing.assert_allclose(u, again.sample(50, 3), atol=1e-4)
    there = tf.zeros(50)
    for coupling in prior.couplings:
        u, change = coupling(u)
        there += change
    np.testing.assert_allclose(back, -there, atol=1e-4)


def test_a_new_flow_is_the_standard_normal() -> None:
    z = tf.constant(np.random.default_rng(0).normal(size=(4, 9, 3)), tf.float32)
    prior, standard = FlowPrior(), StandardNormal()
    prior.build((None, 3))
    standard.build((None, 3))
    np.testing.assert_allclose(prior.log_prob(z), standard.log_prob(z), rtol=1e-6)
    np.testing.assert_array_equal(prior.sample(7, 1), standard.sample(7, 1))


def test_every_number_moves_and_moves_others() -> None:
    prior = flow(5, 4)
    z = tf.constant(np.random.default_rng(1).normal(size=(6, 5)))
    with tf.GradientTape() as tape:
        tape.watch(z)
        u, _ = prior.inverse(z)
    found = np.abs(tape.batch_jacobian(u, z)).max(axis=0)
    assert (found > 1e-6).all()


@pytest.mark.slow
def test_a_flow_in_a_graph_and_under_xla_is_the_same() -> None:
    prior = flow(3, dtype="float32")
    z = tf.constant(np.random.default_rng(0).normal(size=(7, 3)), tf.float32)
    for jit in (False, True):
        found = tf.function(prior.log_prob, jit_compile=jit)(z)
        np.testing.assert_allclose(found, prior.log_prob(z), rtol=1e-5)


@pytest.mark.slow
def test_training_moves_the_flow_and_a_temperature_is_refused(x: np.ndarray) -> None:
    model = make(FlowPrior(2, width=4))
    model.fit(x, epochs=2, verbose=0)
    z = tf.constant(np.random.default_rng(0).normal(size=(5, DIM)), tf.float32)
    apart = model.prior.log_prob(z) - StandardNormal.log_prob(model.prior, z)
    assert np.abs(apart).min() > 1e-6
    with pytest.raises(ValueError, match="`temperature`"):
        model.sample(2, temperature=0.5)


@pytest.mark.parametrize("argument", ["steps", "width"])
def test_a_flow_of_nothing_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=f"`{argument}`"):
        FlowPrior(**{argument: 0})
