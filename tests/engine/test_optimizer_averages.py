"""Keras' moving averages of the weights, in every model."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.models.registry import MODELS

FILES = Path(__file__).parents[1] / "files" / "0.1.0"
EXAMPLES = np.load(FILES / "examples.npz")
LABELLED = {n for n, model in MODELS.items() if "condition" in model.defaults}


def trained(name, callbacks=(), **options):
    """Returns the weights of a small model of that kind after two steps."""
    model = keras_vae.load_model(FILES / f"{name}.keras")
    model.compile(keras.optimizers.Adam(0.01, **options), run_eagerly=True)
    x, y = EXAMPLES["x"], EXAMPLES["y"] if name in LABELLED else None
    model.fit(x, y, batch_size=20, verbose=0, callbacks=list(callbacks))
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "vae" else pytest.mark.slow)
        for name in ("vae", "factor_vae", "m2")  # one optimizer, two, three networks
    ],
)
def test_averages_are_of_the_weights_that_they_replace(name):
    plain = trained(name)
    # With a momentum of 0 the average is the last weight, of every one of them.
    ema = {"use_ema": True, "ema_momentum": 0.0}
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    for averaged in (trained(name, **ema), trained(name, [swap], **ema)):
        for weight, expected in zip(averaged, plain, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
