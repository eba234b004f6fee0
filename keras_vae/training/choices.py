"""The networks, models and presets that a run can choose, and what each brings along.

To offer a model in `scripts/train.py`, give it a row in `MODELS`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

NETWORKS = {
    "mlp": "dense layers, for any data",
    "resmlp": "dense residual blocks, for any data",
    "conv": "convolutions of stride 2, for images",
    "resnet": "convolutional residual blocks, for images",
    "conv1d": "convolutions over time, for sequences",
}


DATASETS = (
    "digits",
    "mnist",
    "fashion_mnist",
    "shapes",
    "shapes32",
    "swiss_roll",
    "motion",
    "tones",
)
"""The names that `--dataset` takes; anything else is a path."""


INITIALIZERS = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
)


class ModelChoice(NamedTuple):
    """A model as `--model` offers it.

    `uses` names the flags that only some models use, `defaults` the values that this
    model has where the flag is not given, `of_condition` those that it has beside them
    under some conditions.
    """

    about: str
    uses: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = {}
    of_condition: Mapping[str, Mapping[str, Any]] = {}

    def defaults_for(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what this model has where a flag is not given, beside these flags."""
        condition = given.get("condition", self.defaults.get("condition"))
        return {**self.defaults, **self.of_condition.get(condition, {})}


_KL_WEIGHT = ("beta", "kl_schedule", "kl_warmup_epochs")
_VAE = ("posterior", "num_samples", "prior", "prior_components", "free_bits")

_SEMI_SUPERVISED = (
    "posterior",
    "num_samples",
    *_KL_WEIGHT,
    "alpha",
    "gamma",
    "joint",
    "num_labels",
)
_FEW_LABELS = {
    "alpha": 500.0,
    "gamma": 0.5,
    "num_labels": 100,
    "condition": "label",
    "epochs": 15,
    "learning_rate": 1.5e-3,
}

MODELS: dict[str, ModelChoice] = {
    "vae": ModelChoice(
        "variational autoencoder (Kingma and Welling 2014)",
        (*_VAE, *_KL_WEIGHT, "input_noise", "init_latents"),
    ),
    "iwae": ModelChoice(
        "importance-weighted autoencoder (Burda et al. 2015)",
        ("posterior", "num_samples", "prior", "prior_components"),
        {"num_samples": 16},
    ),
    "ae": ModelChoice(
        "plain or denoising autoencoder: no noise in the latent, no penalty",
        ("input_noise", "init_latents"),
    ),
    "beta_vae": ModelChoice(
        "VAE with a heavier KL (Higgins et al. 2017)",
        (*_VAE, *_KL_WEIGHT),
        {"beta": 4.0},
    ),
    "capacity_vae": ModelChoice(
        "KL held at a capacity that grows (Burgess et al. 2018)",
        ("posterior", "num_samples", "gamma", "capacity"),
        {"gamma": 100.0, "capacity": 25.0},
    ),
    "factor_vae": ModelChoice(
        "total correlation by a discriminator (Kim and Mnih 2018)",
        ("posterior", "num_samples", "gamma"),
        {"gamma": 10.0},
    ),
    "beta_tcvae": ModelChoice(
        "total correlation by minibatch weights (Chen et al. 2018)",
        ("posterior", "num_samples", *_KL_WEIGHT, "estimator"),
        {"beta": 6.0},
    ),
    "dip_vae": ModelChoice(
        "disentangled inferred prior (Kumar et al. 2018)",
        ("posterior", "num_samples", *_KL_WEIGHT, "gamma", "dip_kind"),
        {"gamma": 10.0},
    ),
    "info_vae": ModelChoice(
        "maximum mean discrepancy (Zhao et al. 2019)",
        ("posterior", "num_samples", "alpha", "gamma"),
        {"alpha": 0.0, "gamma": 100.0},
    ),
    "cvae": ModelChoice(
        "conditional: on labels, vectors or half an image (Sohn et al. 2015)",
        (*_VAE, *_KL_WEIGHT, "condition"),
        {"condition": "label", "prior": "conditional"},
        # A heavier KL keeps z from saying what the label says.
        {"label": {"beta": 2.5}},
    ),
    "m2": ModelChoice(
        "semi-supervised: few labels, many examples (Kingma et al. 2014)",
        _SEMI_SUPERVISED,
        {**_FEW_LABELS, "hidden_units": (300,)},
    ),
    "m1m2": ModelChoice(
        "m2 on the latents of a VAE (Kingma et al. 2014)",
        _SEMI_SUPERVISED,
        {
            **_FEW_LABELS,
            "encoder": "conv",
            "decoder": "mlp",
            "hidden_units": (128,),
            "activation": "relu",
            "latent_dim": 50,
        },
    ),
}

MODEL_FLAGS = frozenset(flag for model in MODELS.values() for flag in model.uses)
"""Flags that some models do not use."""

PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "fast": {"epochs": 20, "learning_rate": 2e-3},
    "good": {"epochs": 200},
    "best": {
        "encoder": "resmlp",
        "hidden_units": (300, 300),
        "activation": "silu",
        "augment": "affine",
        "prior": "gaussian_mixture",
        "epochs": 150,
    },
    "tutorial": {
        "encoder": "mlp",
        "hidden_units": (500, 500),
        "activation": "softplus",
        "initializer": "glorot_uniform",
        "latent_dim": 20,
        "binarize": "none",
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "weight_average": 0.0,
        "batch_size": 100,
        "epochs": 100,
    },
    "tutorial_small": {
        "encoder": "mlp",
        "hidden_units": (20,),
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.2,
        "layer_order": "split",
        "latent_dim": 10,
        "binarize": "none",
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "weight_average": 0.0,
        "batch_size": 1000,
        "epochs": 20,
    },
}
"""Values for the flags that are not given."""

PRESET_LINES = {
    "none": "the defaults",
    "fast": "a usable model in a fraction of the time",
    "good": "longer training of the default model",
    "best": "residual nets, a mixture prior, augmentation: the lowest test NLL",
    "tutorial": "Chainer's VAE tutorial: 2x500 softplus, 20 latents, 100 epochs",
    "tutorial_small": "PyTorch's VAE tutorial: 20 units, 10 latents, 20 epochs",
}
"""What `--help` says of each preset."""
