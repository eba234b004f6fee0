"""Where `M1M2` was in 0.1.0: model files of that time name this module."""

from keras_vae.models.m1m2 import M1M2

__all__ = ["M1M2"]
