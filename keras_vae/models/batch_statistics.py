"""What penalties measure of a batch: total correlation, covariance, discrepancy."""

import math
from typing import Any

import tensorflow as tf


def log_density(z: tf.Tensor, mean: tf.Tensor, log_var: tf.Tensor) -> tf.Tensor:
    """Returns log N(z; mean, exp(log_var)) of each dimension, in nats."""
    return -0.5 * (
        math.log(2.0 * math.pi) + log_var + tf.square(z - mean) * tf.exp(-log_var)
    )


def total_correlation(
    z: tf.Tensor,
    z_mean: tf.Tensor,
    z_log_var: tf.Tensor,
    dataset_size: int,
    estimator: str = "mws",
    first_row: Any = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Estimates log q(z) and sum_d log q(z_d) of the aggregate posterior.

    Their difference is a sample of the total correlation, KL(q(z) || prod_d q(z_d)).

    Args:
        z: (batch, latent_dim), samples, row i drawn from the posterior in row
            `first_row + i` of the two that follow.
        z_mean: (global batch, latent_dim).
        z_log_var: (global batch, latent_dim).
        dataset_size: Number of training examples, N.
        estimator: "mws", minibatch weighted, or "mss", minibatch stratified sampling
            (Chen et al. 2018, equation 5 and appendix C.2).
        first_row: The index of the first row of z in the global batch.

    Returns:
        Two tensors (batch,), in nats.
    """
    each = log_density(z[:, tf.newaxis], z_mean[tf.newaxis], z_log_var[tf.newaxis])
    count, total = tf.shape(z)[0], tf.shape(z_mean)[0]
    m, n = tf.cast(total, z.dtype), float(dataset_size)
    if estimator == "mws":
        log_weight = -tf.math.log(m * n)
    else:
        # The example itself stands for one in N, one other for what the batch leaves
        # out, the rest for one in M - 1 each.
        rows = tf.range(count) + tf.cast(first_row, tf.int32)
        itself = tf.one_hot(rows, total, dtype=z.dtype)
        other = tf.one_hot((rows + 1) % total, total, dtype=z.dtype)
        rest = 1.0 / tf.maximum(m - 1.0, 1.0)
        left_out = tf.maximum((n - m + 1.0) / (n * tf.maximum(m - 1.0, 1.0)), 1e-12)
        weight = rest + (1.0 / n - rest) * itself + (left_out - rest) * other
        log_weight = tf.math.log(weight)
    log_q = tf.reduce_logsumexp(tf.reduce_sum(each, axis=-1) + log_weight, axis=1)
    if estimator == "mss":
        log_weight = log_weight[..., tf.newaxis]
    log_q_each = tf.reduce_logsumexp(each + log_weight, axis=1)
    return log_q, tf.reduce_sum(log_q_each, axis=-1)


def covariance_of(x: tf.Tensor) -> tf.Tensor:
    """Returns the covariance over rows, (n, d) -> (d, d)."""
    centred = x - tf.reduce_mean(x, axis=0)
    return tf.matmul(centred, centred, transpose_a=True) / tf.cast(
        tf.shape(x)[0], x.dtype
    )


def dip_penalty(
    covariance: tf.Tensor, off_diagonal: float, diagonal: float
) -> tf.Tensor:
    """Returns the weighted squares of a covariance's distance from I, a scalar."""
    variances = tf.linalg.diag_part(covariance)
    squares = tf.reduce_sum(tf.square(covariance)) - tf.reduce_sum(tf.square(variances))
    return off_diagonal * squares + diagonal * tf.reduce_sum(tf.square(variances - 1.0))


def squared_distances(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns |a_i - b_j|^2 of each pair of rows, (n, d) and (m, d) -> (n, m)."""
    distances = (
        tf.reduce_sum(tf.square(a), axis=1)[:, tf.newaxis]
        + tf.reduce_sum(tf.square(b), axis=1)[tf.newaxis]
        - 2.0 * tf.matmul(a, b, transpose_b=True)
    )
    return tf.maximum(distances, 0.0)


def biased_squared_mmd(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Maximum mean discrepancy of two samples, squared, a scalar (Gretton et al. 2012).

    The Gaussian kernel exp(-|a - b|^2 / d) is as wide as points of a standard normal
    in d dimensions are apart. The estimate with all pairs is never negative.

    Args:
        a: (n, d).
        b: (m, d).
    """

    def mean_kernel(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        width = tf.cast(tf.shape(x)[1], x.dtype)
        return tf.reduce_mean(tf.exp(-squared_distances(x, y) / width))

    return mean_kernel(a, a) + mean_kernel(b, b) - 2.0 * mean_kernel(a, b)
