"""What the latents of a trained model hold: arrays in, numbers out."""

import numpy as np


def active_units(z_mean: np.ndarray, threshold: float = 0.01) -> np.ndarray:
    """Says which latent dimensions carry anything (Burda et al. 2015, section 5.2).

    Args:
        z_mean: (n, latent_dim), posterior means of n >= 2 examples.
        threshold: A dimension is active if its mean varies by more over the examples.

    Returns:
        (latent_dim,), bool.
    """
    return np.asarray(np.var(z_mean, axis=0) > threshold)
