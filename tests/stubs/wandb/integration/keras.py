import keras

import wandb


class WandbMetricsLogger(keras.callbacks.Callback):
    def __init__(self, log_freq="epoch", initial_global_step=0):
        super().__init__()
        if wandb.run is None:
            raise RuntimeError("wandb.init() comes before WandbMetricsLogger()")

    def on_epoch_end(self, epoch, logs=None):
        values = {f"epoch/{name}": value for name, value in (logs or {}).items()}
        values["epoch/epoch"] = epoch
        values["epoch/learning_rate"] = float(self.model.optimizer.learning_rate)
        wandb.run.log(values)
