"""Noise on what an encoder sees in training: the denoising autoencoder."""

import re
from typing import Any

import keras

from keras_vae.errors import invalid_argument
from keras_vae.naming import lookup
from keras_vae.networks.layers import kept_at_random
from keras_vae.noise import current_noise

KINDS = ("gaussian", "masking")
"""What can be done to the input: normal noise is added, or a fraction is set to 0."""


@keras.saving.register_keras_serializable(package="keras_vae")
class InputNoise(keras.layers.Layer):
    """Corrupts examples in training (Vincent et al. 2008 and 2010).

    Inside a `noise_scope` the noise depends on the example's row in the global batch
    alone; elsewhere `keras.random` draws it. Examples are in the units of the networks:
    vectors and sequences are standardised there, so that 0 is the mean of the data.

    Args:
        kind: "gaussian" or "masking".
        amount: The standard deviation, at least 0; or the fraction of numbers that is
            set to 0, in [0, 1).
        seed: Of the draws outside of a `noise_scope`.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, kind: str, amount: float, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        lookup("kind", kind, dict.fromkeys(KINDS))
        if not 0 <= amount or (kind == "masking" and not amount < 1):
            raise invalid_argument(
                "amount", "a number of at least 0, and below 1 for masking", amount
            )
        self.kind = kind
        self.amount = float(amount)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(batch, ...) to the same shape; the identity unless training."""
        if not training or self.amount == 0:
            return inputs
        rows, event = keras.ops.shape(inputs)[0], tuple(inputs.shape[1:])
        if self.kind == "masking":
            kept = kept_at_random(self, rows, event, self.amount)
            return inputs * keras.ops.cast(kept, inputs.dtype)
        noise = current_noise()
        if noise is None:
            normal = keras.random.normal((rows, *event), seed=self.seed_generator)
        else:
            normal = noise.normal(rows, event, self.name)
        return inputs + keras.ops.cast(self.amount * normal, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that came."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"kind": self.kind, "amount": self.amount, "seed": self.seed}
        return {**super().get_config(), **own}


def with_input_noise(encoder: keras.Model, input_noise: str) -> keras.Model:
    """Returns an encoder that sees its input through `InputNoise` in training.

    Args:
        encoder: A functional or sequential model of one input.
        input_noise: "gaussian:S" with a standard deviation S, or "masking:P" with a
            fraction P of the numbers, in [0, 1).

    Returns:
        A model around the encoder, with the same weights.

    Raises:
        ValueError: If `input_noise` says none of these.

    Example:
        ```python
        encoder = with_input_noise(mlp_encoder((28, 28, 1), 20), "masking:0.25")
        ```
    """
    match = re.fullmatch(r"(\w+):([0-9]*\.?[0-9]+)", input_noise)
    if not match or match[1] not in KINDS:
        raise invalid_argument(
            "input_noise",
            "'gaussian:0.3' or 'masking:0.25', or such with another number",
            input_noise,
        )
    x = keras.Input(encoder.input_shape[1:], name="x")
    # With a seed of its own, networks made later have the weights they have without it.
    layer = InputNoise(match[1], float(match[2]), seed=0, name="input_noise")
    noisy = layer(x)
    return keras.Model(x, encoder(noisy), name=f"noisy_{encoder.name}")


def input_noise_of(encoder: Any) -> InputNoise | None:
    """Returns the noise that an encoder adds to its input in training, or None."""
    layers = getattr(encoder, "layers", ())
    return next((layer for layer in layers if isinstance(layer, InputNoise)), None)
