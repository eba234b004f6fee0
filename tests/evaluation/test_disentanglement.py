"""Metrics of disentanglement against representations with a known answer."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from keras_vae.evaluation import disentanglement as metrics

Metric = Callable[..., dict[str, float]]

SIZES = (3, 6, 10, 32, 32)
KEYS = {
    "beta_vae_score",
    "factor_vae_score",
    "mig",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "modularity",
}
ALONE = (
    metrics.beta_vae,
    metrics.factor_vae,
    metrics.mig,
    metrics.dci,
    metrics.sap,
    metrics.modularity,
)


def draw_factors(n: int = 4000, sizes: tuple[int, ...] = SIZES) -> np.ndarray:
    generator = np.random.default_rng(7)
    return np.stack([generator.integers(0, size, n) for size in sizes], axis=1)


def permuted_and_scaled(factors: np.ndarray) -> np.ndarray:
    return factors[:, [3, 0, 4, 1, 2]] * [1e-3, -2.0, 5.0, 100.0, 0.1] + 3.0


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rotated(factors: np.ndarray) -> np.ndarray:
    """Every latent is a mixture of all factors."""
    standardized = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    rotation, _ = np.linalg.qr(noise(factors.shape[1], factors.shape[1]))
    return standardized @ rotation


def assert_at_chance(scores: dict[str, float], factors: np.ndarray) -> None:
    chance = metrics.chance_scores(factors)
    assert scores.keys() == chance.keys() == KEYS
    for key, value in scores.items():
        assert 0 <= value <= chance[key] + 0.05, key


@pytest.mark.slow
def test_the_ideal_representation_scores_high_on_each() -> None:
    factors = draw_factors()
    scores = metrics.all_scores(permuted_and_scaled(factors), factors, 0)
    assert scores.keys() == KEYS
    for key, value in scores.items():
        assert 0.95 <= value <= 1, key


@pytest.mark.parametrize("latent_dim", [0, 1, 10])
def test_a_constant_representation_is_exactly_at_chance(latent_dim: int) -> None:
    factors = draw_factors(1000)
    latents = np.full((1000, latent_dim), 0.3, np.float32)
    scores = metrics.all_scores(latents, factors, 0)
    assert scores == metrics.chance_scores(factors)


@pytest.mark.parametrize("latent_dim", [1, 2, pytest.param(10, marks=pytest.mark.slow)])
def test_an_independent_representation_is_near_chance(latent_dim: int) -> None:
    factors = draw_factors(3000)
    latents = noise(len(factors), latent_dim)
    assert_at_chance(metrics.all_scores(latents, factors, 0), factors)


def test_chance_is_what_the_factors_say() -> None:
    factors = np.array([[0, 0], [0, 1], [0, 2], [1, 3]])
    chance = metrics.chance_scores(factors)
    assert chance["beta_vae_score"] == chance["factor_vae_score"] == 0.5
    assert chance["dci_informativeness"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert chance["mig"] == chance["sap"] == chance["modularity"] == 0


@pytest.mark.slow
def test_mixing_the_factors_lowers_what_measures_separation() -> None:
    factors = draw_factors()
    mixed = metrics.all_scores(rotated(factors), factors, 0)
    for key in ("mig", "dci_disentanglement", "dci_completeness", "sap"):
        assert mixed[key] < 0.5, key
    assert mixed["modularity"] < 0.97
    # It still holds all that is to be known, and chance is 0.14.
    assert mixed["dci_informativeness"] > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("metric", ALONE)
def test_constant_latents_change_nothing(metric: Metric) -> None:
    factors = draw_factors(1500)
    latents = rotated(factors)
    constant = np.full((len(factors), 3), 0.1)
    # As float32 rounds it.
    constant[:, 0] = 1e4 + 1e-3 * (np.arange(len(factors)) % 2)
    padded = np.concatenate([constant, latents], axis=1)
    assert metric(padded, factors, 0) == metric(latents, factors, 0)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ALONE)
def test_scale_and_shift_of_latents_change_nothing(metric: Metric) -> None:
    factors = draw_factors(1500)
    latents = rotated(factors)
    moved = latents * [2.0**-30, 4.0, -1.0, 2.0**20, 1.0] + [0, 0, 0, 0, 8.0]
    expected = metric(latents, factors, 0)
    for key, value in metric(moved, factors, 0).items():
        assert value == pytest.approx(expected[key], abs=0.02), key


@pytest.mark.slow
@pytest.mark.parametrize("metric", ALONE)
def test_the_same_seed_gives_the_same_score_alone_and_together(metric: Metric) -> None:
    factors = draw_factors(1000, (3, 4, 5))
    latents = factors + noise(*factors.shape)
    together = metrics.all_scores(latents, factors, 11)
    for key, value in metric(latents, factors, 11).items():
        assert value == together[key]
        assert np.isfinite(value)


@pytest.mark.slow
def test_seeds_draw_different_pairs() -> None:
    factors = draw_factors(1000, (3, 4, 5))
    latents = factors + 2 * noise(*factors.shape)
    for metric in (metrics.beta_vae, metrics.factor_vae, metrics.dci):
        assert metric(latents, factors, 0) != metric(latents, factors, 1)


@pytest.mark.parametrize("metric", ALONE)
def test_factors_that_do_not_vary_are_left_out(metric: Metric) -> None:
    factors = draw_factors(1000, (3, 4, 5))
    latents = factors + noise(*factors.shape)
    padded = np.insert(factors, 1, 9, axis=1)
    assert metric(latents, padded, 0) == metric(latents, factors, 0)


@pytest.mark.parametrize("metric", ALONE)
def test_values_of_factors_need_not_start_at_zero(metric: Metric) -> None:
    factors = draw_factors(1000, (3, 4, 5))
    latents = factors + noise(*factors.shape)
    assert metric(latents, 10 * factors - 7, 0) == pytest.approx(
        metric(latents, factors, 0)
    )


def test_beta_vae_and_factor_vae_see_one_factor_that_is_missing() -> None:
    factors = draw_factors(4000, (4, 5, 6))
    without_one = np.concatenate([factors[:, :2], noise(4000, 3)], axis=1)
    # Where a known factor is fixed its latent is steady. The third is fixed where none
    # is: a linear classifier sees that; of the votes, those for the noise see it.
    assert metrics.beta_vae(without_one, factors)["beta_vae_score"] > 0.99
    assert 0.85 < metrics.factor_vae(without_one, factors)["factor_vae_score"] < 0.99
    only_one = np.concatenate([factors[:, :1], noise(4000, 3)], axis=1)
    # What is left is a guess between two: (1 + 1/2 + 1/2) / 3. Of the votes, the known
    # latent takes some when it is not its turn.
    assert metrics.beta_vae(only_one, factors)["beta_vae_score"] == pytest.approx(
        2 / 3, abs=0.04
    )
    assert 0.5 < metrics.factor_vae(only_one, factors)["factor_vae_score"] < 0.7


@pytest.mark.slow
def test_scores_from_few_rows_do_not_know_the_rows() -> None:
    # 150 rows: pairs and groups of one factor come from the same few rows again and
    # again, and a classifier tested on those rows would recognise them.
    factors = draw_factors(150, (2, 3, 15))
    chance = 1 / 3
    scores = [
        [*metrics.beta_vae(latents, factors, 0).values()]
        + [*metrics.factor_vae(latents, factors, 0).values()]
        for latents in (noise(150, 6, seed=seed) for seed in range(12))
    ]
    np.testing.assert_allclose(np.mean(scores, axis=0), chance, atol=0.05)


def test_mig_of_known_codes() -> None:
    a, b = np.divmod(np.arange(64 * 50) % 64, 8)
    factors = np.stack([a, b], axis=1)
    assert metrics.mig(factors, factors)["mig"] == pytest.approx(1)
    # A second copy leaves no gap for its factor.
    copied = np.stack([a, b, -b], axis=1)
    assert metrics.mig(copied, factors)["mig"] == pytest.approx(0.5)
    # Half of b's three bits, with nothing beside it: (1 + 1/3) / 2.
    coarse = np.stack([a, b // 4], axis=1)
    assert metrics.mig(coarse, factors)["mig"] == pytest.approx((1 + 1 / 3) / 2)


def test_mig_has_a_bin_for_each_value_of_the_largest_factor() -> None:
    a, b = np.divmod(np.arange(100 * 40) % (100 * 4), 4)
    factors = np.stack([a, b], axis=1)
    assert metrics.mig(factors, factors)["mig"] == pytest.approx(1)


def test_mutual_information_agrees_with_scikit_learn() -> None:
    factors = draw_factors(2000, (3, 7))
    bins = np.random.default_rng(2).integers(0, 9, (2000, 4)) + factors[:, :1]
    ours = metrics.mutual_information(bins, factors)
    theirs = [[mutual_info_score(z, v) for v in factors.T] for z in bins.T]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.slow
def test_dci_of_known_codes() -> None:
    factors = draw_factors(3000, (4, 4))
    a, b = factors.T
    # One latent that holds both factors, and one without use.
    both = np.stack([4 * a + b, noise(3000)], axis=1)
    scores = metrics.dci(both, factors)
    assert scores["dci_informativeness"] > 0.99
    assert scores["dci_completeness"] > 0.95
    assert scores["dci_disentanglement"] < 0.05
    # Two latents for each factor: disentangled, half complete (1 - log 2 / log 4).
    twice = np.stack([a, -a, b, -b], axis=1) + 0.01 * noise(3000, 4)
    scores = metrics.dci(twice, factors)
    assert scores["dci_disentanglement"] > 0.95
    assert scores["dci_completeness"] == pytest.approx(0.5, abs=0.1)


def test_dci_of_factors_that_are_not_encoded_falls() -> None:
    factors = draw_factors(2000, (4, 5, 4, 5))
    half = np.concatenate([factors[:, :2], noise(2000, 2)], axis=1)
    scores = metrics.dci(half, factors)
    # Rows of R: (1, 0, 1/4, 1/4) twice and (0, 0, 1/4, 1/4) twice.
    entropy = -(2 / 3) * np.log(2 / 3) + (1 / 3) * np.log(6)
    encoded, empty = 1 - entropy / np.log(4), 1 / 2
    expected = 0.75 * encoded + 0.25 * empty
    assert scores["dci_disentanglement"] == pytest.approx(expected, abs=0.02)
    assert scores["dci_completeness"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_dci_stays_high_where_a_little_noise_is_added() -> None:
    factors = draw_factors(3000)
    standardized = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    noisy = standardized + 0.1 * noise(*factors.shape)
    scores = metrics.dci(noisy, factors)
    # Forests of full depth have 0.3.
    assert scores["dci_disentanglement"] > 0.85
    assert scores["dci_completeness"] > 0.85


def test_boosted_trees_are_the_published_implementation_s_form() -> None:
    factors = draw_factors(600, (2, 3))
    latents = factors + 0.1 * noise(600, 2)
    scores = metrics.dci(latents, factors, predictor="boosted_trees")
    assert 0.8 < scores["dci_disentanglement"] <= 1
    # Its importances are taken as they are, even those of noise.
    unknown = metrics.dci(noise(600, 2), factors, predictor="boosted_trees")
    assert unknown["dci_disentanglement"] > 0
    with pytest.raises(ValueError, match="predictor"):
        metrics.dci(latents, factors, predictor="lasso")


KNOWN = {
    # What is encoded, and by key the least and the most that it may score.
    "clean": {key: (0.95, 1.0) for key in KEYS},
    "noisy": {
        "beta_vae_score": (0.95, 1.0),
        "factor_vae_score": (0.95, 1.0),
        "mig": (0.55, 0.95),
        "dci_disentanglement": (0.85, 1.0),
        "dci_completeness": (0.85, 1.0),
        "sap": (0.9, 1.0),
        "modularity": (0.95, 1.0),
    },
    "rotated": {
        "mig": (0.0, 0.35),
        "dci_disentanglement": (0.0, 0.5),
        "dci_completeness": (0.0, 0.5),
        "sap": (0.0, 0.65),
    },
    "duplicated": {
        "mig": (0.0, 0.02),
        "dci_disentanglement": (0.95, 1.0),
        "dci_completeness": (0.4, 0.8),
        "sap": (0.0, 0.02),
        "modularity": (0.95, 1.0),
    },
    "half encoded": {
        "beta_vae_score": (0.5, 0.95),
        "mig": (0.35, 0.55),
        "dci_disentanglement": (0.2, 0.55),
        "dci_completeness": (0.35, 0.55),
        "sap": (0.35, 0.55),
    },
    "dead dimensions": {key: (0.95, 1.0) for key in KEYS},
}


def known_representation(name: str, factors: np.ndarray) -> np.ndarray:
    standardized = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    n, k = factors.shape
    match name:
        case "noisy":
            return standardized + 0.1 * noise(n, k)
        case "rotated":
            return rotated(factors)
        case "duplicated":
            return np.concatenate([standardized, -standardized], axis=1)
        case "half encoded":
            return np.concatenate([standardized[:, : k // 2], noise(n, 2)], axis=1)
        case "dead dimensions":
            return np.concatenate([standardized, np.full((n, 3), 0.5)], axis=1)
        case _:
            return standardized


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_scores_of_known_representations(name: str) -> None:
    factors = draw_factors(3000, (4, 6, 8, 16))
    scores = metrics.all_scores(known_representation(name, factors), factors, 0)
    for key, (least, most) in KNOWN[name].items():
        assert least <= scores[key] <= most + 1e-9, (key, scores[key])


def test_sap_is_the_gap_of_squared_correlations() -> None:
    factors = draw_factors(3000, (4, 6))
    latents = factors @ np.array([[1.0, 0.5, 0.0], [0.2, 1.0, 0.3]]) + noise(3000, 3)
    squared = np.corrcoef(latents.T, factors.T)[:3, 3:] ** 2
    largest = np.sort(squared, axis=0)
    expected = np.mean(largest[-1] - largest[-2])
    assert metrics.sap(latents, factors)["sap"] == pytest.approx(expected)
    only = np.mean(squared[0])
    assert metrics.sap(latents[:, :1], factors)["sap"] == pytest.approx(only)


def test_modularity_of_known_codes() -> None:
    a, b, c = np.unravel_index(np.arange(64 * 100) % 64, (4, 4, 4))
    factors = np.stack([a, b, c], axis=1)
    alone = metrics.modularity(factors, factors)["modularity"]
    assert alone == pytest.approx(1)
    # Knows a and b equally well and nothing of c: 1 - 1 / (3 - 1).
    pair = (4 * a + b)[:, None]
    assert metrics.modularity(pair, factors)["modularity"] == pytest.approx(0.5)
    mean_of_both = np.concatenate([pair, factors], axis=1)
    scores = metrics.modularity(mean_of_both, factors)
    assert scores["modularity"] == pytest.approx((0.5 + 3) / 4)


def test_modularity_leaves_out_latents_that_know_nothing() -> None:
    factors = draw_factors()
    half_noise = np.concatenate([factors, noise(len(factors), 5)], axis=1)
    assert metrics.modularity(half_noise, factors)["modularity"] > 0.99


def test_modularity_of_noise_is_zero_time_and_again() -> None:
    factors = draw_factors(600, (2, 3, 32))
    for seed in range(30):
        latents = noise(600, 6, seed=seed)
        assert metrics.modularity(latents, factors, seed) == {"modularity": 0.0}


@pytest.mark.parametrize("metric", ALONE)
def test_arrays_that_do_not_fit_are_refused(metric: Metric) -> None:
    factors = draw_factors(100, (3, 4))
    latents = noise(100, 2)
    with pytest.raises(ValueError, match="`latents`"):
        metric(latents[1:], factors, 0)
    with pytest.raises(ValueError, match="`factors`"):
        metric(latents, factors.astype(float), 0)
    with pytest.raises(ValueError, match="`factors`"):
        metric(latents, factors * [0, 1], 0)
    latents[3, 1] = np.nan
    with pytest.raises(ValueError, match="`latents`"):
        metric(latents, factors, 0)


@pytest.mark.parametrize("metric", [metrics.beta_vae, metrics.factor_vae])
def test_factors_whose_values_no_rows_share_are_refused(metric: Metric) -> None:
    factors = np.stack([np.arange(100) % 4, np.arange(100)], axis=1)
    with pytest.raises(ValueError, match="`factors`"):
        metric(noise(100, 3), factors, 0)
