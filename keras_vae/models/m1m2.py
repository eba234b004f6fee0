"""M1+M2 (Kingma et al. 2014): a semi-supervised VAE on the latents of a VAE."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vae import networks
from keras_vae.errors import invalid_argument
from keras_vae.models.inference import Weigh
from keras_vae.models.partial_labels import (
    LabelledLatent,
    label_classifier,
)
from keras_vae.models.semi_supervised import M2
from keras_vae.models.terms import (
    Output,
    log_ratio,
)
from keras_vae.models.vae import VAE
from keras_vae.naming import lookup
from keras_vae.noise import RowNoise
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
    stack: "Stack"
    """The two models."""

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
        m1, m2 = self.stack
        lower = m1.sample_posterior(x, noise, None, training, num_samples)
        z_1 = tf.stop_gradient(lower.z[0])
        labels = self.infer_labels(x, label, noise, training)
        params, given_label = m2.under_each_label(z_1, noise, training, num_samples)
        kl, penalty = self.summed(given_label, labels)
        latent = LabelledLatent(kl, labels)
        rest = m2.reconstruction_of(z_1, Output(params, latent))  # -log p(z_1|y,z)
        latent = latent._replace(kl=kl + rest + lower.log_q[0])
        penalty = penalty + rest + self.latent_penalty(lower)
        return Output(m1.params_of(lower, None, training), latent, penalty=penalty)

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
        m1, m2 = self.stack
        features = m1.posterior_features(x)

        def weigh(noise: RowNoise, num_samples: int, wanted: Any) -> tf.Tensor:
            lower = m1.latent_from(features, noise, None, None, num_samples)
            # M2's batch is one of samples, those of an example side by side.
            z_1 = tf.reshape(tf.transpose(lower.z, [1, 0, 2]), [-1, self.latent_dim])
            first = tf.cast(noise.first_row, tf.int64) * num_samples
            rows = RowNoise(noise.seed, noise.step, first, noise.domain)
            weigh_z_1 = m2.log_weights(z_1, tf.repeat(condition, num_samples))
            log_p = tf.reshape(weigh_z_1(rows, 1, 1), [-1, num_samples])
            log_prob = m1.log_likelihood(x, m1.params_of(lower))
            lower = lower._replace(log_p=tf.transpose(log_p))
            return log_ratio(log_prob, lower)[:wanted]

        return weigh

    def label_logits(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns log q(y|z_1) up to a constant, z_1 being M1's mean."""
        z_1, _ = self.stack.m1.encode_params(x, None, training)
        z_1 = z_1 if self.finetune else tf.stop_gradient(z_1)
        return self.stack.m2.label_logits(z_1, training)

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|z_1,y) at M1's mean of z_1; as `M2.encode_params`."""
        z_1, _ = self.stack.m1.encode_params(x, None, training)
        return self.stack.m2.encode_params(z_1, condition, training)

    def decode_params(
        self, z: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """p(x|z_1) at the mean of p(z_1|y,z)."""
        m1, m2 = self.stack
        params = m2.decode_params(z, condition, training)
        return m1.decode_params(m2.likelihood.mean(params), None, training)

    # State: all of it is this model's, by the names that it has in files.

    @property
    def label_encoder(self) -> keras.Model:
        """The network of q(z|z_1,y), under the name that its weights have in files."""
        return self.upper_encoder

    def build(self, input_shape: Any = None) -> None:
        """Makes all state, and lets the two models use it."""
        self.upper_likelihood.build((None, self.latent_dim))
        super().build(input_shape)
        m1, m2 = self.stack
        m1.step = m2.step = self.step
        m1.data_mean, m1.data_scale = self.data_mean, self.data_scale
        m2.data_mean = m2.data_scale = m2.code_mean = m2.code_scale = None

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
        common: dict[str, Any] = {
            "posterior": self.posterior_family,
            "beta": self.beta,
            "num_samples": self.num_samples,
            "free_bits": self.free_bits,
            "seed": self.seed,
        }
        m1 = VAE(
            self.latent_dim,
            self.data_shape,
            encoder=encoder,
            decoder=decoder,
            likelihood=self.likelihood,
            **common,
        )
        m2 = M2(
            self.latent_dim,
            latent,
            num_classes=classes,
            classifier=self.classifier,
            encoder=self.upper_encoder,
            decoder=self.upper_decoder,
            likelihood=self.upper_likelihood,
            **common,
        )
        self.stack = Stack(m1, m2)
        return m1.encoder, m1.decoder

    def check_networks(self) -> None:
        """Calls the networks symbolically."""
        self.stack.m1.check_networks()
        z_1 = keras.KerasTensor((None, self.latent_dim))
        size = self.num_classes * self.latent_dim
        self.check_pair("upper_encoder", self.upper_encoder, z_1, size)
        self.check_classifier((self.latent_dim,))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "finetune": self.finetune}


class Stack:
    """The two models, held out of Keras' sight, which would save them as layers.

    Attributes:
        m1: The model of x: p(z_1) p(x|z_1), inferred by q(z_1|x).
        m2: The model of z_1: p(y) p(z) p(z_1|y,z), inferred by q(y|z_1) q(z|z_1,y).
    """

    def __init__(self, m1: VAE, m2: M2) -> None:
        self.m1, self.m2 = m1, m2

    def __iter__(self) -> Iterator[Any]:
        return iter((self.m1, self.m2))


def _start_at_zero(network: keras.Model, layer: str) -> None:
    """Makes a network give zeros at first, the parameters of a standard normal.

    Else the smallest of the scales of p(z_1|y,z) that it gives by chance decides what
    the first steps do: it makes -log p(z_1|y,z) 1e4 nats and more.
    """
    kernel = network.get_layer(layer).kernel
    kernel.assign(keras.ops.zeros(kernel.shape, kernel.dtype))
