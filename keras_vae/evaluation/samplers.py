"""A density of the aggregate posterior, fitted after training, to generate from.

The aggregate posterior q(z) = E_data[q(z|x)] is where the decoder has learned to
decode; the prior has mass elsewhere too. What that costs can be said in nats:
-ELBO holds -E_q(z)[log p(z)], so that with another density r(z) as the prior it changes
by exactly the difference of -E[log r] and -E[log p] (Hoffman and Johnson 2016, "ELBO
surgery").
"""

import contextlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.engine import chunks
from keras_vae.errors import invalid_argument
from keras_vae.evaluation.examples import check_any, first_examples, is_binary
from keras_vae.noise import Domain, RowNoise, as_tensor
from keras_vae.probability.aggregate import AggregateDensity
from keras_vae.probability.likelihoods import Bernoulli

MAX_EXAMPLES = 10_000
"""Training examples that are enough to fit a density to."""

_COMPONENTS = 20
_EXAMPLES_PER_PARAMETER_ROW = 10  # examples that a component needs for each dimension
_MAX_FULL = 64  # latent dimensions up to which a component has a full covariance
_SMALLEST_VARIANCE = 1e-4  # added, where the latents lie in fewer dimensions
_SMALLEST_SHARE = 1e-8  # and at least so much of the largest variance
_HELD_OUT = 10  # one in so many latents decides between Normal and mixture
_SCORED = 2_000  # examples that the scores look at
_SCORED_NUMBERS = 2**25  # and numbers in them
_SEED = 0x5A11


def posterior_draws(
    model: Any,
    x: Any,
    condition: Any = None,
    seed: int = _SEED,
    to_aggregate: bool = False,
) -> np.ndarray:
    """Draws one z of q(z|x) for each example: draws of the aggregate posterior.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples, an array or an object with `gather(rows)`.
        condition: For conditional models, one for each example.
        seed: Of the draws.
        to_aggregate: Return what a density of the aggregate posterior is fitted to. It
            is z, but under a learned p(z|c) it is z standardised by that.

    Returns:
        (n, latent_dim).
    """
    check_any(x)
    top = bool(to_aggregate and model.latent_groups)  # all that it is fitted to

    def draw(x: tf.Tensor, given: Any, first: tf.Tensor) -> Any:
        noise = RowNoise(seed, 0, first, Domain.AGGREGATE)
        if top:
            z = model.sample_top(x, noise, given)
        else:
            z = model.sample_posterior(x, noise, given, num_samples=1).z[0]
        return z, model.to_aggregate(z, given)

    graph_key = f"aggregate of {seed}{', the top' if top else ''}"
    found = chunks.over_examples(model, graph_key, draw, x, condition)
    return found[to_aggregate]


def top_posterior(
    model: Any, x: Any, condition: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """q(z|x) of all of z or, in hierarchies, of the first group, which the rest follow.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples.
        condition: For conditional models, one for each example.

    Returns:
        z_mean and z_log_var, (n, latent_dim) each.
    """

    def of_top(x: tf.Tensor, given: Any, first: tf.Tensor) -> Any:
        return model.top_posterior(x, given)

    if not model.latent_groups:
        moments = model.posterior(x, condition)
    else:
        moments = chunks.over_examples(model, "posterior of top", of_top, x, condition)
    z_mean, z_log_var = moments
    return z_mean, z_log_var


def fit_density(z: np.ndarray, components: int = 1) -> AggregateDensity:
    """Fits a Normal, or a mixture of normals, to draws of z with scikit-learn.

    Args:
        z: (n, latent_dim), n >= 2.
        components: How many normals; with 1 it is a Normal. They have full covariances
            up to 64 dimensions. Latents of any scale are fitted in float64.

    Returns:
        The density, built.

    Raises:
        ValueError: If there are fewer draws than components or than two, z is not
            finite, or no such density has been found.
    """
    # Late, because it takes a second, and training reads this module when it starts.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if len(z) < max(2, components) or not np.isfinite(z).all():
        raise invalid_argument(
            "z",
            f"at least {max(2, components)} vectors of finite numbers",
            received=f"shape {z.shape}"
            f"{'' if np.isfinite(z).all() else ' with NaN or infinity'}",
        )
    z = z.astype(np.float64)
    covariance = "full" if z.shape[1] <= _MAX_FULL else "diagonal"
    mixture = GaussianMixture(
        components,
        covariance_type="full" if covariance == "full" else "diag",
        reg_covar=max(_SMALLEST_VARIANCE, _SMALLEST_SHARE * z.var(axis=0).max()),
        tol=1e-2,
        random_state=0,
    )
    # Its matrices are so small that more threads only wait for one another.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(z)
    density = AggregateDensity(components, covariance)
    density.build((None, z.shape[1]))
    density.assign(mixture.weights_, mixture.means_, mixture.covariances_)
    return density


def fit_aggregate(model: Any, x: Any, condition: Any = None) -> dict[str, Any]:
    """Fits the density of the aggregate posterior and gives it to the model.

    A Normal and a mixture of up to 20 normals are fitted to draws of the posterior; of
    these examples one in ten is kept out, and the density under which it is more
    probable is taken. The model keeps it: it is saved with it, and exported as
    `generate_from_aggregate`.

    Args:
        model: A `VAE` or a model with its methods.
        x: Training examples, of which the first 10,000 are taken.
        condition: For conditional models, one for each example.

    Returns:
        What was taken: `sampler` ("normal", "gaussian_mixture", or "none" where the
        latents are not finite) and `sampler_components`.
    """
    x, condition = first_examples(x, condition, MAX_EXAMPLES)
    z = posterior_draws(model, x, condition, to_aggregate=True)
    z = z[np.isfinite(z).all(axis=1)]
    if not len(z):
        # A model without a prior generates from its density, so N(0, I) stays with it.
        model.set_aggregate(None if model.has_kl else AggregateDensity())
        return {"sampler": "none", "sampler_components": 0}
    z = np.repeat(z, 2, axis=0) if len(z) == 1 else z  # a Normal around the only one
    kept_out = np.arange(len(z)) % _HELD_OUT == _HELD_OUT - 1
    known, held = (z[~kept_out], z[kept_out]) if kept_out.any() else (z, z)
    most = len(known) // (_EXAMPLES_PER_PARAMETER_ROW * z.shape[1])
    scores: list[tuple[float, AggregateDensity]] = []
    for number in {1, max(1, min(_COMPONENTS, most))}:
        with contextlib.suppress(ValueError, np.linalg.LinAlgError):
            density = fit_density(known, number)
            nll = nll_of(density, held)
            if np.isfinite(nll):
                scores.append((nll, density))
    best = min(scores, key=lambda pair: pair[0])[1] if scores else _independent(known)
    model.set_aggregate(best)
    return {
        "sampler": "normal" if best.components == 1 else "gaussian_mixture",
        "sampler_components": best.components,
    }


def _independent(z: np.ndarray) -> AggregateDensity:
    """Returns the Normal with the means and variances of rows of z, which always is."""
    z = z.astype(np.float64)
    density = AggregateDensity(1, "diagonal")
    density.build((None, z.shape[1]))
    variances = z.var(axis=0) + _SMALLEST_VARIANCE
    density.assign(np.ones(1), z.mean(axis=0)[np.newaxis], variances[np.newaxis])
    return density


def nll_of(density: Any, z: np.ndarray) -> float:
    """Returns the mean of -log density over rows of z (n, latent_dim), in nats.

    Args:
        density: An object with `log_prob(z)`.
        z: The rows.
    """
    parts = [
        density.log_prob(tf.constant(z[first : first + 4096])).numpy()
        for first in range(0, len(z), 4096)
    ]
    return float(-np.mean(np.concatenate(parts)))


def sampler_scores(
    model: Any,
    x: Any,
    condition: Any = None,
    generated: np.ndarray | None = None,
) -> dict[str, float]:
    """Measures how well the prior, and the density fitted after training, match z.

    By two measures, for which less is better, on examples that were not trained on:

    - `*_latent_nll`: -log density of draws of q(z|x), in nats. It is the term of -ELBO
      that holds the density, so that the difference between two densities is that
      between the -ELBO of the two models that generate from them.
    - `*_mmd`: the squared maximum mean discrepancy between generated and real examples
      (Gretton et al. 2012, equation 3: unbiased, so 0 on average for equals), times
      1,000, with a Gaussian kernel of the median distance between real examples. It
      looks at what is generated, and knows no model.

    Args:
        model: A `VAE` or a model with its methods.
        x: Test examples, of which up to 2,000 are taken.
        condition: For conditional models, one an example.
        generated: From the prior, as `real_and_generated` returns them of the same
            examples; None generates them.

    Returns:
        `prior_latent_nll` and `prior_mmd` unless the model is a plain autoencoder,
        `aggregate_latent_nll` and `aggregate_mmd` where a density has been fitted.
    """
    x, condition = _scored(model, x, condition)
    z = posterior_draws(model, x, condition)
    real, given = _real(model, x, condition)
    draws = _compares_draws(model, x)

    def discrepancy(generated: np.ndarray) -> float:
        pair = (np.asarray(model.to_model(part)) for part in (generated, real))
        return 1000.0 * squared_mmd(*pair)

    def nll(log_prob: Callable[..., tf.Tensor]) -> float:
        found = [
            log_prob(tf.constant(z[rows]), None if given is None else given[rows])
            for rows in chunks.slices(len(z), chunks.chunk_size(model))
        ]
        return float(-np.mean(np.concatenate(found)))

    metrics = {}
    if model.has_kl:
        metrics["prior_latent_nll"] = nll(model.prior_log_prob)
        if generated is None:
            generated = _generated(model, model.prior_sample, given, draws, len(x))
        metrics["prior_mmd"] = discrepancy(generated)
    if model.aggregate is not None:
        metrics["aggregate_latent_nll"] = nll(model.aggregate_log_prob)
        others = _generated(model, model.aggregate_sample, given, draws, len(x))
        metrics["aggregate_mmd"] = discrepancy(others)
    return metrics


def real_and_generated(
    model: Any, x: Any, condition: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns examples, and as many that the model generates by default.

    They are generated from the prior (`model.sample`), under the conditions of the
    examples. Where the likelihood is Bernoulli and x is not binary they are means, else
    draws.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples, of which up to 2,000 are taken.
        condition: For conditional models, one for each example.

    Returns:
        Two arrays (n, *input_shape), float32, in the data's own units.
    """
    x, condition = _scored(model, x, condition)
    real, given = _real(model, x, condition)
    draws = _compares_draws(model, x)
    return real.numpy(), _generated(model, model.prior_sample, given, draws, len(x))


def _scored(model: Any, x: Any, condition: Any) -> tuple[Any, Any]:
    most = min(_SCORED, _SCORED_NUMBERS // math.prod(model.data_shape))
    return first_examples(x, condition, max(2, most))


def _real(model: Any, x: Any, condition: Any) -> tuple[tf.Tensor, Any]:
    """Returns examples and what the model is given with them, each as one tensor."""
    _, values, given = zip(*chunks.examples(model, x, condition), strict=True)
    joined = None if given[0] is None else tf.concat(given, axis=0)
    return tf.concat(values, axis=0), joined


def _compares_draws(model: Any, x: Any) -> bool:
    """Whether draws of x are compared with examples, and not means."""
    return not isinstance(model.likelihood, Bernoulli) or is_binary(x)


def _generated(
    model: Any, sample: Callable[..., tf.Tensor], given: Any, draws: bool, n: int
) -> np.ndarray:
    """Returns n examples of z that `sample` draws: draws of x, or means."""
    z = sample(n, _SEED, given)
    if draws:
        return np.asarray(model.sample_likelihood(z, as_tensor(_SEED), given))
    return np.asarray(model.decode(z, given))


def squared_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Estimates the squared maximum mean discrepancy of two samples, without bias.

    Gretton et al. 2012, equation 3. The kernel is exp(-|x - y|^2 / 2w) with w the
    median squared distance between rows of b, in float64. What InfoVAE and WAE train
    with has kernels whose width is that of the prior.

    Args:
        a: (n, ...), n >= 2.
        b: (m, ...), m >= 2.
    """
    from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

    a, b = (part.reshape(len(part), -1).astype(np.float64) for part in (a, b))
    distances = euclidean_distances(b, squared=True)
    width = np.median(distances[np.triu_indices(len(b), 1)]) or 1.0
    gamma = 0.5 / width
    n, m = len(a), len(b)
    mean_a = (rbf_kernel(a, gamma=gamma).sum() - n) / (n * (n - 1))
    mean_b = (np.exp(-gamma * distances).sum() - m) / (m * (m - 1))
    across = rbf_kernel(a, b, gamma).mean()
    return float(mean_a + mean_b - 2.0 * across)
