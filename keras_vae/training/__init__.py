"""How a model is trained: configuration, strategies, callbacks and the run."""
