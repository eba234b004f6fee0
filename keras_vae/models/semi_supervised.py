"""Semi-supervised VAEs (Kingma et al. 2014): few examples have a label, many do not."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.data.augment import affine
from keras_vae.models.conditional import CVAE
from keras_vae.models.conditions import Label
from keras_vae.models.trainer import BatchPart, add_to_mean
from keras_vae.models.vae import VAE, Latent, Output, sum_over_dims
from keras_vae.naming import lookup
from keras_vae.networks.blocks import default_filters
from keras_vae.probability.distributions import bound_log_var, widened
from keras_vae.probability.likelihoods import GaussianPerPixel
from keras_vae.probability.noise import RowNoise, current_noise, noise_scope

NO_LABEL = -1
"""What stands for a label that is not known."""


class PartialLabel(Label):
    """A class where it is known: y may hold `NO_LABEL` in some places."""

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


class LabelInference(NamedTuple):
    """What is inferred of the labels of a batch."""

    q: Any
    """q(y|x), and all of it on the label where that is known; (batch, num_classes)."""
    kl: Any
    """KL(q(y|x) || p(y)) in nats, -log p(y) where the label is known; (batch,)."""
    cost: Any
    """-log q(y|x) of a known label in nats, else 0; (batch,)."""
    label: Any
    """(batch,), `NO_LABEL` where it is not known."""
    right: Any
    """1 where a known label is the most probable one, else 0; (batch,)."""


class LabelledLatent(NamedTuple):
    """What the loss is made of, summed over labels: M2's `Latent`."""

    kl: Any
    """KL(q(y, z|x) || p(y, z)), in nats, (batch,)."""
    penalty: Any
    """What the loss adds to the reconstruction, in nats, (batch,)."""
    labels: LabelInference


@keras.saving.register_keras_serializable(package="keras_vae")
class M2(CVAE):
    """Model M2: p(y) p(z) p(x|y,z), q(y|x) q(z|x,y) (Kingma et al. 2014).

    With L(x,y) = -log p(y) - E_q(z|x,y)[log p(x|y,z)] + beta KL(q(z|x,y) || p(z)), the
    loss of an example is (equations 6 to 9)

    - with a label: L(x,y) - alpha log q(y|x),
    - without: U(x) = sum_y q(y|x) L(x,y) - H(q(y|x)), over all labels, exactly.

    p(y) is uniform. All networks are trained together. The labels are the y of `fit`,
    -1 where there is none; `rows_for_labels` says how often labelled examples are best
    shown. `kl_loss` is that of z and y together, so `reconstruction_loss + kl_loss` is
    L(x,y) or U(x); `accuracy` and `classification_loss` are of labelled examples.

    Methods take labels as `condition=`; those that are given x infer them, where they
    are not given, as the most probable ones. `predict_label(x)` returns q(y|x).

    Args: as `VAE`, and
        num_classes: Number of labels.
        classifier: A name in `networks.ENCODERS`, whose body it takes, or a
            `keras.Model` from x to logits, (batch, num_classes).
        encoder: As for `VAE`, with one posterior for each label: z_mean and z_log_var
            are (batch, num_classes * latent_dim), all of the first label first.
        decoder: As for `CVAE`: of z and the label's one-hot code.
        alpha: Weight of the classification, nats for each nat, at least 0. The paper's
            0.1 N, as a weight of each labelled example, is 0.1 N / N_labelled where
            labelled examples are shown as often as others.
        views: Of each image in training that q(y|x) is the mean of: the image and
            `views - 1` small rotations, scalings and shifts of it.
        labelled_share: Of the examples of an epoch in `fit`, how many have a label at
            least: labelled examples are shown more than once. 0: once.

    Raises:
        ValueError: As `VAE`, and if a network does not fit the number of labels.

    Example:
    >>> x, y = np.zeros((16, 8, 8, 1)), np.arange(16) % 10
    >>> y[8:] = -1
    >>> m2 = keras_vae.M2(2, (8, 8, 1), num_classes=10)
    >>> m2.compile(optimizer="adam")
    >>> history = m2.fit(x, y, epochs=1, verbose=0)
    >>> m2.predict_label(x).shape
    (16, 10)
    """

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        num_classes: int,
        classifier: str | keras.Model = "mlp",
        alpha: float = 50.0,
        views: int = 1,
        labelled_share: float = 0.25,
        **kwargs: Any,
    ) -> None:
        shape = tuple(np.atleast_1d(input_shape).tolist())
        self.alpha = _within("alpha", alpha, 0.0, math.inf)
        self.views = int(_within("views", views, 1, math.inf))
        self.labelled_share = _within("labelled_share", labelled_share, 0.0, 1.0)
        if self.views > 1 and len(shape) != 3:
            raise ValueError(
                "Invalid value for argument `views`. Expected 1 for examples of shape "
                f"{shape}, since only images can be turned. Received: views={views}."
            )
        self._given_classifier = classifier
        super().__init__(latent_dim, input_shape, num_classes=num_classes, **kwargs)
        if self.condition.name != "label":
            raise ValueError(
                "Invalid value for argument `condition`. Expected 'label'. Received: "
                f"condition={self.condition.name!r}."
            )
        self.condition = PartialLabel(num_classes)
        self._given["classifier"] = classifier
        self._accuracy_tracker = keras.metrics.Mean(name="accuracy")
        self._classification_tracker = keras.metrics.Mean(name="classification_loss")

    # The model, statement by statement.

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> Output:
        """Infers y and z and adds the penalty; x alone has no label.

        The arguments are those of `VAE.call`. The parameters in the `Output` are those
        of every example under every label, (num_samples, batch * num_classes, ...).
        """
        x, label = self.split_inputs(inputs)
        noise = current_noise() or RowNoise(self.seed, self.step, domain="call")
        labels = self.infer_labels(x, label, noise, training)
        params, latent = self.under_each_label(x, noise, training)
        penalty = self.expected(VAE.latent_penalty(self, latent), labels.q)
        penalty += labels.kl + self.alpha * labels.cost
        kl = self.expected(sum_over_dims(latent.kl), labels.q) + labels.kl
        self.add_penalty(penalty, sample_weight)
        return Output(params, LabelledLatent(kl, penalty, labels), labels.q)

    def infer_labels(
        self, x: tf.Tensor, label: Any, noise: RowNoise, training: bool | None = None
    ) -> LabelInference:
        """q(y|x) of a batch, the label of each being known, `NO_LABEL`, or None."""
        count = self.views if training else 1
        log_q = tf.stack([self._view(x, k, noise, training) for k in range(count)])
        if label is None:
            label = tf.fill([tf.shape(x)[0]], NO_LABEL)
        known = label != NO_LABEL
        one_hot = tf.one_hot(label, self.num_classes)  # all 0 for `NO_LABEL`
        mixed = tf.reduce_logsumexp(log_q, axis=0) - math.log(count)
        neg_entropy = tf.reduce_sum(tf.exp(mixed) * mixed, axis=-1)
        best = tf.argmax(log_q[0], axis=-1, output_type=label.dtype)
        return LabelInference(
            q=tf.where(known[:, tf.newaxis], one_hot, tf.exp(mixed)),
            kl=tf.where(known, 0.0, neg_entropy) + math.log(self.num_classes),
            cost=-tf.reduce_mean(tf.reduce_sum(one_hot * log_q, axis=-1), axis=0),
            label=label,
            right=tf.cast(best == label, tf.float32),
        )

    def _view(self, x: tf.Tensor, k: int, noise: RowNoise, training: Any) -> tf.Tensor:
        """Returns log q(y|x) as one view of x gives it, (batch, num_classes)."""
        own = RowNoise(noise.seed, noise.step, noise.first_row, f"view{k}")
        with noise_scope(own):
            logits = self.label_logits(x if k == 0 else affine(x, own), training)
        return tf.nn.log_softmax(widened(logits))

    def label_logits(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns log q(y|x) up to a constant, (batch, num_classes)."""
        return self.classifier(self.to_model(x), training=training)

    def under_each_label(
        self, x: tf.Tensor, noise: RowNoise, training: bool | None = None
    ) -> tuple[tf.Tensor, Latent]:
        """z and the parameters of p(x|y,z) for all labels, example by example.

        Returns:
            The parameters, (num_samples, batch * num_classes, ...), and the latents.
        """
        classes = self.num_classes
        labels = tf.tile(tf.range(classes), [tf.shape(x)[0]])
        first = tf.cast(noise.first_row, tf.int64) * classes
        by_pair = RowNoise(noise.seed, noise.step, first, noise.domain)
        z_mean, z_log_var = (
            tf.reshape(part, [-1, self.latent_dim])
            for part in self.posteriors(x, training)
        )
        with noise_scope(by_pair):
            latent = self.sample_latent(z_mean, z_log_var, by_pair, labels)
            return self.label_params(latent.z, labels, training), latent

    def posteriors(
        self, x: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x,y) of all labels: two tensors (batch, num_classes, latent_dim)."""
        z_mean, raw_log_var = self.label_encoder(self.to_model(x), training=training)
        shape = [-1, self.num_classes, self.latent_dim]
        z_mean = tf.reshape(widened(z_mean), shape)
        z_log_var = bound_log_var(tf.reshape(raw_log_var, shape))
        if self.posterior_family == "isotropic":
            shared = tf.reduce_mean(z_log_var, axis=-1, keepdims=True)
            z_log_var = tf.broadcast_to(shared, tf.shape(z_mean))
        return z_mean, z_log_var

    def infer(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x,y): returns z_mean and z_log_var, float32 `(batch, latent_dim)` each.

        Where no label is given, it is the most probable one.
        """
        label = self.condition_on(x, condition)
        rows = tf.shape(x)[:1]
        z_mean, z_log_var = (
            tf.gather(part, tf.broadcast_to(label, rows), batch_dims=1)
            for part in self.posteriors(x, training)
        )
        return z_mean, z_log_var

    def label_params(
        self, z: tf.Tensor, labels: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|y,z): what the networks behind z and a label give for each pair."""
        return self.generate(z, labels, training)

    def reconstruction_loss(
        self, x: tf.Tensor, params: tf.Tensor, condition: Any = None
    ) -> tf.Tensor:
        """-log p(x|y,z), the mean over samples of z, `(batch,)` in nats.

        The condition is labels; or q(y|x), (batch, num_classes), and the parameters are
        of all labels: then it is the expectation over labels.
        """
        if condition is None or condition.shape.rank == 1:
            return super().reconstruction_loss(x, params, condition)
        pairs = tf.repeat(x, self.num_classes, axis=0)
        return self.expected(super().reconstruction_loss(pairs, params), condition)

    def expected(self, figure: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
        """E_q(y|x) of a figure of all pairs, (batch * num_classes,) to (batch,)."""
        return tf.reduce_sum(q * tf.reshape(figure, tf.shape(q)), axis=-1)

    def latent_penalty(self, latent: Any) -> tf.Tensor:
        """beta KL of z, the KL of y and the classification, (batch,), in nats."""
        return latent.penalty

    # Labels, where they are asked for and where they are given.

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return int(self.condition.num_classes)

    def predict_label(self, x: Any) -> np.ndarray:
        """Returns q(y|x), the probabilities of the labels, (n, num_classes).

        Args:
            x: An array or a dataset of batches.
        """
        self.ensure_built()
        graph = self._graph("label_probabilities", self.label_probabilities)
        return np.concatenate([graph(part).numpy() for part, _ in self._read(x, None)])

    def label_probabilities(self, x: tf.Tensor) -> tf.Tensor:
        """q(y|x) in a graph, (batch, num_classes)."""
        return tf.nn.softmax(widened(self.label_logits(x)))

    def condition_on(
        self, x: tf.Tensor, condition: Any, noise: RowNoise | None = None
    ) -> Any:
        """The labels, in place of those not known the most probable ones."""
        if condition is not None and isinstance(condition, np.ndarray):
            return condition  # checked on the way in: all are known
        best = tf.argmax(self.label_logits(x), axis=-1, output_type=tf.int32)
        if condition is None:
            return best
        return tf.where(condition == NO_LABEL, best, condition)

    def check_targets(self, y: Any, n: int) -> np.ndarray:
        """Checks the y of `fit` and `evaluate`; None is no label anywhere."""
        if y is None:
            return np.full(n, NO_LABEL, np.int32)
        return self.condition.check("y", y, n)

    def rows_of_epoch(self, y: Any) -> np.ndarray | None:
        """Which examples an epoch shows; see `rows_for_labels`."""
        return rows_for_labels(y, self.labelled_share)

    def elbo_examples(self, x: Any, condition: Any) -> Any:
        """Yields x and what is known of its labels: without any they are summed out."""
        return self._read(x, condition)

    def _elbo_of(self, num_samples: int) -> Any:
        """Returns the graph of -L(x,y) for given labels, and of -U(x) for None."""

        def elbo(x: tf.Tensor, condition: Any, key: Any, first: Any) -> tf.Tensor:
            noise = RowNoise(tf.bitcast(key, tf.int32), 0, first, "evaluation")
            return -self.bound(x, condition, noise, num_samples)

        return elbo

    def bound(
        self, x: tf.Tensor, label: Any, noise: RowNoise, num_samples: int
    ) -> tf.Tensor:
        """L(x,y), or U(x) for label None, at a beta of 1; (batch,) in nats."""
        before, self.num_samples = self.num_samples, num_samples
        try:
            with noise_scope(noise):
                output = self._figures(x, label, noise)
        finally:
            self.num_samples = before
        return self.reconstruction_loss(x, output.params, output.condition) + (
            output.latent.kl
        )
