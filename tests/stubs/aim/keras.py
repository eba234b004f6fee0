import keras


class AimCallback(keras.callbacks.Callback):
    def __init__(self, repo=None, experiment=None, log_system_params=True):
        # As the real one: the initialisation of Keras' class is left out.
        super(keras.callbacks.Callback, self).__init__()
        self.tracked = []

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.tracked.append((epoch, name, float(value)))

    def close(self):
        assert {name for _, name, _ in self.tracked} >= {"loss", "val_neg_elbo"}
