"""Hierarchical VAEs: z in groups, drawn top-down, each given those before it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_vae.arguments import checked_shape, in_range
from keras_vae.engine import chunks
from keras_vae.errors import invalid_argument
from keras_vae.models.network_shapes import check_output
from keras_vae.models.terms import (
    Latent,
    call_on_rows,
    likelihood_params,
)
from keras_vae.models.top_down import TopDown
from keras_vae.models.vae import VAE
from keras_vae.naming import lookup
from keras_vae.networks import hierarchy
from keras_vae.noise import Domain, RowNoise, SamplesNoise, as_tensor, samples_scope
from keras_vae.probability.latents import (
    GroupNormal,
    LatentGroups,
    concatenated,
)

_OPTIONS = dict.fromkeys(
    (
        "activation",
        "initializer",
        "dropout",
        "normalization",
        "normalize_after",
        "block",
    )
)
_NETWORKS = {"resnet": "residual blocks, of convolutions or of dense layers"}


class Hierarchy(VAE):
    """What the hierarchical models share; see `HierarchicalVAE`."""

    unused: tuple[str, ...] = ("prior", "posterior", "posterior_flows")

    latent_groups: LatentGroups

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        groups: Sequence[int] | None = None,
        group_channels: int = 4,
        width: int = 32,
        finest_stride: int = 2,
        network_options: Mapping[str, Any] | None = None,
        encoder: str | keras.Model = "resnet",
        decoder: str | keras.Model = "resnet",
        **kwargs: Any,
    ) -> None:
        shape = checked_shape(input_shape)
        self.group_channels = in_range("group_channels", group_channels, 1, whole=True)
        self.width = in_range("width", width, 1, whole=True)
        self.finest_stride = hierarchy.checked_stride(finest_stride)
        if groups is None:
            groups = hierarchy.default_groups(shape, self.finest_stride)
        self.groups = hierarchy.checked_groups(groups, 1 if len(shape) == 1 else 2)
        for name in network_options or {}:
            lookup("network_options", name, _OPTIONS)
        self._network_options = {
            name: keras.saving.deserialize_keras_object(value)
            if isinstance(value, Mapping)
            else value
            for name, value in (network_options or {}).items()
        }
        self._sizes = hierarchy.level_sizes(shape, len(self.groups), self.finest_stride)
        self.latent_groups = LatentGroups.of_levels(
            self.groups, self._sizes, int(latent_dim), self.group_channels
        )
        super().__init__(
            latent_dim, input_shape, encoder=encoder, decoder=decoder, **kwargs
        )

    @property
    def z_widths(self) -> tuple[int, ...]:
        """How many numbers of z `decode` takes: those of the first groups, or all."""
        return tuple(where.stop for _, where in self.latent_groups.slices())

    @property
    def has_standard_prior(self) -> bool:
        """No: the prior of each group is learned."""
        return False

    @property
    def z_dim(self) -> int:
        """How many numbers z has, those of all groups."""
        return self.latent_groups.z_dim

    # The model, statement by statement.

    def posterior_features(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> list[tf.Tensor]:
        """The bottom-up features of x, those of the top first."""
        found = call_on_rows(self.encoder, self.to_model(x), training)
        return list(keras.tree.flatten(found))

    def latent_from(
        self,
        features: Sequence[tf.Tensor],
        noise: RowNoise,
        condition: Any = None,
        training: bool | None = None,
        num_samples: int | None = None,
        wanted: Any = None,
    ) -> Latent:
        """Infers q(z_l | z_<l, x) and draws z_l, group by group from the top.

        The moments of a group depend on the z drawn of the groups above it: `z_mean`
        and `z_log_var` are those of the first sample, `kl` is the mean of all samples.
        """
        num_samples = num_samples or self.num_samples
        wanted = num_samples if wanted is None else wanted

        def draw(index: int, prior: GroupNormal, posterior: Any) -> tf.Tensor:
            return posterior.sample(self._noise_of(index, noise, num_samples, wanted))

        rows = tf.shape(features[0])[0]
        code = self._codes(condition, rows, wanted)
        with samples_scope(num_samples):
            path = self.top_down.walk(
                draw, features, code, training, num_samples=wanted
            )
        prior, posterior = concatenated(path.priors), concatenated(path.posteriors)
        by_sample = [wanted, -1, self.z_dim]
        kl = tf.reshape(posterior.kl(prior), by_sample)
        return Latent(
            z_mean=tf.reshape(posterior.mean, by_sample)[0],
            z_log_var=tf.reshape(posterior.log_var, by_sample)[0],
            z=tf.reshape(path.z, by_sample),
            log_q=tf.reshape(posterior.log_prob(path.z), [wanted, -1]),
            log_p=tf.reshape(prior.log_prob(path.z), [wanted, -1]),
            kl=tf.reduce_mean(kl, axis=0),
            step=self.step,
            decoder_input=path.end,
        )

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x) along the path of posterior means: `(batch, z_dim)` each."""
        features = self.posterior_features(x, condition, training)
        code = self._codes(condition, tf.shape(features[0])[0])
        path = self.top_down.walk(_posterior_mean, features, code, training)
        return tuple(concatenated(path.posteriors))

    def top_posterior(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> GroupNormal:
        """q(z|x) of the first group alone, without a walk down to the others."""
        top, *_ = self.posterior_features(x, condition, training)
        code = self._codes(condition, tf.shape(top)[0])
        return self.top_down.top_posterior(top, code, training)

    def sample_top(
        self, x: tf.Tensor, noise: RowNoise, condition: Any = None
    ) -> tf.Tensor:
        """Draws the first group as `sample_posterior` does, (batch, latent_dim)."""
        return self.top_posterior(x, condition).sample(self._noise_of(0, noise))

    def params_of(
        self, latent: Latent, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z) of drawn z, from where the top-down path ended."""
        with samples_scope(latent.z.shape[0]):
            return self._decoded(
                latent.decoder_input, tf.shape(latent.z)[:-1], training
            )

    def decode_params(
        self, z: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z): z `(..., batch, z_dim)` to float32 `(..., batch, *params)`.

        Or z of the first groups alone: the others follow, the mean of each given those
        before it.
        """
        lead = tf.shape(z)[:-1]
        flat = tf.reshape(z, [-1, z.shape[-1]])
        num_samples = 1 if z.shape.rank == 2 else z.shape[0]
        code = self._codes(condition, lead[-1], tf.reduce_prod(lead[:-1]))
        with samples_scope(num_samples):
            path = self.top_down.walk(_prior_mean, None, code, training, flat)
        return self._decoded(path.end, lead, training)

    def _decoded(self, h: tf.Tensor, lead: tf.Tensor, training: Any) -> tf.Tensor:
        shape = self.likelihood.params_shape(self.data_shape)
        return likelihood_params(self.decoder, h, lead, shape, training)

    def kl_by_group(self, kl: tf.Tensor) -> tf.Tensor:
        """The KL of each group of latents, (batch, groups)."""
        return self.latent_groups.sums(kl)

    # The prior: the same path, without x.

    def prior_sample(
        self, n: Any, seed: Any, condition: Any = None, temperature: Any = 1.0
    ) -> tf.Tensor:
        """Draws z from p(z), (n, z_dim), each scale being times `temperature`."""
        return self.complete(tf.zeros([n, 0]), seed, condition, temperature)

    def complete(
        self, top: tf.Tensor, seed: Any, condition: Any = None, temperature: Any = 1.0
    ) -> tf.Tensor:
        """Draws the groups of z that are not given from the prior given those that are.

        Args:
            top: z of the first groups, (n, their numbers), or of none, (n, 0).
            seed: A Python int or an int32 tensor of shape (2,).
            condition: Of conditional models, as a tensor.
            temperature: Factor on the standard deviations of what is drawn.

        Returns:
            z, (n, z_dim).
        """

        def walk(z: Any, condition: Any, first: Any, seed: Any, scale: Any) -> Any:
            noise = RowNoise(seed, 0, first, Domain.PRIOR)

            def draw(index: int, prior: GroupNormal, posterior: Any) -> tf.Tensor:
                return prior.sample(self._noise_of(index, noise), scale)

            code = self._codes(condition, tf.shape(z)[0])
            return self.top_down.walk(draw, None, code, z=z).z

        if not tf.executing_eagerly():
            return walk(top, condition, 0, seed, temperature)
        if condition is not None:
            condition = tf.broadcast_to(condition, [len(top), *condition.shape[1:]])
        more = as_tensor(seed), tf.constant(temperature, tf.float32)
        z = chunks.over_latents(self, "prior", walk, top, condition, *more)
        return tf.constant(z)

    def prior_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns log p(z) in nats, (num_samples, batch)."""
        lead = tf.shape(z)[:-1]
        flat = tf.reshape(z, [-1, self.z_dim])
        code = self._codes(condition, lead[-1], tf.reduce_prod(lead[:-1]))
        path = self.top_down.walk(_prior_mean, None, code, z=flat)
        return tf.reshape(concatenated(path.priors).log_prob(flat), lead)

    def _noise_of(
        self, index: int, noise: RowNoise, num_samples: int = 1, wanted: Any = None
    ) -> RowNoise:
        domain = f"{noise.domain}/{self.latent_groups[index].name}"
        own = RowNoise(noise.seed, noise.step, noise.first_row, domain)
        return own if num_samples == 1 else SamplesNoise(own, num_samples, wanted)

    # The density of the aggregate posterior is that of the top, in units of its prior.

    def to_aggregate(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """The top of z, standardised by its prior: (batch, latent_dim)."""
        prior = self._top_prior(tf.shape(z)[0], condition)
        return (z[:, : self.latent_dim] - prior.mean) * tf.exp(-0.5 * prior.log_var)

    def aggregate_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns the log density of z (batch, z_dim) in nats, (batch,)."""
        top = z[:, : self.latent_dim]
        prior = self._top_prior(tf.shape(z)[0], condition)
        log_volume = 0.5 * tf.reduce_sum(prior.log_var, axis=-1)
        of_top = self.aggregate.log_prob(self.to_aggregate(z, condition))  # type: ignore[union-attr]
        rest = self.prior_log_prob(z, condition) - prior.log_prob(top)
        return of_top - log_volume + rest

    def aggregate_sample(self, n: Any, seed: Any, condition: Any = None) -> tf.Tensor:
        """Draws the top from it and the rest from the prior given that, (n, z_dim)."""
        prior = self._top_prior(n, condition)
        e = self.aggregate.sample(n, seed)  # type: ignore[union-attr]
        top = prior.mean + e * tf.exp(0.5 * prior.log_var)
        return self.complete(top, seed, condition)

    def _top_prior(self, rows: Any, condition: Any) -> GroupNormal:
        return self.top_down.top_prior(rows, self._codes(condition, rows))

    @property
    def numbers_per_sample(self) -> int:
        """How many numbers of one example are held at once: its finest maps, or more.

        See `VAE.numbers_per_sample`.
        """
        maps = self.width * math.prod(self._sizes[-1])
        return max(maps, super().numbers_per_sample)

    # What is conditioned on: nothing, here.

    @property
    def _code_shape(self) -> tuple[int, ...] | None:
        return None

    def _codes(
        self, condition: Any, rows: Any, num_samples: Any = 1
    ) -> tf.Tensor | None:
        """Returns the code of the condition for each sample of a batch."""
        return None

    # Networks.

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        options = {**self._network_options, "width": self.width}
        if isinstance(encoder, str):
            lookup("encoder", encoder, _NETWORKS)
            encoder = hierarchy.bottom_up(
                self.data_shape,
                len(self.groups),
                finest_stride=self.finest_stride,
                **options,
            )
        if isinstance(decoder, str):
            lookup("decoder", decoder, _NETWORKS)
            params_shape = self.likelihood.params_shape(self.data_shape)
            decoder = hierarchy.top_down_decoder(
                self._sizes[-1],
                params_shape,
                output_gain=self.likelihood.output_gain,
                **options,
            )
        self.top_down = TopDown(
            self.groups,
            self._sizes,
            self.latent_groups,
            self.width,
            self._code_shape,
            self._network_options,
        )
        return encoder, decoder

    def check_networks(self) -> None:
        """Calls the networks symbolically; raises a ValueError where a shape is off."""
        x = keras.KerasTensor((None, *self.data_shape))
        found = keras.tree.flatten(self.encoder.compute_output_spec(x))
        wanted = [(*size, self.width) for size in self._sizes]
        shapes = [tuple(feature.shape[1:]) for feature in found]
        if shapes != wanted:
            raise invalid_argument(
                "encoder",
                f"a network from x to features of the shapes {wanted}, the batch left "
                "out",
                received=f"one that gives {shapes}",
            )
        h = keras.KerasTensor((None, *self._sizes[-1], self.width))
        shape = self.likelihood.params_shape(self.data_shape)
        what = f"the parameters of {type(self.likelihood).__name__},"
        check_output("decoder", self.decoder, h, shape, what)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = super().get_config()
        config = {k: v for k, v in config.items() if k not in self.unused}
        options = {
            name: value
            if isinstance(value, str | float | int | None)
            else keras.saving.serialize_keras_object(value)
            for name, value in self._network_options.items()
        }
        return {
            **config,
            "groups": list(self.groups),
            "group_channels": self.group_channels,
            "width": self.width,
            "finest_stride": self.finest_stride,
            "network_options": options,
        }


@keras.saving.register_keras_serializable(package="keras_vae")
class HierarchicalVAE(Hierarchy):
    """A VAE whose latents are groups at several resolutions, inferred top-down.

    p(z) = prod_l p(z_l | z_<l) and q(z|x) = prod_l q(z_l | z_<l, x) (Sønderby et al.
    2016; Vahdat and Kautz 2020; Child 2021): all are diagonal normals, given by one
    top-down path that both share, the posterior relative to the prior. At the top is a
    vector, below are maps whose sides double; of vectors all groups are vectors.

    To methods z is one vector of `z_dim` numbers, the groups one after the other from
    the top, maps row by row with channels last; `latent_groups` names them. `encode`
    gives the moments along the path of posterior means, and `decode` takes z, or its
    first groups alone, whose lower ones then follow their prior's means.

    Args: as `VAE`, without `prior` and `posterior`, and
        latent_dim: Size of the vector at the top.
        groups: How many groups each level has, from the top; None takes one vector,
            three groups of maps with sides up to 8, and two on each level below.
        group_channels: Numbers of z at each position of a map.
        width: Channels of the networks.
        finest_stride: Pixels of x along each side for one of the finest maps, a power
            of 2.
        network_options: Those of `networks.Options` that all networks have: activation,
            initializer, dropout, normalization, normalize_after. And block: a function
            from a Keras tensor, (batch, *sides, width), to one of the same shape, which
            makes the layers that stand in place of each residual block; registered
            with Keras, it is saved with the model.
        encoder: "resnet", or a `keras.Model` from examples to features for each level,
            the top first: (batch, width), (batch, height, width, channels), ...
        decoder: "resnet", or a `keras.Model` from the end of the path, (batch, *sides
            of the finest maps, width), to the parameters of the likelihood.
        free_bits: Nats of KL for each example and group that cost nothing more.

    Example:
    >>> hvae = keras_vae.HierarchicalVAE(latent_dim=4, input_shape=(8, 8, 1), width=8)
    >>> hvae.compile(optimizer="adam")
    >>> history = hvae.fit(np.zeros((16, 8, 8, 1)), epochs=1, verbose=0)
    >>> hvae.sample(3, temperature=0.8).shape
    (3, 8, 8, 1)
    """


def _posterior_mean(index: int, prior: GroupNormal, posterior: Any) -> tf.Tensor:
    return posterior.mean


def _prior_mean(index: int, prior: GroupNormal, posterior: Any) -> tf.Tensor:
    return prior.mean
