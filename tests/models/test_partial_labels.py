import numpy as np
import pytest
import tensorflow as tf

from keras_vae.models.partial_labels import (
    NO_LABEL,
    PartialLabel,
    label_classifier,
    rows_for_labels,
)


def test_rows_for_labels_show_all_once_and_labelled_ones_again():
    y = np.array([0, -1, -1, 1, *[-1] * 16])
    rows = rows_for_labels(y, 0.5)
    counts = np.bincount(rows, minlength=20)
    assert (counts[y < 0] == 1).all()
    assert counts[0] == counts[3] == 9
    assert (y[rows] >= 0).mean() == 0.5
    assert rows_for_labels(y, 0.0) is None
    assert rows_for_labels(np.zeros(5), 0.5) is None
    assert rows_for_labels(np.full(5, -1), 0.5) is None


def test_only_the_y_of_examples_may_lack_a_label():
    labels, y = PartialLabel(3), np.array([0, NO_LABEL, 2])
    np.testing.assert_array_equal(labels.check("y", y, 3), y)
    with pytest.raises(ValueError, match="from 0 to 2, of shape.*the label -1"):
        labels.check("condition", y, 3)
    with pytest.raises(ValueError, match="or -1 for none.*the label -2"):
        labels.check("y", np.array([-2, 0, 1]), 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="from 0 to 2"):
        labels.code(tf.constant(y))


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (5,)), ("conv", (9, 8, 3)), ("conv1d", (12, 2))]
)
def test_a_classifier_has_a_logit_for_each_label(name, shape):
    classifier = label_classifier(name, shape, 4)
    assert classifier(np.zeros((2, *shape), np.float32)).shape == (2, 4)
    assert any("dropout" in layer.name for layer in classifier.layers)
    plain = label_classifier(name, shape, 4, dropout=0.0)
    assert not any("dropout" in layer.name for layer in plain.layers)
