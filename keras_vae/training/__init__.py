"""How a model is trained: configuration, flags, strategies, callbacks and the run."""
