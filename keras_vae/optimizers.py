"""The address that `keras_vae.engine.optimizers` has in files made by 0.1.0."""

from keras_vae.engine.optimizers import OPTIMIZERS, Adam

__all__ = ["OPTIMIZERS", "Adam"]
