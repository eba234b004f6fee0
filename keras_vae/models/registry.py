"""Every model that `--model` offers: one entry says all there is to say of one.

Help, configuration, building, the public names, the model card and the tests read this
table. To add a model, write its class in a file beside this one and give it an entry.
Nothing here imports TensorFlow.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

KINDS = ("images", "sequences", "vectors")
"""Kinds of data, by the number of axes of an example: three, two, one."""


class Conditioning(NamedTuple):
    """What the condition of an example, as its label, goes into."""

    encoder: bool = False
    decoder: bool = False
    prior: bool = False
    """Whether `--prior conditional`, a network p(z|c), is offered."""
    posterior_per_label: bool = False
    """Whether the encoder gives one posterior for each label, side by side."""
    classifier: str = ""
    """What a classifier of labels sees, "x" or "z"; "" where there is none. With one
    the model is semi-supervised: labels may be missing."""


class ModelEntry(NamedTuple):
    """A model of the package."""

    class_name: str
    module: str
    """The file in `models/` that holds the class, without its ending."""
    title: str
    """The name in sentences."""
    about: str
    """The line in `--help`."""
    flags: Mapping[str, str | None]
    """The flags that not every model uses, each with the argument of the constructor
    that it becomes; None where it goes into another one or into the data."""
    defaults: Mapping[str, Any] = {}
    """Values of flags that are not given."""
    of_condition: Mapping[str, Mapping[str, Any]] = {}
    """Such values under one value of `--condition`."""
    from_data: tuple[str, ...] = ()
    """Arguments of the constructor that the data decide: `dataset_size`, the number of
    training examples, and `classifier`, a network of as many labels as there are."""
    conditioning: Conditioning = Conditioning()
    kinds: tuple[str, ...] = KINDS
    without: Mapping[str, str] = {}
    """Flags of all other models that this one has no use for, with the reason."""
    conditional_class: str = ""
    """The class that takes its place where there is a condition, and"""
    conditional_module: str = ""
    """the file that holds it."""
    excused: Mapping[str, str] = {}
    """What other models promise and this one does not, with the reason. `elbo`:
    it has a bound; `prior`: `sample` works without a fitted density; `sum`: loss =
    reconstruction_loss + penalty; `microbatches`: `accumulate_steps` above 1; `xla`:
    `jit_compile`."""

    @property
    def hierarchical(self) -> bool:
        """Whether z comes in groups, of which `--latent_dim` sizes the top."""
        return "groups" in self.flags

    @property
    def semi_supervised(self) -> bool:
        """Whether it learns from examples with and without a label."""
        return bool(self.conditioning.classifier)

    @property
    def classes(self) -> dict[str, str]:
        """The class, and the conditional one if there is one, with their files."""
        classes = {self.class_name: self.module}
        if self.conditional_class:
            classes[self.conditional_class] = self.conditional_module
        return classes

    def load(self, conditional: bool = False) -> type:
        """Returns the class; this imports TensorFlow.

        Args:
            conditional: Whether there is a condition that the class does not need.
        """
        name = self.class_name
        if conditional and self.conditional_class:
            name = self.conditional_class
        module = importlib.import_module(f"keras_vae.models.{self.classes[name]}")
        kind: type = getattr(module, name)
        return kind

    def defaults_for(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of flags that are not given, beside those that are."""
        condition = given.get("condition", self.defaults.get("condition"))
        return {**self.defaults, **self.of_condition.get(condition, {})}


def _same(*flags: str) -> dict[str, str | None]:
    """Flags whose argument has their name."""
    return {flag: flag for flag in flags}


_POSTERIOR = _same("posterior", "num_samples")
_FLOWS = _same("posterior_flows")
_PRIOR = {"prior": "prior", "prior_components": None, "prior_flows": None}
_BETA = {"beta": "beta", "kl_schedule": None, "kl_warmup_epochs": None}
_VAE = {**_POSTERIOR, **_FLOWS, **_PRIOR, **_same("free_bits")}
_START = {"input_noise": None, "init_latents": None}
_RESCALED = {"rescale_latents": None}

_SEMI_SUPERVISED = {
    **_POSTERIOR,
    **_BETA,
    **_same("alpha", "gamma", "confidence", "joint"),
    "num_labels": None,
}
_FEW_LABELS = {
    "alpha": 500.0,
    "gamma": 0.5,
    "confidence": 0.9,
    "num_labels": 100,
    "condition": "label",
    "epochs": 15,
    "learning_rate": 1.5e-3,
}

_WHOLE_BATCH = {"microbatches": "the penalty takes the examples of a batch together"}
_HIERARCHY = dict.fromkeys(
    ("encoder", "decoder", "hidden_units", "layer_order", "input_noise"),
    "its networks are those of the levels of z: see --width and --groups",
)
_VIEWS = {"xla": "the classifier sees images turned, and XLA cannot turn images"}

MODELS: dict[str, ModelEntry] = {
    "vae": ModelEntry(
        "VAE",
        "vae",
        "variational autoencoder",
        "variational autoencoder (Kingma and Welling 2014)",
        {**_VAE, **_BETA, **_START, **_RESCALED},
    ),
    "iwae": ModelEntry(
        "IWAE",
        "importance_weighted",
        "importance-weighted autoencoder",
        "importance-weighted autoencoder (Burda et al. 2015)",
        {**_POSTERIOR, **_FLOWS, **_PRIOR},
        {"num_samples": 16},
        excused={"sum": "the bound takes the samples of z together"},
    ),
    "ae": ModelEntry(
        "Autoencoder",
        "autoencoder",
        "autoencoder",
        "plain or denoising autoencoder: no noise in the latent, no penalty",
        _START,
        excused={
            "elbo": "z is a function of x, so there is no bound",
            "prior": "nothing is asked of z, so there is no prior to draw from",
        },
    ),
    "beta_vae": ModelEntry(
        "VAE",
        "vae",
        "beta-VAE",
        "VAE with a heavier KL (Higgins et al. 2017)",
        {**_VAE, **_BETA, **_RESCALED},
        {"beta": 2.0},  # at 4 small images, as digits, leave all latents unused
    ),
    "capacity_vae": ModelEntry(
        "CapacityVAE",
        "disentangled",
        "VAE with a KL held at a capacity",
        "KL held at a capacity that grows (Burgess et al. 2018)",
        {**_POSTERIOR, **_same("gamma", "capacity")},
        {"gamma": 100.0, "capacity": 25.0},
    ),
    "factor_vae": ModelEntry(
        "FactorVAE",
        "disentangled",
        "FactorVAE",
        "total correlation by a discriminator (Kim and Mnih 2018)",
        {**_POSTERIOR, **_same("gamma")},
        {"gamma": 10.0},
        excused=_WHOLE_BATCH,
    ),
    "beta_tcvae": ModelEntry(
        "BetaTCVAE",
        "disentangled",
        "beta-TCVAE",
        "total correlation by minibatch weights (Chen et al. 2018)",
        {**_POSTERIOR, **_BETA, **_same("estimator")},
        {"beta": 6.0},
        from_data=("dataset_size",),
        excused=_WHOLE_BATCH,
    ),
    "dip_vae": ModelEntry(
        "DIPVAE",
        "disentangled",
        "DIP-VAE",
        "disentangled inferred prior (Kumar et al. 2018)",
        {**_POSTERIOR, **_BETA, "gamma": "off_diagonal", "dip_kind": "kind"},
        {"gamma": 10.0},
        excused=_WHOLE_BATCH,
    ),
    "info_vae": ModelEntry(
        "InfoVAE",
        "disentangled",
        "InfoVAE",
        "maximum mean discrepancy (Zhao et al. 2019)",
        {**_POSTERIOR, **_same("alpha", "gamma")},
        {"alpha": 0.0, "gamma": 100.0},
        excused=_WHOLE_BATCH,
    ),
    "wae": ModelEntry(
        "WAE",
        "wae",
        "Wasserstein autoencoder (WAE-MMD)",
        "MMD of q(z) and prior, without a KL (Tolstikhin et al. 2018)",
        {**_POSTERIOR, "gamma": "mmd_weight"},
        {"gamma": 100.0},
        excused=_WHOLE_BATCH,
    ),
    "hvae": ModelEntry(
        "HierarchicalVAE",
        "hierarchical",
        "hierarchical VAE",
        "latents at several resolutions (Vahdat and Kautz 2020; Child 2021)",
        {
            **_BETA,
            **_same("num_samples", "free_bits"),
            **_same("groups", "group_channels", "width", "finest_stride"),
            "condition": None,
        },
        {
            **{"learning_rate": 2e-3, "weight_decay": 1e-4, "clipnorm": 20.0},
            # The gradient of a batch can be a hundred times that of the one before.
            "adam_beta_2": 0.95,
            # An epoch takes several times as long as those of other models, and half
            # as many, of four times the updates each, end lower.
            **{"batch_size": 32, "epochs": 20},
        },
        without=_HIERARCHY,
        conditional_class="ConditionalHierarchicalVAE",
        conditional_module="conditional_hierarchical",
    ),
    "cvae": ModelEntry(
        "CVAE",
        "conditional",
        "conditional variational autoencoder",
        "conditional: on labels, vectors or half an image (Sohn et al. 2015)",
        {**_VAE, **_BETA, "condition": None},
        {"condition": "label", "prior": "conditional"},
        # A heavier KL keeps z from saying what the label says.
        {"label": {"beta": 2.5}},
        conditioning=Conditioning(encoder=True, decoder=True, prior=True),
    ),
    "m2": ModelEntry(
        "M2",
        "semi_supervised",
        "semi-supervised VAE (M2)",
        "semi-supervised: few labels, many examples (Kingma et al. 2014)",
        _SEMI_SUPERVISED,
        {**_FEW_LABELS, "hidden_units": (300,)},
        from_data=("classifier",),
        conditioning=Conditioning(
            decoder=True, posterior_per_label=True, classifier="x"
        ),
        excused=_VIEWS,
    ),
    "m1m2": ModelEntry(
        "M1M2",
        "m1m2",
        "semi-supervised VAE (M1+M2)",
        "m2 on the latents of a VAE (Kingma et al. 2014)",
        _SEMI_SUPERVISED,
        {
            **_FEW_LABELS,
            # With the bound on latents inferred labels drift further.
            "joint": False,
            # They drift as well where more agreement is asked for, or of more images.
            "gamma": 0.2,
            "confidence": 0.95,
            "encoder": "conv",
            "decoder": "mlp",
            "hidden_units": (128,),
            "activation": "relu",
            "latent_dim": 50,
        },
        from_data=("classifier",),
        # M1 knows no label; M2 above it makes its own networks.
        conditioning=Conditioning(classifier="z"),
        excused=_VIEWS,
    ),
}


def users(flag: str) -> list[str]:
    """Returns the names of the models that use a flag; none where all do."""
    return [name for name, entry in MODELS.items() if flag in entry.flags]
