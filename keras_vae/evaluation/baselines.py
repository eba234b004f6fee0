"""What a linear model makes of the same data: principal components."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

from keras_vae.data.pipeline import as_unit
from keras_vae.probability.likelihoods import Gaussian

_MAX_EXAMPLES = 10_000
_MAX_NUMBERS = 2**26  # of the training examples that are decomposed


def principal_components(
    model: Any, x_train: Any, x_test: Any, condition: Any = None
) -> dict[str, float]:
    """Compares a model with PCA of as many components as it has latent dimensions.

    Everything is in the units in which the model sees the data: images in [0, 1],
    vectors and sequences standardised. The components are those of up to 10,000
    training examples; all metrics are of the test examples.

    Args:
        model: A `VAE` or a model with its methods.
        x_train: Training examples, an array or an object with `gather(rows)`.
        x_test: Test examples.
        condition: That of the test examples, for conditional models.

    Returns:
        `squared_error` of the model's reconstructions and `pca_squared_error`, summed
        over x and averaged over examples; `pca_components`; and where the likelihood is
        Gaussian `pca_nll`, -log p(x) in nats under probabilistic PCA (Tipping and
        Bishop 1999, equations 4 to 8), in the data's own units as the model's NLL is.
    """
    model.ensure_built()
    train, test = _flat(model, x_train), _flat(model, x_test)
    size = train.shape[1]
    # One direction at least is left to be noise.
    components = max(1, min(model.latent_dim, size - 1, len(train) - 1))
    components = min(components, size, len(train))
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(train)
    projected = pca.transform(test)
    residual = np.sum(np.square(test - pca.inverse_transform(projected)), axis=1)
    own = np.square(test - _flat(model, model.reconstruct(x_test, condition)))
    metrics = {
        "squared_error": float(np.mean(np.sum(own, axis=1))),
        "pca_squared_error": float(np.mean(residual)),
        "pca_components": components,
    }
    noise = np.var(train, axis=0, ddof=1).sum() - pca.explained_variance_.sum()
    noise /= max(1, size - components)
    if isinstance(model.likelihood, Gaussian) and noise > 0.0:
        distance = np.sum(np.square(projected) / pca.explained_variance_, axis=1)
        log_volume = np.sum(np.log(pca.explained_variance_))
        log_volume += (size - components) * math.log(noise)
        constant = size * math.log(2.0 * math.pi) + log_volume
        nll = 0.5 * (constant + distance + residual / noise)
        metrics["pca_nll"] = float(np.mean(nll)) + _log_unit(model)
    return metrics


def _flat(model: Any, x: Any) -> np.ndarray:
    count = max(2, min(_MAX_EXAMPLES, _MAX_NUMBERS // math.prod(model.data_shape)))
    head = x.head(count) if hasattr(x, "head") else x[:count]
    values = model.to_model(as_unit(tf.convert_to_tensor(head)))
    return np.asarray(values).reshape(len(head), -1)


def _log_unit(model: Any) -> float:
    """The log of how much larger a volume is in the data's units, for one example."""
    if model.data_scale is None:
        return 0.0
    times = math.prod(model.data_shape[:-1])
    return times * float(np.sum(np.log(model.data_scale.numpy())))
