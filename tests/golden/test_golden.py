"""Golden trajectories: an intended change of numbers is told from an accident.

Five models train for 20 steps; the loss of each step and the sum of the squares of all
weights at the end stand in the JSON file of the model's name. A change that is meant to
change them says so in its commit and writes the files anew:

    RENEW_GOLDEN=1 python -m pytest tests/golden
"""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_vae
from keras_vae import networks

GOLDEN = Path(__file__).parent
SHAPE = (8, 8, 1)
LATENT_DIM = 4
CLASSES = 10
STEPS = 20
SMALL = {"hidden_units": (32,)}


def vae(kind, **options):
    return kind(
        LATENT_DIM,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, LATENT_DIM, **SMALL),
        decoder=networks.mlp_decoder(LATENT_DIM, SHAPE, **SMALL),
        seed=3,
        **options,
    )


def with_labels(kind, encoder, **options):
    # What the networks are given beside x and z is the label's one-hot code.
    decoder = networks.mlp_decoder(LATENT_DIM + CLASSES, SHAPE, **SMALL)
    options = {"num_classes": CLASSES, "seed": 3, **options}
    return kind(LATENT_DIM, SHAPE, encoder=encoder, decoder=decoder, **options)


def cvae():
    features = int(np.prod(SHAPE)) + CLASSES
    encoder = networks.mlp_encoder((features,), LATENT_DIM, **SMALL)
    return with_labels(keras_vae.CVAE, encoder)


def m2():
    return with_labels(
        keras_vae.M2,
        networks.mlp_encoder(SHAPE, CLASSES * LATENT_DIM, **SMALL),
        classifier="mlp",
        alpha=5.0,
    )


MODELS = {
    "vae": lambda: vae(keras_vae.VAE, prior="gaussian_mixture"),
    "cvae": cvae,
    "m2": m2,
    "factor_vae": lambda: vae(keras_vae.FactorVAE, discriminator_units=(32,)),
    "beta_tcvae": lambda: vae(keras_vae.BetaTCVAE, dataset_size=1797),
}


def trajectory(name):
    """Returns the loss of each step and the sum of the squares of the weights."""
    digits = load_digits()
    x, y = np.float32(digits.images / 16.0)[..., None], np.int32(digits.target)
    given = {"cvae": y, "m2": np.where(np.arange(len(y)) % 3, -1, y)}
    keras.utils.set_random_seed(3)
    model = MODELS[name]()
    model.compile("adam")
    # An epoch is a step, whose loss is then the epoch's.
    history = model.fit(
        *(x, given.get(name)),
        batch_size=100,
        steps_per_epoch=1,
        epochs=STEPS,
        verbose=0,
    ).history
    weights = [w.numpy() for w in model.weights if "float" in w.dtype]
    squares = sum(float(np.sum(np.square(w, dtype=np.float64))) for w in weights)
    return {"loss": history["loss"], "squares_of_weights": squares}


@pytest.mark.parametrize("name", MODELS)
def test_the_first_steps_give_the_numbers_they_gave_before(name):
    file = GOLDEN / f"{name}.json"
    found = trajectory(name)
    if os.environ.get("RENEW_GOLDEN"):
        file.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(file.read_text())
    for figure, numbers in expected.items():
        np.testing.assert_allclose(found[figure], numbers, rtol=1e-5, err_msg=figure)
