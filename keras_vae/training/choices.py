"""The networks, data sets and presets that a run can choose.

The models are in `models/registry.py`.
"""

from typing import Any

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
    "patches",
    "patches64",
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


FLOWS = ("iaf", "planar")
"""Posteriors that are flows of a normal."""


PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "fast": {"epochs": 20, "learning_rate": 2e-3},
    "good": {"epochs": 200},
    "best": {
        "encoder": "resmlp",
        "hidden_units": (300, 300),
        "activation": "silu",
        "augment": "affine",
        "prior": "flow",
        "epochs": 150,
    },
    "sharp": {
        "model": "hvae",
        "latent_dim": 16,
        "augment": "affine",
        "kl_schedule": "linear",
        "kl_warmup_epochs": 3.0,
        "batch_size": 16,
        "epochs": 20,
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
    "best": "residual nets, a flow as prior, augmentation: one vector z at its best",
    "sharp": "a hierarchy of latents: sharper images, a lower NLL, more time",
    "tutorial": "Chainer's VAE tutorial: 2x500 softplus, 20 latents, 100 epochs",
    "tutorial_small": "PyTorch's VAE tutorial: 20 units, 10 latents, 20 epochs",
}
"""What `--help` says of each preset."""
