import json

import keras
import numpy as np
import pytest

from keras_vae import M2, VAE, HierarchicalVAE, networks
from keras_vae.data.datasets import Split, load
from keras_vae.evaluation import summary
from keras_vae.evaluation.features import principal_components
from keras_vae.evaluation.latents import probe_accuracies
from keras_vae.evaluation.likelihood import importance_weighted_nll
from keras_vae.evaluation.samplers import fit_aggregate
from keras_vae.evaluation.summary import Examples
from keras_vae.models.autoencoder import Autoencoder

SHAPE = (8, 8, 1)


def make(kind=VAE, **options):
    keras.utils.set_random_seed(0)
    model = kind(
        latent_dim=3,
        input_shape=SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 3, hidden_units=(8,)),
        decoder=networks.mlp_decoder(3, SHAPE, hidden_units=(8,)),
        seed=0,
        **options,
    )
    model.compile()
    model.ensure_built()
    return model


@pytest.fixture(scope="module")
def parts():
    data = load("digits")
    train, test = data.train.take(np.arange(400)), data.test.take(np.arange(90))
    return Examples(train), Examples(test)


@pytest.fixture(scope="module")
def features(parts):
    return principal_components(parts[0].split.x[:])


@pytest.fixture(scope="module")
def metrics(parts, features):
    model = make()
    fit_aggregate(model, parts[0].split.x)
    return summary.evaluate(model, *parts, num_importance_samples=20, features=features)


def test_the_figures_are_those_of_evaluate_and_of_the_estimate(parts, metrics):
    model = make()
    x = parts[1].split.x
    expected = model.evaluate(x, verbose=0, return_dict=True)
    assert metrics["kl_loss"] == pytest.approx(expected["kl_loss"], rel=1e-5)
    assert metrics["neg_elbo"] == pytest.approx(expected["loss"], rel=1e-5)
    nll = importance_weighted_nll(model, x, 20)
    assert metrics["importance_weighted_nll"] == pytest.approx(nll.nll, rel=1e-6)
    error = metrics["importance_weighted_nll_standard_error"]
    assert error == pytest.approx(nll.standard_error, rel=1e-3)
    assert metrics["num_importance_samples"] == 20
    assert metrics["num_examples"] == 90
    assert sum(metrics["kl_per_dimension"]) == pytest.approx(metrics["kl_loss"])
    assert metrics["prior_aggregate_kl"] > 0
    assert 0 <= metrics["prior_far"] <= 1
    # Grey values under Bernoulli are no outcomes of it.
    assert not any("bits_per_dimension" in name for name in metrics)


@pytest.mark.slow
def test_the_kl_of_a_hierarchy_is_that_of_its_groups_and_resolutions(parts, features):
    model = HierarchicalVAE(2, SHAPE, groups=(1, 2), width=4, seed=0)
    model.ensure_built()
    for weight in model.trainable_variables:  # at first each posterior is its prior
        weight.assign_add(0.1 * np.ones(weight.shape))
    fit_aggregate(model, parts[0].split.x)
    options = {"num_importance_samples": 2, "features": features}
    metrics = summary.evaluate(model, *parts, **options)
    by_group = metrics["kl_per_group"]
    assert sum(by_group.values()) == pytest.approx(metrics["kl_loss"], rel=1e-4)
    maps = by_group["4x4/1"] + by_group["4x4/2"]
    expected = {"top": by_group["top"], "4x4": maps}
    assert metrics["kl_per_resolution"] == pytest.approx(expected)
    tops = ((model.encode(part.split.x)[:, :2], part.split.y) for part in parts)
    by_hand = probe_accuracies(*(each for pair in tops for each in pair))
    assert metrics["knn_accuracy"] == pytest.approx(by_hand["knn_accuracy"])
    assert f"{maps:.2f} nats" in summary.table(metrics)


@pytest.mark.slow
@pytest.mark.parametrize(
    "likelihood", ["discretized_logistic", "discretized_logistic_mixture"]
)
def test_bits_per_dimension_are_those_of_the_bound_and_of_the_nll(parts, likelihood):
    model = VAE(latent_dim=2, input_shape=(8, 8, 1), likelihood=likelihood, seed=0)
    few = [Examples(part.split.take(np.arange(40))) for part in parts]
    metrics = summary.evaluate(model, *few, num_importance_samples=4)
    nats_per_bit = 64 * np.log(2.0)
    for name, bits in (
        ("neg_elbo", "neg_elbo_bits_per_dimension"),
        ("importance_weighted_nll", "bits_per_dimension"),
    ):
        assert metrics[bits] == pytest.approx(metrics[name] / nats_per_bit, rel=1e-6)
    assert "-ELBO in bits per dimension" in summary.table(metrics)


def test_figures_by_class_average_to_those_of_all(metrics):
    rows = metrics["by_class"].values()
    assert len(rows) == 10
    assert sum(row["count"] for row in rows) == 90
    for name in ("neg_elbo", "importance_weighted_nll", "knn_accuracy"):
        mean = sum(row["count"] * row[name] for row in rows) / 90
        assert mean == pytest.approx(metrics[name], rel=1e-5)


def test_what_is_compared_with_is_there(metrics):
    for name in (
        "pca_squared_error",
        "prior_latent_nll",
        "aggregate_latent_nll",
        "prior_mmd",
        "aggregate_mmd",
        "sample_precision",
        "sample_recall",
        "sample_density",
        "sample_coverage",
        "sample_kernel_distance",
        "sample_kernel_distance_standard_error",
        "samples_nearer_to_training",
        "knn_accuracy",
        "linear_probe_accuracy",
    ):
        assert np.isfinite(metrics[name])


def test_all_of_it_is_json_and_in_the_table(metrics):
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    text = summary.table(metrics)
    for name in ("neg_elbo", "importance_weighted_nll", "prior_latent_nll"):
        assert f"{metrics[name]:,.2f}" in text
    compared = [words for words, shown, _ in summary.rows(metrics) if not shown]
    assert compared == ["samples compared in"]
    assert metrics["sample_features"] in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.slow
def test_inactive_dimensions_are_removed_where_there_are_some(parts, features):
    model = make()
    dense = [part for part in model.encoder.layers if part.get_weights()][-1]
    kernel, bias = dense.get_weights()
    kernel[:, 0] = 0.0  # the first mean says nothing of x
    dense.set_weights([kernel, bias])
    metrics = summary.evaluate(
        model, *parts, num_importance_samples=4, features=features
    )
    assert metrics["active_units"] == 2
    assert "importance_weighted_nll_without_inactive" in metrics


def test_an_autoencoder_has_a_reconstruction_and_no_likelihood(parts):
    metrics = summary.evaluate(make(Autoencoder), *parts, num_importance_samples=4)
    assert metrics["reconstruction_loss"] > 0
    assert not {"neg_elbo", "kl_loss", "importance_weighted_nll"} & metrics.keys()
    assert "reconstruction" in summary.table(metrics)


@pytest.mark.slow
def test_data_without_labels_have_no_figures_by_class(parts):
    train, test = (Examples(Split(part.split.x)) for part in parts)
    metrics = summary.evaluate(make(), train, test, num_importance_samples=4)
    assert not {"by_class", "knn_accuracy"} & metrics.keys()


def test_one_part_is_split_for_the_probes(parts, features):
    test = parts[1]
    metrics = summary.evaluate(make(), test, test, 4, features=features)
    assert metrics["num_examples"] == 90
    assert metrics["knn_accuracy"] < 1.0  # its nearest neighbour is not itself


@pytest.mark.slow
def test_probes_learn_of_latents_made_as_those_they_are_asked_about(parts, features):
    train, test = (Examples(part.split, part.split.y) for part in parts)
    keras.utils.set_random_seed(0)
    model = M2(3, SHAPE, num_classes=10, seed=0)
    model.compile()
    metrics = summary.evaluate(model, train, test, 4, features=features)
    # Untrained, it infers hardly a label right.
    pairs = ((model.encode(part.split.x), part.split.y) for part in (train, test))
    by_hand = probe_accuracies(*(each for pair in pairs for each in pair))
    assert metrics["knn_accuracy"] == pytest.approx(by_hand["knn_accuracy"])


@pytest.mark.slow
def test_progress_tells_what_is_done_and_ends_each_part(parts, features):
    told = []
    summary.evaluate(make(), *parts, 4, lambda *state: told.append(state), features)
    names = list(dict.fromkeys(what for what, _, _ in told))
    assert names[:2] == ["-ELBO", "importance-weighted NLL"]
    for name in names:
        done, of = [state[1:] for state in told if state[0] == name][-1]
        assert done == of


@pytest.mark.slow
def test_known_factors_are_scored_beside_chance():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (1200, 2))
    x = np.zeros((1200, *SHAPE), np.float32)
    x[np.arange(1200), 2 * factors[:, 0], 2 * factors[:, 1]] = 1.0
    part = Examples(Split(x, factors=factors))
    metrics = summary.evaluate(make(), part, part, num_importance_samples=2)
    assert metrics["disentanglement"].keys() == metrics["disentanglement_chance"].keys()
    assert metrics["disentanglement_chance"]["factor_vae_score"] == 0.5
    assert "mig" in summary.table(metrics)


def test_samples_where_no_example_lies_are_warned_of():
    assert "Warning" in summary.table({"prior_far": 0.9})
    assert "Warning" not in summary.table({"prior_far": 0.1})
    small_ball = {"prior_far": 0.9, "kl_per_dimension": [9.0, 9.0]}
    for apart in (30.0, 1.0):
        lines = summary.table({**small_ball, "prior_aggregate_kl": apart})
        assert ("--rescale_latents" in lines) == (apart == 30.0)
