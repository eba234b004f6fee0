import json

import numpy as np
import pytest

from keras_vae.training.leave_out import LeaveOutOptions, leave_out


@pytest.fixture
def stripes(tmp_path):
    """Images of three classes: a lit row each."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 300), ("test", 90)):
        labels = rng.integers(0, 3, n)
        x = np.zeros((n, 4, 4), np.uint8)
        x[np.arange(n), labels] = 200
        arrays |= {f"x_{part}": x, f"y_{part}": labels}
    path = tmp_path / "stripes.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.slow
def test_a_class_that_was_not_trained_on_is_found(stripes, tmp_path):
    said = []
    options = LeaveOutOptions(
        dataset=str(stripes),
        binarize="dynamic",
        latent_dim=2,
        epochs=30,
        batch_size=32,
        out=str(tmp_path / "anomaly.json"),
    )
    rows = leave_out(options, said.append)
    assert [row["label"] for row in rows] == [0, 1, 2]
    assert min(row["neg_elbo_auroc"] for row in rows) > 0.9
    content = json.loads((tmp_path / "anomaly.json").read_text())
    assert content["classes"] == rows
    mean = sum(row["reconstruction_auroc"] for row in rows) / 3
    assert content["mean"]["reconstruction_auroc"] == pytest.approx(mean)
    assert content["options"]["binarize"] == "dynamic"
    assert len(said) == 6  # a head, three classes, the mean, the file


def test_data_without_a_test_part_are_refused(tmp_path):
    path = tmp_path / "one.npz"
    np.savez(path, x_train=np.zeros((4, 3, 3), np.uint8), y_train=[0, 0, 1, 1])
    with pytest.raises(ValueError, match="--dataset"):
        leave_out(LeaveOutOptions(dataset=str(path)))
