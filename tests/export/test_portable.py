"""ONNX and LiteRT folders against the living model, each by its own runtime."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks
from keras_vae.export import export
from keras_vae.noise import GivenNoise, RowNoise

SHAPE, CLASSES, N = (6, 5, 1), 3, 4
NAMES = ("encoder", "decoder", "generate")

MODELS = {
    "vae": {"prior": "standard_normal"},
    "gaussian_mixture": {"prior": keras_vae.GaussianMixture(3)},
    "vamp": {"prior": keras_vae.VampPrior(3)},
    "cvae": {"num_classes": CLASSES},
    "region": {"condition": "left_half"},
    "m2": {"num_classes": CLASSES},
}
CLASS = {"cvae": "CVAE", "region": "CVAE", "m2": "M2"}


def make(name):
    keras.utils.set_random_seed(0)
    options = MODELS[name]
    if name not in CLASS:
        small = {"hidden_units": (8,)}
        options = {
            "encoder": networks.mlp_encoder(SHAPE, 2, **small),
            "decoder": networks.mlp_decoder(2, SHAPE, **small),
            **options,
        }
    model = getattr(keras_vae, CLASS.get(name, "VAE"))(2, SHAPE, seed=1, **options)
    model.ensure_built()
    return model


def examples(seed=0):
    random = np.random.default_rng(seed)
    return (random.random((N, *SHAPE)) > 0.5).astype(np.float32)


def condition_of(model):
    """What the model is conditioned on, as its files take it, by the input's name."""
    if model.condition_spec is None:
        return {}
    if model.condition_spec.dtype == tf.int32:
        return {"condition": np.arange(N, dtype=np.int32) % CLASSES}
    return {"condition": np.asarray(model.part_of(examples()))}


def drawn(model, inputs, seed):
    """The noise that a SavedModel draws from a seed, as the files take it."""
    rows = RowNoise(seed, domain="prior")
    noise = {"noise": rows.normal(N, (inputs["noise"]["shape"][1],))}
    if "uniform" in inputs:
        noise["uniform"] = rows.uniform(N, (1,), "component")
    return {name: value.numpy() for name, value in noise.items()}


def check_against(model, run, folder, tolerance=1e-4):
    """Holds every output of the files of a folder against the model's.

    Args:
        model: What was exported.
        run: Maps (folder, name, inputs) to outputs by name.
        folder: Where it was exported to.
        tolerance: Largest difference.
    """
    about = json.loads((folder / "model.json").read_text())
    assert set(about["files"]) == set(NAMES)
    given, seed = condition_of(model), (3, 4)
    of = given.get("condition")
    z = np.random.default_rng(1).normal(size=(N, model.z_dim)).astype(np.float32)
    noise = drawn(model, about["files"]["generate"]["inputs"], seed)
    z_mean, z_log_var = model.encode_params(tf.constant(examples()), of)
    prior = model.prior_sample(N, seed, of)
    expected = {
        "encoder": {"z_mean": z_mean, "z_log_var": z_log_var},
        "decoder": {"x": model.means(tf.constant(z), of)},
        "generate": {"x": model.means(prior, of)},
    }
    inputs = {"encoder": {"x": examples()}, "decoder": {"z": z}, "generate": noise}
    for name in NAMES:
        found = run(folder, name, {**inputs[name], **given})
        assert found.keys() == expected[name].keys()
        for output, value in expected[name].items():
            np.testing.assert_allclose(found[output], value, rtol=0, atol=tolerance)


def by_onnxruntime(folder, name, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(folder / f"{name}.onnx"))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def by_litert(folder, name, inputs):
    content = (folder / f"{name}.tflite").read_bytes()
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner(name)
    rows = [
        runner(**{key: value[row : row + 1] for key, value in inputs.items()})
        for row in range(N)
    ]
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


@pytest.fixture
def needs_onnx():
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_onnx_files_give_the_models_numbers(needs_onnx, tmp_path, name):
    model = make(name)
    model.export(tmp_path / "onnx", format="onnx")
    check_against(model, by_onnxruntime, tmp_path / "onnx")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("name", ["vae", "vamp", "cvae", "region"])
def test_litert_files_give_the_models_numbers(tmp_path, name):
    model = make(name)
    model.export(tmp_path / "litert", format="litert")
    check_against(model, by_litert, tmp_path / "litert")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_integers_of_8_bits_are_near_float32_and_say_how_near(tmp_path, name):
    model, x = make(name), examples()
    given = (x, np.arange(N) % CLASSES) if name == "cvae" else x
    model.export(tmp_path / "int8", format="litert", calibration=given)
    check_against(model, by_litert, tmp_path / "int8", tolerance=0.2)
    errors = json.loads((tmp_path / "int8" / "model.json").read_text())["int8_error"]
    for outputs in errors.values():
        for error in outputs.values():
            assert 0 < error["mean"] <= error["largest"] < 0.2
    content = (tmp_path / "int8" / "encoder.tflite").read_bytes()
    details = tf.lite.Interpreter(model_content=content).get_tensor_details()
    assert np.int8 in {detail["dtype"] for detail in details}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_a_hierarchy_is_exported_with_the_noise_of_all_groups(needs_onnx, tmp_path):
    keras.utils.set_random_seed(0)
    model = keras_vae.HierarchicalVAE(
        2, SHAPE, groups=(1, 1), group_channels=1, width=4
    )
    model.ensure_built()
    model.export(tmp_path / "onnx", format="onnx")
    about = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert about["files"]["generate"]["inputs"]["noise"]["shape"] == [None, model.z_dim]
    z = np.random.default_rng(1).normal(size=(N, model.z_dim)).astype(np.float32)
    found = by_onnxruntime(tmp_path / "onnx", "decoder", {"z": z})["x"]
    np.testing.assert_allclose(found, model.means(tf.constant(z)), atol=1e-4)
    made = by_onnxruntime(tmp_path / "onnx", "generate", {"noise": z})["x"]
    assert made.shape == (N, *SHAPE) and np.ptp(made) > 0


def test_an_unknown_format_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="format"):
        export(make("vae"), tmp_path / "out", "onx")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["tf_saved_model", "onnx"])
def test_only_litert_takes_examples_to_calibrate_by(tmp_path, format):
    with pytest.raises(ValueError, match="calibration"):
        export(make("vae"), tmp_path / "out", format, calibration=examples())


@pytest.mark.parametrize(
    "given",
    [
        lambda: tf.data.Dataset.from_tensors(np.zeros((2, *SHAPE), np.float32)),
        lambda: np.zeros((0, *SHAPE)),
        lambda: np.zeros(SHAPE),
        lambda: 5,
    ],
    ids=["a dataset", "no examples", "one example", "a number"],
)
def test_what_is_no_array_of_examples_is_refused(tmp_path, given):
    with pytest.raises(ValueError, match="calibration"):
        export(make("vae"), tmp_path / "out", "litert", calibration=given())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_the_converter_refuses_is_one_sentence_and_leaves_what_was_there(
    tmp_path,
):
    class Odd(keras.layers.Layer):
        def call(self, z):
            return tf.ensure_shape(tf.py_function(abs, [z], tf.float32), z.shape)

    z = keras.Input((2,))
    x = keras.layers.Dense(30)(Odd()(z))
    decoder = keras.Model(z, keras.layers.Reshape(SHAPE)(x))
    vae = keras_vae.VAE(
        2, SHAPE, encoder=networks.mlp_encoder(SHAPE, 2), decoder=decoder
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("x")
    with pytest.raises(ValueError, match="`format`") as raised:
        export(vae, tmp_path / "out", "litert")
    assert "\n" not in str(raised.value)
    assert (tmp_path / "out" / "kept").read_text() == "x"


# Noise that comes from outside.


def test_draws_take_given_numbers_in_the_order_they_are_asked_for():
    normal = np.arange(10, dtype=np.float32).reshape(2, 5)
    uniform = np.array([[0.25], [0.5]], np.float32)
    with GivenNoise(tf.constant(normal), tf.constant(uniform)):
        first = RowNoise(1).normal(2, (3,))
        chosen = RowNoise(2).uniform(2, (1,))
        second = RowNoise(3).normal(2, (2, 1))
    np.testing.assert_array_equal(first, normal[:, :3])
    np.testing.assert_array_equal(second[..., 0], normal[:, 3:])
    np.testing.assert_array_equal(chosen, uniform)


def test_without_numbers_they_are_counted():
    with GivenNoise() as counter:
        RowNoise(1).normal(7, (3, 2))
        RowNoise(1).uniform(7, (1,))
    assert counter.widths == {"normal": 6, "uniform": 1}


def test_outside_of_the_context_noise_is_drawn_as_ever():
    before = RowNoise(1).normal(2, (3,))
    with GivenNoise(tf.zeros((2, 3))):
        RowNoise(1).normal(2, (3,))
    np.testing.assert_array_equal(RowNoise(1).normal(2, (3,)), before)
