"""Nothing that is read is executed, and nobody from elsewhere is answered."""

import ast
import inspect
import json
import pickle
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_vae import load, load_model
from keras_vae.cli import generate
from keras_vae.cli.explore import ExploreOptions
from keras_vae.engine import checkpoint
from keras_vae.reporting import explorer

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    [*(ROOT / "keras_vae").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
)
UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EXECUTES = {"eval", "exec", "compile_command", "system", "popen", "execfile"}


def nodes(kind):
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path.relative_to(ROOT), node


def keywords():
    for path, node in nodes(ast.Call):
        for keyword in node.keywords:
            yield path, node, keyword


def test_the_sources_are_found():
    assert len(SOURCES) > 80


def test_nothing_that_unpickles_is_imported():
    for path, node in nodes(ast.Import | ast.ImportFrom):
        names = {alias.name.partition(".")[0] for alias in node.names}
        module = (getattr(node, "module", None) or "").partition(".")[0]
        assert not UNPICKLES & {*names, module}, (path, node.lineno)


def test_every_reader_of_arrays_refuses_pickles():
    readers = 0
    for path, node in nodes(ast.Call):
        name = ast.unparse(node.func)
        if name not in ("np.load", "np.lib.format.read_array"):
            continue
        readers += 1
        given = {key.arg: ast.unparse(key.value) for key in node.keywords}
        assert given.get("allow_pickle") == "False", (path, node.lineno)
    assert readers >= 3


def test_nothing_turns_a_guard_off():
    for path, node, keyword in keywords():
        value = ast.unparse(keyword.value)
        assert (keyword.arg, value) not in {
            ("allow_pickle", "True"),
            ("safe_mode", "False"),
            ("shell", "True"),
        }, (path, node.lineno)
    for path in SOURCES:
        for word in ("enable_unsafe_deserialization", "0.0.0.0", "bind_all"):
            assert word not in path.read_text(), path


def test_nothing_executes_text():
    for path, node in nodes(ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        assert name not in EXECUTES, (path, node.lineno)


def test_keras_files_are_loaded_in_safe_mode():
    calls = [
        node
        for _, node in nodes(ast.Call)
        if ast.unparse(node.func).endswith("saving.load_model")
    ]
    assert calls
    for node in calls:
        given = {key.arg: ast.unparse(key.value) for key in node.keywords}
        assert given["safe_mode"] == "True"


# Files that were made to do harm.


class Harm:
    """What unpickling would make a file of."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "harm"))


@pytest.fixture
def trace(tmp_path):
    """A file that must not be there at the end."""
    path = tmp_path / "traces" / "harm.txt"
    path.parent.mkdir()
    return path


def test_the_trap_would_snap(trace):
    pickle.loads(pickle.dumps(Harm(trace)))
    assert trace.exists()


@pytest.mark.parametrize("name", ["x_train", "y_train", "condition_train"])
def test_an_array_of_objects_runs_nothing(tmp_path, trace, name):
    sound = {"x_train": np.ones((2, 3)), "y_train": np.zeros(2)}
    np.savez(tmp_path / "a.npz", **{**sound, name: np.array([Harm(trace), 1], object)})
    with pytest.raises(ValueError, match="never unpickled"):
        load(tmp_path / "a.npz")
    assert not trace.exists()


def test_a_file_that_is_a_pickle_runs_nothing(tmp_path, trace):
    for name in ("a.npy", "a.npz", "a.csv"):
        (tmp_path / name).write_bytes(pickle.dumps(Harm(trace)))
        with pytest.raises(ValueError, match=name):
            load(tmp_path / name)
    assert not trace.exists()


def test_a_checkpoint_of_objects_runs_nothing(tmp_path, trace):
    np.savez(tmp_path / "state.npz", **{"state.json": np.array([Harm(trace)], object)})
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.load(tmp_path)
    assert not trace.exists()


def test_a_condition_of_objects_runs_nothing(tmp_path, trace, capsys):
    np.save(tmp_path / "c.npy", np.array([Harm(trace)], object))
    (tmp_path / "saved_model.pb").write_bytes(b"")
    flags = [f"--saved_model={tmp_path}", f"--condition={tmp_path / 'c.npy'}"]
    assert generate.main(["generate.py", *flags, f"--out={tmp_path / 'x.npz'}"]) == 2
    assert "--condition" in capsys.readouterr().err
    assert not trace.exists()


def test_a_model_with_code_runs_nothing(tmp_path, trace):
    place = str(trace)

    def harm(x):
        Path(place).write_text("harm")
        return x

    layer = keras.layers.Lambda(harm, output_shape=(2,))
    model = keras.Sequential([keras.Input((2,)), layer])
    trace.unlink(missing_ok=True)  # making it calls it
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        load_model(tmp_path / "model.keras")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "exec"),
        ("subprocess", "run"),
        ("shutil", "rmtree"),
    ],
)
def test_a_model_that_names_a_function_runs_nothing(tmp_path, trace, module, name):
    config = {
        "module": module,
        "class_name": name,
        "registered_name": name,
        "config": {"command": f"touch {trace}", "args": f"touch {trace}"},
    }
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(tmp_path / "model.keras")
    assert not trace.exists()


def test_names_in_an_archive_are_no_places_to_write_to(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    stream = np.ones((4, 3), np.float32)
    with zipfile.ZipFile(inner / "data.npz", "w") as archive:
        for name in ("x_train.npy", "../../x_train.npy", "/tmp/../y_train.npy"):
            with archive.open(name, "w") as file:
                np.lib.format.write_array(file, stream)
    before = sorted(tmp_path.rglob("*"))
    assert len(load(inner / "data.npz").train) == 4
    assert sorted(tmp_path.rglob("*")) == before


# Who is answered.


def test_the_explorer_listens_on_this_machine_alone():
    assert ExploreOptions.__dataclass_fields__["host"].default == "127.0.0.1"
    for function in (explorer.server, explorer.explore, explorer.application):
        assert inspect.signature(function).parameters["host"].default == "127.0.0.1"


def test_no_page_of_ours_tells_tensorboard_to_listen_elsewhere():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        lines = [
            line for line in path.read_text().splitlines() if "tensorboard " in line
        ]
        assert not any("--host" in line or "bind_all" in line for line in lines), path
