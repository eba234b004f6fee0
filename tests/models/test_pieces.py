"""Which batches are cut into pieces that are worked on side by side."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks
from keras_vae.models import pieces
from keras_vae.networks.noise import with_input_noise

SHAPE = (8, 8, 1)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(pieces, "cores", lambda: 2)


def vae(kind="VAE", how=None, **options):
    model = getattr(keras_vae, kind)(2, SHAPE, seed=0, **options)
    model.compile(**(how or {}))
    return model


def with_layer(layer):
    x = keras.Input(SHAPE)
    h = layer(keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    outputs = [keras.layers.Dense(2)(h), keras.layers.Dense(2)(h)]
    return vae(encoder=keras.Model(x, outputs))


class OwnEncoder(keras.Model):
    def build(self, input_shape):
        self.dense = keras.layers.Dense(2)
        self.dense.build((None, 64))

    def call(self, x):
        z = self.dense(tf.reshape(x, [-1, 64]))
        return z, z - tf.reduce_mean(z, axis=0)


class Split(keras.layers.Layer):  # a name that an operation of Keras has
    def call(self, x):
        return centred(x)


class OwnCall(keras.Model):
    def call(self, x, training=None):
        z_mean, z_log_var = super().call(x, training=training)
        return centred(z_mean), z_log_var


class OwnLikelihood(keras_vae.Bernoulli):
    def log_prob(self, x, params, weight=None):
        return centred(super().log_prob(x, params, weight))


def centred(x):
    return x - tf.reduce_mean(x, axis=0)


def own_call():
    x = keras.Input(SHAPE)
    h = keras.layers.Flatten()(x)
    return OwnCall(x, [keras.layers.Dense(2)(h), keras.layers.Dense(2)(h)])


def swapped(h):
    return keras.layers.Concatenate(axis=0)(keras.ops.split(h, 2, axis=0)[::-1])


class OwnModel(keras_vae.VAE):
    def latent_penalty(self, latent):
        return tf.fill(tf.shape(latent.kl)[:1], tf.math.reduce_std(latent.z_mean))


@pytest.mark.parametrize("name", ["mlp", "resmlp", "conv", "resnet"])
def test_networks_of_this_package_take_examples_apart(name):
    options = {"dropout": 0.1, "normalization": "layer"}
    model = vae(
        encoder=networks.ENCODERS[name](SHAPE, 2, **options),
        decoder=networks.DECODERS[name](2, SHAPE, **options),
    )
    assert pieces.pieces_by_default(model, 128) == 2


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("IWAE", {}),
        ("VAE", {"prior": "gaussian_mixture"}),
        ("CVAE", {"num_classes": 3, "prior": "conditional"}),
        ("M2", {"num_classes": 3}),
    ],
)
def test_models_whose_loss_is_a_sum_over_examples_are_cut(kind, options):
    assert pieces.pieces_by_default(vae(kind, **options), 128) == 2


def test_a_network_around_another_is_looked_into():
    encoder = with_input_noise(networks.mlp_encoder(SHAPE, 2), "masking:0.2")
    assert pieces.pieces_by_default(vae(encoder=encoder), 128) == 2


@pytest.mark.parametrize("activation", ["tanh", keras.layers.LeakyReLU()])
def test_activations_of_keras_take_examples_apart(activation):
    model = with_layer(keras.layers.Dense(4, activation=activation))
    assert pieces.pieces_by_default(model, 128) == 2


def test_an_activation_from_nowhere_is_not_known():
    def activation(x):
        return x

    activation.__module__ = None  # as of some functions written in C
    model = with_layer(keras.layers.Dense(4, activation=activation))
    assert pieces.pieces_by_default(model, 128) == 1


WHOLE = {
    "batch normalisation": lambda: with_layer(keras.layers.BatchNormalization()),
    "a layer that may do anything": lambda: with_layer(
        keras.layers.Lambda(lambda x: x)
    ),
    "random numbers that do not go by row": lambda: with_layer(
        keras.layers.Dropout(0.5)
    ),
    "an activation that may do anything": lambda: with_layer(
        keras.layers.Dense(4, activation=centred)
    ),
    "an activation of one of our networks that may": lambda: vae(
        encoder=networks.mlp_encoder(SHAPE, 2, activation=centred)
    ),
    "batch normalisation as an activation": lambda: with_layer(
        keras.layers.Dense(4, activation=keras.layers.BatchNormalization())
    ),
    "a penalty on outputs, which is a sum": lambda: with_layer(
        keras.layers.Dense(4, activity_regularizer="l2")
    ),
    "a layer with the name of another": lambda: with_layer(Split()),
    "halves of the batch that change places": lambda: with_layer(swapped),
    "normalisation over the batch": lambda: with_layer(
        keras.layers.LayerNormalization(axis=[0, 1], center=False, scale=False)
    ),
    "batch normalisation inside of a part": lambda: vae(
        encoder=with_input_noise(
            networks.mlp_encoder(SHAPE, 2, normalization="batch"), "masking:0.2"
        )
    ),
    "an encoder of the user's": lambda: vae(encoder=OwnEncoder()),
    "a call of the user's around layers of Keras": lambda: vae(encoder=own_call()),
    "a likelihood of the user's": lambda: vae(likelihood=OwnLikelihood(image=True)),
    "an objective of the whole batch": lambda: vae("FactorVAE"),
    "a prior that calls the encoder": lambda: vae(prior="vamp"),
    "XLA": lambda: vae(how={"jit_compile": True}),
    "eager steps": lambda: vae(how={"run_eagerly": True}),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_may_take_examples_together_is_left_whole(case):
    assert pieces.pieces_by_default(WHOLE[case](), 128) == 1


def test_an_objective_of_the_users_is_left_whole():
    model = OwnModel(2, SHAPE)
    model.compile()
    assert pieces.pieces_by_default(model, 128) == 1


def test_small_batches_are_left_whole():
    assert pieces.pieces_by_default(vae(), 127) == 1


def test_one_core_has_one_piece(monkeypatch):
    monkeypatch.setattr(pieces, "cores", lambda: 1)
    assert pieces.pieces_by_default(vae(), 128) == 1


@pytest.mark.slow
def test_replicas_have_one_piece_each(replicas):
    with replicas(2).scope():
        model = vae()
    assert pieces.pieces_by_default(model, 128) == 1


def test_fit_goes_by_the_size_of_its_batches():
    model = vae()
    x = np.zeros((130, *SHAPE), np.float32)
    model.fit(x, batch_size=16, verbose=0)
    assert model.pieces_of_step == 1
    model.fit(x, batch_size=130, verbose=0)
    assert model.pieces_of_step == 2
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(16)
    model.fit(dataset, batch_size=16, verbose=0)
    assert model.pieces_of_step == 1
