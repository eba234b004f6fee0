"""Compares generated examples with real ones: arrays in, numbers out.

All of it is of distances or products of vectors, pixels or features of them; where the
vectors come from is for the caller to choose, and to say with the numbers.
"""

from typing import NamedTuple

import numpy as np

from keras_vae.errors import require

_BLOCKS = 10
_ROUNDING = 1e-6  # of a distance, in lengths of the vectors
_SEED = 0


class Agreement(NamedTuple):
    """What is right of the samples, and how much of the data they reach."""

    right: float
    reached: float


class KernelDistance(NamedTuple):
    """A kernel distance and its standard error over blocks."""

    value: float
    standard_error: float


def precision_recall(real: np.ndarray, generated: np.ndarray, k: int = 3) -> Agreement:
    """Returns precision and recall of samples (Kynkäänniemi et al. 2019).

    The support of a set is estimated as the balls around its members that reach to the
    k-th nearest other one. Precision is the share of samples within the support of the
    real examples, recall the share of real examples within that of the samples
    (equations 1 and 2).

    Args:
        real: (n, ...), n > k, numbers or features of real examples.
        generated: (m, ...), m > k, the same of generated ones.
        k: The neighbour that a ball reaches to.

    Returns:
        Precision and recall, each in [0, 1].

    Raises:
        ValueError: If a set is too small or not finite, or the two have other widths.
    """
    real, generated = _checked(k + 1, real=real, generated=generated)
    distances = _distances(real, generated)
    in_real = distances <= _radii(real, k)[:, np.newaxis]
    in_generated = distances <= _radii(generated, k)
    return Agreement(
        float(in_real.any(axis=0).mean()), float(in_generated.any(axis=1).mean())
    )


def density_coverage(real: np.ndarray, generated: np.ndarray, k: int = 5) -> Agreement:
    """Returns density and coverage of samples (Naeem et al. 2020, section 3.2).

    Both look at balls B_i around real examples only, that reach to the k-th nearest
    other one, so that samples far from all data do not widen anything. Density is the
    mean over samples of sum_i 1[sample in B_i] / k; coverage the mean over i of
    1[any sample in B_i].

    Args:
        real: (n, ...), n > k, numbers or features of real examples.
        generated: (m, ...), m >= 1, the same of generated ones.
        k: The neighbour that a ball reaches to.

    Returns:
        Density, 1 on average for samples of the data's own distribution and without an
        upper bound, and coverage in [0, 1], then 1 - 2^-k on average for large sets of
        equal size.

    Raises:
        ValueError: If a set is too small or not finite, or the two have other widths.
    """
    real, generated = _checked(k + 1, real=real, generated=generated)
    inside = _distances(real, generated) <= _radii(real, k)[:, np.newaxis]
    return Agreement(float(inside.sum(axis=0).mean() / k), float(inside.any(1).mean()))


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, blocks: int = _BLOCKS
) -> KernelDistance:
    """Returns the unbiased squared MMD of a cubic kernel (Binkowski et al. 2018).

    The kernel is (x.y / d + 1)^3, d the width of the vectors. The sets are cut at
    random into blocks without overlap, and the unbiased estimates of the pairs of
    blocks (Gretton et al. 2012, equation 3) are averaged. On features of the Inception
    network it is called KID; on others the numbers do not compare with published ones.

    Args:
        real: (n, ...), n >= 2 blocks, numbers or features of real examples.
        generated: (m, ...), m >= 2 blocks, the same of generated ones.
        blocks: How many blocks, at least 2.

    Returns:
        The distance, 0 on average for two sets of one distribution and then below 0 as
        often as above, and its standard error.

    Raises:
        ValueError: If there are fewer than 2 blocks, a set is too small or not finite,
            or the two have other widths.
    """
    from sklearn.metrics.pairwise import polynomial_kernel

    require(blocks >= 2, "blocks", "at least 2", f"blocks={blocks}")
    real, generated = _checked(2 * blocks, real=real, generated=generated)
    size = min(len(real), len(generated)) // blocks
    rng = np.random.default_rng(_SEED)
    # Two orders: equal sets are not to meet themselves, which would count against them.
    orders = (rng.permutation(len(part))[: blocks * size] for part in (real, generated))
    rows = [order.reshape(blocks, size) for order in orders]
    others = ~np.eye(size, dtype=bool)
    found = []
    for x, y in zip(real[rows[0]], generated[rows[1]], strict=True):
        within = sum(polynomial_kernel(part)[others].mean() for part in (x, y))
        found.append(within - 2.0 * polynomial_kernel(x, y).mean())
    error = np.std(found, ddof=1) / np.sqrt(blocks)
    return KernelDistance(float(np.mean(found)), float(error))


def nearer_to_training(
    generated: np.ndarray, training: np.ndarray, held_out: np.ndarray
) -> float:
    """Returns the share of samples that are nearer to training than to held-out data.

    Of a model that repeats its training examples nearly all are. If training and
    held-out examples come from one distribution, one half is expected of any model that
    has not seen which are which. A sample that is as near to both counts one half.

    Args:
        generated: (m, ...), m >= 1.
        training: (n, ...), n >= 1, examples that were trained on.
        held_out: (n, ...), as many that were not.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If the two sets of real examples differ in number, or one is empty,
            not finite or of another width.
    """
    from sklearn.neighbors import NearestNeighbors

    require(
        len(training) == len(held_out),
        "held_out",
        f"as many examples as training has, {len(training)}",
        f"{len(held_out)}",
    )
    generated, training, held_out = _checked(
        1, generated=generated, training=training, held_out=held_out
    )
    nearest = [
        NearestNeighbors(n_neighbors=1, algorithm="brute").fit(part)
        for part in (training, held_out)
    ]
    to_training, to_held_out = (
        search.kneighbors(generated)[0][:, 0] for search in nearest
    )
    equal = np.isclose(to_training, to_held_out, rtol=1e-6, atol=0.0)
    return float(np.mean(np.where(equal, 0.5, to_training < to_held_out)))


def _checked(minimum: int, **sets: np.ndarray) -> list[np.ndarray]:
    """Returns sets of vectors in float64, once they fit one another."""
    flat = [np.reshape(x, (len(x), -1)).astype(np.float64) for x in sets.values()]
    for name, x in zip(sets, flat, strict=True):
        require(
            len(x) >= minimum and x.shape[1] > 0,
            name,
            f"at least {minimum} vectors",
            f"shape {x.shape}",
        )
        require(
            x.shape[1] == flat[0].shape[1],
            name,
            f"vectors of {flat[0].shape[1]} numbers",
            f"shape {x.shape}",
        )
        require(bool(np.isfinite(x).all()), name, "finite numbers", "NaN or infinity")
    return flat


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """The distance of each to its k-th nearest other one, (n,), rounded up."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x)
    # Distances come from products, so that those of equal vectors are not quite 0.
    rounding = _ROUNDING * np.sqrt(np.mean(np.sum(np.square(x), axis=1)))
    return np.asarray(search.kneighbors()[0][:, -1] + rounding)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from sklearn.metrics.pairwise import euclidean_distances

    return np.asarray(euclidean_distances(a, b))
