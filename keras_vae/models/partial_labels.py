"""Labels that few examples have, and what infers the others."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.models.conditions import Label
from keras_vae.naming import lookup
from keras_vae.networks.blocks import default_filters

NO_LABEL = -1
"""What stands for a label that is not known."""

LABELLED_SHARE = 0.25
"""Fraction of the examples of an epoch that have a label, by default."""


class PartialLabel(Label):
    """A class where it is known: y may hold `NO_LABEL` for some examples."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self._labels = self.expected
        self._or_none = f"{self.expected}, or -1 for none"

    def check(self, argument: str, values: Any, n: int) -> np.ndarray:
        """See `Condition.check`; only of `y` may some be unknown."""
        self.expected = self._or_none if argument == "y" else self._labels
        rows = np.asarray(values)
        unknown = np.reshape(rows == NO_LABEL, [-1]) & (argument == "y")
        if not unknown.any():
            return super().check(argument, rows, n)
        known = np.where(rows == NO_LABEL, 0, rows)
        checked = super().check(argument, known, n)
        return np.where(unknown, NO_LABEL, checked).astype(np.int32)

    def fits(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Condition.fits`."""
        return self._from(rows, least=NO_LABEL)


def label_classifier(
    name: str, shape: tuple[int, ...], num_classes: int, **options: Any
) -> keras.Model:
    """Returns a network from examples to logits of labels.

    Args:
        name: In `networks.ENCODERS`, whose hidden layers it has.
        shape: Of what it is given, one example.
        num_classes: Number of labels.
        **options: Of the network. By default dropout is 0.2, and "conv" has half of its
            filters and dense units.
    """
    options = {"dropout": 0.2, "activation": "relu", "name": "classifier", **options}
    if name == "conv" and "filters" not in options:
        filters = tuple(count // 2 for count in default_filters(shape[:2]))
        options = {"filters": filters, "hidden_units": (128,), **options}
    body = lookup("classifier", name, networks.ENCODERS)(shape, 1, **options)
    last = body.get_layer(f"{body.name}_head").input
    logits = keras.layers.Dense(num_classes, name="logits")(last)
    return keras.Model(body.input, logits, name=body.name)


class LabelInference(NamedTuple):
    """What is inferred of the labels of a batch."""

    q: Any
    """q(y|x), and all of it on the label where that is known; (batch, num_classes)."""
    kl: Any
    """KL(q(y|x) || p(y)) in nats, -log p(y) where the label is known; (batch,)."""
    cost: Any
    """-log q(y|x) of a known label in nats, the mean over the views of x if there are
    any beside x itself; 0 where the label is not known; (batch,)."""
    disagreement: Any
    """The same for the label that x itself shows clearly where none is known; 0 where
    it shows none, and without other views; (batch,)."""
    label: Any
    """(batch,), `NO_LABEL` where it is not known."""
    right: Any
    """1 where a known label is the most probable one, else 0; (batch,)."""


class LabelledLatent(NamedTuple):
    """What is known of y and z together, in the place of M2's `Latent`."""

    kl: Any
    """KL(q(y, z|x) || p(y, z)), in nats, (batch,)."""
    labels: LabelInference
    """Of y alone."""


def over_labels(
    log_weight: tf.Tensor, label: tf.Tensor, one_hot: tf.Tensor
) -> tf.Tensor:
    """Adds up p(y) times weights, as logs: (k, batch * num_classes) to (k, batch).

    Args:
        log_weight: Of each example under each label.
        label: (batch,), `NO_LABEL` where it is not known: then all are added up.
        one_hot: Its code, (batch, num_classes), all 0 where it is not known.
    """
    known, classes = tf.cast(one_hot, tf.float64), one_hot.shape[-1]
    unknown = (label == NO_LABEL)[:, tf.newaxis]
    log_p = tf.where(unknown, tf.zeros_like(known), tf.math.log(known))
    each = tf.reshape(log_weight, [-1, tf.shape(label)[0], classes])
    return tf.reduce_logsumexp(each + log_p - math.log(classes), axis=-1)


def label_inference(
    log_q: tf.Tensor,
    label: tf.Tensor,
    one_hot: tf.Tensor,
    joint: bool = True,
    confidence: float = 0.9,
) -> LabelInference:
    """Returns what several views of the examples say of their labels.

    Args:
        log_q: log q(y|x) as each view gives it, (views, batch, num_classes); the first
            is that of x itself.
        label: (batch,), `NO_LABEL` where it is not known.
        one_hot: Its code, (batch, num_classes), all 0 where it is not known.
        joint: Whether the bound trains the classifier; else it takes q(y|x) as it is.
        confidence: Probability from which x itself shows a label clearly.
    """
    least = math.log(confidence) if confidence else -math.inf
    views, num_classes = log_q.shape[0], one_hot.shape[-1]
    turned = log_q[1:] if views > 1 else log_q
    one_hot = tf.cast(one_hot, log_q.dtype)
    known = label != NO_LABEL
    mean = tf.reduce_logsumexp(log_q, axis=0) - math.log(views)
    of_x = tf.stop_gradient(log_q[0])
    best = tf.argmax(of_x, axis=-1, output_type=tf.int32)
    clear = (views > 1) & ~known & (tf.reduce_max(of_x, axis=-1) > least)
    target = tf.one_hot(tf.where(clear, best, NO_LABEL), num_classes, dtype=log_q.dtype)
    if not joint:
        mean = tf.stop_gradient(mean)
    neg_entropy = tf.reduce_sum(tf.exp(mean) * mean, axis=-1)
    of_labels = tf.where(known, tf.zeros_like(neg_entropy), neg_entropy)
    return LabelInference(
        q=tf.where(known[:, tf.newaxis], one_hot, tf.exp(mean)),
        kl=of_labels + math.log(num_classes),
        cost=_cross_entropy(one_hot, turned),
        disagreement=_cross_entropy(target, turned),
        label=label,
        right=tf.cast(best == label, tf.float32),
    )


def _cross_entropy(target: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """The mean over views, (batch,); 0 for targets that are all 0."""
    return -tf.reduce_mean(tf.reduce_sum(target * log_q, axis=-1), axis=0)


def rows_for_labels(y: Any, labelled_share: float) -> np.ndarray | None:
    """Returns the examples of an epoch: all once, those with a label again and again.

    Args:
        y: (n,) labels, `NO_LABEL` where there is none.
        labelled_share: Fraction of the examples that have a label, about.

    Returns:
        Indices, or None where an epoch has each example once.
    """
    labelled = np.flatnonzero(np.asarray(y) != NO_LABEL)
    others = len(y) - len(labelled)
    if not len(labelled) or not others:
        return None
    wanted = labelled_share / (1.0 - labelled_share) * others
    more = round(wanted / len(labelled)) - 1
    if more < 1:
        return None
    return np.concatenate([np.arange(len(y)), np.tile(labelled, more)])
