"""How well a representation separates known factors: arrays in, numbers out.

Every metric takes `latents`, float `(n, d)` (usually posterior means), `factors`, int
`(n, k)` (the ground truth of the same rows), and `random_state`, and returns a
dictionary of numbers between 0 and 1, more being better. No model is called: pairs and
groups that share a factor's value are drawn from the rows given.

Latents without variance are dropped, and so are factors without. Scale, sign and order
of the latents do not matter, but for what is drawn at random and for where the edges
of bins fall. A representation that knows nothing scores at chance, exactly where no
latent is left and otherwise up to the noise of a finite sample:

| key | chance |
|---|---|
| `beta_vae_score`, `factor_vae_score` | 1 / k: which of k factors was it |
| `mig`, `sap`, `modularity` | 0 |
| `dci_disentanglement`, `dci_completeness` | 0 |
| `dci_informativeness` | mean share of a factor's most frequent value |

`chance_scores` computes these. Use some 5,000 rows or more: with n rows, the mutual
information of independent variables of B and V values is not 0 but about
(B - 1)(V - 1) / 2n nats, which reaches `mig` when a single latent is left.

Overview: Locatello et al. 2019, "Challenging common assumptions in the unsupervised
learning of disentangled representations".
"""

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

from keras_vae.errors import invalid_argument
from keras_vae.evaluation.dci import dci
from keras_vae.evaluation.factors import (
    RandomState,
    checked,
    checked_factors,
    majority_share,
)

# Points, or votes, to learn from, and again to test; pairs, or rows, in each.
_NUM_POINTS = 5000
_GROUP_SIZE = 64
_NUM_SHUFFLES = 10
_FALSE_ALARM = 1e-3
_EPSILON = 1e-6


def all_scores(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Computes every metric of this module.

    Args:
        latents: float `(n, d)`.
        factors: int `(n, k)`, at least two columns that vary.
        random_state: A seed, which gives each metric what it gives it alone, or a
            generator.

    Returns:
        The entries of all metrics in one dictionary, keys as in `chance_scores`.

    Raises:
        ValueError: If the arrays are not as described.
    """
    metrics = (beta_vae, factor_vae, mig, dci, sap, modularity)
    scores: dict[str, float] = {}
    for metric in metrics:
        scores.update(metric(latents, factors, random_state))
    return scores


def chance_scores(factors: np.ndarray) -> dict[str, float]:
    """Computes what a representation that knows nothing of the factors scores.

    Args:
        factors: int `(n, k)`.

    Returns:
        Chance for each key of `all_scores`.

    Raises:
        ValueError: If the array is not as described.
    """
    values = checked_factors(factors)
    return {
        "beta_vae_score": 1 / values.shape[1],
        "factor_vae_score": 1 / values.shape[1],
        "mig": 0.0,
        "dci_disentanglement": 0.0,
        "dci_completeness": 0.0,
        "dci_informativeness": float(np.mean(majority_share(values))),
        "sap": 0.0,
        "modularity": 0.0,
    }


def beta_vae(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Scores how well the fixed factor is read off from differences of latents.

    A point is the mean of |z_1 - z_2| over pairs of rows that share the value of one
    factor; a linear classifier (multinomial logistic regression) tells which. It is
    trained on points from one half of the rows and tested on points from the other, so
    that it cannot know the rows. Latents are divided by their standard deviation.

    Source: Higgins et al. 2017, "beta-VAE", section 3.

    Args:
        latents: As in `all_scores`.
        factors: As in `all_scores`.
        random_state: A seed or a generator.

    Returns:
        `beta_vae_score`, the share of test points that are classified rightly.

    Raises:
        ValueError: If the arrays are not as described, or a factor has no value that
            two rows of each half share.
    """
    z, values = checked(latents, factors)
    if not z.shape[1]:
        return {"beta_vae_score": 1 / values.shape[1]}
    generator = np.random.default_rng(random_state)
    fixed = np.arange(_NUM_POINTS) % values.shape[1]
    points = []
    for half in _halves(len(z), generator):
        points.append(np.empty((_NUM_POINTS, z.shape[1])))
        for factor in range(values.shape[1]):
            at = np.flatnonzero(fixed == factor)
            groups = _Groups(values[half, factor], factor)
            first, second = groups.pairs((len(at), _GROUP_SIZE), generator)
            difference = np.abs(z[half[first]] - z[half[second]])
            points[-1][at] = difference.mean(axis=1)
    train, test = points
    center, spread = train.mean(axis=0), train.std(axis=0) + _EPSILON
    classifier = LogisticRegression(max_iter=1000)
    classifier.fit((train - center) / spread, fixed)
    return {"beta_vae_score": float(classifier.score((test - center) / spread, fixed))}


def factor_vae(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Scores how well the fixed factor is read off from the latent that varies least.

    A vote takes rows that share the value of one factor, and names the latent whose
    variance, relative to its variance over all rows, is smallest. Each latent stands
    for the factor that it was named for most often. Votes that decide this come from
    one half of the rows, votes that are scored from the other.

    Source: Kim and Mnih 2018, "Disentangling by factorising", section 4.

    Args:
        latents: As in `all_scores`.
        factors: As in `all_scores`.
        random_state: A seed or a generator.

    Returns:
        `factor_vae_score`, the share of scored votes that name the fixed factor.

    Raises:
        ValueError: As `beta_vae`.
    """
    z, values = checked(latents, factors)
    num_factors = values.shape[1]
    if not z.shape[1]:
        return {"factor_vae_score": 1 / num_factors}
    generator = np.random.default_rng(random_state)
    fixed = np.arange(_NUM_POINTS) % num_factors
    tables = []
    for half in _halves(len(z), generator):
        table = np.zeros((z.shape[1], num_factors), np.int64)
        for factor in range(num_factors):
            groups = _Groups(values[half, factor], factor)
            count = int(np.sum(fixed == factor))
            rows = half[groups.same((count, _GROUP_SIZE), generator)]
            steadiest = z[rows].var(axis=1).argmin(axis=1)
            table[:, factor] = np.bincount(steadiest, minlength=z.shape[1])
        tables.append(table)
    decided, scored = tables
    stands_for = decided.argmax(axis=1)
    right = scored[np.arange(z.shape[1]), stands_for].sum()
    return {"factor_vae_score": float(right / _NUM_POINTS)}


def mig(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Computes the mutual information gap.

    For each factor, the gap between the two latents that know most about it, relative
    to the factor's entropy; the mean over factors. Mutual information is counted with
    each latent cut into equally wide bins, as many as the largest factor has values
    and at least 20. Where one latent is left, the second knows nothing.

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", section
    4.1, with the rows' latents in the place of draws from the posterior.

    Args:
        latents: As in `all_scores`.
        factors: As in `all_scores`.
        random_state: Not used; nothing is drawn.

    Returns:
        `mig`.

    Raises:
        ValueError: If the arrays are not as described.
    """
    z, values = checked(latents, factors)
    information = mutual_information(_binned(z, values), values)
    gap = _gap_of_largest_two(information)
    return {"mig": float(np.mean(gap / _entropy(values)))}


def sap(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Computes the separated attribute predictability, in its R2 form.

    For each factor, the gap between the two latents that predict it best by linear
    regression, measured by R2 (the squared correlation); the mean over factors. All
    factors are taken as ordered numbers: for one that is a mere name, such as a shape,
    the score depends on how its values are numbered. Where one latent is left, the
    second predicts nothing.

    Source: Kumar et al. 2018, "Variational inference of disentangled latent concepts
    from unlabeled observations", section 3.

    Args:
        latents: As in `all_scores`.
        factors: As in `all_scores`.
        random_state: Not used; nothing is drawn.

    Returns:
        `sap`.

    Raises:
        ValueError: If the arrays are not as described.
    """
    z, values = checked(latents, factors)
    standardized = (values - values.mean(axis=0)) / values.std(axis=0)
    r_squared = (z.T @ standardized / len(z)) ** 2
    return {"sap": float(np.mean(_gap_of_largest_two(r_squared)))}


def modularity(
    latents: np.ndarray, factors: np.ndarray, random_state: RandomState = 0
) -> dict[str, float]:
    """Computes how far each latent knows about one factor only.

    With m the mutual information of a latent with each factor, counted as in `mig`, and
    f the factor it knows most about, a latent scores
    1 - sum_{g != f} m_g^2 / (m_f^2 (k - 1)); the mean over latents.

    Mutual information of independent variables is above 0 in a finite sample, and the
    ratio above would be taken of noise. What does not pass a G test of independence
    therefore counts as 0 (false alarms at most once in a thousand representations; the
    test is scaled by shuffled rows, because cells hold few counts), and a latent that
    knows nothing is left out. If all are, the score is 0.

    Source: Ridgeway and Mozer 2018, "Learning deep disentangled embeddings with the
    F-statistic loss"; the G test is an addition.

    Args:
        latents: As in `all_scores`.
        factors: As in `all_scores`.
        random_state: A seed or a generator.

    Returns:
        `modularity`.

    Raises:
        ValueError: If the arrays are not as described.
    """
    z, values = checked(latents, factors)
    generator = np.random.default_rng(random_state)
    bins = _binned(z, values)
    information = mutual_information(bins, values)
    by_accident = np.mean(
        [
            mutual_information(bins, generator.permutation(values))
            for _ in range(_NUM_SHUFFLES)
        ],
        axis=0,
    )
    num_bins = np.array([len(np.unique(column)) for column in bins.T])
    num_values = values.max(axis=0) + 1
    freedom = (num_bins[:, None] - 1) * (num_values - 1)
    statistic = information * freedom / np.maximum(by_accident, 1e-12)
    chance = stats.chi2.sf(statistic, freedom)
    information[chance * information.size > _FALSE_ALARM] = 0.0
    information = information[information.any(axis=1)]
    if not len(information):
        return {"modularity": 0.0}
    squares = (information / information.max(axis=1, keepdims=True)) ** 2
    others = (squares.sum(axis=1) - 1) / (values.shape[1] - 1)
    return {"modularity": float(np.mean(1 - others))}


class _Groups:
    """Draws rows that share a value, uniformly over the rows that share theirs."""

    def __init__(self, values: np.ndarray, factor: int) -> None:
        _, group, count = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(group, kind="stable")
        # For each position in the order: where its group starts, and how large it is.
        self._start = np.repeat(np.cumsum(count) - count, count)
        self._count = np.repeat(count, count)
        self._positions = np.flatnonzero(self._count > 1)
        if not len(self._positions):
            raise invalid_argument(
                "factors",
                "values that several examples share, in each half of the examples",
                received=f"column {factor} of those that vary, where none is shared",
                advice="Give more examples or fewer distinct values.",
            )

    def pairs(
        self, shape: tuple[int, int], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws two different rows of a group, for each entry of `shape`."""
        position = generator.choice(self._positions, shape)
        start, count = self._start[position], self._count[position]
        other = start + generator.integers(0, count - 1)
        return self._order[position], self._order[other + (other >= position)]

    def same(
        self, shape: tuple[int, int], generator: np.random.Generator
    ) -> np.ndarray:
        """Draws rows of one group along the last axis of `shape`, with replacement."""
        position = generator.choice(self._positions, (shape[0], 1))
        start, count = self._start[position], self._count[position]
        return self._order[start + generator.integers(0, count, shape)]


def _halves(n: int, generator: np.random.Generator) -> list[np.ndarray]:
    return np.array_split(generator.permutation(n), 2)


def _binned(z: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cuts each latent into equally wide bins, int64 `(n, d)`."""
    num_bins = max(20, int(values.max()) + 1)
    low = z.min(axis=0)
    share = (z - low) / (z.max(axis=0) - low)
    return np.minimum((share * num_bins).astype(np.int64), num_bins - 1)


def mutual_information(bins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Computes the mutual information of each pair of columns, nats, `(d, k)`."""
    n, d = bins.shape
    information = np.empty((d, values.shape[1]))
    num_bins = int(bins.max(initial=0)) + 1
    for factor, column in enumerate(values.T):
        num_values = int(column.max()) + 1
        cell = (np.arange(d) * num_bins + bins) * num_values + column[:, None]
        count = np.bincount(cell.ravel(), minlength=d * num_bins * num_values)
        joint = count.reshape(d, num_bins, num_values) / n
        product = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
        ratio = np.divide(joint, product, out=np.ones_like(joint), where=joint > 0)
        information[:, factor] = (joint * np.log(ratio)).sum(axis=(1, 2))
    return information


def _entropy(values: np.ndarray) -> np.ndarray:
    """Computes the entropy of each column in nats, `(k,)`."""
    return np.array([stats.entropy(np.bincount(column)) for column in values.T])


def _gap_of_largest_two(scores: np.ndarray) -> np.ndarray:
    """Computes the largest entry of each column less the second, 0 where none is."""
    padded = np.concatenate([np.zeros((2, scores.shape[1])), scores])
    second, first = np.sort(padded, axis=0)[-2:]
    return first - second
