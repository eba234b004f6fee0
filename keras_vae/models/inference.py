"""What one does with a model: arrays or datasets of any size in, arrays out."""

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.arguments import in_range
from keras_vae.engine import chunks
from keras_vae.engine.inputs import as_data, check_numbers, check_shape, is_array
from keras_vae.engine.trainer import MultiStepTrainer
from keras_vae.errors import invalid_argument
from keras_vae.export import export
from keras_vae.models.terms import (
    BoundTerms,
    log_ratio,
    repeated,
    sum_over_dims,
)
from keras_vae.noise import Domain, RowNoise, as_tensor
from keras_vae.presets import to_preset
from keras_vae.probability.distributions import interpolate_latents, nearer_end
from keras_vae.probability.latents import LatentGroups

ADAPT_EXAMPLES = 10_000  # examples that `adapt` reads where reading is slow

Weigh = Callable[[RowNoise, int, Any], tf.Tensor]
"""Draws importance weights; see `TrainedMethods.log_weights`."""


class TrainedMethods(MultiStepTrainer):
    """The methods of a `VAE` that use what it has learned.

    x is in the data's own units (images in [0, 1], or uint8 and uint16, which are
    scaled). `condition` is for conditional models, one for each example or one for all.
    """

    latent_groups: LatentGroups | None = None
    """How z is laid out in a hierarchy; None where it is one vector."""

    def posterior(self, x: Any, condition: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """q(z|x): returns z_mean and z_log_var, `(n, z_dim)` each."""

        def posterior(x: tf.Tensor, condition: Any, first: Any) -> Any:
            return self.encode_params(x, condition)

        z_mean, z_log_var = chunks.over_examples(
            self, "posterior", posterior, x, condition
        )
        return z_mean, z_log_var

    def encode(self, x: Any, condition: Any = None) -> np.ndarray:
        """Returns the posterior means, `(n, z_dim)`."""
        return self.posterior(x, condition)[0]

    def decode(self, z: Any, condition: Any = None) -> np.ndarray:
        """Returns the likelihood's means, `(n, *input_shape)`, of z `(n, z_dim)`.

        z_dim is the latent dimension but in hierarchies, where z may also be that of
        the first groups alone; the others then follow the prior's means.

        Raises:
            ValueError: If z does not have the model's latent dimension.
        """
        z = np.asarray(z)
        check_numbers("z", z)
        z = z.astype(np.float32)
        if z.ndim != 2 or z.shape[1] not in self.z_widths:
            shapes = " or ".join(f"(n, {width})" for width in self.z_widths)
            raise invalid_argument("z", f"shape {shapes}", received=f"shape {z.shape}")

        def decode(z: tf.Tensor, condition: Any, first: Any) -> tf.Tensor:
            return self.means(z, condition)

        given = self.needed_condition(condition, len(z))
        return chunks.over_latents(self, "decode", decode, z, given)

    def reconstruct(self, x: Any, condition: Any = None) -> np.ndarray:
        """Returns the likelihood's mean at the posterior mean, `(n, *input_shape)`."""

        def reconstruct(x: tf.Tensor, condition: Any, first: Any) -> Any:
            return (self.means(self.encode_params(x, condition)[0], condition),)

        return chunks.over_examples(self, "reconstruct", reconstruct, x, condition)[0]

    def sample(
        self,
        n: int,
        seed: int | None = None,
        draw: bool = False,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Generates examples from the prior, `(n, *input_shape)`.

        Args:
            n: How many, at least 0.
            seed: The same seed gives the same examples, and a larger n starts with
                them; None draws another each time.
            draw: Draw x from the likelihood instead of giving its mean.
            condition: For conditional models.
            temperature: Factor on the standard deviations of the prior, of each group
                in hierarchies: below 1 examples are cleaner and more alike.

        Raises:
            ValueError: If n or the temperature is below 0, or the temperature is not 1
                and the prior no normal.
        """
        in_range("n", n, 0, whole=True)
        in_range("temperature", temperature, 0)
        self.ensure_built()
        seed = fresh_seed() if seed is None else int(seed)
        key = np.asarray([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], np.int32)
        condition = self.needed_condition(condition, n)
        if not n:
            return np.zeros((0, *self.data_shape), np.float32)
        of = () if temperature == 1.0 else (temperature,)  # older overrides take none
        z = self.prior_sample(int(n), tf.constant(key), condition, *of).numpy()
        if not draw:
            return self.decode(z, condition)
        return self.sample_likelihood(z, tf.constant(key), condition)

    def sample_likelihood(self, z: Any, seed: Any, condition: Any = None) -> np.ndarray:
        """Draws x of p(x|z), `(n, *input_shape)`, in the data's units.

        Args:
            z: (n, z_dim), float32.
            seed: Of the noise, an int32 tensor of shape (2,).
            condition: For conditional models, one for each z.
        """

        def draw(z: tf.Tensor, condition: Any, first: Any, seed: Any) -> tf.Tensor:
            return self.draws(z, RowNoise(seed, 0, first, Domain.DRAW), condition)

        return chunks.over_latents(self, "draw", draw, z, condition, seed)

    def interpolate(
        self,
        a: Any,
        b: Any,
        steps: int = 10,
        spherical: bool = False,
        condition: Any = None,
        groups: int | None = None,
    ) -> np.ndarray:
        """Walks in latent space from example a to example b.

        Args:
            a: One example, `input_shape`.
            b: Another.
            steps: Number of points, both ends included.
            spherical: See `probability.distributions.interpolate_latents`.
            condition: One for the whole walk, or two, of a and of b; then each
                point has that of the end that it is nearer to. Labels that a model
                infers and regions of x need not be given.
            groups: In a hierarchy, how many groups walk from the top, as 1 for the top
                alone; those below follow their prior's means, so that the ends are no
                reconstructions. None: all.

        Returns:
            `(steps, *input_shape)`; the ends are the reconstructions of a and b.

        Raises:
            ValueError: If steps is below 1, or there are not so many groups.
        """
        in_range("steps", steps, 1, whole=True)
        count = len(self.z_widths)
        if groups is not None:
            count = in_range("groups", groups, 1, count, whole=True)
        first, last = np.asarray(a), np.asarray(b)
        if first.shape != last.shape:
            raise invalid_argument(
                "b",
                f"an example of the shape of `a`, {first.shape}",
                received=f"shape {last.shape}",
            )
        ends = np.stack([first, last])
        means = self.encode(ends, condition)[:, : self.z_widths[count - 1]]
        z = interpolate_latents(means[0], means[1], steps, spherical).numpy()
        if self.condition_spec is None:
            return self.decode(z)
        parts = [chunk.condition for chunk in chunks.examples(self, ends, condition)]
        return self.decode(z, np.concatenate(parts)[nearer_end(steps).numpy()])

    def elbo(
        self,
        x: Any,
        num_samples: int = 1,
        seed: int | None = None,
        condition: Any = None,
    ) -> np.ndarray:
        """Returns E_q[log p(x|z)] - KL(q(z|x) || p(z)) of each example, (n,), in nats.

        Args:
            x: Examples.
            num_samples: Samples of the posterior for the expectation.
            seed: Of the noise; None takes that of `evaluate`, so that the mean of
                -elbo(x) is `reconstruction_loss + kl_loss` there.
            condition: For conditional models.

        Raises:
            ValueError: If num_samples is below 1.
        """
        in_range("num_samples", num_samples, 1, whole=True)
        key = as_tensor(self.seed if seed is None else int(seed))

        def elbo(x: tf.Tensor, condition: Any, first: Any, key: Any) -> Any:
            noise = RowNoise(key, 0, first, Domain.EVALUATION)
            terms = self.bound_terms(x, condition, noise, num_samples)
            return (-terms.reconstruction_loss - sum_over_dims(terms.kl),)

        graph_key = f"elbo of {num_samples}"
        return chunks.over_examples(
            self,
            graph_key,
            elbo,
            x,
            condition,
            key,
            num_samples=num_samples,
            bound=True,
        )[0]

    def adapt(self, x: Any, condition: Any = None) -> None:
        """Sets what is learned from data before training, as Keras' layers do.

        The standardisation of vectors and sequences under a Gaussian likelihood; the
        decoder's output bias, so that training starts at the mean of the data (under a
        Bernoulli likelihood at 0.05 to 0.95, from where every pixel can still be
        learned); and what the prior is made of (VampPrior's pseudo-inputs).

        Args:
            x: The training examples, an array or a dataset of batches.
            condition: Theirs, for priors that are made of conditional posteriors.
        """
        x = as_data(x, self.data_shape)
        if is_array(x):
            self.check_examples(x)
        self.ensure_built()
        count, total, squares = 0, 0.0, 0.0
        for _, part, _ in chunks.read(self, x, limit=ADAPT_EXAMPLES):
            values = part.numpy().astype(np.float64)
            count += len(values)
            total = total + values.sum(axis=0)
            squares = squares + np.square(values).sum(axis=0)
        mean = np.asarray(total) / count
        if self.data_scale is not None:
            axes = tuple(range(mean.ndim - 1))
            centre = np.mean(mean, axis=axes)
            second = np.mean(np.asarray(squares) / count, axis=axes)
            variance = second - np.square(centre)
            scale = np.sqrt(np.maximum(variance, 0.0))
            self.data_mean.assign(centre)
            varies = scale > 1e-7 * np.abs(centre)  # by more than float32 rounds
            self.data_scale.assign(np.where(varies, scale, 1.0))
            mean = (mean - centre) / self.data_scale.numpy()
        self._start_output_bias(mean)
        examples = chunks.examples(self, x, condition, limit=ADAPT_EXAMPLES)
        self.prior.adapt((chunk[1:] for chunk in examples), self.seed)

    def _start_output_bias(self, mean: np.ndarray) -> None:
        bias = networks.output_bias(self.decoder)
        if bias is None:
            return
        if bias.shape[0] != np.prod(self.likelihood.params_shape(self.data_shape)):
            mean = mean.mean(axis=tuple(range(mean.ndim - 1)))
        start = self.likelihood.initial_bias(mean, self.data_shape)
        if start is not None:  # of a user's own likelihood
            bias.assign(np.reshape(start, bias.shape))

    def export(
        self,
        path: str | os.PathLike[str],
        format: str = "tf_saved_model",
        calibration: Any = None,
    ) -> None:
        """Writes the model for other programs; see `keras_vae.export.export`."""
        export(self, path, format, calibration)

    def to_preset(
        self,
        folder: str | os.PathLike[str],
        card: str | None = None,
        dtype: str = "float32",
    ) -> None:
        """Writes the model as a folder; see `keras_vae.presets.to_preset`."""
        to_preset(self, folder, card, dtype)

    def check_examples(self, x: Any) -> None:
        """Raises a ValueError where the model cannot be trained on examples."""
        self._check_shape(x)
        if isinstance(x, np.ndarray | tf.Tensor):
            self.likelihood.check(np.asarray(x))

    def check_input(self, x: Any) -> None:
        """Raises a ValueError where examples do not fit the model or its likelihood."""
        self._check_shape(x)
        if isinstance(x, np.ndarray | tf.Tensor):
            self.likelihood.check_support(np.asarray(x))

    def check_condition(self, condition: Any, n: int) -> Any:
        """Returns what `condition` means for n examples; refused by models without."""
        if condition is not None:
            raise invalid_argument(
                "condition",
                f"None, since {type(self).__name__} is not a conditional model",
                received=type(condition).__name__,
                advice="Use CVAE.",
            )
        return None

    def needed_condition(self, condition: Any, n: int) -> Any:
        """As `check_condition`, where x is generated from nothing but z."""
        return self.check_condition(condition, n)

    def _check_shape(self, x: Any) -> None:
        if hasattr(x, "gather"):  # its shape is that of one example
            check_shape((len(x), *x.shape), self.data_shape)
        else:
            check_numbers("x", x)
            check_shape(x.shape, self.data_shape)

    @property
    def condition_spec(self) -> tf.TensorSpec | None:
        """What a condition looks like in a graph; None for models without."""
        return None

    # What is measured of one batch.

    @property
    def decodings(self) -> int:
        """How many z the decoder is given for one sample of one example."""
        return 1

    @property
    def numbers_per_sample(self) -> int:
        """How many numbers a sample of z of one example takes at its widest.

        What the decoder gives, or the distances to all components of a mixture prior.
        """
        params = math.prod(self.likelihood.params_shape(self.data_shape))
        components = int(getattr(self.prior, "components", 1))
        return int(max(self.decodings * params, components * self.latent_dim))

    def bound_condition(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """What `bound_terms` and `log_weights` take as the condition of examples."""
        return self.condition_on(x, condition, noise)

    def bound_terms(
        self, x: tf.Tensor, condition: Any, noise: RowNoise, num_samples: int
    ) -> BoundTerms:
        """Computes what -ELBO of each example is made of."""
        latent = self.sample_posterior(x, noise, condition, num_samples=num_samples)
        params = self.params_of(latent, condition)
        reconstruction = self.reconstruction_loss(x, params, condition)
        return BoundTerms(reconstruction, latent.kl, latent.z_mean, latent.z_log_var)

    def log_weights(self, x: tf.Tensor, condition: Any) -> Weigh:
        """Returns a function that draws importance weights for log p(x).

        It takes noise, a number of samples, and how many of them are wanted, as
        `latent_from` does. It returns log p(x|z) p(z) / q(z|x) of these, float64
        (wanted, batch): the mean of what they are the logs of is p(x) in expectation
        (Burda et al. 2015, equation 8).
        """
        features = self.posterior_features(x, condition)

        def weigh(noise: RowNoise, num_samples: int, wanted: Any) -> tf.Tensor:
            drawn = noise, condition, None, num_samples, wanted
            latent = self.latent_from(features, *drawn)
            params = self.params_of(latent, condition)
            return log_ratio(self.log_likelihood(x, params, condition), latent)

        return weigh

    def draw_posterior(
        self, x: tf.Tensor, num: Any, noise: RowNoise, condition: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws z of q(z|x), `num` times, an int32 scalar that a graph may be given.

        Returns:
            z, (num, batch, z_dim), and log q(z|x) in nats, (num, batch).
        """
        features = self.posterior_features(x, condition)
        if condition is not None:
            shape = tf.concat([tf.shape(x)[:1], tf.shape(condition)[1:]], axis=0)
            condition = repeated(tf.broadcast_to(condition, shape), num)
        # One draw of so large a batch: `SamplesNoise` needs a number that is no tensor.
        features = [repeated(feature, num) for feature in features]
        latent = self.latent_from(features, noise, condition, None, 1)
        z = tf.reshape(latent.z[0], [num, -1, self.z_dim])
        return z, tf.reshape(latent.log_q[0], [num, -1])

    def given_condition(self, y: Any) -> Any:
        """What the y of a dataset is to the model: nothing, where it takes none."""
        return None


def fresh_seed() -> int:
    """Returns a seed that nobody has used before."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
