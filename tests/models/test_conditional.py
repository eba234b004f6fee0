import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import CVAE, networks
from keras_vae.engine import strategies
from keras_vae.evaluation import likelihood
from keras_vae.models.conditions import REGIONS, make_condition, random_mask
from keras_vae.noise import RowNoise

SHAPE = (6, 5, 1)
CLASSES = 3
ROWS = 18
HALVES = {
    "left_half": np.s_[:, :, :2],
    "right_half": np.s_[:, :, 2:],
    "top_half": np.s_[:, :3],
    "bottom_half": np.s_[:, 3:],
}


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return (np.arange(ROWS) % CLASSES).astype(np.int32)


@pytest.fixture(scope="module")
def x(y: np.ndarray) -> np.ndarray:
    """Each class has its own rows of pixels on, with some noise."""
    noise = np.random.default_rng(0).uniform(0, 0.2, (ROWS, *SHAPE))
    rows = np.arange(6)[None, :, None, None] // 2 == y[:, None, None, None]
    return (noise + 0.8 * rows).astype(np.float32)


def arguments(condition: str, **options: object) -> dict:
    by_name = {
        "label": {"num_classes": CLASSES},
        "vector": {"condition_shape": (2,)},
    }
    return {"condition": condition, **by_name.get(condition, {}), **options}


def make(condition: str, **options: object) -> CVAE:
    keras.utils.set_random_seed(0)
    shape = options.pop("input_shape", SHAPE)
    model = CVAE(2, shape, seed=0, **arguments(condition, **options))
    model.compile("adam")
    return model


def rows_of(condition: str, y: np.ndarray) -> np.ndarray | None:
    """What `fit` takes as y."""
    vectors = np.stack([y * 10.0, np.sin(np.arange(ROWS))], axis=1).astype(np.float32)
    return {"label": y, "vector": vectors}.get(condition)


@pytest.fixture(scope="module")
def by_label(x: np.ndarray, y: np.ndarray) -> CVAE:
    model = make("label")
    model.fit(x, y, epochs=150, verbose=0)
    return model


# The condition counts.


def test_samples_are_of_the_class_that_is_asked_for(by_label, x, y):
    means = np.stack([x[y == k].mean(axis=0) for k in range(CLASSES)])
    asked = np.arange(60) % CLASSES
    samples = by_label.sample(60, seed=0, condition=asked)
    distance = np.abs(samples[:, None] - means).mean(axis=(2, 3, 4))
    assert np.array_equal(distance.argmin(axis=1), asked)


def test_latents_need_not_hold_the_class(by_label, x, y):
    # The class comes with the condition, so another one turns x into that class.
    moved = by_label.decode(by_label.encode(x, y), (y + 1) % CLASSES)
    means = np.stack([x[y == k].mean(axis=0) for k in range(CLASSES)])
    distance = np.abs(moved[:, None] - means).mean(axis=(2, 3, 4))
    assert np.array_equal(distance.argmin(axis=1), (y + 1) % CLASSES)


def test_the_right_label_is_worth_nats(by_label, x, y):
    wrong = by_label.elbo(x, condition=(y + 1) % CLASSES)
    assert np.all(by_label.elbo(x, condition=y) > wrong + 1.0)


def test_each_half_of_a_walk_has_the_condition_of_its_end(by_label, x, y):
    first, last = 0, 1
    walk = by_label.interpolate(x[first], x[last], 5, condition=y[[first, last]])
    ends = by_label.reconstruct(x[[first, last]], y[[first, last]])
    np.testing.assert_allclose(walk[[0, -1]], ends, rtol=1e-4, atol=1e-6)
    z = np.linspace(*by_label.encode(x[[first, last]], y[[first, last]]), 5)
    halves = by_label.decode(z, y[[first] * 3 + [last] * 2])
    np.testing.assert_allclose(walk, halves, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("condition", ["left_half", "mask"])
def test_a_walk_between_images_is_given_the_region_of_the_nearer_end(x, condition):
    model = make(condition)
    walk = model.interpolate(x[0], x[1], 5)
    given = model.region_of(x[:2])
    expected = model.interpolate(x[0], x[1], 5, condition=given)
    np.testing.assert_allclose(walk, expected, atol=1e-6)
    np.testing.assert_allclose(walk[[0, -1]], model.reconstruct(x[:2]), atol=1e-6)


@pytest.mark.slow
def test_a_vector_moves_what_is_generated(x, y):
    vectors = rows_of("vector", y)
    model = make("vector")
    model.adapt(x, vectors)
    model.fit(x, vectors, epochs=150, verbose=0)
    samples = model.sample(30, seed=0, condition=np.resize(vectors, (30, 2)))
    assert np.corrcoef(samples.ravel(), np.resize(x, samples.shape).ravel())[0, 1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["conditional", "standard_normal"])
def test_only_a_learned_prior_differs_by_condition(x, y, prior):
    model = make("label", prior=prior)
    model.fit(x, y, epochs=5, verbose=0)
    seed = tf.constant([1, 2])
    a, b = (model.prior_sample(4, seed, tf.fill([4], k)).numpy() for k in (0, 1))
    assert np.allclose(a, b) == (prior == "standard_normal")


def test_the_learned_prior_agrees_with_its_own_density_and_kl(x, y):
    model = make("label", prior="conditional", num_samples=20_000)
    model.prior_network.set_weights(
        [
            w + np.linspace(-1, 1, w.size).reshape(w.shape)
            for w in model.prior_network.get_weights()
        ]
    )
    model.ensure_built()
    given = tf.constant(y[:4])
    latent = model.sample_latent(
        *model.encode_params(tf.constant(x[:4]), given), RowNoise(0), given
    )
    exact = tf.reduce_sum(latent.kl, axis=1)
    sampled = tf.reduce_mean(latent.log_q - latent.log_p, axis=0)
    np.testing.assert_allclose(sampled, exact, rtol=0.05)
    z = model.prior_sample(20_000, tf.constant([0, 1]), tf.fill([20_000], 1))
    mean, log_var = model.prior_network(tf.one_hot([1], CLASSES))
    np.testing.assert_allclose(np.mean(z, axis=0), mean[0], atol=0.05)
    np.testing.assert_allclose(np.var(z, axis=0), np.exp(log_var[0]), rtol=0.05)


# Parts of images.


@pytest.mark.parametrize("name", HALVES)
def test_a_half_is_the_half_of_its_name(x, name):
    model = make(name)
    np.testing.assert_array_equal(model.part_of(x), x[HALVES[name]])


@pytest.mark.parametrize("name", HALVES)
def test_the_given_half_is_kept_and_the_rest_is_made(x, name):
    model = make(name)
    made = model.sample(4, seed=0, condition=x[HALVES[name]][0])
    kept = np.zeros((1, *SHAPE), bool)
    kept[HALVES[name]] = True
    same = np.broadcast_to(made == x[0], made.shape)
    assert same[np.broadcast_to(kept, made.shape)].all()
    assert not same[np.broadcast_to(~kept, made.shape)].any()
    reconstructed = model.reconstruct(x)
    np.testing.assert_array_equal(reconstructed[HALVES[name]], x[HALVES[name]])
    drawn = model.sample(4, draw=True, condition=x[HALVES[name]][0])
    assert set(np.unique(drawn[np.broadcast_to(~kept, made.shape)])) <= {0.0, 1.0}


def test_only_missing_pixels_count(x):
    model = make("left_half")
    model.ensure_built()
    params = tf.random.stateless_normal((1, ROWS, *SHAPE), [1, 2])
    log_prob = model.log_likelihood(tf.constant(x), params, model.part_of(x))
    logits = params[0, :, :, 2:].numpy()
    by_hand = x[:, :, 2:] * logits - np.logaddexp(0, logits)
    np.testing.assert_allclose(log_prob[0], by_hand.sum(axis=(1, 2, 3)), rtol=1e-5)


def test_given_pixels_under_the_mask_are_not_seen_where_it_is_0(x):
    model = make("mask")
    rows = model.part_of(x, np.tri(6, 5))
    other = rows.copy()
    other[..., :1] += 0.5 * (1 - rows[..., 1:])
    a, b = (model.sample(ROWS, seed=0, condition=part) for part in (rows, other))
    np.testing.assert_array_equal(a, b)
    shown = np.broadcast_to(np.tri(6, 5, dtype=bool)[..., None], x.shape)
    np.testing.assert_array_equal(a[shown], x[shown])


@pytest.mark.slow
def test_a_completion_follows_what_is_given(x, y):
    # The upper half tells the first class from the third.
    model = make("top_half")
    model.fit(x, epochs=150, verbose=0)
    made = model.sample(ROWS, seed=0, condition=x[:, :3])
    lower = made[:, 4:].mean(axis=(1, 2, 3))
    assert lower[y == 2].min() > lower[y == 0].max() + 0.3


def test_random_masks_are_of_every_kind_and_depend_on_the_row():
    def draw(n: int, first: int = 0) -> np.ndarray:
        return random_mask(n, 8, 9, RowNoise(3, 0, first)).numpy()

    whole = draw(600)
    assert whole.shape == (600, 8, 9, 1)
    assert set(np.unique(whole)) == {0.0, 1.0}
    np.testing.assert_array_equal(whole[200:], draw(400, 200))
    shares = whole.mean(axis=(1, 2, 3))
    assert shares.min() < 0.1 and shares.max() > 0.9
    mask = whole[..., 0] > 0
    box = mask.any(axis=2)[:, :, None] & mask.any(axis=1)[:, None]
    hole = (~mask).any(axis=2)[:, :, None] & (~mask).any(axis=1)[:, None]
    is_box = (mask == box).all(axis=(1, 2))
    is_hole = (~mask == hole).all(axis=(1, 2))
    for kind in (is_box, is_hole, ~is_box & ~is_hole):
        assert 0.2 < kind.mean() < 0.5


@pytest.mark.slow
def test_masks_in_training_change_with_the_step_and_not_in_evaluation(x):
    model = make("mask")
    model.optimizer.learning_rate = 0.0
    losses = model.fit(x, epochs=2, batch_size=ROWS, verbose=0).history
    assert losses["reconstruction_loss"][0] != losses["reconstruction_loss"][1]
    first, second = (model.evaluate(x, verbose=0) for _ in range(2))
    assert first == second


# Figures.


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["vector", "mask"])
def test_evaluate_is_the_mean_of_the_elbo_for_every_batch_size(x, y, condition):
    model, given = make(condition, prior="conditional"), rows_of(condition, y)
    figures = [
        model.evaluate(x, given, batch_size=size, verbose=0, return_dict=True)
        for size in (4, ROWS)
    ]
    dataset = tf.data.Dataset.from_tensor_slices((x,) if given is None else (x, given))
    figures.append(model.evaluate(dataset.batch(7), verbose=0, return_dict=True))
    for figure in figures:
        assert figure["loss"] == pytest.approx(figures[0]["loss"], rel=1e-5)
        mean = -model.elbo(x, condition=given).mean()
        parts = figure["reconstruction_loss"] + figure["kl_loss"]
        assert parts == pytest.approx(mean, rel=1e-5)


def test_importance_sampling_covers_the_missing_part_alone(x):
    model = make("mask")
    part = model.part_of(x, np.zeros((6, 5)))  # nothing is given
    whole = likelihood.importance_weighted_nll(model, x, 200, condition=part)
    fully = model.part_of(x, np.ones((6, 5)))
    none = likelihood.importance_weighted_nll(model, x, 200, condition=fully)
    assert whole.nll > 10.0
    # All of x is given: what is left is the error of the estimate of log 1.
    assert none.nll == pytest.approx(0.0, abs=0.5)
    terms = likelihood.elbo_terms(model, x)
    np.testing.assert_allclose(-terms.neg_elbo, model.elbo(x), rtol=1e-4)


# Any network.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "condition"),
    [
        ("mlp", (4,), "label"),
        ("resmlp", (6, 5, 1), "vector"),
        ("conv", (9, 8, 3), "label"),
        ("conv", (9, 8, 3), "mask"),
        ("resnet", (9, 8, 3), "right_half"),
        ("conv1d", (12, 2), "label"),
        ("conv1d", (12, 2), "vector"),
    ],
)
def test_every_named_network_takes_the_condition(y, name, shape, condition):
    x = np.random.default_rng(0).uniform(size=(ROWS, *shape)).astype(np.float32)
    model = make(condition, input_shape=shape, encoder=name, decoder=name)
    given = rows_of(condition, y)
    before = model.evaluate(x, given, verbose=0, return_dict=True)["loss"]
    model.fit(x, given, epochs=3, verbose=0)
    assert model.evaluate(x, given, verbose=0, return_dict=True)["loss"] < before
    rows = given if given is not None else model.part_of(x)
    a, b = (model.sample(3, seed=0, condition=rows[k]) for k in (0, 1))
    missing = a[np.abs(a - b) > 0] if given is None else a - b
    assert np.abs(missing).max() > 0


def two_inputs(
    shape: tuple[int, ...], code: tuple[int, ...], outputs: list
) -> keras.Model:
    """A model of two inputs with a linear layer for each output."""
    inputs = [keras.Input(shape), keras.Input(code)]
    flat = [keras.layers.Flatten()(part) for part in inputs]
    h = keras.layers.Concatenate()(flat)
    made = [
        keras.layers.Reshape(size)(keras.layers.Dense(int(np.prod(size)))(h))
        for size in outputs
    ]
    return keras.Model(inputs, made if len(made) > 1 else made[0])


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["label", "mask"])
def test_a_network_of_two_inputs_is_given_the_code_beside(x, y, condition, tmp_path):
    code = make_condition(
        condition, SHAPE, CLASSES if condition == "label" else None
    ).code_shape
    model = make(
        condition,
        encoder=two_inputs(SHAPE, code, [(2,), (2,)]),
        decoder=two_inputs((2,), code, [SHAPE]),
        num_samples=3,
    )
    given = rows_of(condition, y)
    model.fit(x, given, epochs=2, verbose=0)
    row = np.int32(1) if condition == "label" else model.part_of(x)[0]
    made = model.sample(3, seed=0, condition=row)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.sample(3, seed=0, condition=row), made, atol=1e-6)


def test_a_network_of_the_wrong_shape_is_told_what_it_is_called_with():
    with pytest.raises(ValueError, match="`encoder`"):
        network = networks.mlp_encoder((30,), 2)
        make("label", encoder=network).ensure_built()
    with pytest.raises(ValueError, match="`decoder`"):
        make("label", decoder=networks.mlp_decoder(2, SHAPE)).ensure_built()
    with pytest.raises(ValueError, match="`prior`"):
        prior = two_inputs((3,), (3,), [(2,)])
        prior = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        make("label", prior=prior).ensure_built()


# Saving and exporting.


@pytest.mark.slow
def test_a_saved_and_an_exported_model_make_the_same(x, y, tmp_path):
    given = rows_of("vector", y)
    model = make("vector", prior="conditional")
    model.adapt(x, given)
    model.fit(x, given, epochs=2, verbose=0)
    rows = given if given is not None else model.part_of(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    made = model.sample(ROWS, seed=5, condition=rows)
    np.testing.assert_allclose(
        loaded.sample(ROWS, seed=5, condition=rows), made, atol=1e-6
    )
    np.testing.assert_allclose(
        loaded.elbo(x, condition=given), model.elbo(x, condition=given), rtol=1e-5
    )
    model.export(tmp_path / "saved_model")
    signatures = tf.saved_model.load(tmp_path / "saved_model").signatures
    seed, condition = tf.constant([5, 0]), tf.constant(rows)
    exported = signatures["generate"](
        num=tf.constant(ROWS), seed=seed, condition=condition
    )["x"]
    np.testing.assert_allclose(exported, made, atol=1e-5)
    one = signatures["generate"](
        num=tf.constant(ROWS), seed=seed, condition=condition[:1]
    )["x"]
    np.testing.assert_allclose(one[0], made[0], atol=1e-5)
    rebuilt = signatures["reconstruct"](x=tf.constant(x), condition=condition)["x"]
    np.testing.assert_allclose(rebuilt, model.reconstruct(x, rows), atol=1e-5)
    drawn = signatures["generate_draws"](
        num=tf.constant(ROWS), seed=seed, condition=condition
    )["x"]
    np.testing.assert_array_equal(
        drawn, model.sample(ROWS, seed=5, draw=True, condition=rows)
    )


@pytest.mark.parametrize("condition", ["label", "mask"])
def test_predict_is_reconstruct(x, y, condition):
    model, given = make(condition), rows_of(condition, y)
    expected = model.reconstruct(x, given)
    got = model.predict(x, batch_size=5, condition=given, verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_predict_takes_datasets_and_pairs(by_label, x, y):
    expected = by_label.reconstruct(x, y)
    pairs = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    for given in ((x, y), pairs):
        got = by_label.predict(given, verbose=0)
        np.testing.assert_allclose(got, expected, atol=1e-6)


# What is given.


def test_one_row_is_taken_for_all_and_labels_come_in_many_types(by_label):
    one = by_label.sample(4, seed=0, condition=2)
    for same in ([2], np.uint8([2, 2, 2, 2]), np.full((4, 1), 2), tf.fill([4], 2)):
        np.testing.assert_array_equal(by_label.sample(4, seed=0, condition=same), one)


def test_stored_parts_are_scaled_like_stored_images(x):
    model = make("left_half")
    stored = np.round(x * 255).astype(np.uint8)
    a = model.sample(ROWS, seed=0, condition=stored[:, :, :2])
    b = model.sample(ROWS, seed=0, condition=stored[:, :, :2] / 255)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_adapt_standardises_vectors_whatever_their_unit(x, y):
    vectors = rows_of("vector", y)
    model = make("vector")
    model.adapt(x, 1000.0 * vectors + 5.0)
    code = model.code(1000.0 * vectors + 5.0)
    np.testing.assert_allclose(np.mean(code, axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.std(code, axis=0), 1.0, rtol=1e-3)
    pairs = tf.data.Dataset.from_tensor_slices((x, vectors)).batch(4)
    model.adapt(pairs)
    np.testing.assert_allclose(np.std(model.code(vectors), axis=0), 1.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "labels, integers from 0 to 2.*Received: None"),
        (3, "the label 3"),
        ([-1], "the label -1"),
        (np.float32([1, 2]), "dtype float32"),
        ([0, 1], r"shape \(2,\) for 4 examples"),
        (np.eye(3, dtype=int), "argmax"),
    ],
)
def test_a_label_that_cannot_be_is_refused(by_label, values, message):
    with pytest.raises(ValueError, match=message):
        by_label.sample(4, condition=values)


@pytest.mark.parametrize(
    ("condition", "values", "message"),
    [
        ("vector", np.zeros((4, 3)), r"shape \(n, 2\)"),
        ("vector", [np.nan, 0.0], "NaN"),
        ("vector", ["a", "b"], "dtype"),
        ("left_half", np.zeros((4, *SHAPE)), r"x\[:, :, 0:2\]"),
        ("left_half", None, "Received: None"),
        ("mask", np.full((4, 6, 5, 2), 0.5), "not 0 or 1"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused(condition, values, message):
    with pytest.raises(ValueError, match=message):
        make(condition).sample(4, condition=values)


def test_fit_checks_the_condition_before_the_first_step(x, y):
    model = make("label")
    for wrong, message in ((None, "`y`.*labels"), (y + 1, "`y`.*the label 3")):
        with pytest.raises(ValueError, match=message):
            model.fit(x, wrong, verbose=0)
    with pytest.raises(ValueError, match="`y`"):
        model.fit(tf.data.Dataset.from_tensor_slices(x).batch(4), verbose=0)
    with pytest.raises(ValueError, match="`y`"):
        make("left_half").fit(x, y, verbose=0)
    assert int(model.step) == 0


@pytest.mark.parametrize("name", REGIONS)
def test_what_is_no_image_has_no_parts(name):
    with pytest.raises(ValueError, match="only images"):
        CVAE(2, (7,), condition=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"condition": "label"}, "`num_classes`. Expected a value"),
        ({"condition": "vector"}, "`condition_shape`. Expected a value"),
        ({"condition": "mask", "num_classes": 3}, "`num_classes`. Expected None"),
        ({"condition": "label", "num_classes": 0}, "at least 1"),
        ({"condition": "left_haf"}, "left_half"),
        ({"condition": "left_half", "input_shape": (6, 1, 1)}, "no half"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CVAE(2, **{"input_shape": SHAPE, **options})


@pytest.mark.parametrize("bad", [CLASSES])
def test_a_dataset_with_a_label_that_cannot_be_is_refused(x, y, bad):
    wrong = np.where(np.arange(ROWS) == 7, bad, y)
    batches = tf.data.Dataset.from_tensor_slices((x, wrong)).batch(6)
    with pytest.raises(ValueError, match="`y`"):
        make("label").fit(batches, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="integers from 0 to 2"):
        make("label")((x[:2], tf.constant([0, bad])))


def test_under_xla_the_code_of_such_a_label_is_nan():
    label = make_condition("label", SHAPE, CLASSES)
    code = tf.function(label.code, jit_compile=True)(tf.constant([2, 3, -1])).numpy()
    np.testing.assert_array_equal(code[0], [0, 0, 1])
    assert np.isnan(code[1:]).all()


@pytest.mark.slow
def test_a_replica_without_an_example_does_no_harm_to_a_convolutional_prior(x):
    results = []
    for strategy in (strategies.one_device(), strategies.mirrored(2)):
        with strategy.scope():
            names = {"encoder": "conv", "decoder": "conv"}
            model = make("left_half", prior="conditional", **names)
        model.fit(x[:5], epochs=2, batch_size=4, verbose=0)
        results.append(model.get_weights())
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "dtype"), [("label", "mixed_bfloat16"), ("vector", "float64")]
)
def test_every_precision_takes_a_condition(x, y, condition, dtype):
    given = rows_of(condition, y)
    keras.config.set_dtype_policy(dtype)
    try:
        model = make(condition, prior="conditional", dtype=dtype)
    finally:
        keras.config.set_dtype_policy("float32")
    model.adapt(x, given)
    losses = model.fit(x, given, epochs=4, batch_size=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert np.isfinite(model.sample(3, seed=0, condition=given[:3])).all()
