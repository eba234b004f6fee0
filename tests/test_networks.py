import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import networks
from keras_vae.networks import DECODERS, ENCODERS, OutputConv2D, RowDropout
from keras_vae.networks.blocks import Blocks
from keras_vae.networks.layers import UpsampleConv, silu
from keras_vae.noise import RowNoise, noise_scope

LATENT_DIM = 3
IMAGES = [(1, 1, 1), (8, 8, 1), (7, 1, 2), (28, 28, 1), (31, 45, 3)]
SEQUENCES = [(1, 1), (7, 3), (50, 2)]
CASES = [
    *[(name, s) for name in ("mlp", "resmlp", "conv", "resnet") for s in IMAGES],
    *[(name, s) for name in ("mlp", "resmlp", "conv1d", "resnet") for s in SEQUENCES],
    *[(name, (5,)) for name in ("mlp", "resmlp")],
]
# One small pair of each kind, for what does not depend on the shape.
SMALL = {
    "mlp": ((6, 4, 1), {"hidden_units": (8, 7)}),
    "resmlp": ((6, 4, 1), {"hidden_units": (8, 8)}),
    "conv": ((6, 5, 2), {"filters": (4, 8), "hidden_units": (8,)}),
    "resnet": ((6, 5, 2), {"filters": (4, 8)}),
    "conv1d": ((9, 2), {"filters": (4, 8), "hidden_units": (8,)}),
}


def pair(name, **options):
    shape, widths = SMALL[name]
    options = {**widths, **options}
    encoder = ENCODERS[name](shape, LATENT_DIM, **options)
    return encoder, DECODERS[name](LATENT_DIM, shape, **options)


def examples(shape, n=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype("float32")


def results(model, x, **kwargs):
    return [np.asarray(y, "float32") for y in keras.tree.flatten(model(x, **kwargs))]


def randomize(model, seed=0):
    """Gives every weight a value of its own, biases and zero-started kernels too."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        fan_in = max(1, int(np.prod(v.shape[:-1])))
        v.assign(rng.normal(scale=fan_in**-0.5, size=v.shape))


def kernels(model):
    return [tuple(v.shape) for v in model.trainable_variables if v.name == "kernel"]


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.fixture
def policy():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


# Shapes


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_any_shape_is_encoded_and_decoded(name, shape):
    encoder = ENCODERS[name](shape, LATENT_DIM)
    params_shape = (*shape[:-1], 2 * shape[-1])
    decoder = DECODERS[name](LATENT_DIM, params_shape)
    x = examples(shape)
    with tf.GradientTape() as tape:
        z_mean, z_log_var = encoder(x)
        params = decoder(z_mean + z_log_var)
        loss = tf.reduce_sum(tf.square(params))
    assert z_mean.shape == z_log_var.shape == (4, LATENT_DIM)
    assert params.shape == (4, *params_shape)
    assert np.isfinite(loss)
    variables = encoder.trainable_variables + decoder.trainable_variables
    assert all(g is not None for g in tape.gradient(loss, variables))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("conv", (31, 45, 1)), ("resnet", (6, 9, 1)), ("conv1d", (9, 1))],
)
def test_no_corner_is_left_out(name, shape):
    encoder = ENCODERS[name](shape, LATENT_DIM, activation="tanh")
    decoder = DECODERS[name](LATENT_DIM, shape, activation="tanh")
    base = encoder(np.zeros((1, *shape), "float32"))[0]
    for corner in np.ndindex(*(2,) * (len(shape) - 1)):
        x = np.zeros((1, *shape), "float32")
        x[(0, *np.multiply(corner, np.subtract(shape[:-1], 1)), 0)] = 1
        assert np.abs(encoder(x)[0] - base).max() > 0
    z = examples((LATENT_DIM,), 2)
    assert np.all(np.abs(decoder(z)[0] - decoder(z)[1]) > 0)


def test_by_default_maps_of_large_images_come_down_to_8_pixels():
    def flat(shape):
        encoder = networks.conv_encoder(shape, 2, hidden_units=())
        return kernels(encoder)[-1][0]

    assert flat((28, 28, 1)) == 7 * 7 * 64
    assert flat((64, 48, 3)) == 8 * 6 * 128
    assert flat((200, 10, 3)) == 7 * 1 * 256


# Widths


def test_dense_widths_are_the_ones_asked_for_and_mirrored():
    encoder = networks.mlp_encoder((6,), LATENT_DIM, hidden_units=(5, 4))
    assert kernels(encoder) == [(6, 5), (5, 4), (4, 2 * LATENT_DIM)]
    decoder = networks.mlp_decoder(LATENT_DIM, (6,), hidden_units=(5, 4))
    assert kernels(decoder) == [(LATENT_DIM, 4), (4, 5), (5, 6)]


def test_without_hidden_units_an_mlp_is_linear():
    encoder = networks.mlp_encoder((6,), LATENT_DIM, hidden_units=())
    assert kernels(encoder) == [(6, 2 * LATENT_DIM)]
    x, y = examples((6,)), examples((6,), seed=1)
    np.testing.assert_allclose(
        encoder(x + y)[0], encoder(x)[0] + encoder(y)[0], atol=1e-5
    )


def test_residual_blocks_have_the_widths_asked_for():
    encoder = networks.resmlp_encoder((6,), LATENT_DIM, hidden_units=(5, 5, 4))
    blocks = [(6, 5), *[(5, 5)] * 4, (5, 4), *[(4, 4)] * 2]
    assert kernels(encoder) == [*blocks, (4, 2 * LATENT_DIM)]
    decoder = networks.resmlp_decoder(LATENT_DIM, (6,), hidden_units=(5, 4))
    mirrored = [(LATENT_DIM, 4), *[(4, 4)] * 2, (4, 5), *[(5, 5)] * 2]
    assert kernels(decoder) == [*mirrored, (5, 6)]


def test_filters_are_the_ones_asked_for_and_mirrored():
    options = {"filters": (4, 8), "hidden_units": (10,)}
    encoder = networks.conv_encoder((8, 8, 3), LATENT_DIM, **options)
    assert kernels(encoder) == [(3, 3, 3, 4), (3, 3, 4, 8), (32, 10), (10, 6)]
    decoder = networks.conv_decoder(LATENT_DIM, (8, 8, 3), **options)
    transposed = [(3, 3, 8, 8), (3, 3, 4, 8), (3, 3, 3, 4)]  # (..., out, in)
    assert kernels(decoder) == [(3, 10), (10, 32), *transposed]


def test_the_keras_example_can_be_built():
    layers = keras.layers
    same = {"padding": "same", "activation": "relu"}
    encoder = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, strides=2, **same),
            layers.Conv2D(64, 3, strides=2, **same),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(40),
        ]
    )
    decoder = keras.Sequential(
        [
            layers.Input((20,)),
            layers.Dense(7 * 7 * 64, activation="relu"),
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(64, 3, strides=2, **same),
            layers.Conv2DTranspose(32, 3, strides=2, **same),
            layers.Conv2DTranspose(1, 3, padding="same"),
        ]
    )
    ours = networks.conv_encoder((28, 28, 1), 20, filters=(32, 64), hidden_units=(16,))
    ours.set_weights(encoder.get_weights())
    x = examples((28, 28, 1))
    wanted = np.split(encoder(x), 2, axis=-1)
    np.testing.assert_allclose(ours(x), wanted, atol=1e-5)

    ours = networks.conv_decoder(20, (28, 28, 1), filters=(32, 64), hidden_units=())
    ours.set_weights(decoder.get_weights())
    z = examples((20,))
    np.testing.assert_allclose(ours(z), decoder(z), atol=1e-5)


def test_the_head_gives_the_mean_first():
    encoder = networks.mlp_encoder((6,), LATENT_DIM)
    head = encoder.get_layer("encoder_head")
    head.set_weights([np.zeros((500, 6)), np.arange(6.0)])
    z_mean, z_log_var = encoder(examples((6,), 1))
    np.testing.assert_array_equal(z_mean, [[0, 1, 2]])
    np.testing.assert_array_equal(z_log_var, [[3, 4, 5]])


# Options

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_is_what_its_activation_says(activation):
    decoder = networks.mlp_decoder(
        LATENT_DIM, (4,), hidden_units=(6, 5), activation=activation
    )
    randomize(decoder)
    a, a_bias, b, b_bias, c, c_bias = decoder.get_weights()
    f = ACTIVATIONS[activation]
    z = examples((LATENT_DIM,))
    wanted = f(f(z @ a + a_bias) @ b + b_bias) @ c + c_bias
    np.testing.assert_allclose(decoder(z), wanted, atol=1e-5)


def test_silu_is_that_of_keras_and_so_are_its_gradients():
    x = tf.constant(np.linspace(-100, 100, 401), tf.float32)
    found, wanted = [], []
    for function, results in ((silu, found), (keras.activations.silu, wanted)):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            first = tape.gradient(y, x)
        results += [y, first, outer.gradient(first, x)]
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_activation_has_effect_in_every_network(name):
    for k, default in enumerate(pair(name)):
        randomize(default)
        x = examples(default.input_shape[1:])
        for activation in ("silu", "relu", keras.ops.sin):
            model = pair(name, activation=activation)[k]
            model.set_weights(default.get_weights())
            changed = np.abs(results(model, x)[0] - results(default, x)[0]).max()
            is_default = activation == ("silu" if "mlp" in name else "relu")
            assert (changed == 0) == is_default


@pytest.mark.parametrize(
    ("activation", "initializer", "variance"),
    [
        ("tanh", "GlorotUniform", 2 / (200 + 300)),
        ("relu", "HeNormal", 2 / 200),
        ("silu", "HeNormal", 2 / 200),
        ("softplus", "LecunNormal", 1 / 200),
    ],
)
def test_the_initializer_suits_the_activation(activation, initializer, variance):
    keras.utils.set_random_seed(0)
    options = {"hidden_units": (200, 300), "activation": activation}
    encoder = networks.mlp_encoder((200,), LATENT_DIM, **options)
    first, second, head = layers_of(encoder, keras.layers.Dense)
    assert type(second.kernel_initializer).__name__ == initializer
    assert np.var(second.kernel) == pytest.approx(variance, rel=0.05)
    assert type(head.kernel_initializer).__name__ == "GlorotUniform"


@pytest.mark.parametrize("name", SMALL)
def test_a_given_initializer_is_used_for_every_kernel(name):
    constant = keras.initializers.Constant(0.25)
    for model in pair(name, initializer=constant):
        values = [v for v in model.trainable_variables if v.name == "kernel"]
        assert len(values) >= 3
        assert all(np.all(v == 0.25) for v in values)


@pytest.mark.parametrize("name", SMALL)
def test_the_output_gain_makes_the_last_kernel_of_a_decoder_smaller(name):
    models = []
    for options in ({}, {"output_gain": 0.25}):
        keras.utils.set_random_seed(0)
        models.append(pair(name, **options)[1])
    last = models[0].get_layer("params").kernel
    for before, after in zip(*(model.weights for model in models), strict=True):
        gain = 0.25 if before is last else 1.0
        np.testing.assert_allclose(after, gain * before.numpy())


def test_layers_do_not_share_the_values_of_one_initializer():
    random = keras.initializers.HeNormal()
    encoder = networks.resmlp_encoder((4,), 2, hidden_units=(4,), initializer=random)
    values = [v.numpy() for v in encoder.trainable_variables if v.name == "kernel"]
    assert len(np.unique(values, axis=0)) == len(values) == 4


@pytest.mark.parametrize("name", ["resmlp", "resnet"])
def test_residual_blocks_start_as_the_identity(name):
    for model in pair(name):
        add = layers_of(model, keras.layers.Add)[0]
        probe = keras.Model(model.input, [*add.input, add.output])
        before, _, after = results(probe, examples(model.input_shape[1:]))
        assert np.abs(before).max() > 0
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", SMALL)
def test_layer_normalization_takes_each_example_by_itself(name):
    for model in pair(name, normalization="layer"):
        randomize(model)
        x = examples(model.input_shape[1:])
        other = np.concatenate([x[:1], 5 * x[1:] + 1])
        alone, among = (
            results(model, x, training=True),
            results(model, other, training=True),
        )
        np.testing.assert_allclose(alone[0][:1], among[0][:1], atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_normalization_standardises_what_the_activations_get(name, normalization):
    kinds = {
        "layer": (keras.layers.LayerNormalization, keras.layers.GroupNormalization),
        "batch": keras.layers.BatchNormalization,
    }
    for model in pair(name, normalization=normalization):
        activations = layers_of(model, keras.layers.Activation)
        assert len(activations) == len(layers_of(model, kinds[normalization])) > 0
        probe = keras.Model(model.input, [layer.input for layer in activations])
        x = 3 * examples(model.input_shape[1:], 64)
        for h in results(probe, x, training=True):
            axes = tuple(range(1 if normalization == "layer" else 0, h.ndim))
            axes = axes if normalization == "layer" else axes[:-1]
            # A rectifier can leave an example or a feature without any variance.
            np.testing.assert_allclose(h.mean(axes), 0, atol=1e-3)
            assert np.median(h.std(axes)) == pytest.approx(1, abs=0.15)


def test_batch_normalization_learns_statistics_for_inference():
    encoder = networks.mlp_encoder((9,), 2, hidden_units=(8,), normalization="batch")
    x = 3 * examples((9,), 64) + 2
    before = results(encoder, x)[0]
    for _ in range(50):
        trained = results(encoder, x, training=True)[0]
    np.testing.assert_allclose(results(encoder, x)[0], trained, atol=0.05)
    assert np.abs(before - trained).max() > 0.2


def test_by_default_nothing_depends_on_the_batch():
    for name in SMALL:
        for model in pair(name):
            assert not layers_of(model, keras.layers.BatchNormalization)
            x = examples(model.input_shape[1:])
            whole, part = (
                results(model, x, training=True),
                results(model, x[:1], training=True),
            )
            np.testing.assert_allclose(whole[0][:1], part[0], atol=1e-5)


# Dropout


@pytest.mark.parametrize("name", SMALL)
def test_dropout_acts_in_training_only(name):
    for plain, model in zip(pair(name), pair(name, dropout=0.5), strict=True):
        randomize(plain)
        model.set_weights(plain.get_weights())
        x = examples(model.input_shape[1:])
        np.testing.assert_array_equal(results(model, x)[0], results(plain, x)[0])
        dropped = results(model, x, training=True)[0]
        assert np.abs(dropped - results(plain, x)[0]).max() > 1e-3


@pytest.mark.parametrize("scope", [True, False])
def test_dropout_drops_the_rate_and_keeps_the_mean(scope):
    layer = RowDropout(0.2, seed=1, name="d")
    x = tf.ones((500, 400))
    if scope:
        with noise_scope(RowNoise(7, 0)):
            y = np.asarray(layer(x, training=True))
    else:
        y = np.asarray(layer(x, training=True))
    assert np.mean(y == 0) == pytest.approx(0.2, abs=0.005)
    assert y.mean() == pytest.approx(1, abs=0.005)
    assert y.max() == np.float32(1.25)


def test_dropout_of_maps_takes_whole_channels():
    with noise_scope(RowNoise(7, 0)):
        y = np.asarray(RowDropout(0.5)(tf.ones((8, 5, 4, 6)), training=True))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert len(np.unique(y[:, 0, 0], axis=0)) > 4


def test_outside_of_a_scope_each_call_drops_others():
    layer = RowDropout(0.5, seed=3)
    x = tf.ones((4, 50))
    assert np.any(layer(x, training=True) != layer(x, training=True))


@pytest.mark.parametrize("name", SMALL)
def test_dropout_depends_on_the_row_of_the_global_batch_alone(name):
    for model in pair(name, dropout=0.5):
        randomize(model)
        x = examples(model.input_shape[1:], 6)

        def train(rows, step=3, model=model, x=x):
            with noise_scope(RowNoise(7, step, first_row=rows.start)):
                return results(model, x[rows], training=True)[0]

        whole = train(slice(0, 6))
        parts = [train(slice(0, 1)), train(slice(1, 4)), train(slice(4, 6))]
        np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-5)
        assert np.abs(whole - train(slice(0, 6), step=4)).max() > 1e-3


def test_each_dropout_layer_draws_its_own_mask():
    masks = []
    for model in pair("mlp", hidden_units=(64, 64), dropout=0.5):
        for layer in layers_of(model, RowDropout):
            with noise_scope(RowNoise(7, 0)):
                masks.append(np.asarray(layer(tf.ones((2, 64)), training=True)))
    assert len(masks) == 4
    assert len(np.unique(masks, axis=0)) == 4


def test_a_model_made_twice_drops_the_same():
    first, second = (pair("conv", dropout=0.5)[0] for _ in range(2))
    second.set_weights(first.get_weights())
    x = examples((6, 5, 2))
    with noise_scope(RowNoise(7, 0)):
        np.testing.assert_array_equal(first(x, training=True), second(x, training=True))


def assert_same_values_and_gradients(ours, theirs, x):
    """Two layers of equal weights."""

    @tf.function
    def value_and_gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.sin(y))
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return [y, *map(tf.convert_to_tensor, gradients)]

    for a, b in zip(
        value_and_gradients(ours), value_and_gradients(theirs), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4)


# Upsampling


@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (5, 7, 3), (1, 1, 3)])
def test_upsampling_is_nearest_neighbours_and_a_convolution(shape):
    layers = keras.layers
    rank = len(shape) - 1
    repeat = (layers.UpSampling1D, layers.UpSampling2D)[rank - 1](2)
    conv = (layers.Conv1D, layers.Conv2D)[rank - 1](4, 3, padding="same")
    ours = UpsampleConv(4)
    x = tf.constant(examples(shape))
    ours.build(x.shape)
    conv.build(repeat(x).shape)
    randomize(ours)
    conv.set_weights(ours.get_weights())

    assert_same_values_and_gradients(ours, keras.Sequential([repeat, conv]), x)
    assert ours.compute_output_shape(x.shape) == tuple(ours(x).shape)


@pytest.mark.parametrize("size", [(8,), (7,), (8, 6), (7, 6), (7, 5)])
def test_maps_are_upsampled_to_exactly_a_size(size):
    blocks = Blocks("net", {})
    x = keras.Input((*[-(-side // 2) for side in size], 3))
    assert blocks.upsample(x, 4, size).shape == (None, *size, 4)


# The last convolution


@pytest.mark.parametrize("filters", [1, 2, 3])
@pytest.mark.parametrize("size", [(28, 28), (31, 45), (9, 8), (3, 5), (1, 1)])
def test_the_output_convolution_is_a_transposed_convolution(filters, size):
    ours = OutputConv2D(filters)
    keras_layer = keras.layers.Conv2DTranspose(filters, 3, padding="same")
    x = tf.constant(examples((*size, 5)))
    ours.build(x.shape)
    keras_layer.build(x.shape)
    randomize(ours)
    keras_layer.set_weights(ours.get_weights())

    assert_same_values_and_gradients(ours, keras_layer, x)


def test_one_channel_is_made_in_blocks_where_no_gpu_is_used(monkeypatch):
    there, used = ["a GPU"], []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: there)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: used)

    def operations(filters):
        layer = OutputConv2D(filters)
        graph = tf.function(layer).get_concrete_function(tf.zeros((2, 28, 28, 8))).graph
        return {op.type for op in graph.get_operations()}

    assert "Conv2DBackpropInput" not in operations(1)
    assert "Conv2DBackpropInput" in operations(3)
    used.append("a GPU")
    assert "Conv2DBackpropInput" in operations(1)


def test_an_exported_decoder_gives_the_same(tmp_path):
    decoder = networks.conv_decoder(LATENT_DIM, (9, 10, 1), filters=(4,))
    z = examples((LATENT_DIM,))
    archive = keras.export.ExportArchive()
    archive.track(decoder)
    signature = [tf.TensorSpec((None, LATENT_DIM), tf.float32)]
    archive.add_endpoint("decode", lambda z: decoder(z), input_signature=signature)
    archive.write_out(str(tmp_path / "decoder"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "decoder"))
    np.testing.assert_allclose(loaded.decode(z), decoder(z), atol=1e-6)


# Saving and precision


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "normalization"), [*((name, "layer") for name in SMALL), ("conv", "batch")]
)
def test_saved_networks_give_the_same(name, normalization, tmp_path):
    options = {"activation": "softplus", "dropout": 0.3}
    encoder, decoder = pair(name, normalization=normalization, **options)
    z_mean, z_log_var = encoder(encoder.input)
    model = keras.Model(encoder.input, [z_mean, z_log_var, decoder(z_mean)])
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = examples(encoder.input_shape[1:])
    for training in (False, True):
        with noise_scope(RowNoise(7, 0)):
            wanted = results(model, x, training=training)
            found = results(loaded, x, training=training)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    bias = networks.output_bias(loaded.get_layer("decoder"))
    np.testing.assert_array_equal(bias, networks.output_bias(decoder))


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_mixed_precision_gives_nearly_the_same(name, policy):
    options = {"normalization": "layer", "dropout": 0.3}
    mixed = pair(name, **options)
    keras.mixed_precision.set_dtype_policy("float32")
    for model, single in zip(mixed, pair(name, **options), strict=True):
        randomize(model)
        single.set_weights(model.get_weights())
        assert model.compute_dtype == "bfloat16"
        x = examples(model.input_shape[1:])
        with noise_scope(RowNoise(7, 0)), tf.GradientTape() as tape:
            y = tf.concat(keras.tree.flatten(model(x, training=True)), 0)
            loss = tf.reduce_sum(tf.square(y))
        assert y.dtype == tf.bfloat16
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(g is not None and g.dtype == tf.float32 for g in gradients)
        with noise_scope(RowNoise(7, 0)):
            wanted = np.concatenate(results(single, x, training=True))
        y = tf.cast(y, tf.float32)
        assert np.abs(y - wanted).max() < 0.05 * np.abs(wanted).max() + 0.02


@pytest.mark.slow
def test_networks_compile_with_xla():
    for name in ("mlp", "conv"):
        _, decoder = pair(name, dropout=0.3)
        z = tf.constant(examples((LATENT_DIM,)))

        def step(decoder=decoder, z=z):
            with noise_scope(RowNoise(7, 0)), tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(decoder(z, training=True)))
            return [loss, *tape.gradient(loss, decoder.trainable_variables)]

        for a, b in zip(tf.function(step, jit_compile=True)(), step(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


# The output bias


@pytest.mark.parametrize("name", SMALL)
def test_the_output_bias_is_added_to_the_output(name):
    _, decoder = pair(name)
    z = examples((LATENT_DIM,))
    before = results(decoder, z)[0]
    bias = networks.output_bias(decoder)
    dense = "mlp" in name
    assert bias.shape == ((24,) if dense else (2,))
    shift = np.arange(1.0, 1 + bias.shape[0])
    bias.assign(shift)
    wanted = before + (shift.reshape(SMALL[name][0]) if dense else shift)
    np.testing.assert_allclose(decoder(z), wanted, atol=1e-5)


def dense_model(**kwargs):
    layers = [keras.Input((3,)), keras.layers.Dense(4, **kwargs)]
    return keras.Sequential([*layers, keras.layers.Reshape((2, 2))])


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "make",
    [
        dense_model,
        lambda: dense_model(name="params", activation="sigmoid"),
        lambda: dense_model(name="params", use_bias=False),
        Subclassed,
        lambda: np.tanh,
    ],
)
def test_other_models_have_no_output_bias(make):
    assert networks.output_bias(make()) is None


def test_a_model_of_another_make_can_name_its_output_bias():
    model = dense_model(name="params")
    assert networks.output_bias(model) is model.layers[0].bias


# Names and errors


def test_every_name_has_both_halves_with_the_same_options():
    assert list(ENCODERS) == list(DECODERS)
    for name in ENCODERS:
        halves = (ENCODERS[name], DECODERS[name])
        options, mirrored = (
            [(p.name, p.default) for p in inspect.signature(half).parameters.values()][
                2:
            ]
            for half in halves
        )
        assert options == mirrored
        assert [half.__name__ for half in halves] == [
            f"{name}_encoder",
            f"{name}_decoder",
        ]


def test_names_of_the_models():
    encoder, decoder = pair("mlp")
    assert (encoder.name, decoder.name) == ("encoder", "decoder")
    named = networks.mlp_encoder((6,), 2, name="classifier")
    assert (named.name, named.layers[2].name) == ("classifier", "classifier_dense_1")
    assert networks.conv_decoder(2, (8, 8, 1)).layers[-1].name == "params"


def test_an_option_that_is_not_there_is_refused():
    with pytest.raises(TypeError, match="Did you mean 'dropout'"):
        pair("mlp", droput=0.5)
