"""Whether prior and aggregate posterior agree: draws of z in, numbers out."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.engine import chunks
from keras_vae.evaluation.examples import first_examples
from keras_vae.evaluation.samplers import posterior_draws

FEW = 0.5
"""The share of the prior's draws far from all examples from which on few samples look
like examples."""

_EXAMPLES = 2_000
_FAR = 0.99  # of the examples' z have a neighbour that is nearer
_LEAST = 10  # examples
_SEED = 0x5A11


def prior_agreement(model: Any, x: Any, condition: Any = None) -> dict[str, float]:
    """Compares draws of the prior with draws of q(z|x).

    In hierarchies it is the top group, which the others follow, in units of its prior.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples, of which the first 2,000 are taken.
        condition: For conditional models, one row an example.

    Returns:
        See `agreement`; nothing for plain autoencoders and fewer than 10 examples.
    """
    if not model.has_kl or len(x) < _LEAST:
        return {}
    x, condition = first_examples(x, condition, _EXAMPLES)
    z = posterior_draws(model, x, condition, to_aggregate=True)
    return agreement(z, prior_draws(model, len(x), condition))


def standardized_means(
    model: Any, z_mean: np.ndarray, x: Any, condition: Any = None
) -> np.ndarray:
    """Returns posterior means in the units of `to_aggregate`, (n, latent_dim).

    What they vary by there is what x says of z: a mean that follows a learned p(z|c)
    alone is 0. Of hierarchies it is the top.

    Args:
        model: A `VAE` or a model with its methods.
        z_mean: Of q(z|x) of each example, (n, latent_dim) or more of a hierarchy.
        x: The examples, which say what they are conditioned on where that is a region
            of them.
        condition: For conditional models, one row an example.
    """

    def standardized(z: np.ndarray, given: Any) -> np.ndarray:
        return np.asarray(model.to_aggregate(tf.constant(z), given))

    z_mean = z_mean[:, : model.latent_dim]
    if model.condition_spec is None or model.infers_condition:  # one p(z) of all
        return standardized(z_mean, None)
    parts = (
        (z_mean[chunk.first : chunk.first + len(chunk.x)], chunk.condition)
        for chunk in chunks.examples(model, x, condition)
    )
    return np.concatenate([standardized(*part) for part in parts])


def prior_draws(model: Any, count: int, condition: Any = None) -> np.ndarray:
    """Draws of the prior, (count, latent_dim), in the units of `to_aggregate`.

    There a learned normal, of a condition or of the top of a hierarchy, is N(0, I).
    """
    learned = getattr(model, "prior_network", None) is not None
    if model.has_standard_prior or learned or model.latent_groups:
        random = np.random.default_rng(_SEED)
        return random.standard_normal((count, model.latent_dim))
    return np.asarray(model.prior_sample(count, _SEED, condition))


def agreement(z: np.ndarray, prior: np.ndarray) -> dict[str, float]:
    """Says how far draws of the aggregate posterior are from draws of the prior.

    Args:
        z: (n, latent_dim), one draw of q(z|x) for each example.
        prior: (m, latent_dim), draws of p(z).

    Returns:
        `prior_aggregate_kl`: the KL in nats between normals of the moments of each
        dimension, summed; 0 where all means and variances agree. `aggregate_radius` and
        `prior_radius`: the mean of |z|. `prior_far`: the share of the prior's draws
        whose nearest example is farther away than 99 % of examples have theirs; near
        0.01 if the two agree. Nothing where z is not finite.
    """
    z, prior = np.asarray(z, np.float64), np.asarray(prior, np.float64)
    if not (np.isfinite(z).all() and np.isfinite(prior).all()):
        return {}
    variance = np.maximum(z.var(axis=0), np.finfo(np.float32).tiny)
    of_prior = np.maximum(prior.var(axis=0), np.finfo(np.float32).tiny)
    squared = np.square(z.mean(axis=0) - prior.mean(axis=0))
    ratio = variance / of_prior
    kl = 0.5 * (ratio - 1.0 - np.log(ratio) + squared / of_prior)
    return {
        "prior_aggregate_kl": float(kl.sum()),
        "aggregate_radius": float(np.linalg.norm(z, axis=1).mean()),
        "prior_radius": float(np.linalg.norm(prior, axis=1).mean()),
        "prior_far": _share_far(z, prior),
    }


def _share_far(z: np.ndarray, prior: np.ndarray) -> float:
    # Late, because it takes a second.
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=1).fit(z)
    among, _ = neighbours.kneighbors()  # of each example another one
    distances, _ = neighbours.kneighbors(prior)
    return float(np.mean(distances > np.quantile(among, _FAR)))
