"""A VAE whose log p(x) is known: everything in it is linear and normal."""

import keras
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from keras_vae import VAE
from keras_vae.probability.likelihoods import GaussianFixed


class LinearGaussian:
    """x = W z + b + scale * noise, W with orthogonal columns of the given lengths.

    The exact posterior is then diagonal. `shift` and `widen` make q(z|x) miss it: its
    means by so many of its standard deviations, its variances by a factor.
    """

    def __init__(self, lengths=(3.0, 1.0, 0.5), dim=6, scale=0.7, shift=0.0, widen=1.0):
        rng = np.random.default_rng(0)
        directions, _ = np.linalg.qr(rng.normal(size=(dim, len(lengths))))
        self.weights = directions * np.asarray(lengths)
        self.bias = rng.normal(size=dim)
        self.scale = scale
        self.variances = 1.0 / (1.0 + np.square(lengths) / scale**2)
        self.shift, self.widen = shift, widen
        self.model = VAE(
            latent_dim=len(lengths),
            input_shape=(dim,),
            encoder=self._encoder(),
            decoder=self._decoder(),
            likelihood=GaussianFixed(scale=scale),
            seed=5,
        )
        self.model.ensure_built()

    def _encoder(self):
        x = keras.Input((len(self.bias),))
        mean = keras.layers.Dense(len(self.variances))
        log_var = keras.layers.Dense(len(self.variances), kernel_initializer="zeros")
        encoder = keras.Model(x, [mean(x), log_var(x)])
        kernel = self.weights * self.variances / self.scale**2
        offset = self.shift * np.sqrt(self.variances)
        mean.set_weights([kernel, offset - self.bias @ kernel])
        log_var.bias.assign(np.log(self.variances * self.widen))
        return encoder

    def _decoder(self):
        z = keras.Input((len(self.variances),))
        layer = keras.layers.Dense(len(self.bias))
        decoder = keras.Model(z, layer(z))
        layer.set_weights([self.weights.T, self.bias])
        return decoder

    def sample(self, n, seed=1):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, len(self.variances)))
        noise = self.scale * rng.normal(size=(n, len(self.bias)))
        return (z @ self.weights.T + self.bias + noise).astype(np.float32)

    def log_prob(self, x, kept=slice(None)):
        """The closed form, with only some latent dimensions kept."""
        weights = self.weights[:, kept]
        covariance = weights @ weights.T + self.scale**2 * np.eye(len(self.bias))
        return multivariate_normal(self.bias, covariance).logpdf(x)

    def simulated_bias(self, x, num_samples, repeats):
        """How much too low the estimate is on average, by a simulation in numpy."""
        rng = np.random.default_rng(9)
        x = x.astype(np.float64)
        centred = (x - self.bias) @ self.weights / self.scale**2
        sd = np.sqrt(self.variances * self.widen)
        mean = centred * self.variances + self.shift * np.sqrt(self.variances)
        eps = rng.normal(size=(repeats, num_samples, *mean.shape))
        z = mean + sd * eps
        residual = (x - self.bias - z @ self.weights.T) / self.scale
        log_w = -0.5 * np.sum(residual**2 + np.log(2 * np.pi * self.scale**2), axis=-1)
        log_w += 0.5 * np.sum(eps**2 + 2.0 * np.log(sd) - z**2, axis=-1)
        top = log_w.max(axis=1)
        estimate = np.log(np.mean(np.exp(log_w - top[:, None]), axis=1)) + top
        return float(np.mean(self.log_prob(x) - estimate))


@pytest.fixture(scope="package")
def linear_gaussian():
    """Makes a `LinearGaussian`."""
    return LinearGaussian
