"""Keras' loop for models whose loss is their own. Knows no VAE."""
