"""What is trained: the VAE and its family."""
