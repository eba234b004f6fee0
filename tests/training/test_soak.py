"""Long runs in one process neither grow nor slow down what runs beside them."""

import json
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks

# Trains as `train.py` does, and notes after each epoch what the process holds.
_SOAK = """
import json, os, sys
import keras
from keras_vae.training import run
from keras_vae.training.config import TrainConfig

epochs = int(sys.argv[1])
noted = []

class Note(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        pages = int(open("/proc/self/statm").read().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        threads = len(os.listdir("/proc/self/task"))
        noted.append((memory, threads, len(os.listdir("/proc/self/fd"))))

callbacks = run.monitoring_callbacks
run.monitoring_callbacks = lambda *given: [*callbacks(*given), Note()]
config = TrainConfig.resolve({
    "latent_dim": 2, "hidden_units": (32,), "batch_size": 250, "epochs": epochs,
    "validation_fraction": 0.2, "image_every": max(1, epochs // 20),
    "output_dir": "soak",
})
run.train(config)
print(json.dumps(noted))
"""


@pytest.mark.slow
def test_many_epochs_take_no_more_memory_threads_or_files(
    run_forked, full_length, record_property
):
    epochs = 2_000 if full_length else 60
    result = run_forked("-c", _SOAK, epochs, timeout=3600)
    assert result.returncode == 0, result.stderr
    noted = np.array(json.loads(result.stdout.splitlines()[-1]))
    assert len(noted) == epochs
    # By then every graph has been traced and every picture drawn once.
    early, late = noted[epochs // 4 : epochs // 2], noted[-epochs // 4 :]
    growth = np.median(late[:, 0]) / np.median(early[:, 0]) - 1
    figures = {
        "early MiB": np.median(early[:, 0]),
        "late MiB": np.median(late[:, 0]),
        "threads": late[:, 1].max(),
        "files": late[:, 2].max(),
    }
    print({name: round(float(value), 1) for name, value in figures.items()})
    assert abs(growth) < 0.05
    assert late[:, 1].max() <= early[:, 1].max()
    assert late[:, 2].max() <= early[:, 2].max()


@pytest.mark.slow
def test_sixteen_threads_generate_what_one_does(tmp_path, full_length):
    calls = 1_000 if full_length else 300
    keras.utils.set_random_seed(0)
    shape = (8, 8, 1)
    model = keras_vae.VAE(
        3,
        shape,
        encoder=networks.mlp_encoder(shape, 3, hidden_units=(16,)),
        decoder=networks.mlp_decoder(3, shape, hidden_units=(16,)),
        seed=0,
    )
    model.export(tmp_path / "saved_model")
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))

    def generate(call):
        name = ("generate", "generate_draws")[call % 2]
        num = tf.constant(1 + call % 7)
        x = loaded.signatures[name](num=num, seed=tf.constant([call, 0]))["x"]
        return x.numpy()

    expected = [generate(call) for call in range(calls)]
    order = np.random.default_rng(0).permutation(calls).tolist()
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(order, pool.map(generate, order), strict=True))
    for call, x in enumerate(expected):
        np.testing.assert_allclose(found[call], x, atol=1e-5)
    first = {x[0].tobytes() for x in expected[::2]}
    assert len(first) == len(expected[::2])  # so that a mistaken seed would be seen
