"""M1+M2 (Kingma et al. 2014): a semi-supervised VAE on the latents of a VAE."""

from typing import Any

import keras
import tensorflow as tf

from keras_vae import networks
from keras_vae.errors import invalid_argument
from keras_vae.models.inference import Weigh
from keras_vae.models.partial_labels import (
    LabelledLatent,
    label_classifier,
    over_labels,
)
from keras_vae.models.semi_supervised import M2
from keras_vae.models.terms import (
    Output,
    call_on_rows,
    likelihood_params,
    log_ratio,
)
from keras_vae.models.vae import VAE
from keras_vae.naming import lookup
from keras_vae.noise import RowNoise, copies_scope
from keras_vae.probability.likelihoods import GaussianPerPixel
from keras_vae.probability.priors import StandardNormal

_UPPER: dict[str, Any] = {"hidden_units": (300,), "activation": "relu"}


@keras.saving.register_keras_serializable(package="keras_vae")
class M1M2(M2):
    """M1 + M2: a VAE of the examples, and M2 of its latents (Kingma et al. 2014).

    M1 has `encoder`, `decoder` and `likelihood`, and is trained on its own -ELBO, with
    the standard normal prior. Its latent, here z_1, is what M2 is a model of: p(y) p(z)
    p(z_1|y,z) with a Gaussian p(z_1|y,z), inferred by q(y|z_1) q(z|z_1,y). Both are
    trained side by side, and what M2 generates (z_1 and all behind it) changes nothing
    in M1, so M1 becomes what it would be alone. `finetune` lets the classification,
    whose classifier sees the mean of z_1, train M1's encoder as well.

    To take a VAE that is trained give its encoder, decoder and likelihood, and make the
    networks not trainable.

    `reconstruction_loss` is -log p(x|z_1), and `kl_loss` is all the rest of the bound
    on -log p(x) of the two together, E[log q(z_1|x)] and M2's bound on -log p(z_1).
    What is encoded, given and sampled as z is M2's.

    Args: as `M2`, without `prior`; encoder and decoder as for `VAE`, M1's; the
        classifier is one of z_1, (batch, latent_dim); and
        finetune: Whether the classification trains M1's encoder.
        joint: As for `M2`.
        upper_encoder: As `M2`'s encoder, of z_1.
        upper_decoder: As `M2`'s decoder, to mean and log standard deviation of z_1,
            (batch, 2 * latent_dim).
    """

    upper_encoder: Any
    upper_decoder: Any

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        finetune: bool = True,
        joint: bool = True,
        upper_encoder: str | keras.Model = "mlp",
        upper_decoder: str | keras.Model = "mlp",
        **kwargs: Any,
    ) -> None:
        self.finetune = bool(finetune)
        self._given_upper = upper_encoder, upper_decoder
        super().__init__(latent_dim, input_shape, joint=joint, **kwargs)
        if not isinstance(self.prior, StandardNormal):
            raise invalid_argument(
                "prior",
                "'standard_normal', since that of z_1 in M1 and that of z in M2 would "
                "be one and the same",
                received=type(self.prior).__name__,
                advice="Use M2 instead.",
            )
        self._given["upper_encoder"] = upper_encoder
        self._given["upper_decoder"] = upper_decoder

    # M1, a VAE of x that knows no label.

    def encode_lower(
        self, x: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z_1|x): mean and log variance, float32 `(batch, latent_dim)` each."""
        return VAE.encode_params(self, x, None, training)

    def decode_lower(self, z_1: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """p(x|z_1): `(..., batch, latent_dim)` to float32 `(..., batch, *params)`."""
        return VAE.decode_params(self, z_1, None, training)

    def decoder_input(self, z: tf.Tensor, lead: tf.Tensor, condition: Any) -> tf.Tensor:
        """z_1 alone."""
        return z

    # Both together.

    def forward(
        self,
        x: tf.Tensor,
        label: Any,
        noise: RowNoise,
        training: bool | None = None,
        num_samples: int | None = None,
    ) -> Output:
        """What the losses of M1 and M2 are made of.

        Returns:
            The parameters of p(x|z_1), (num_samples, batch, ...), and what was
            inferred.
        """
        moments = self.encode_lower(x, training)
        lower = self.sample_latent(*moments, noise, None, num_samples)
        z_1 = tf.stop_gradient(lower.z[0])
        labels = self.infer_labels(x, label, noise, training)
        params, latent = self.under_each_label(z_1, noise, training, num_samples)
        kl, penalty = self.summed(latent, labels)
        pairs = tf.repeat(z_1, self.num_classes, axis=0)
        log_prob = tf.reduce_mean(self.upper_likelihood.log_prob(pairs, params), 0)
        upper = -self.expected(log_prob, labels.q)
        kl = kl + upper + lower.log_q[0]
        penalty = penalty + upper + self.latent_penalty(lower)
        params = self.decode_lower(lower.z, training)
        return Output(params, LabelledLatent(kl, labels), penalty=penalty)

    def reconstruction_of(self, x: tf.Tensor, output: Output) -> tf.Tensor:
        """-E_q[log p(x|z_1)], `(batch,)` in nats: z_1 knows no label."""
        return self.reconstruction_loss(x, output.params)

    @property
    def decodings(self) -> int:
        """One: what is decoded is z_1, which knows no label."""
        return 1

    def log_weights(self, x: tf.Tensor, condition: Any) -> Weigh:
        """As `VAE.log_weights`, of log p(x) with z_1, z and the labels summed out.

        Each sample is one z_1, weighed by p(x|z_1) / q(z_1|x) and by one estimate of
        p(z_1) under M2; see `M2.log_weights`.
        """
        moments = self.encode_lower(x)

        def weigh(noise: RowNoise, num_samples: int, wanted: Any) -> tf.Tensor:
            lower = self.sample_latent(*moments, noise, None, num_samples)
            # M2's batch is one of samples, those of an example side by side.
            z_1 = tf.reshape(tf.transpose(lower.z, [1, 0, 2]), [-1, self.latent_dim])
            first = tf.cast(noise.first_row, tf.int64) * num_samples
            rows = RowNoise(noise.seed, noise.step, first, noise.domain)
            params, latent = self.under_each_label(z_1, rows, False, 1)
            pairs = tf.repeat(z_1, self.num_classes, axis=0)
            each = log_ratio(self.upper_likelihood.log_prob(pairs, params), latent)
            labels = tf.repeat(condition, num_samples)
            summed = over_labels(each, labels, self.known_labels(labels))
            log_p = tf.reshape(summed, [-1, num_samples])
            log_prob = self.log_likelihood(x, self.decode_lower(lower.z))
            lower = lower._replace(log_p=tf.transpose(log_p))
            return log_ratio(log_prob, lower)[:wanted]

        return weigh

    def label_logits(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns log q(y|z_1) up to a constant, z_1 being M1's mean."""
        mean, _ = self.encode_lower(x, training)
        mean = mean if self.finetune else tf.stop_gradient(mean)
        return call_on_rows(self.classifier, mean, training)

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|z_1,y) at M1's mean of z_1; as `M2.encode_params`."""
        label = tf.broadcast_to(self.condition_on(x, condition), tf.shape(x)[:1])
        parts = self.posteriors(self.encode_lower(x, training)[0], training)
        z_mean, z_log_var = (tf.gather(part, label, batch_dims=1) for part in parts)
        return z_mean, z_log_var

    def under_labels(
        self, z: tf.Tensor, labels: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """The parameters of p(z_1|y,z), (..., batch, 2 * latent_dim)."""
        code = tf.broadcast_to(
            tf.cast(self.code(labels), z.dtype),
            tf.concat([tf.shape(z)[:-1], [self.num_classes]], axis=0),
        )
        pairs = tf.reshape(
            tf.concat([z, code], axis=-1), [-1, self.latent_dim + self.num_classes]
        )
        lead, shape = tf.shape(z)[:-1], [2 * self.latent_dim]
        with copies_scope(z.shape[0] if z.shape.rank == 3 else 1):
            return likelihood_params(self.upper_decoder, pairs, lead, shape, training)

    def decode_params(
        self, z: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z_1) at the mean of p(z_1|y,z)."""
        params = self.under_labels(z, condition, training)
        return self.decode_lower(self.upper_likelihood.mean(params), training)

    @property
    def label_encoder(self) -> keras.Model:
        """The network of q(z|z_1,y)."""
        return self.upper_encoder

    def build(self, input_shape: Any = None) -> None:
        """Makes all state."""
        self.upper_likelihood.build((None, self.latent_dim))
        super().build(input_shape)

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        latent, classes = (self.latent_dim,), self.num_classes
        self.upper_likelihood = GaussianPerPixel(image=False)
        self.upper_encoder, self.upper_decoder = self._given_upper
        if isinstance(self.upper_encoder, str):
            make = lookup("upper_encoder", self.upper_encoder, networks.ENCODERS)
            self.upper_encoder = make(
                latent, classes * self.latent_dim, name="upper_encoder", **_UPPER
            )
            _start_at_zero(self.upper_encoder, "upper_encoder_head")
        if isinstance(self.upper_decoder, str):
            make_decoder = lookup(
                "upper_decoder", self.upper_decoder, networks.DECODERS
            )
            self.upper_decoder = make_decoder(
                self.latent_dim + classes,
                (2 * self.latent_dim,),
                name="upper_decoder",
                **_UPPER,
            )
            _start_at_zero(self.upper_decoder, "params")
        self.classifier = self._given_classifier
        if isinstance(self.classifier, str):
            self.classifier = label_classifier(self.classifier, latent, classes)
        self.prior_network = None
        return VAE._make_networks(self, encoder, decoder)

    def check_networks(self) -> None:
        """Calls the networks symbolically."""
        VAE.check_networks(self)
        z_1 = keras.KerasTensor((None, self.latent_dim))
        size = self.num_classes * self.latent_dim
        self.check_pair("upper_encoder", self.upper_encoder, z_1, size)
        self.check_classifier((self.latent_dim,))

    def check_pair(
        self, argument: str, network: Any, x: Any, size: int | None = None
    ) -> None:
        """As `VAE.check_pair`: M1 has one posterior."""
        VAE.check_pair(self, argument, network, x, size)

    def symbolic_inputs(self) -> tuple[Any, Any]:
        """As `VAE.symbolic_inputs`."""
        return VAE.symbolic_inputs(self)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "finetune": self.finetune}


def _start_at_zero(network: keras.Model, layer: str) -> None:
    """Makes a network give zeros at first, the parameters of a standard normal.

    Else the smallest of the scales of p(z_1|y,z) that it gives by chance decides what
    the first steps do: it makes -log p(z_1|y,z) 1e4 nats and more.
    """
    kernel = network.get_layer(layer).kernel
    kernel.assign(keras.ops.zeros(kernel.shape, kernel.dtype))
