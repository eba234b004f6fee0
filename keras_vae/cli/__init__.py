"""The command line: `keras-vae NAME`, a module for each command."""
