import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_vae.data import files
from keras_vae.data.datasets import load

X = np.random.default_rng(0).integers(0, 256, (10, 4, 5), np.uint8)


def _npy(array, **kwargs):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **kwargs)
    return stream.getvalue()


def _header(shape, descr="<f4", version=(1, 0)):
    stream = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    write = np.lib.format.write_array_header_1_0
    (write if version == (1, 0) else np.lib.format.write_array_header_2_0)(
        stream, header
    )
    return stream.getvalue()


def test_all_arrays_of_an_npz_are_read(tmp_path):
    arrays = {name: np.arange(8) + place for place, name in enumerate(files.NPZ_NAMES)}
    np.savez_compressed(tmp_path / "a.npz", other=np.ones(3), **arrays)
    read = files.read_npz(tmp_path / "a.npz")
    assert sorted(read) == sorted(files.NPZ_NAMES)
    for name, values in arrays.items():
        np.testing.assert_array_equal(read[name], values)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_single_array_may_have_any_name(tmp_path, save):
    save(tmp_path / "a.npz", **{"name with ä": X})
    np.testing.assert_array_equal(files.read_npz(tmp_path / "a.npz")["x_train"], X)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_is_read(tmp_path, version, order):
    x = np.asarray(X, order=order)
    (tmp_path / "a.npy").write_bytes(_npy(x, version=version))
    np.testing.assert_array_equal(files.read_npy(tmp_path / "a.npy")["x_train"], X)


def test_an_npz_without_x_train_is_refused_with_a_list_of_what_is_in_it(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=X)
    with pytest.raises(ValueError, match="no array 'x_train'.*'images', 'labels'"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="no array 'x_train'; it holds no array"):
        load(tmp_path / "a.npz")


def test_objects_are_refused_and_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("was unpickled",))

    trap = np.array([Trap(), 1], object)
    np.savez(tmp_path / "a.npz", x_train=trap)
    np.save(tmp_path / "a.npy", trap)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(ValueError, match="Python objects, which are never unpic"):
            load(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path, name, part):
    (np.savez if name == "a.npz" else np.save)(tmp_path / name, X)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match="cut off|no array of numbers"):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>404 not found</html>" * 20)
    with pytest.raises(ValueError, match="no .npz file|no array of numbers"):
        load(tmp_path / name)


def test_a_damaged_array_is_found_by_its_checksum(tmp_path):
    np.savez(tmp_path / "a.npz", X)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(X[0].tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="CRC.*make or fetch it again"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "shape", [(10**6, 10**6), (2**62, 4), (2, -3), (-2, -2), (3, 4)]
)
@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_a_claim_that_the_file_cannot_hold_is_refused(tmp_path, name, shape):
    content = _header(shape) + b"\0" * 16
    if name == "a.npy":
        (tmp_path / name).write_bytes(content)
    else:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x_train.npy", content)
    with pytest.raises(ValueError, match="claims an array|cut off"):
        load(tmp_path / name)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_header_that_is_too_long_is_not_read(tmp_path, version):
    content = bytearray(_header((2, 2), version=version) + b"\0" * 16)
    content[8:12] = b"\xff\xff\xff\x7f" if version == (2, 0) else b"\xff\xff  "
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match="header of .* bytes"):
        load(tmp_path / "a.npy")


def test_a_structured_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3, [("a", "f4"), ("b", "u1")]))
    with pytest.raises(ValueError, match="real numbers"):
        load(tmp_path / "a.npy")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    path = tmp_path_factory.mktemp("bomb") / "bomb.npz"
    entry = zipfile.ZipInfo("x_train.npy")
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive, archive.open(entry, "w") as stream:
        stream.write(_header((300, 2**20), "|u1"))
        for _ in range(300):
            stream.write(bytes(2**20))
    return path


def test_a_zip_bomb_is_refused_before_it_is_unpacked(bomb):
    assert bomb.stat().st_size < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="would grow 1,0.. times to 0.3 GiB"):
            load(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_arrays_that_together_outgrow_memory_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x_train=X, x_test=X)
    monkeypatch.setattr("keras_vae.data.checks.memory_limit", lambda: X.nbytes * 3 // 2)
    with pytest.raises(ValueError, match="this machine has"):
        load(tmp_path / "a.npz")
    monkeypatch.setattr("keras_vae.data.checks.memory_limit", lambda: X.nbytes * 2)
    assert len(load(tmp_path / "a.npz").train) == 10


def test_memory_that_is_refused_while_reading_ends_in_a_sentence(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    np.save(tmp_path / "a.npy", X)
    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises(ValueError, match="does not fit into memory"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.csv"])
def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch, name):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / name).write_bytes(b"")
    module = "keras_vae.data." + ("tables" if name == "a.csv" else "files")
    monkeypatch.setattr(f"{module}.open", refuse, raising=False)
    monkeypatch.setattr("zipfile.ZipFile", refuse)
    with pytest.raises(ValueError, match="may not be read; change its permissions"):
        load(tmp_path / name)


def test_an_encrypted_archive_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="encrypted"):
        load(tmp_path / "a.npz")


def test_arrays_of_other_names_are_found_by_a_map(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=np.arange(10), more=X)
    names = {"x_train": "images", "y_train": "labels"}
    data = load(tmp_path / "a.npz", array_names=names)
    np.testing.assert_array_equal(data.train.x[..., 0], X)
    assert data.train.y.tolist() == list(range(10))


@pytest.mark.parametrize("names", [{"x_train": "imgs"}, {"x_trian": "images"}])
def test_a_map_to_what_is_not_there_is_refused(tmp_path, names):
    np.savez(tmp_path / "a.npz", images=X)
    with pytest.raises(ValueError, match="array_names.*Did you mean"):
        load(tmp_path / "a.npz", array_names=names)


def test_factors_of_a_file_are_whole_numbers_where_they_can_be(tmp_path):
    factors = np.stack([np.arange(10), np.arange(10) % 3], axis=1).astype(float)
    np.savez(tmp_path / "a.npz", x_train=X, factors_train=factors)
    found = load(tmp_path / "a.npz").train.factors
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, factors)
    np.savez(tmp_path / "b.npz", x_train=X, factors_train=factors + 0.5)
    assert load(tmp_path / "b.npz").train.factors.dtype.kind == "f"
    np.savez(tmp_path / "c.npz", x_train=X, factors_train=factors * np.nan)
    with pytest.raises(ValueError, match="factors_train"):
        load(tmp_path / "c.npz")
