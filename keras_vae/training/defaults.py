"""What flags are where they are not given and the data have a say in it."""

import math
import os
from collections.abc import Mapping
from typing import Any

from keras_vae.data import glance, splits
from keras_vae.models import registry
from keras_vae.training import choices

_HELD_OUT = 0.1
_LEAST = 10  # images, so that a tenth of them is one

_CONVOLUTIONAL = ("conv", "resnet")
_MODELS = ("vae", "beta_vae", "iwae", "hvae")
_PRESETS = ("none", "sharp")
_SMALL_BATCH = {False: 32, True: 16}  # of a flat model, of a hierarchy: many updates
_MANY = 20_000  # pictures, from which on batches and epochs are those of other data
_UPDATES = {False: 1_000, True: 6_000}  # at least
_EPOCHS = {False: 15, True: 1}  # at least
_LATENTS, _COMPONENTS = 64, 5  # latents of a flat model, logistics of any
_NO_FLOW = {"prior", "prior_components", "rescale_latents", "init_latents", "free_bits"}
_FINEST_SIDE, _LARGEST_STRIDE = 16, 8  # of a hierarchy's finest maps of latents
_TIMES_DRAWN = 10  # in training; means of the mixture take as long as many updates
_WARM_UP = 2_000  # updates of a hierarchy until the KL has its weight, at most


def validation_fraction(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the validation fraction where it is not given and must not be 0.

    That is where early stopping has no data to select by; and for a folder of at least
    ten images that brings no part along which is not trained on.

    Args:
        values: What is known of the flags, by name.
    """
    dataset = str(values.get("dataset", ""))
    path = "" if dataset in choices.DATASETS else os.path.expanduser(dataset)
    pairs = (pair.partition("=") for pair in values.get("array_names") or ())
    found = splits.held_out_splits(path, {name: own for name, _, own in pairs})
    if values.get("early_stopping_patience"):
        return {} if "validation" in found else {"validation_fraction": _HELD_OUT}
    if not found and os.path.isdir(path) and splits.holds_files(path, _LEAST):
        return {"validation_fraction": _HELD_OUT}
    return {}


def of_colour_pictures(
    values: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the flags that 8-bit colour pictures need other values of.

    Convolutions, a likelihood of the 256 values whose colours depend on one another,
    and so many epochs of small batches that a few hundred pictures are enough updates.
    With a preset it is what --preset sharp leaves to the data.

    Args:
        values: What is known of the flags, by name: those of the preset and the model
            too.
        given: The flags that the user gave.

    Returns:
        Flags by name; nothing for other data, and none that the user gave.
    """
    pictures = _pictures(values)
    model = str(values.get("model", "vae"))
    if pictures is None or model not in _MODELS:
        return {}
    preset = values.get("preset", "none")
    if preset not in _PRESETS:
        return {}
    hierarchical = registry.MODELS[model].hierarchical
    chosen = _of_hierarchy(pictures) if hierarchical else _of_flat(model, given)
    if preset != "none":
        chosen["augment"] = "none"  # what is turned is smoother than what is not
    if pictures.number < _MANY:
        size = min(_SMALL_BATCH[hierarchical], pictures.number)
        asked_size = given.get("batch_size")
        if isinstance(asked_size, int) and asked_size > 0:
            size = asked_size
        steps = math.ceil(pictures.number / size)
        enough = math.ceil(_UPDATES[hierarchical] / steps)
        epochs = max(_EPOCHS[hierarchical], enough)
        every = max(1, epochs // _TIMES_DRAWN)
        chosen |= {"batch_size": size, "epochs": epochs, "image_every": every}
        if hierarchical and given.get("kl_schedule", "linear") == "linear":
            warm_up = _warm_up(steps, epochs)
            chosen |= {"kl_schedule": "linear", "kl_warmup_epochs": warm_up}
    asked = {name for name in given if (name, given[name]) != ("likelihood", "auto")}
    if "likelihood" in asked:
        chosen.pop("likelihood_components", None)
    return {name: value for name, value in chosen.items() if name not in asked}


def _warm_up(steps: int, epochs: int) -> float:
    """Returns the epochs in which the weight of a hierarchy's KL grows.

    While it is small the finest latents, which the first updates have no use for, are
    not yet pressed to the prior. Whatever --epochs is given, the schedule is that of
    the run's own `epochs`, so that a run that has ended can have more of them.
    """
    return max(0.1, round(min(_WARM_UP / steps, epochs / 3), 1))


def _pictures(values: Mapping[str, Any]) -> glance.Pictures | None:
    if values.get("data_kind", "auto") not in ("auto", "images"):
        return None
    if values.get("binarize", "none") != "none":
        return None
    dataset = str(values.get("dataset", ""))
    named = dataset in choices.DATASETS
    pairs = (pair.partition("=") for pair in values.get("array_names") or ())
    return glance.colour_pictures(
        dataset if named else os.path.expanduser(dataset),
        {name: own for name, _, own in pairs},
        named,
    )


def _of_hierarchy(pictures: glance.Pictures) -> dict[str, Any]:
    stride, side = 2, max(pictures.height, pictures.width)
    while side / stride > _FINEST_SIDE and stride < _LARGEST_STRIDE:
        stride *= 2
    return {
        "likelihood": "discretized_logistic_mixture",
        "likelihood_components": _COMPONENTS,
        "finest_stride": stride,
    }


def _of_flat(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "encoder": given.get("encoder", "conv"),
        "latent_dim": _LATENTS,
    }
    if (given.get("decoder") or chosen["encoder"]) in _CONVOLUTIONAL:
        chosen["likelihood"] = "discretized_logistic_mixture"
        chosen["likelihood_components"] = _COMPONENTS
    # Thousands of nats of likelihood leave means where no draw of N(0, I) falls.
    if "prior" in registry.MODELS[model].flags and not _NO_FLOW.intersection(given):
        chosen["prior"] = "flow"
    return chosen
