"""Variational autoencoders on TensorFlow and Keras 3.

The public names are resolved when first used (PEP 562), so that a program can read its
flags, or a process its configuration, without importing TensorFlow.
"""

import importlib
from typing import Any

from keras_vae.models import registry

__version__ = "0.2.0.dev0"

_EXPORTS = {
    **{
        name: f"models.{module}"
        for model in registry.MODELS.values()
        for name, module in model.classes.items()
    },
    "Latent": "models.terms",
    "Output": "models.terms",
    "Diverged": "engine.divergence",
    "Adam": "engine.optimizers",
    "LinearWarmup": "models.schedules",
    "Cyclical": "models.schedules",
    "ReconstructionImages": "training.callbacks",
    "InterpolationImages": "training.callbacks",
    "SampleImages": "training.callbacks",
    "TrainConfig": "training.config",
    "PictureCallback": "training.callbacks",
    "Prior": "probability.priors",
    "StandardNormal": "probability.priors",
    "GaussianMixture": "probability.priors",
    "VampPrior": "probability.priors",
    "FlowPrior": "probability.priors",
    "AggregateDensity": "probability.aggregate",
    "fit_aggregate": "evaluation.samplers",
    "Likelihood": "probability.likelihoods",
    "Bernoulli": "probability.likelihoods",
    "ContinuousBernoulli": "probability.likelihoods",
    "Gaussian": "probability.likelihoods",
    "GaussianFixed": "probability.likelihoods",
    "GaussianPerPixel": "probability.likelihoods",
    "DiscretizedLogistic": "probability.likelihoods",
    "DiscretizedLogisticMixture": "probability.likelihoods",
    "load_model": "loading",
    "from_preset": "presets",
    "list_presets": "presets",
    "load": "data.datasets",
    "batches": "data.pipeline",
}
_SUBPACKAGES = (
    *("networks", "probability", "data", "evaluation", "visualization", "models"),
    "testing",
)

__all__ = [*_EXPORTS, *_SUBPACKAGES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
