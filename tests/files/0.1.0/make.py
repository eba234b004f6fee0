"""Made the files beside it, with keras_vae 0.1.0 (commit 4c8363d) and its environment.

Kept to show how; later versions load the files and never make them anew. From the root
of a checkout of that commit: `python make.py FOLDER`.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_vae as kv
from keras_vae import networks
from keras_vae.data import datasets
from keras_vae.models.partial_labels import label_classifier
from keras_vae.training import choices
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig
from keras_vae.training.targets import condition_of

SHAPE = (8, 8, 1)
X = (load_digits().images[:40, ..., None] / 16).astype("float32")
Z = np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2)
Y = load_digits().target[:40].astype("int32")
TRAIN = [
    *("--latent_dim", "2", "--hidden_units", "16", "--encoder", "mlp"),
    *("--image_every", "0", "--weight_average", "0"),
]


def models():
    """The twelve models; three whose own networks are large are made small by hand."""
    data = datasets.load("digits")
    options = {"latent_dim": 2, "input_shape": SHAPE, "seed": 3}
    small = {"hidden_units": (16,)}
    for name in choices.MODELS:
        keras.utils.set_random_seed(0)
        if name == "factor_vae":
            model = kv.FactorVAE(
                **options,
                encoder=networks.mlp_encoder(SHAPE, 2, **small),
                decoder=networks.mlp_decoder(2, SHAPE, **small),
                discriminator_units=(16,),
            )
        elif name == "m2":
            model = kv.M2(
                **options,
                num_classes=10,
                encoder=networks.mlp_encoder(SHAPE, 20, **small),
                decoder=networks.mlp_decoder(12, SHAPE, **small),
                classifier=label_classifier("mlp", SHAPE, 10, **small),
            )
        elif name == "m1m2":
            model = kv.M1M2(
                **options,
                num_classes=10,
                encoder=networks.mlp_encoder(SHAPE, 2, **small),
                decoder=networks.mlp_decoder(2, SHAPE, **small),
                upper_encoder=networks.mlp_encoder(
                    (2,), 20, name="upper_encoder", **small
                ),
                upper_decoder=networks.mlp_decoder(
                    12, (4,), name="upper_decoder", **small
                ),
                classifier=label_classifier("mlp", (2,), 10, **small),
            )
        else:
            given = {"model": name, "latent_dim": 2, "seed": 3, **small}
            if name == "vae":
                given.update(prior="gaussian_mixture", prior_components=3)
            if name == "beta_vae":
                given.update(kl_schedule="linear", kl_warmup_epochs=2.0)
            config = TrainConfig.resolve(given)
            model = build_model(config, SHAPE, len(X), condition_of(config, data))
        if not model.compiled:
            model.compile("adam")
        yield name, model


def numbers(name, model):
    condition = Y if name in ("cvae", "m2", "m1m2") else None
    given = {} if condition is None else {"condition": condition}
    z_mean, z_log_var = model.posterior(X, **given)
    drawn = {} if condition is None else {"condition": condition[:3]}
    return {
        "z_mean": z_mean[:3].tolist(),
        "z_log_var": z_log_var[:3].tolist(),
        "elbo": None if name == "ae" else model.elbo(X, **given)[:3].tolist(),
        "reconstruction": float(model.reconstruct(X, **given).sum()),
        "sample": None
        if name == "ae"
        else float(model.sample(3, seed=1, **drawn).sum()),
        "decode": float(model.decode(Z, **drawn).sum()),
        "evaluate": {
            key: float(value)
            for key, value in model.evaluate(
                X, condition, verbose=0, return_dict=True
            ).items()
        },
    }


def train(folder, *flags, until=None):
    command = [sys.executable, "scripts/train.py", "--output_dir", folder]
    process = subprocess.Popen([*map(str, command), *TRAIN, *flags])
    while until is not None and process.poll() is None:
        path = folder / "history.csv"
        if path.exists() and len(path.read_text().splitlines()) > until:
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.02)
    return process.wait()


def main():
    here = Path(sys.argv[1]).resolve()
    found = {}
    for name, model in models():
        y = Y if name in ("cvae", "m2", "m1m2") else None
        model.fit(X, y, epochs=2, batch_size=16, verbose=0)
        model.save(here / f"{name}.keras")
        found[name] = numbers(name, model)
    (here / "numbers.json").write_text(json.dumps(found, indent=1))
    np.savez(here / "examples.npz", x=X, y=Y)
    train(here / "finished", "--epochs", "8")
    train(here / "unfinished", "--epochs", "300", "--seed", "5", until=5)
    for run in (here / "finished", here / "unfinished"):
        shutil.rmtree(run / "logs")


if __name__ == "__main__":
    main()
