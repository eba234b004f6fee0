import numpy as np
import pytest
import tensorflow as tf

from keras_vae.models.partial_labels import (
    NO_LABEL,
    PartialLabel,
    label_classifier,
    label_inference,
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


def inferred(q, labels, **options):
    """Of q(y|x), (views, batch, 3)."""
    log_q, label = tf.math.log(tf.constant(q, tf.float32)), tf.constant(labels)
    return label_inference(log_q, label, tf.one_hot(label, 3), **options)


def test_a_known_label_is_taken_as_it_is_and_costs_what_its_views_say():
    q = [[[0.5, 0.4, 0.1]], [[0.2, 0.7, 0.1]], [[0.6, 0.1, 0.3]]]
    labels = inferred(q, [0])
    assert labels.q.numpy().tolist() == [[1, 0, 0]]
    assert labels.kl.numpy() == pytest.approx(np.log(3))
    # Where there are other views, x itself only says what they should show.
    assert labels.cost.numpy() == pytest.approx(-np.log(0.2 * 0.6) / 2)
    assert labels.disagreement.numpy() == 0
    assert inferred(q[:1], [0]).cost.numpy() == pytest.approx(-np.log(0.5))


def test_an_unknown_label_has_the_mean_of_the_views_and_its_distance_from_uniform():
    views = np.array([[[0.5, 0.4, 0.1]], [[0.1, 0.8, 0.1]]])
    labels, mean = inferred(views, [NO_LABEL]), views.mean(0)
    np.testing.assert_allclose(labels.q, mean, rtol=1e-6)
    assert labels.kl.numpy() == pytest.approx((mean * np.log(3 * mean)).sum())
    assert labels.cost.numpy() == labels.right.numpy() == 0


def test_only_a_label_that_is_shown_clearly_and_not_known_asks_views_to_agree():
    views = [[[0.95, 0.03, 0.02]] * 2 + [[0.85, 0.1, 0.05]], [[0.5, 0.2, 0.3]] * 3]
    labels = inferred(views, [NO_LABEL, 0, NO_LABEL])
    np.testing.assert_allclose(labels.disagreement, [np.log(2), 0, 0], rtol=1e-6)
    assert inferred(views[:1], [NO_LABEL, 0, NO_LABEL]).disagreement.numpy().max() == 0
    for confidence, asked in ((0.96, 0), (0.8, 2), (0.0, 2)):
        found = inferred(views, [NO_LABEL, 0, NO_LABEL], confidence=confidence)
        assert np.count_nonzero(found.disagreement) == asked


def test_a_label_is_right_where_x_itself_shows_it_most():
    views = [[[0.5, 0.4, 0.1]] * 3, [[0.0, 1.0, 0.0]] * 3]
    np.testing.assert_array_equal(inferred(views, [0, 1, NO_LABEL]).right, [1, 0, 0])


@pytest.mark.parametrize("joint", [True, False])
def test_the_bound_moves_the_classifier_only_where_both_are_trained_jointly(joint):
    logits = tf.Variable([[[1.0, 0.5, 0.0]]])
    with tf.GradientTape() as tape:
        label = tf.constant([NO_LABEL])
        log_q = tf.nn.log_softmax(logits)
        kl = label_inference(log_q, label, tf.one_hot(label, 3), joint).kl
    slope = tape.gradient(kl, logits)
    assert (slope is not None and np.abs(slope).max() > 0.1) == joint
