"""What came of the training: metrics of models, latents and samples."""
