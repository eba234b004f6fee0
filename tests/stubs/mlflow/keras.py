import keras

import mlflow


class MlflowCallback(keras.callbacks.Callback):
    def __init__(self, log_every_epoch=True, log_every_n_steps=None):
        super().__init__()

    def on_train_begin(self, logs=None):
        settings = self.model.optimizer.get_config()
        mlflow.log_params({f"optimizer_{name}": settings[name] for name in settings})
        self.model.summary(print_fn=lambda line, *_, **__: None)

    def on_epoch_end(self, epoch, logs=None):
        mlflow.log_metrics(logs, step=epoch)

    def on_test_end(self, logs=None):
        mlflow.log_metrics({f"validation_{name}": logs[name] for name in logs})
