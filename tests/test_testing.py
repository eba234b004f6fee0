"""The contract of a model: every one of the package keeps it, each clause can fail."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks, testing
from keras_vae.models import registry
from keras_vae.models.conditions import make_condition
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig

SHAPES = {"images": (6, 5, 1), "sequences": (6, 2), "vectors": (5,)}
CLASSES = 3
QUICK = ("config", "elbo", "sum")
STEPS = ("sample_weight", "steps", "microbatches", "eager", "traces", "continuation")
OTHERS = ("replicas", "continuation", "export")
ELSEWHERE = ("saving",)  # test_loading.py: all models in one process
KINDS = {
    **dict.fromkeys(("vae", "ae", "hvae", "cvae", "m2"), "images"),
    **dict.fromkeys(("beta_vae", "iwae"), "sequences"),
}
SMALL_HVAE = {"width": 4, "groups": (1, 1), "group_channels": 2}
FLAGS = {
    "ae": {"input_noise": "masking:0.3"},
    "iwae": {"num_samples": 3},
    "hvae": SMALL_HVAE,
}
FLOWS = {
    **{"posterior": "iaf", "posterior_flows": 1},
    "prior": "flow",
    "prior_flows": 2,
}
LEARNED = {"prior_components": 3, "dropout": 0.3}
VARIANTS = [
    ("vae", "vectors", {"prior": "gaussian_mixture", **LEARNED}, ("continuation",)),
    ("vae", "vectors", {"prior": "vamp", **LEARNED}, ("replicas", "continuation")),
    (
        "vae",
        "vectors",
        {"prior": "flow", "prior_flows": 2, "dropout": 0.3},
        ("replicas", "continuation"),
    ),
    ("vae", "vectors", {"posterior": "iaf", "dropout": 0.3}, OTHERS),
    ("iwae", "vectors", {"posterior": "planar", "num_samples": 3}, ("replicas",)),
    ("cvae", "images", FLOWS, ("continuation", "export")),
    ("cvae", "images", {"condition": "bottom_half"}, ("export",)),
    ("cvae", "images", {"condition": "mask"}, ("replicas", "export")),
    ("hvae", "vectors", {"condition": "label", **SMALL_HVAE}, ("replicas", "export")),
    ("beta_tcvae", "vectors", {"estimator": "mss"}, ("replicas",)),
    ("dip_vae", "vectors", {"dip_kind": "ii"}, ("replicas",)),
]


def examples(kind):
    return np.random.default_rng(0).random((20, *SHAPES[kind]), np.float32)


def maker(name, kind, **flags):
    """Makes the small model that a run has, and the y that it takes."""
    small = {"encoder": "mlp", "decoder": "mlp", "hidden_units": (4,), "latent_dim": 2}
    flags = {"model": name, "likelihood": "gaussian", **small, **flags}
    without = registry.MODELS[name].without
    flags = {flag: value for flag, value in flags.items() if flag not in without}

    def make(**options):
        config = TrainConfig.resolve({**flags, **options})
        classes = CLASSES if config.condition == "label" else None
        condition = config.condition and make_condition(
            config.condition, SHAPES[kind], num_classes=classes
        )
        return build_model(config, SHAPES[kind], 20, condition)

    conditioning = registry.MODELS[name].conditioning
    if conditioning.classifier:
        return make, np.arange(20) % (CLASSES + 1) - 1  # some have no label
    default = "label" if conditioning.decoder else None
    labelled = flags.get("condition", default) == "label"
    return make, np.arange(20) % CLASSES if labelled else None


def check(name, clauses):
    kind = KINDS.get(name, "vectors")
    make, y = maker(name, kind, **FLAGS.get(name, {}))
    assert testing.check_model(make, examples(kind), y, clauses=clauses) is None


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_keeps_what_is_checked_quickly(name):
    check(name, QUICK)


@pytest.mark.slow
def test_the_vae_keeps_what_is_promised_of_steps():
    check("vae", STEPS)


@pytest.mark.slow
def test_flows_keep_what_is_checked_quickly():
    make, y = maker("vae", "vectors", **FLOWS)
    assert testing.check_model(make, examples("vectors"), y, clauses=QUICK) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_keeps_the_rest_of_the_contract(name):
    seen = {*QUICK, *ELSEWHERE, *(STEPS if name == "vae" else ())}
    check(name, [clause for clause in testing.CLAUSES if clause not in seen])


@pytest.mark.slow
@pytest.mark.parametrize("name, kind, flags, clauses", VARIANTS)
def test_variants_of_a_model_keep_it_too(name, kind, flags, clauses):
    make, y = maker(name, kind, **flags)
    assert testing.check_model(make, examples(kind), y, clauses=clauses) is None


# A clause that a model breaks is named.


class Forgetful(keras_vae.VAE):
    """Leaves an argument out of its configuration."""

    def __init__(self, *args, power=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.power = power

    def latent_penalty(self, latent):
        return self.power * super().latent_penalty(latent)


class Weighted(keras_vae.VAE):
    """Puts a weight of the KL where it is reported too."""

    def call(self, inputs, training=None, sample_weight=None):
        output = super().call(inputs, training, sample_weight)
        latent = output.latent
        return output._replace(latent=latent._replace(kl=2 * latent.kl))


class Extra(keras_vae.VAE):
    """Has a loss of which a part is reported nowhere."""

    def compute_loss(self, *args, **kwargs):
        return super().compute_loss(*args, **kwargs) + 1.0


class Unweighted(keras_vae.VAE):
    """Gives the penalty of each example the same weight."""

    def call(self, inputs, training=None, sample_weight=None):
        return super().call(inputs, training)


class Coupled(keras_vae.VAE):
    """Takes the examples of a batch together and does not say so."""

    def latent_penalty(self, latent):
        spread = tf.reduce_sum(tf.math.reduce_variance(latent.z_mean, axis=0))
        return super().latent_penalty(latent) + 10 * spread


class Stepwise(keras_vae.VAE):
    """Has a weight of the KL that a callback raises after each batch."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self.weight = self.add_weight(name="kl_weight", trainable=False)

    def latent_penalty(self, latent):
        return (1.0 + self.weight) * super().latent_penalty(latent)

    def fit(self, *args, **kwargs):
        def rise(batch, logs):
            self.weight.assign_add(1.0)

        callback = keras.callbacks.LambdaCallback(on_train_batch_end=rise)
        return super().fit(*args, callbacks=[callback], **kwargs)


class Counting(keras_vae.VAE):
    """Counts steps with a Python number, which a graph freezes."""

    count = 0

    def latent_penalty(self, latent):
        self.count += 1
        return self.count * super().latent_penalty(latent)


class Foreign(keras_vae.VAE):
    """Has another loss where XLA compiles its steps."""

    def latent_penalty(self, latent):
        penalty = super().latent_penalty(latent)
        return penalty + 1e4 if self.jit_compile else penalty


class Retracing(keras_vae.VAE):
    """Makes a graph for each call of a method."""

    def posterior(self, x, condition=None):
        return tf.function(self.encode_params)(tf.constant(x))


class Overflowing(keras_vae.VAE):
    """Computes its penalty in the precision of the layers."""

    def latent_penalty(self, latent):
        far = 1e5 * tf.cast(tf.abs(latent.z_mean), self.compute_dtype)
        return super().latent_penalty(latent) + tf.reduce_sum(
            tf.cast(far, tf.float32), axis=-1
        )


class Unsaved(keras_vae.VAE):
    """Has a state that no file holds."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__["seen"] = tf.Variable(0.0)

    def latent_penalty(self, latent):
        self.seen.assign_add(1.0)
        return self.seen * super().latent_penalty(latent)


class Drawn(keras_vae.VAE):
    """Draws a number when it is made."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = np.random.default_rng().random()

    def latent_penalty(self, latent):
        return self.factor * super().latent_penalty(latent)


class Clipping(keras_vae.VAE):
    """Changes a method and not what the signature of its name computes."""

    def reconstruct(self, x, condition=None):
        return np.clip(super().reconstruct(x, condition), 0.45, 0.46)


BREAKERS = {
    "config": Forgetful,
    "elbo": Weighted,
    "sum": Extra,
    "sample_weight": Unweighted,
    "steps": Stepwise,
    "microbatches": Coupled,
    "replicas": Coupled,
    "eager": Counting,
    "xla": Foreign,
    "traces": Retracing,
    "mixed_precision": Overflowing,
    "continuation": Unsaved,
    "saving": Drawn,
    "export": Clipping,
}
SLOW = set(BREAKERS) - {"config", "elbo", "sum", "traces"}


def make_of(kind, **own):
    def make(**options):
        return kind(
            2,
            (5,),
            encoder=networks.mlp_encoder((5,), 2, hidden_units=(4,)),
            decoder=networks.mlp_decoder(2, (5,), hidden_units=(4,)),
            **own,
            **options,
        )

    return make


def test_each_clause_has_a_model_that_breaks_it():
    assert BREAKERS.keys() == testing.CLAUSES.keys()


@pytest.mark.parametrize(
    "clause",
    [pytest.param(c, marks=pytest.mark.slow if c in SLOW else ()) for c in BREAKERS],
)
def test_a_broken_clause_is_named(clause):
    kind = BREAKERS[clause]
    make = make_of(kind, **({"power": 3.0} if kind is Forgetful else {}))
    with pytest.raises(AssertionError, match=f"'{clause}'"):
        testing.check_model(make, examples("vectors"), clauses=[clause])
    excused = [clause]
    testing.check_model(make, examples("vectors"), clauses=[clause], excused=excused)


class Rebuilt(Retracing):
    """Makes the same graph again and again."""

    def posterior(self, x, condition=None):
        return super().posterior(x[:1])


@pytest.mark.slow
@pytest.mark.parametrize("kind, cause", [(Retracing, "`x`"), (Rebuilt, "made again")])
def test_what_caused_a_trace_is_named(kind, cause):
    with pytest.raises(AssertionError, match="posterior was traced 3 times") as error:
        testing.check_model(make_of(kind), examples("vectors"), clauses=["traces"])
    assert cause in str(error.value)


class Heavier(keras_vae.VAE):
    """A subclass as it should be."""

    def __init__(self, *args, power=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.power = power

    def latent_penalty(self, latent):
        return self.power * super().latent_penalty(latent)

    def get_config(self):
        return {**super().get_config(), "power": self.power}


def test_a_users_subclass_keeps_what_is_checked_quickly():
    make = make_of(Heavier, power=3.0)
    assert testing.check_model(make, examples("vectors"), clauses=QUICK) is None


@pytest.mark.slow
def test_a_users_subclass_that_is_not_registered_keeps_the_contract():
    make = make_of(Heavier, power=3.0)
    files = ("saving", "continuation", "export", "xla", "mixed_precision", "replicas")
    assert testing.check_model(make, examples("vectors"), clauses=files) is None


@pytest.mark.parametrize("argument", ["clauses", "excused"])
def test_an_unknown_clause_is_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        testing.check_model(make_of(Heavier), examples("vectors"), **{argument: ["x"]})
