"""VAEs whose penalty asks the latent dimensions to be independent of one another.

Each overrides `latent_penalty` and little else. What couples the examples of a batch
takes the global batch: `gathered` collects it from all replicas.
"""

from typing import Any

import keras
import tensorflow as tf

from keras_vae.engine.microbatches import ReplicaBatch, gathered, replica_batch
from keras_vae.engine.optimizers import Adam
from keras_vae.models.batch_statistics import (
    biased_squared_mmd,
    covariance_of,
    dip_penalty,
    total_correlation,
)
from keras_vae.models.schedules import weight_at
from keras_vae.models.terms import Latent, Output, sum_over_dims
from keras_vae.models.vae import VAE
from keras_vae.naming import lookup
from keras_vae.noise import Domain, RowNoise
from keras_vae.probability.distributions import to_float32

_ESTIMATORS = ("mws", "mss")


@keras.saving.register_keras_serializable(package="keras_vae")
class BetaTCVAE(VAE):
    """Weights the total correlation alone (Chen et al. 2018, equation 4).

    The KL is taken apart into mutual information + beta total correlation +
    dimension-wise KL, each estimated over the global batch.

    Args: as `VAE`, without `free_bits`, and
        dataset_size: Number of training examples, N.
        estimator: "mws" or "mss"; see `total_correlation`.
    """

    needs_global_batch = True
    unused = ("free_bits", "posterior_flows")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        dataset_size: int,
        beta: Any = 6.0,
        estimator: str = "mws",
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, beta=beta, **kwargs)
        lookup("estimator", estimator, dict.fromkeys(_ESTIMATORS))
        self.dataset_size, self.estimator = int(dataset_size), estimator

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """KL + (beta - 1) total correlation, (batch,), in nats."""
        all_means, all_log_vars = gathered(latent.z_mean), gathered(latent.z_log_var)
        log_q, log_q_each = total_correlation(
            latent.z[0],
            all_means,
            all_log_vars,
            self.dataset_size,
            self.estimator,
            replica_batch(latent.z_mean).first,
        )
        mutual_information = latent.log_q[0] - log_q
        dimension_wise = log_q_each - latent.log_p[0]
        beta = tf.cast(self.beta_at(latent.step), log_q.dtype)
        return mutual_information + beta * (log_q - log_q_each) + dimension_wise

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {"dataset_size": self.dataset_size, "estimator": self.estimator}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vae")
class CapacityVAE(VAE):
    """Holds the KL at a capacity that grows (Burgess et al. 2018, equation 8).

    The penalty is gamma |KL - C|.

    Args: as `VAE`, without `beta` and `free_bits`, and
        gamma: Weight.
        capacity: C in nats, a number or a schedule of training steps.
    """

    unused = ("beta", "free_bits", "posterior_flows")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        gamma: float = 100.0,
        capacity: Any = 25.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, **kwargs)
        self.gamma, self.capacity = float(gamma), capacity

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """Gamma |KL - C|, (batch,), in nats."""
        capacity = weight_at(self.capacity, latent.step)
        kl = sum_over_dims(latent.kl)
        return self.gamma * tf.abs(kl - tf.cast(capacity, kl.dtype))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        capacity = self.capacity
        if callable(capacity):
            capacity = keras.saving.serialize_keras_object(capacity)
        return {**super().get_config(), "gamma": self.gamma, "capacity": capacity}


@keras.saving.register_keras_serializable(package="keras_vae")
class DIPVAE(VAE):
    """Brings the covariance of the aggregate posterior near I (Kumar et al. 2018).

    Equations 6 (type "i", of the posterior means) and 7 ("ii", of z itself), over the
    global batch: off_diagonal * sum of squared covariances + diagonal * sum of squared
    differences of the variances from 1.

    Args: as `VAE`, and
        off_diagonal: Weight of the covariances.
        diagonal: Weight of the variances; None takes 10 times `off_diagonal` for type
            "i" and the same for "ii", as the paper does.
        kind: "i" or "ii".
    """

    needs_global_batch = True
    unused = ("posterior_flows",)

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        off_diagonal: float = 10.0,
        diagonal: float | None = None,
        kind: str = "ii",
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, **kwargs)
        lookup("kind", kind, {"i": 0, "ii": 0})
        self.off_diagonal, self.kind = float(off_diagonal), kind
        if diagonal is None:
            diagonal = off_diagonal * (10.0 if kind == "i" else 1.0)
        self.diagonal = float(diagonal)

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """Beta KL + the covariance's penalty, the same for each example, (batch,)."""
        covariance = covariance_of(gathered(latent.z_mean))
        if self.kind == "ii":
            variances = tf.reduce_mean(tf.exp(gathered(latent.z_log_var)), axis=0)
            covariance += tf.linalg.diag(variances)
        penalty = dip_penalty(covariance, self.off_diagonal, self.diagonal)
        return super().latent_penalty(latent) + penalty

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {
            "off_diagonal": self.off_diagonal,
            "diagonal": self.diagonal,
            "kind": self.kind,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vae")
class InfoVAE(VAE):
    """Matches the aggregate posterior to the prior by MMD (Zhao et al. 2019).

    The penalty is (1 - alpha) KL(q(z|x) || p(z)) + (alpha + gamma - 1) MMD(q(z), p(z))
    (equation 6, gamma being its lambda), the MMD with a Gaussian kernel over the global
    batch and as many draws from the prior.

    Args: as `VAE`, without `beta` and `free_bits`, and
        alpha: How much of the KL is left out; 1 keeps none (MMD-VAE).
        gamma: Weight of the MMD.
    """

    needs_global_batch = True
    unused = ("beta", "free_bits", "posterior_flows")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        alpha: float = 0.0,
        gamma: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, **kwargs)
        self.alpha, self.gamma = float(alpha), float(gamma)

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """(1 - alpha) KL + (alpha + gamma - 1) MMD, (batch,)."""
        mmd = biased_squared_mmd(*aggregate_and_prior(self, latent))
        kl = sum_over_dims(latent.kl)
        return (1.0 - self.alpha) * kl + (self.alpha + self.gamma - 1.0) * mmd

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


def aggregate_and_prior(model: VAE, latent: Latent) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns z of the global batch and as many draws from p(z), each as (n, d)."""
    z = gathered(latent.z[0])
    # Outside of `fit` calls are counted, and the steps stand still.
    step = tf.convert_to_tensor(latent.step) + tf.convert_to_tensor(model.calls)
    seed = tf.stack([model.seed % 2**31, tf.cast(step, tf.int32)])
    return z, tf.cast(model.prior_sample(tf.shape(z)[0], seed), z.dtype)


@keras.saving.register_keras_serializable(package="keras_vae")
class WholeGradientAdam(Adam):
    """Adam for replicas that each hold the gradient of the whole global batch."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


@keras.saving.register_keras_serializable(package="keras_vae")
class FactorVAE(VAE):
    """Penalises the total correlation by a discriminator (Kim and Mnih 2018).

    The penalty is KL + gamma (D_0(z) - D_1(z)), D being the logits of a network that
    tells z (0) from z with each dimension permuted over other examples (1) (algorithm
    2). The discriminator sees one half of the global batch as it is and the other half
    permuted, so the two are of different examples, and it has an optimizer of its own.

    Args: as `VAE`, without `beta` and `free_bits`, and
        gamma: Weight of the total correlation.
        discriminator_units: Widths of the discriminator's layers.
        discriminator_learning_rate: Of its Adam, with beta_1 0.5 and beta_2 0.9.
    """

    needs_global_batch = True
    unused = ("beta", "free_bits", "posterior_flows")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        gamma: float = 10.0,
        discriminator_units: tuple[int, ...] = (256, 256, 256),
        discriminator_learning_rate: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        self.discriminator_units = tuple(int(width) for width in discriminator_units)
        super().__init__(latent_dim, input_shape, **kwargs)
        self.gamma = float(gamma)
        self.discriminator_learning_rate = float(discriminator_learning_rate)
        self.discriminator_optimizer = WholeGradientAdam(
            self.discriminator_learning_rate, beta_1=0.5, beta_2=0.9
        )

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        layers = [
            keras.layers.Dense(width, keras.layers.LeakyReLU(negative_slope=0.2))
            for width in self.discriminator_units
        ]
        self.discriminator = keras.Sequential(
            [keras.Input((self.latent_dim,)), *layers, keras.layers.Dense(2)],
            name="discriminator",
        )
        return super()._make_networks(encoder, decoder)

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """KL + gamma (D_0 - D_1), (batch,), in nats."""
        logits = to_float32(self.discriminator(latent.z[0]))
        total_correlation = logits[:, 0] - logits[:, 1]
        return sum_over_dims(latent.kl) + self.gamma * total_correlation

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The model's own and the discriminator's."""
        return [*super().optimizers, self.discriminator_optimizer]

    @property
    def optimized_variables(self) -> list[list[keras.Variable]]:
        """What each of them trains."""
        return [self.trainable_variables, self.discriminator.trainable_variables]

    # Keras takes these for what the model's own optimizer trains.

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """As of any model, without the discriminator's."""
        return self._without_discriminator(super().trainable_variables)

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """As of any model, without the discriminator's."""
        return self._without_discriminator(super().trainable_weights)

    def _without_discriminator(
        self, variables: list[keras.Variable]
    ) -> list[keras.Variable]:
        theirs = {id(variable) for variable in self.discriminator.variables}
        return [v for v in variables if id(v) not in theirs]

    def other_updates(
        self, output: Output, span: ReplicaBatch
    ) -> tuple[tf.Tensor, list[list[Any]]]:
        """The discriminator's loss on the latents of this step, and its gradients."""
        z = gathered(tf.stop_gradient(output.latent.z[0]))
        half = tf.shape(z)[0] // 2
        real, other = z[:half], z[half : 2 * half]
        noise = RowNoise(self.seed, self.step, 0, Domain.PERMUTATION)
        order = tf.argsort(noise.uniform(half, (self.latent_dim,)), axis=0)
        permuted = tf.transpose(
            tf.gather(tf.transpose(other), tf.transpose(order), batch_dims=1)
        )
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.discriminator(tf.concat([real, permuted], axis=0))
            labels = tf.repeat([0, 1], [half, half])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, tf.cast(logits, tf.float32)
            )
            count = tf.cast(tf.maximum(2 * half, 1), tf.float32)
            loss = tf.reduce_sum(losses) / count
        return loss, [tape.gradient(loss, variables)]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        own = {
            "gamma": self.gamma,
            "discriminator_units": list(self.discriminator_units),
            "discriminator_learning_rate": self.discriminator_learning_rate,
        }
        return {**super().get_config(), **own}
