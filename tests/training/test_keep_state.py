"""What a run continues from: states of wrong types, other data, the one before."""

import json

import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.engine import checkpoint
from keras_vae.engine.averaging import WeightAverage
from keras_vae.training.folder import RunFolder
from keras_vae.training.resume import KeepState
from keras_vae.training.selection import BestSoFar

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
EPOCHS, STEPS = 3, 2
DATA = {"training examples": "20 abc", "names of classes": "0"}


def trainer(path, data=DATA):
    """A model and the callback that keeps its state in a folder."""
    vae = keras_vae.VAE(
        2,
        (3,),
        encoder=networks.mlp_encoder((3,), 2, hidden_units=(4,)),
        decoder=networks.mlp_decoder(2, (3,), hidden_units=(4,)),
        likelihood="gaussian_fixed",
        seed=0,
    )
    vae.compile()
    vae.ensure_built()
    others = {"average": WeightAverage(0.9), "best": BestSoFar(0)}
    keep = KeepState(RunFolder(path), STEPS, EPOCHS, others, data=data)
    for callback in (keep, *others.values()):
        callback.set_model(vae)
    return vae, keep, list(others.values())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The arrays and the state of a run that has ended."""
    path = tmp_path_factory.mktemp("kept")
    vae, keep, others = trainer(path)
    options = {"batch_size": 10, "epochs": EPOCHS, "verbose": 0}
    vae.fit(X, validation_data=(X, None), callbacks=[*others, keep], **options)
    return checkpoint.load(path / "checkpoint")


def restored(path, data=DATA):
    """Continues from a folder; returns the callback and the notes."""
    notes = []
    keep = trainer(path, data)[1]
    assert keep.restore(notes.append)
    return keep, notes


def changed(state, **values):
    return {**json.loads(json.dumps(state)), **values}


def test_a_state_comes_back(tmp_path, kept):
    arrays, state = kept
    checkpoint.save(tmp_path / "checkpoint", arrays, state)
    keep, notes = restored(tmp_path)
    assert (keep.epoch, keep.finished, keep.rows) == (EPOCHS, True, state["history"])
    assert notes == []


WRONG = {
    "epoch is a number with a point": {"epoch": 1e6},
    "epoch is beyond the history": {"epoch": 10**6},
    "epoch is below 0": {"epoch": -1},
    "epoch is a switch": {"epoch": True},
    "epoch is text": {"epoch": "3"},
    "done is beyond the epoch": {"done": STEPS + 1},
    "done is nothing": {"done": None},
    "steps are a list": {"steps_per_epoch": [STEPS]},
    "finished is text": {"finished": "no"},
    "history is nothing": {"history": None},
    "history is an object": {"history": {"epoch": 1}},
    "history has no numbers": {"history": [{"epoch": 1, "loss": "x"}] * EPOCHS},
    "history has no rows": {"history": [1, 2, 3]},
    "history has other epochs": {"history": [{"epoch": 9, "loss": 1.0}] * EPOCHS},
    "seconds are text": {"seconds": "12"},
    "seconds are not finite": {"seconds": float("inf")},
    "callbacks are a list": {"callbacks": []},
    "a callback is missing": {"callbacks": {"average": {"shown": False}}},
    "a callback is a number": {"callbacks": {"average": 1, "best": 2}},
    "what a callback keeps is of other types": {
        "callbacks": {
            "average": {"shown": 0},
            "best": {"best": "low", "best_epoch": None, "wait": 0},
        }
    },
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_a_state_of_wrong_types_is_refused_as_damaged(tmp_path, kept, values):
    arrays, state = kept
    checkpoint.save(tmp_path / "checkpoint", arrays, changed(state, **values))
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="damaged") as caught:
        restored(tmp_path)
    assert "--overwrite" in str(caught.value)
    found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == files


@pytest.mark.parametrize("values", [None, {"history": None}], ids=["bytes", "types"])
def test_where_the_newest_is_damaged_the_one_before_is_used(tmp_path, kept, values):
    arrays, state = kept
    folder = tmp_path / "checkpoint"
    before = changed(state, finished=False, epoch=2, history=state["history"][:2])
    checkpoint.save(folder, arrays, before)
    checkpoint.save(folder, arrays, changed(state, **(values or {})))
    if values is None:
        (folder / "state.npz").write_bytes(b"PK half of it")
    keep, (note,) = restored(tmp_path)
    assert keep.epoch == 2 and not keep.finished
    assert "damaged" in note and "before it" in note
    assert restored(tmp_path)[1] == []  # it has taken the place of the newest


def test_a_run_does_not_go_on_with_other_data(tmp_path, kept):
    arrays, state = kept
    checkpoint.save(tmp_path / "checkpoint", arrays, state)
    with pytest.raises(ValueError, match="--overwrite") as caught:
        restored(tmp_path, {**DATA, "training examples": "20 xyz"})
    assert "training examples" in str(caught.value)
    assert "classes" not in str(caught.value)


def test_a_run_of_a_version_that_kept_no_digest_goes_on(tmp_path, kept):
    arrays, state = kept
    older = changed(state)
    del older["data"]
    checkpoint.save(tmp_path / "checkpoint", arrays, older)
    assert restored(tmp_path)[0].epoch == EPOCHS
