import zipfile

import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.engine import checkpoint
from keras_vae.models.disentangled import FactorVAE

SHAPE = (3,)
X = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype(np.float32)


def model(width=4, **options):
    vae = keras_vae.VAE(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(width,), **options),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(width,), **options),
        likelihood="gaussian_fixed",
        seed=0,
    )
    vae.compile()
    vae.ensure_built()
    return vae


@pytest.fixture(scope="module")
def trained():
    vae = model()
    vae.fit(X, epochs=2, batch_size=8, verbose=0)
    return vae


def save(folder, vae, **state):
    arrays = checkpoint.snapshot(checkpoint.variables(vae))
    checkpoint.save(folder, arrays, state)
    return arrays


def test_all_that_training_changes_comes_back(tmp_path, trained):
    arrays = save(tmp_path, trained, epoch=2, best=None)
    other = model()
    loaded, state = checkpoint.load(tmp_path)
    checkpoint.restore(checkpoint.variables(other), loaded)
    assert state == {"epoch": 2, "best": None}
    assert arrays.keys() == checkpoint.snapshot(checkpoint.variables(other)).keys()
    for name, value in checkpoint.snapshot(checkpoint.variables(other)).items():
        np.testing.assert_array_equal(value, arrays[name])
    assert int(other.step.numpy()) == int(other.optimizer.iterations.numpy()) == 6
    assert other.get_metrics_result() == trained.get_metrics_result()


def test_the_state_of_every_optimizer_is_kept():
    vae = FactorVAE(2, (4, 4, 1))
    vae.compile()
    vae.ensure_built()
    kept = {id(variable) for variable in checkpoint.variables(vae).values()}
    for optimizer in vae.optimizers:
        assert {id(variable) for variable in optimizer.variables} <= kept


def test_a_checkpoint_of_other_networks_is_refused_and_changes_nothing(trained):
    other = model(width=5)
    before = other.get_weights()
    arrays = checkpoint.snapshot(checkpoint.variables(trained))
    with pytest.raises(ValueError, match="of another model"):
        checkpoint.restore(checkpoint.variables(other), arrays)
    del arrays["optimizer/0003"]
    with pytest.raises(ValueError, match="of another model"):
        checkpoint.restore(checkpoint.variables(trained), arrays)
    for now, then in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert not checkpoint.is_in(tmp_path)
    assert checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_damaged_checkpoint_is_refused_plainly(tmp_path, trained, part):
    save(tmp_path, trained)
    path = tmp_path / "state.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ValueError, match=r"state\.npz is damaged .*--overwrite"):
        checkpoint.load(tmp_path)


def test_a_flipped_byte_is_noticed(tmp_path, trained):
    save(tmp_path, trained)
    path = tmp_path / "state.npz"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    # In its numbers: padding and repeated lengths elsewhere change nothing.
    content[largest.header_offset + largest.file_size // 2 + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.load(tmp_path)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "state.npz", a=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path, trained, monkeypatch
):
    save(tmp_path, trained, epoch=1)

    def half(path, **arrays):
        path.write_bytes(b"PK half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, trained, epoch=2)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    assert checkpoint.load(tmp_path)[1] == {"epoch": 1}


def test_the_checkpoint_before_is_kept_and_can_take_the_place_of_the_newest(
    tmp_path, trained
):
    save(tmp_path, trained, epoch=1)
    assert not checkpoint.drop_newest(tmp_path)
    for epoch in (2, 3):
        save(tmp_path, trained, epoch=epoch)
    assert checkpoint.load(tmp_path)[1] == {"epoch": 3}
    assert checkpoint.drop_newest(tmp_path)
    assert checkpoint.load(tmp_path)[1] == {"epoch": 2}
    assert not checkpoint.drop_newest(tmp_path)


def test_between_two_checkpoints_there_is_one(tmp_path, trained):
    for epoch in (1, 2):
        save(tmp_path, trained, epoch=epoch)
    (tmp_path / "state.npz").unlink()  # as a kill between two renames leaves it
    assert checkpoint.is_in(tmp_path)
    assert checkpoint.load(tmp_path)[1] == {"epoch": 1}


def test_an_array_that_is_no_numbers_is_refused(trained):
    arrays = checkpoint.snapshot(checkpoint.variables(trained))
    arrays["model/0000"] = arrays["model/0000"].astype(str)
    with pytest.raises(ValueError, match="of another model"):
        checkpoint.restore(checkpoint.variables(trained), arrays)
