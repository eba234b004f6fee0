"""What is hardly ever meant is warned of before it is trained."""

import math

import keras
import numpy as np
import pytest

from keras_vae import VAE, networks
from keras_vae.models.mistakes import (
    LikelyMistake,
    channels_first,
    last_activation,
    likely_mistakes,
)


def decoder(*last, shape=(4,)):
    layers = [keras.layers.Dense(math.prod(shape)), *last, keras.layers.Reshape(shape)]
    return keras.Sequential([keras.Input((2,)), *layers])


def functional(shape):
    z = keras.Input((2,))
    h = keras.ops.sigmoid(keras.layers.Dense(math.prod(shape))(z))
    return keras.Model(z, keras.layers.Reshape(shape)(h))


def vae(likelihood, network, shape=(4,)):
    model = VAE(
        2,
        shape,
        encoder=networks.mlp_encoder(shape, 2, hidden_units=()),
        decoder=network,
        likelihood=likelihood,
        seed=0,
    )
    model.compile("adam")
    return model


ENDS = {
    "Dense": lambda: keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, "sigmoid")]
    ),
    "Activation": lambda: decoder(keras.layers.Activation("sigmoid")),
    "softmax": lambda: decoder(keras.layers.Softmax()),
    "ReLU": lambda: decoder(keras.layers.ReLU()),
    "operation": lambda: functional((4,)),
    "nested": lambda: keras.Sequential([keras.Input((2,)), functional((4,))]),
    "linear": decoder,
    "LeakyReLU": lambda: decoder(keras.layers.LeakyReLU()),
    "package": lambda: networks.mlp_decoder(2, (4,), hidden_units=(3,)),
}


ACTIVATIONS = {
    "Dense": "sigmoid",
    "Activation": "sigmoid",
    "softmax": "softmax",
    "ReLU": "relu",
    "operation": "sigmoid",
    "nested": "sigmoid",
    "linear": "linear",
    "LeakyReLU": "leakyrelu",
    "package": "linear",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_activation_a_network_ends_in_is_known(end):
    assert last_activation(ENDS[end]()) == ACTIVATIONS[end]


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_a_decoder_that_cannot_give_all_logits_is_warned_of(likelihood):
    model = vae(likelihood, ENDS["Dense"]())
    (mistake,) = likely_mistakes(model)
    assert isinstance(mistake, LikelyMistake)
    assert "activation sigmoid" in str(mistake)


@pytest.mark.parametrize(
    ("likelihood", "end"),
    [
        ("gaussian_fixed", "Dense"),
        ("bernoulli", "linear"),
        ("bernoulli", "LeakyReLU"),
        ("bernoulli", "package"),
    ],
)
def test_others_are_not(likelihood, end):
    model = vae(likelihood, ENDS[end]())
    assert likely_mistakes(model) == []


def test_of_a_model_of_another_make_nothing_is_known():
    class Own(keras.Model):
        def call(self, z):
            return z

    assert last_activation(Own()) is None


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 28, 28), (4, 32, 48)])
def test_channels_that_seem_to_come_first_are_warned_of(shape):
    assert "np.moveaxis(x, 1, -1)" in channels_first(shape)
    assert str((*shape[1:], shape[0])) in channels_first(shape)


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (28, 28, 3), (3, 5, 1), (3, 28), (784,)]
)
def test_others_seem_not_to(shape):
    assert channels_first(shape) is None


@pytest.mark.slow
def test_a_model_of_them_says_so_when_it_is_trained(small_vae):
    model = small_vae((3, 6, 8))
    model.compile("adam")
    with pytest.warns(LikelyMistake, match=r"\(6, 8, 3\)"):
        model.fit(np.zeros((4, 3, 6, 8)), verbose=0)
