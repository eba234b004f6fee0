"""What a model knows of a batch, and sums over its examples on any strategy."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae.probability.distributions import bound_log_var, to_float32


class Latent(NamedTuple):
    """What is known of z for a batch; all a `latent_penalty` may want.

    z has `z_dim` numbers: `latent_dim`, or those of all groups of a hierarchy.
    """

    z_mean: Any
    """(batch, z_dim); under a flow its image behind it."""
    z_log_var: Any
    """(batch, z_dim); behind a flow an estimate, see `flow_moments`."""
    z: Any
    """Samples of the posterior, (num_samples, batch, z_dim)."""
    log_q: Any
    """log q(z|x) of the samples in nats, (num_samples, batch)."""
    log_p: Any
    """log p(z) of the samples in nats, (num_samples, batch)."""
    kl: Any
    """KL(q(z|x) || p(z)) in nats, (batch, z_dim) where both factorise, else the
    samples' mean of log q - log p, (batch,)."""
    step: Any
    """Training steps so far, int64."""
    decoder_input: Any = None
    """What the decoder is given, (num_samples * batch, ...), where drawing z found it
    on the way; else it is z."""

    def first(self, count: Any) -> "Latent":
        """The same with only the first samples."""
        some = {name: getattr(self, name)[:count] for name in ("z", "log_q", "log_p")}
        if self.decoder_input is not None:
            some["decoder_input"] = self.decoder_input[: count * tf.shape(self.z)[1]]
        return self._replace(**some)


class Output(NamedTuple):
    """What calling the model returns."""

    params: Any
    """The likelihood's parameters, (num_samples, batch, *params_shape)."""
    latent: Any
    """A `Latent`, or what a model has in its place."""
    condition: Any = None
    """What the examples were conditioned on, in conditional models."""
    penalty: Any = None
    """What the loss adds to the reconstruction of each example, (batch,), in nats."""
    reconstruction_loss: Any = None
    """-E_q[log p(x|z)] of each example, (batch,), in nats; there in steps alone."""


class BoundTerms(NamedTuple):
    """What -ELBO of a batch is made of."""

    reconstruction_loss: Any
    """-E_q[log p(x|z)] in nats, (batch,)."""
    kl: Any
    """As `Latent.kl`."""
    z_mean: Any
    """(batch, z_dim)"""
    z_log_var: Any
    """(batch, z_dim)"""


def call_on_rows(network: Any, inputs: Any, training: bool | None) -> Any:
    """Calls a network on a replica's batch, which may be empty.

    A network is then lent one example of zeros: some convolutions fail on none, and the
    statistics that normalisation takes of none are NaN.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return network(inputs, training=training)
    rows = tf.shape(keras.tree.flatten(inputs)[0])[0]
    lent = tf.cast(tf.equal(rows, 0), tf.int32)

    def lend(part: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[lent], tf.shape(part)[1:]], axis=0)
        return tf.concat([part, tf.zeros(shape, part.dtype)], axis=0)

    outputs = network(keras.tree.map_structure(lend, inputs), training=training)
    return keras.tree.map_structure(lambda output: output[:rows], outputs)


def normal_params(
    network: Any, inputs: Any, family: str, training: bool | None, shape: Any = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and log variance, bounded, that a network gives, float32 each.

    Args:
        network: From the inputs to the pair.
        inputs: Of a replica's batch.
        family: "isotropic": one variance for all dimensions; or "diagonal".
        training: Whether the network is in training mode.
        shape: Of the two; None: as they come.
    """
    mean, raw_log_var = call_on_rows(network, inputs, training)
    if shape is not None:
        mean, raw_log_var = tf.reshape(mean, shape), tf.reshape(raw_log_var, shape)
    log_var = bound_log_var(raw_log_var)
    if family == "isotropic":
        shared = tf.reduce_mean(log_var, axis=-1, keepdims=True)
        log_var = tf.broadcast_to(shared, tf.shape(mean))
    return to_float32(mean), log_var


def likelihood_params(
    network: Any, inputs: Any, lead: Any, shape: Any, training: bool | None
) -> tf.Tensor:
    """Returns what a network gives for `prod(lead)` z, float32 (*lead, *shape)."""
    params = to_float32(call_on_rows(network, inputs, training))
    return tf.reshape(params, tf.concat([lead, shape], axis=0))


def repeated(rows: tf.Tensor, times: Any) -> tf.Tensor:
    """(batch, ...) to (times * batch, ...), the whole batch again and again."""
    return tf.tile(rows, [times, *[1] * (len(rows.shape) - 1)])


def weighted_mean(values: tf.Tensor, weights: Any = None) -> tf.Tensor:
    """The sum of values times weights, (batch,) each; without weights the mean."""
    if weights is None:
        return tf.reduce_mean(values)
    return tf.reduce_sum(tf.cast(weights, values.dtype) * values)


def replica_mean(values: tf.Tensor, weights: Any = None) -> tf.Tensor:
    """This replica's term of the mean over the global batch, values being (batch,).

    Keras scales what `add_loss` collects in the same way: the terms of all replicas,
    and so their gradients, sum to the whole.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return weighted_mean(values, weights) / replicas


def add_to_mean(mean: keras.metrics.Mean, total: tf.Tensor, count: tf.Tensor) -> None:
    """Adds to a mean over examples a sum over `count` of them, which may be 0."""
    mean.total.assign_add(tf.cast(total, mean.total.dtype))
    mean.count.assign_add(tf.cast(count, mean.count.dtype))


def sum_over_dims(kl: tf.Tensor) -> tf.Tensor:
    """(batch, z_dim) or (batch,) to (batch,)."""
    return kl if kl.shape.rank == 1 else tf.reduce_sum(kl, axis=-1)


def log_ratio(log_prob: tf.Tensor, latent: Latent) -> tf.Tensor:
    """Returns log p(x|z) + log p(z) - log q(z|x) of samples, in float64."""
    parts = (log_prob, latent.log_p, latent.log_q)
    log_prob, log_p, log_q = (tf.cast(part, tf.float64) for part in parts)
    return log_prob + log_p - log_q
