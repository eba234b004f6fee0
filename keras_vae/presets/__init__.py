"""Trained models as folders: a configuration, weights and a card."""

from keras_vae.presets.folders import from_preset, list_presets, to_preset

__all__ = ["from_preset", "list_presets", "to_preset"]
