"""The three probability statements of a VAE: posterior, likelihood and prior."""
