"""Damaged files of a run: each is read or refused in one sentence, and no more."""

import io
import json
import os

import keras
import numpy as np
import pytest

from keras_vae import VAE, load_model, networks
from keras_vae.cli import generate
from keras_vae.engine import checkpoint
from keras_vae.reporting.plots import read_history
from keras_vae.training.config import TrainConfig

FULL = os.environ.get("KERAS_VAE_FULL_TESTS") == "1"
INPUTS = 3_000 if FULL else 150
MODELS = 300 if FULL else 20


@pytest.fixture
def is_read_or_refused(damaged):
    """Reads so many damaged copies; returns how many were refused."""

    def count(content, read, inputs):
        refused = 0
        for number in range(inputs):
            try:
                read(damaged(content, np.random.default_rng([23, number])))
            except ValueError as error:
                refused += 1
                sentence = str(error)
                assert "\n" not in sentence and len(sentence) < 1000, (number, sentence)
                assert sentence.endswith((".", "?")), (number, sentence)
            except Exception as error:
                raise AssertionError(f"input {number}: {error!r}") from error
        return refused

    return count


def test_damaged_checkpoints(is_read_or_refused, tmp_path):
    arrays = {"model/0000": np.arange(9.0), "metric/0000": np.zeros(())}
    checkpoint.save(tmp_path, arrays, {"epoch": 3, "history": [{"loss": 1.5}]})
    path = tmp_path / "state.npz"

    def read(content):
        path.write_bytes(content)
        checkpoint.load(tmp_path)

    assert is_read_or_refused(path.read_bytes(), read, INPUTS) > INPUTS // 3


def test_damaged_configurations(is_read_or_refused):
    content = TrainConfig().to_json().encode()

    def read(content):
        TrainConfig.from_json(content.decode("utf-8", "replace"))

    assert is_read_or_refused(content, read, INPUTS) > INPUTS // 3


def test_damaged_histories(is_read_or_refused, tmp_path):
    rows = "\n".join(f"{epoch},{100 / epoch},{epoch / 7}" for epoch in range(1, 9))
    path = tmp_path / "history.csv"

    def read(content):
        path.write_bytes(content)
        read_history(path)

    refused = is_read_or_refused(f"epoch,loss,kl\n{rows}\n".encode(), read, INPUTS)
    assert refused > INPUTS // 20


def test_damaged_conditions(is_read_or_refused, tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).random((5, 3)))
    path = tmp_path / "condition.npy"

    def read(content):
        path.write_bytes(content)
        rows = generate.read_condition(path)
        assert rows.dtype == np.float32 and np.isfinite(rows).all()

    assert is_read_or_refused(stream.getvalue(), read, INPUTS) > INPUTS // 3


@pytest.mark.slow
def test_damaged_models(is_read_or_refused, tmp_path):
    keras.utils.set_random_seed(0)
    options = {"hidden_units": (2,)}
    model = VAE(
        1,
        (2,),
        encoder=networks.mlp_encoder((2,), 1, **options),
        decoder=networks.mlp_decoder(1, (2,), **options),
        seed=0,
    )
    path = tmp_path / "model.keras"
    model.save(path)

    def read(content):
        path.write_bytes(content)
        load_model(path, compile=False)

    assert is_read_or_refused(path.read_bytes(), read, MODELS) > MODELS // 3


def test_metrics_that_are_no_json_are_told_from_those_that_are(
    is_read_or_refused, tmp_path
):
    from keras_vae.reporting.runs import read_json

    path = tmp_path / "metrics.json"

    def read(content):
        path.write_bytes(content)
        read_json(path)

    content = json.dumps({"neg_elbo": 12.5, "by_class": {"0": {"count": 3}}}).encode()
    assert is_read_or_refused(content, read, INPUTS) > INPUTS // 3
