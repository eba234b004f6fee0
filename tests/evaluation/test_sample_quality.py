import numpy as np
import pytest

from keras_vae.data.datasets import Split
from keras_vae.evaluation import features
from keras_vae.evaluation.sample_quality import sample_metrics
from keras_vae.models.autoencoder import Autoencoder


@pytest.fixture(scope="module")
def exact(linear_gaussian):
    """A model, and training and test data of its own distribution."""
    truth = linear_gaussian()
    return truth, Split(truth.sample(600, seed=1)), Split(truth.sample(600, seed=2))


def test_a_model_that_is_right_has_the_values_of_equal_distributions(exact):
    truth, train, test = exact
    metrics = sample_metrics(truth.model, train, test)
    assert metrics["sample_features"] == "6 principal components of the training data"
    assert metrics["sample_precision"] > 0.8 and metrics["sample_recall"] > 0.8
    assert metrics["sample_density"] == pytest.approx(1.0, abs=0.15)
    assert metrics["sample_coverage"] > 0.9
    error = metrics["sample_kernel_distance_standard_error"]
    assert abs(metrics["sample_kernel_distance"]) < 4.0 * error
    assert metrics["samples_nearer_to_training"] == pytest.approx(0.5, abs=0.08)
    assert metrics["samples_nearer_to_training_by_chance"] == 0.5


def test_data_that_the_model_never_saw_have_little_in_common_with_its_samples(exact):
    truth, train, _ = exact
    far = Split(truth.sample(600, seed=3) + 30.0)
    metrics = sample_metrics(truth.model, train, far)
    assert metrics["sample_precision"] == metrics["sample_coverage"] == 0.0
    assert metrics["samples_nearer_to_training"] == 1.0


def test_the_features_that_are_given_are_those_that_are_compared(exact):
    truth, train, test = exact
    first = features.Features("the first number", lambda x: x[:, :1])
    metrics = sample_metrics(truth.model, train, test, chosen=first)
    assert metrics["sample_features"] == "the first number"
    assert metrics["sample_recall"] > 0.95  # all intervals of one axis overlap


def test_what_cannot_be_compared_is_left_out_with_a_reason(exact):
    truth, train, test = exact
    few = sample_metrics(truth.model, train, test.take(np.arange(20)))
    assert list(few) == ["samples_left_out"]
    assert "20" in few["samples_left_out"]
    plain = Autoencoder(latent_dim=2, input_shape=(6,))
    assert list(sample_metrics(plain, train, test)) == ["samples_left_out"]
    alone = sample_metrics(truth.model, train, train)
    assert "sample_precision" in alone
    assert "samples_nearer_to_training" not in alone
