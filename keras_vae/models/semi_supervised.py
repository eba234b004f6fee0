"""Semi-supervised VAEs (Kingma et al. 2014): few examples have a label, many do not."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import networks
from keras_vae.arguments import in_range
from keras_vae.data.augment import affine
from keras_vae.engine import chunks
from keras_vae.models.conditional import CVAE
from keras_vae.models.inference import Weigh
from keras_vae.models.network_shapes import check_output
from keras_vae.models.partial_labels import (
    LABELLED_SHARE,
    NO_LABEL,
    LabelInference,
    LabelledLatent,
    PartialLabel,
    label_classifier,
    label_inference,
    over_labels,
    rows_for_labels,
)
from keras_vae.models.terms import (
    BoundTerms,
    Latent,
    Output,
    add_to_mean,
    call_on_rows,
    log_ratio,
    normal_params,
    sum_over_dims,
    weighted_mean,
)
from keras_vae.naming import lookup
from keras_vae.noise import Domain, RowNoise, noise_scope
from keras_vae.probability.distributions import to_float32

_VIEW_SHIFT = 0.05  # of views, which all show the same label wherever it is


@keras.saving.register_keras_serializable(package="keras_vae")
class M2(CVAE):
    """Model M2: p(y) p(z) p(x|y,z), inferred by q(y|x) q(z|x,y) (Kingma et al. 2014).

    With L(x,y) = -log p(y) - E_q(z|x,y)[log p(x|y,z)] + beta KL(q(z|x,y) || p(z)), the
    loss of an example is (equations 6 to 9)

    - with a label: L(x,y) - alpha log q(y|x),
    - without: U(x) = sum_y q(y|x) L(x,y) - H(q(y|x)), over all labels, exactly.

    p(y) is uniform; all networks are trained together. The labels are the y of `fit`,
    -1 where there is none. `kl_loss` is that of z and y together, so
    `reconstruction_loss + kl_loss` is L(x,y) or U(x) at a beta of 1; `accuracy` and
    `classification_loss` are of the examples with a label.

    Two things are added to the paper, for images; `views=1` leaves them out. The
    classifier sees each image in several views, itself and itself a little turned,
    scaled and shifted, and q(y|x) is their mean. And where the image shows one label
    clearly, its other views should show the same (Sohn et al. 2020, equation 4): they
    cost alpha gamma times their cross-entropy to it.

    Methods take labels as `condition=`; those that are given x infer them where they
    are not given, as the most probable ones. `predict_label(x)` returns q(y|x).

    Args: as `VAE`, and
        num_classes: Number of labels.
        classifier: A name in `networks.ENCODERS`, or a `keras.Model` from x to logits,
            (batch, num_classes).
        encoder: As for `VAE`, with a posterior for each label: z_mean and z_log_var are
            (batch, num_classes * latent_dim), those of the first label first.
        decoder: As for `CVAE`: of z and the label's one-hot code.
        alpha: Weight of the classification, at least 0. The paper's weight of each
            labelled example is 0.1 N / N_labelled.
        gamma: Weight of the agreement of views, beside that of the classification.
        confidence: Probability from which a label counts as shown clearly.
        views: Views of each image in training; None takes 2 for images and 1 else.
        labelled_share: Fraction of the examples of an epoch in `fit` that have a label,
            at least: they are taken more often than others. 0: as often.
        joint: Whether the bound trains the classifier too, as in the paper. Else it is
            trained by labels and the agreement of views alone: the gradient of the
            bound, which takes q(y|x) as it is, does not reach it.

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

    infers_condition = True
    unused = ("posterior_flows",)
    classifier: Any

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        num_classes: int,
        classifier: str | keras.Model = "mlp",
        alpha: float = 500.0,
        gamma: float = 0.5,
        confidence: float = 0.9,
        views: int | None = None,
        labelled_share: float = LABELLED_SHARE,
        joint: bool = True,
        condition: str = "label",
        **kwargs: Any,
    ) -> None:
        shape = tuple(np.atleast_1d(input_shape).tolist())
        lookup("condition", condition, {"label": None})
        self.alpha = in_range("alpha", alpha, 0.0)
        self.gamma = in_range("gamma", gamma, 0.0)
        self.confidence = in_range("confidence", confidence, 0.0, 1.0)
        self.labelled_share = in_range("labelled_share", labelled_share, 0.0, 0.99)
        self.joint = bool(joint)
        self._given_views, image = views, len(shape) == 3
        views = 1 + image if views is None else views
        self.views = in_range("views", views, 1, 100 if image else 1, whole=True)
        self._given_classifier = classifier
        super().__init__(latent_dim, input_shape, num_classes=num_classes, **kwargs)
        self.supports_jit = self.views == 1  # XLA has nothing that turns images
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
        """Infers y and z and adds the penalty; the arguments are those of `VAE.call`.

        x alone has no label. The `Output` is that of `forward`.
        """
        x, label = self.split_inputs(inputs)
        noise = self.noise_of_call(training)
        with noise_scope(noise):
            output = self.forward(x, label, noise, training)
        self.add_loss(weighted_mean(output.penalty, sample_weight))
        return output

    def forward(
        self,
        x: tf.Tensor,
        label: Any,
        noise: RowNoise,
        training: bool | None = None,
        num_samples: int | None = None,
    ) -> Output:
        """What the loss is made of; L(x,y) for known labels, U(x) for others.

        Returns:
            The parameters of p(x|y,z) of every example under every label, (num_samples,
            batch * num_classes, ...), and what was inferred.
        """
        labels = self.infer_labels(x, label, noise, training)
        params, latent = self.under_each_label(
            self.to_model(x), noise, training, num_samples
        )
        kl, penalty = self.summed(latent, labels)
        return Output(params, LabelledLatent(kl, labels), penalty=penalty)

    def infer_labels(
        self, x: tf.Tensor, label: Any, noise: RowNoise, training: bool | None = None
    ) -> LabelInference:
        """q(y|x); each label is known or `NO_LABEL`, None is `NO_LABEL` for all."""
        count = self.views if training else 1
        # x itself is seen without dropout: it says what the other views should show.
        learning = [training and (k > 0 or count == 1) for k in range(count)]
        log_q = tf.stack(
            [self._view(x, k, noise, learns) for k, learns in enumerate(learning)]
        )
        if label is None:
            label = tf.fill([tf.shape(x)[0]], NO_LABEL)
        one_hot = self.known_labels(label)
        return label_inference(log_q, label, one_hot, self.joint, self.confidence)

    def _view(self, x: tf.Tensor, k: int, noise: RowNoise, training: Any) -> tf.Tensor:
        """Returns log q(y|x) as one view of x gives it, (batch, num_classes)."""
        own = RowNoise(noise.seed, noise.step, noise.first_row, f"{Domain.VIEW}{k}")
        with noise_scope(own):
            view = x if k == 0 else affine(x, own, share=1.0, shift=_VIEW_SHIFT)
            return tf.nn.log_softmax(to_float32(self.label_logits(view, training)))

    def known_labels(self, label: tf.Tensor) -> tf.Tensor:
        """One-hot, (batch, num_classes), all 0 for `NO_LABEL`."""
        condition: Any = self.condition
        return condition.one_hot(label, least=NO_LABEL)

    def label_logits(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns log q(y|x) up to a constant, (batch, num_classes)."""
        return call_on_rows(self.classifier, self.to_model(x), training)

    def under_each_label(
        self,
        observed: tf.Tensor,
        noise: RowNoise,
        training: bool | None = None,
        num_samples: int | None = None,
    ) -> tuple[tf.Tensor, Latent]:
        """Draws z under every label and generates, example by example.

        Args:
            observed: What q(z|x,y) is inferred from, (batch, ...).
            noise: Of the batch.
            training: Whether networks are in training mode.
            num_samples: Of z; None takes the model's number.

        Returns:
            The decoder's parameters, (num_samples, batch * num_classes, ...), and z.
        """
        classes = self.num_classes
        labels = tf.tile(tf.range(classes), [tf.shape(observed)[0]])
        first = tf.cast(noise.first_row, tf.int64) * classes
        by_pair = RowNoise(noise.seed, noise.step, first, f"{noise.domain}/labels")
        z_mean, z_log_var = (
            tf.reshape(part, [-1, self.latent_dim])
            for part in self.posteriors(observed, training)
        )
        with noise_scope(by_pair):
            latent = self.sample_latent(z_mean, z_log_var, by_pair, labels, num_samples)
            return self.under_labels(latent.z, labels, training), latent

    def posteriors(
        self, observed: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x,y) of all labels: two tensors (batch, num_classes, latent_dim)."""
        network, family = self.label_encoder, self.posterior_family
        shape = [-1, self.num_classes, self.latent_dim]
        return normal_params(network, observed, family, training, shape)

    def under_labels(
        self, z: tf.Tensor, labels: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """What the decoder gives for pairs of z and a label."""
        return self.decode_params(z, labels, training)

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x,y): returns z_mean and z_log_var, float32 `(batch, latent_dim)` each.

        Where no label is given, it is the most probable one.
        """
        label = tf.broadcast_to(self.condition_on(x, condition), tf.shape(x)[:1])
        parts = self.posteriors(self.encoder_input(x, condition), training)
        z_mean, z_log_var = (tf.gather(part, label, batch_dims=1) for part in parts)
        return z_mean, z_log_var

    def encoder_input(self, x: tf.Tensor, condition: Any) -> tf.Tensor:
        """Only x: the encoder has a posterior for each label."""
        return self.to_model(x)

    @property
    def label_encoder(self) -> keras.Model:
        """The network of q(z|x,y)."""
        return self.encoder

    # Sums over labels.

    def summed(
        self, latent: Latent, labels: LabelInference
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """KL(q(y,z|x) || p(y,z)) and what the loss has in its place, (batch,) each."""
        kl = self.expected(sum_over_dims(latent.kl), labels.q) + labels.kl
        penalty = self.expected(self.latent_penalty(latent), labels.q) + labels.kl
        agreement = self.gamma * labels.disagreement
        return kl, penalty + self.alpha * (labels.cost + agreement)

    def expected(self, values: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
        """E_q(y|x) of values under each label, (batch * num_classes,) to (batch,)."""
        return tf.reduce_sum(q * tf.reshape(values, tf.shape(q)), axis=-1)

    def reconstruction_of(self, x: tf.Tensor, output: Output) -> tf.Tensor:
        """-E_q[log p(x|y,z)] over labels and samples of z, `(batch,)` in nats."""
        pairs = tf.repeat(x, self.num_classes, axis=0)
        each = self.reconstruction_loss(pairs, output.params)
        return self.expected(each, output.latent.labels.q)

    @property
    def decodings(self) -> int:
        """One for each label."""
        return self.num_classes

    def bound_condition(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """The labels; those not given are `NO_LABEL`, and summed out."""
        if condition is None:
            return tf.fill([tf.shape(x)[0]], NO_LABEL)
        return condition

    def bound_terms(
        self, x: tf.Tensor, condition: Any, noise: RowNoise, num_samples: int
    ) -> BoundTerms:
        """Computes what L(x,y) is made of, or U(x) where there is no label.

        Means and log variances are those under the label, else the most probable one.
        """
        output = self.forward(x, condition, noise, False, num_samples)
        rest = self.reconstruction_of(x, output)
        return BoundTerms(rest, output.latent.kl, *self.encode_params(x, condition))

    def log_weights(self, x: tf.Tensor, condition: Any) -> Weigh:
        """As `VAE.log_weights`, of log p(x) with the labels summed out exactly.

        Each sample has a z for every label, and its weight is the sum over labels of
        p(y) p(z) p(x|y,z) / q(z|x,y). Of known labels it is theirs: log p(x,y).
        """
        pairs = tf.repeat(x, self.num_classes, axis=0)

        def weigh(noise: RowNoise, num_samples: int, wanted: Any) -> tf.Tensor:
            observed = self.to_model(x)
            params, latent = self.under_each_label(observed, noise, False, num_samples)
            each = log_ratio(self.log_likelihood(pairs, params), latent)
            known = self.known_labels(condition)
            return over_labels(each, condition, known)[:wanted]

        return weigh

    def track_more(self, output: Output) -> None:
        """What the labels that are known say of those that are inferred."""
        labels = output.latent.labels
        known = tf.reduce_sum(tf.cast(labels.label != NO_LABEL, tf.int32))
        add_to_mean(self._accuracy_tracker, tf.reduce_sum(labels.right), known)
        add_to_mean(self._classification_tracker, tf.reduce_sum(labels.cost), known)

    # Labels, where they are asked for and where they are given.

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        condition: Any = self.condition
        return int(condition.num_classes)

    def predict_label(self, x: Any) -> np.ndarray:
        """Returns q(y|x), the probabilities of the labels, (n, num_classes).

        Args:
            x: An array or a dataset of batches.
        """

        def probabilities(x: tf.Tensor, condition: Any, first: Any) -> Any:
            return (self.label_probabilities(x),)

        found = chunks.over_examples(
            self, "label probabilities", probabilities, x, bound=True
        )
        return found[0]

    def label_probabilities(self, x: tf.Tensor) -> tf.Tensor:
        """q(y|x), (batch, num_classes)."""
        return tf.nn.softmax(to_float32(self.label_logits(x)))

    def condition_on(
        self, x: tf.Tensor, condition: Any, noise: RowNoise | None = None
    ) -> Any:
        """The labels, in place of those not known the most probable ones."""
        if isinstance(condition, np.ndarray):
            return condition  # checked on the way in: all are known
        best = tf.argmax(self.label_logits(x), axis=-1, output_type=tf.int32)
        if condition is None:
            return best
        return tf.where(condition == NO_LABEL, best, condition)

    def check_targets(self, y: Any, n: int) -> np.ndarray:
        """Checks the y of `fit` and `evaluate`; None is no label anywhere."""
        if y is None:
            return np.full(n, NO_LABEL, np.int32)
        return np.array(self.condition.check("y", y, n))

    def rows_of_epoch(self, y: Any) -> np.ndarray | None:
        """Which examples an epoch has; see `rows_for_labels`."""
        return rows_for_labels(y, self.labelled_share)

    # State.

    def _has_own_penalty(self) -> bool:
        return True

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        classes = self.num_classes
        self.classifier = self._given_classifier
        if isinstance(self.classifier, str):
            self.classifier = label_classifier(
                self.classifier, self.data_shape, classes
            )
        if isinstance(encoder, str):
            make = lookup("encoder", encoder, networks.ENCODERS)
            encoder = make(self.data_shape, classes * self.latent_dim)
        return super()._make_networks(encoder, decoder)

    def check_networks(self) -> None:
        """Calls the networks symbolically, the classifier too."""
        super().check_networks()
        self.check_classifier(self.data_shape)

    def check_classifier(self, shape: tuple[int, ...]) -> None:
        """Raises a ValueError unless the classifier maps that shape to logits."""
        x = keras.KerasTensor((None, *shape))
        check_output("classifier", self.classifier, x, (self.num_classes,), "logits")

    def check_pair(
        self, argument: str, network: Any, x: Any, size: int | None = None
    ) -> None:
        """Raises a ValueError unless the encoder gives a posterior for each label."""
        if argument == "encoder":
            size = self.num_classes * self.latent_dim
        super().check_pair(argument, network, x, size)

    def symbolic_inputs(self) -> tuple[Any, Any]:
        """What the encoder and the decoder are called with, as symbolic tensors."""
        return keras.KerasTensor((None, *self.data_shape)), super().symbolic_inputs()[1]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "gamma": self.gamma,
            "confidence": self.confidence,
            "views": self._given_views,
            "labelled_share": self.labelled_share,
            "joint": self.joint,
        }
