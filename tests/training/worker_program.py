"""One worker of a job that trains several models, for `test_workers.py`.

usage: worker_program.py OUT MODEL,MODEL,... INDEX [HOST:PORT,HOST:PORT,...]

Without addresses it is one process. Writes the losses and weights to OUT.
"""

import sys

import keras
import numpy as np

import keras_vae
from keras_vae.engine import strategies, workers

SHAPE = (6, 6, 1)
EXAMPLES = 53  # 20, 20 and 13 of them in a batch: uneven for two and for three

MODELS = {
    "adam": ("VAE", lambda: keras_vae.Adam(1e-3), {}),
    "sgd": ("VAE", lambda: keras.optimizers.SGD(1e-4), {}),
    "accumulated": ("VAE", lambda: keras_vae.Adam(1e-3), {"accumulate_steps": 3}),
    "coupled": ("BetaTCVAE", lambda: keras_vae.Adam(1e-3), {}),
    "two optimizers": ("FactorVAE", lambda: keras_vae.Adam(1e-3), {}),
}


def main(out, names, index, addresses=""):
    """Trains models on all workers; the chief writes."""
    if addresses:
        strategy = strategies.create("auto", 0, addresses.split(","), int(index))
    else:
        strategy = strategies.create()
    rng = np.random.default_rng(0)
    x = (rng.random((EXAMPLES, *SHAPE)) < 0.3).astype(np.float32)
    more = {"dataset_size": EXAMPLES}
    found = {}
    for name in names.split(","):
        kind, optimizer, how = MODELS[name]
        keras.utils.set_random_seed(0)
        own = more if kind == "BetaTCVAE" else {}
        with strategy.scope():
            model = getattr(keras_vae, kind)(2, SHAPE, seed=3, **own)
            model.compile(optimizer(), steps_per_execution=2, **how)
        history = model.fit(
            x, batch_size=20, epochs=2, validation_data=x[:31], verbose=0
        ).history
        for figure, values in history.items():
            found[f"{name}/{figure}"] = np.asarray(values)
        for number, weight in enumerate(model.trainable_variables):
            found[f"{name}/weight {number}"] = weight.numpy()
        found[f"{name}/elbo"] = model.elbo(x)
    if workers.is_chief(strategy):
        np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
