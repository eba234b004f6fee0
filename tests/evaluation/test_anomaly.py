import keras
import numpy as np
import pytest

from keras_vae import VAE
from keras_vae.data.datasets import Split
from keras_vae.evaluation.anomaly import anomaly_scores, auroc, leave_one_class_out

SHAPE = (3, 3, 1)


def vae():
    keras.utils.set_random_seed(0)
    return VAE(latent_dim=1, input_shape=SHAPE, seed=0)


def images(n, row, seed=0):
    """Noisy images with one row lit."""
    lit = np.zeros(SHAPE)
    lit[row] = 1.0
    flips = np.random.default_rng(seed).uniform(size=(n, *SHAPE)) < 0.05
    return np.abs(lit - flips).astype(np.float32)


def test_auroc_is_1_where_all_anomalies_score_higher_and_one_half_for_ties():
    is_anomaly = np.array([True, True, False, False, False])
    assert auroc(np.array([5.0, 4.0, 3.0, 2.0, 1.0]), is_anomaly) == 1.0
    assert auroc(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), is_anomaly) == 0.0
    assert auroc(np.zeros(5), is_anomaly) == 0.5


def test_scores_are_the_elbo_and_its_first_part():
    model, x = vae(), images(10, 0)
    scores = anomaly_scores(model, x, num_samples=4)
    assert scores["neg_elbo"] == pytest.approx(-model.elbo(x, 4), rel=1e-5)
    kl = scores["neg_elbo"] + scores["log_reconstruction_probability"]
    _, z_log_var = model.posterior(x)
    z_mean = model.encode(x)
    expected = 0.5 * (z_mean**2 + np.exp(z_log_var) - 1.0 - z_log_var).sum(axis=1)
    assert kl == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_examples_unlike_those_trained_on_score_higher():
    x = images(300, 0)
    model = vae()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.fit(x, epochs=10, verbose=0)
    both = np.concatenate([images(50, 0, seed=1), images(50, 2, seed=2)])
    scores = anomaly_scores(model, both)
    strange = np.arange(100) >= 50
    assert auroc(scores["neg_elbo"], strange) > 0.99
    assert auroc(-scores["log_reconstruction_probability"], strange) > 0.99


def test_each_class_in_turn_is_kept_from_training():
    labels = np.repeat([0, 1, 2, -1], 6).astype(np.int32)
    x = np.concatenate([images(6, max(0, row)) for row in (0, 1, 2, 2)])
    seen = []

    def fit(given):
        seen.append(given)
        return vae()

    reported = []
    rows = leave_one_class_out(Split(x, labels), Split(x, labels), fit, reported.append)
    assert [row["label"] for row in rows] == [0, 1, 2]
    assert [row["anomalies"] for row in rows] == [6, 6, 6]
    assert reported == rows
    for label, given in enumerate(seen):
        assert np.array_equal(given, x[labels != label])


def test_labels_are_needed():
    x = images(4, 0)
    with pytest.raises(ValueError, match="`test`"):
        leave_one_class_out(Split(x), Split(x), lambda x: None)
    same = Split(x, np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="`test`"):
        leave_one_class_out(same, same, lambda x: None)
