"""Latents of the prior's location and scale, after training and at no cost.

Where an example is thousands of nats, the KL has little to say of how large latents
are: what a decoder of z/2 makes of z/2 is what a decoder of z makes of z. Means then
stay where the first steps put them, posteriors become narrow, and draws of the prior
fall where no example lies. The scale that minimises the KL needs no training.
"""

from typing import Any

import keras
import numpy as np

_SMALLEST = 1e-6


def rescale_latents(model: Any, x: Any) -> None:
    """Shifts and scales each latent dimension, and takes it back in the decoder.

    Draws of q(z|x) over the examples then have mean 0 and variance 1 in each dimension,
    which minimises their KL from N(0, I) over all shifts and scales. Reconstructions
    stay the same.

    Args:
        model: A trained `VAE` with a diagonal posterior and networks of this package
            that take x and z alone.
        x: Training examples, an array or an object with `gather(rows)`.
    """
    z_mean, z_log_var = (np.asarray(m, np.float64) for m in model.posterior(x))
    shift = z_mean.mean(axis=0)
    variance = z_mean.var(axis=0) + np.exp(z_log_var).mean(axis=0)
    scale = np.sqrt(np.maximum(variance, _SMALLEST))
    if not (np.isfinite(shift).all() and np.isfinite(scale).all()):
        return
    head = _head(model.encoder)
    kernel, bias = head.get_weights()
    size = len(shift)
    kernel[:, :size] /= scale
    bias[:size] = (bias[:size] - shift) / scale
    bias[size:] -= 2.0 * np.log(scale)
    head.set_weights([kernel, bias])
    first = _first(model.decoder)
    kernel, bias = first.get_weights()
    first.set_weights([scale[:, np.newaxis] * kernel, bias + shift @ kernel])


def _head(encoder: keras.Model) -> keras.layers.Dense:
    """The layer that gives means and log variances, side by side."""
    inner = [layer for layer in encoder.layers if isinstance(layer, keras.Model)]
    if inner:  # behind input noise
        encoder = inner[0]
    return encoder.get_layer(f"{encoder.name}_head")


def _first(decoder: keras.Model) -> keras.layers.Dense:
    """The layer that takes z."""
    return next(
        layer
        for layer in decoder.layers
        if isinstance(layer, keras.layers.Dense) and layer.input is decoder.inputs[0]
    )
