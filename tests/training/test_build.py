import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_vae import networks
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig


def layers_of(network):
    """Kind of each layer with its units, from the input on."""
    shown = []
    for layer in network.layers:
        if layer.name.endswith("head") or not isinstance(
            layer, keras.layers.InputLayer | keras.layers.Flatten | keras.layers.Reshape
        ):
            size = getattr(layer, "units", getattr(layer, "rate", ""))
            kind = type(layer).__name__
            if kind == "Activation":
                size = layer.activation.__name__
            shown.append(f"{kind} {size}".strip())
    return [name for name in shown if name.split()[0] not in ("Split", "GetItem")]


def test_the_small_tutorial_has_the_networks_of_the_tutorial():
    config = TrainConfig.resolve({"preset": "tutorial_small"})
    model = build_model(config, (28, 28, 1), 1000)
    assert layers_of(model.encoder) == [
        "Dense 20",
        "Activation relu",
        "BatchNormalization",
        "Dense 20",  # mean and log variance of ten dimensions
    ]
    assert layers_of(model.decoder) == [
        "Dense 20",
        "Activation relu",
        "RowDropout 0.2",
        "Dense 784",
    ]


@pytest.mark.parametrize("name", networks.ENCODERS)
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalisation_stands_in_front_of_or_behind_the_activation(name, kind):
    shape = (16, 1) if name == "conv1d" else (8, 8, 1)
    for after in (False, True):
        network = networks.ENCODERS[name](
            shape, 2, normalization=kind, normalize_after=after
        )
        places = [layer.split()[0] for layer in layers_of(network)]
        first = places.index("Activation")
        assert ("Normalization" in places[first + 1]) == after
        assert ("Normalization" in places[first - 1]) == (not after)


@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "orthogonal"])
def test_the_gain_is_a_factor_on_the_weights_that_are_drawn(name):
    def spread(gain):
        keras.utils.set_random_seed(0)
        given = {"initializer": name, "initializer_gain": gain, "hidden_units": (300,)}
        model = build_model(TrainConfig.resolve(given), (10, 10, 1), 100)
        (dense,) = [x for x in model.encoder.layers if getattr(x, "units", 0) == 300]
        return float(keras.ops.std(dense.kernel))

    assert spread(0.5) == pytest.approx(0.5 * spread(1.0), rel=0.02)


def of_digits(**flags):
    config = TrainConfig.resolve({**flags, "epochs": 12})
    return build_model(config, (8, 8, 1), 1500)


@pytest.mark.parametrize("network", ["mlp", "resmlp", "conv", "resnet"])
@pytest.mark.parametrize(
    "likelihood", ["gaussian", "gaussian_per_pixel", "discretized_logistic"]
)
def test_what_is_made_of_z_starts_varying_no_more_than_data_do(network, likelihood):
    model = of_digits(encoder=network, activation="relu", likelihood=likelihood)
    z = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    assert 0.05 < np.std(model.decoder(z)) < 0.5


def test_vectors_start_varying_as_standardised_data_do():
    config = TrainConfig.resolve({"likelihood": "gaussian"})
    model = build_model(config, (30,), 100)
    z = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    assert 0.5 < np.std(model.decoder(z)) < 2


@pytest.mark.slow
def test_residual_blocks_of_relu_use_their_latents_under_a_gaussian():
    model = of_digits(encoder="resmlp", activation="relu", likelihood="gaussian")
    x = load_digits().images[:1500, ..., np.newaxis].astype(np.float32) / 16
    model.adapt(x)
    history = model.fit(x, batch_size=128, epochs=12, verbose=0).history
    assert history["kl_loss"][-1] > 2


@pytest.mark.parametrize("model", ["vae", "iwae", "ae", "factor_vae"])
def test_networks_of_terabytes_are_refused_at_once_with_the_flags_that_help(model):
    with pytest.raises(ValueError, match="--hidden_units") as caught:
        build_model(TrainConfig.resolve({"model": model}), (2**15, 2**15, 1), 2)
    assert "--encoder conv" in str(caught.value)
    assert str(caught.value).endswith(".")


def test_flags_of_the_optimizer_reach_it():
    flags = {"learning_rate_schedule": "constant", "hidden_units": (4,)}
    values = {"learning_rate": 0.02, "adam_beta_2": 0.9, "clipnorm": 3.0}
    config = TrainConfig.resolve({"dataset": "digits", **flags, **values})
    optimizer = build_model(config, (8, 8, 1), 100).optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    assert (optimizer.beta_2, optimizer.global_clipnorm) == (0.9, 3.0)
