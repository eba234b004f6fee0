import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from keras_vae.networks.flows import (
    FLOWS,
    AutoregressiveNetwork,
    InverseAutoregressiveFlow,
    MaskedDense,
    PlanarFlow,
    make_flow,
)

flows = pytest.mark.parametrize("name", FLOWS)


def wild(layer, scale: float = 0.7, seed: int = 0):
    """Gives a layer weights of such a size that all of it counts."""
    random = np.random.default_rng(seed)
    layer.set_weights(
        [scale * random.standard_normal(weight.shape) for weight in layer.get_weights()]
    )
    return layer


def built(name: str, size: int, **options):
    """Returns a flow in float64 with weights that matter, and a context of one row."""
    keras.utils.set_random_seed(0)
    if name == "iaf":
        options["width"] = 6
    flow = FLOWS[name](size, dtype="float64", **options)
    flow.build((None, size))
    random = np.random.default_rng(1)
    context = random.standard_normal((1, flow.context_size))
    return wild(flow) if flow.weights else flow, tf.constant(context)


def jacobian(function, z: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(z)
        out = function(z)
    return tape.batch_jacobian(out, z)


@flows
@pytest.mark.parametrize("size, steps", [(1, 2), (2, 1), (5, 3)])
def test_log_det_is_that_of_the_jacobian(name: str, size: int, steps: int) -> None:
    flow, context = built(name, size, steps=steps)
    z = tf.constant(np.random.default_rng(2).normal(size=(7, size)))
    found = jacobian(lambda z: flow(z, context)[0], z)
    sign, log_det = np.linalg.slogdet(found)
    assert (sign > 0).all() and np.abs(log_det).max() > 0.1
    np.testing.assert_allclose(flow(z, context)[1], log_det, atol=1e-9)


@pytest.mark.slow
@flows
def test_a_density_in_two_dimensions_sums_to_one(name: str) -> None:
    flow, context = built(name, 2, steps=3)
    # Behind the flow: the density of the image of each cell times the image's area, in
    # a grid of z_0 that is fine enough; so of polygons, not of Jacobians.
    edges = np.linspace(-6, 6, 801)
    corners = np.stack(np.meshgrid(edges, edges, indexing="ij"), axis=-1)
    z, _ = flow(tf.constant(corners.reshape(-1, 2)), context)
    z = z.numpy().reshape(*corners.shape)
    across, along = z[1:, 1:] - z[:-1, :-1], z[1:, :-1] - z[:-1, 1:]
    areas = 0.5 * np.abs(
        along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]
    )
    middle = 0.5 * (edges[1:] + edges[:-1])
    z_0 = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    _, log_det = flow(tf.constant(z_0.reshape(-1, 2)), context)
    log_q = norm.logpdf(z_0).sum(-1) - log_det.numpy().reshape(z_0.shape[:-1])
    assert np.sum(np.exp(log_q) * areas) == pytest.approx(1.0, abs=2e-4)
    assert np.abs(areas * 800**2 / 12**2 - 1).max() > 0.1  # and the flow does something


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("size, width", [(1, 3), (5, 20), (6, 4)])
def test_outputs_depend_on_the_numbers_before_them_alone(
    size: int, width: int, backward: bool
) -> None:
    network = AutoregressiveNetwork(size, width, backward, dtype="float64")
    network.build((None, size), (None, 2))
    wild(network)
    z = tf.constant(np.random.default_rng(0).normal(size=(4, size)))
    context = tf.constant(np.random.default_rng(1).normal(size=(4, 2)))
    for number in range(2):
        found = jacobian(lambda z, n=number: network(z, context)[n], z).numpy()
        if backward:
            found = found[:, ::-1, ::-1]
        assert (found[:, *np.triu_indices(size)] == 0).all()
        of_context = jacobian(lambda h, n=number: network(z, h)[n], context)
        assert (np.abs(of_context).max(axis=(0, 2)) > 0).all()
        if width >= size:  # else some have no unit that tells them
            assert (np.abs(found).max(axis=0)[np.tril_indices(size, -1)] > 0).all()


def test_a_step_of_iaf_inverts_from_the_first_number_to_the_last() -> None:
    flow, context = built("iaf", 4, steps=1)
    z_0 = np.random.default_rng(0).normal(size=(3, 4))
    z = flow(tf.constant(z_0), context)[0].numpy()
    found = np.zeros_like(z)
    for number in range(4):  # each is known once those before it are
        m, raw = flow.networks[0](tf.constant(found), context)
        s = 1 / (1 + np.exp(-raw.numpy() - 2.0))
        found[:, number] = ((z - (1 - s) * m.numpy()) / s)[:, number]
    np.testing.assert_allclose(found, z_0, atol=1e-9)


def test_a_planar_step_stays_invertible_whatever_the_encoder_gives() -> None:
    flow = PlanarFlow(3, 1)
    for scale in (1e-4, 1.0, 30.0):
        context = scale * np.random.default_rng(0).standard_normal((500, 7))
        z = np.random.default_rng(1).standard_normal((500, 3))
        out, log_det = flow(tf.constant(z, tf.float32), tf.constant(context, "float32"))
        assert np.isfinite(out).all() and np.isfinite(log_det).all()


def test_planar_is_the_papers_formula_where_it_is_invertible_as_it_comes() -> None:
    u, w, b = np.array([3.0, 1.0]), np.array([1.0, 2.0]), 0.3
    flow = PlanarFlow(2, 1, dtype="float64")
    z = np.array([[0.2, -0.4]])
    context = np.concatenate([u, w, [b]])[np.newaxis]
    found, _ = flow(tf.constant(z), tf.constant(context))
    product = w @ u
    u_hat = u + (np.log1p(np.exp(product)) - 1 - product) * w / (w @ w)
    wanted = z + u_hat * np.tanh(z @ w + b)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@flows
def test_samples_in_front_share_the_context_of_their_example(name: str) -> None:
    flow, _ = built(name, 3)
    random = np.random.default_rng(0)
    context = tf.constant(random.normal(size=(4, flow.context_size)))
    z = tf.constant(random.normal(size=(5, 4, 3)))
    together, log_det = flow(z, context)
    for sample in range(5):
        alone, of_it = flow(z[sample], context)
        np.testing.assert_allclose(together[sample], alone, atol=1e-12)
        np.testing.assert_allclose(log_det[sample], of_it, atol=1e-12)


@flows
def test_in_a_graph_and_under_xla_it_is_the_same(name: str) -> None:
    flow = make_flow(name, 3, 2)
    flow.build((None, 3))
    if flow.weights:
        wild(flow, 0.1)
    random = np.random.default_rng(0)
    z, context = (
        tf.constant(random.normal(size=(4, n)), tf.float32)
        for n in (3, flow.context_size)
    )
    eager = flow(z, context)
    for jit in (False, True):
        compiled = tf.function(flow, jit_compile=jit)(z, context)
        for found, wanted in zip(compiled, eager, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        MaskedDense([1, 2], [0, 1, 2], strict=True),
        AutoregressiveNetwork(3, 5, backward=True),
        InverseAutoregressiveFlow(3, 2, width=5),
        PlanarFlow(3, 2),
    ],
)
def test_a_configuration_makes_the_same_layer(layer) -> None:
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_flows_compute_in_float32_under_a_policy_of_half_precision() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        flow = InverseAutoregressiveFlow(2, 1, width=4)
    finally:
        keras.config.set_dtype_policy("float32")
    context = tf.ones([3, 4], tf.float16)
    assert {out.dtype for out in flow(tf.ones([3, 2]), context)} == {tf.float32}


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_a_number_of_steps_that_is_none_is_refused(steps) -> None:
    with pytest.raises(ValueError, match="`posterior_flows`"):
        make_flow("iaf", 2, steps)


@pytest.mark.parametrize("scale", [0.0, 1e-7, 1e-3])
def test_a_planar_step_whose_w_is_next_to_nothing_moves_volumes_by_nothing(scale):
    flow = PlanarFlow(2, steps=3)
    z = tf.constant([[0.3, -0.7]])
    context = tf.fill([1, flow.context_size], scale)
    _, log_det = flow(z, context)
    with tf.GradientTape() as tape:
        tape.watch(z)
        out, _ = flow(z, context)
    jacobian = np.asarray(tape.batch_jacobian(out, z))[0]
    expected = np.linalg.slogdet(jacobian.astype(np.float64))[1]
    np.testing.assert_allclose(log_det, [expected], atol=1e-5)


def test_steps_of_iaf_start_apart_and_by_the_seed_that_is_set():
    def kernels():
        keras.utils.set_random_seed(3)
        flow = InverseAutoregressiveFlow(3, steps=2)
        flow.build((None, 3))
        return [network.last.kernel.numpy() for network in flow.networks]

    first, second = kernels()
    assert np.any(first != second)
    np.testing.assert_array_equal(kernels()[0], first)
