"""Training and evaluation: the same model on any number of replicas, and batches."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import VAE, networks
from keras_vae.engine.microbatches import replica_batch
from keras_vae.noise import RowNoise

SHAPE = (3, 5)


def weights(vae):
    return [w.numpy() for w in vae.trainable_variables]


def distance(a, b):
    return max(
        np.abs(one - other).max()
        for one, other in zip(weights(a), weights(b), strict=True)
    )


def sgd(rate=0.05):
    return keras.optimizers.SGD(rate)


# Replicas


def with_dropout():
    """A model of the package's networks, whose dropout draws noise by row too."""
    keras.utils.set_random_seed(0)
    options = {"hidden_units": (8,), "dropout": 0.2}
    return VAE(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, **options),
        decoder=networks.mlp_decoder(2, SHAPE, **options),
        seed=3,
    )


@pytest.fixture(scope="module")
def trained(replicas, grey):
    """The same run on one and four replicas: `trained(4)`.

    98 examples in batches of 8 leave two for the last, so two of four replicas go away
    empty; of the 6 for validation the four get 2, 2, 2 and 0. Gives the model and its
    history.
    """
    x, runs = grey(98), {}

    def run(count):
        if count not in runs:
            with replicas(count).scope():
                vae = with_dropout()
                steps_per_execution = 1 if count == 1 else "auto"
                vae.compile(
                    keras_vae.Adam(0.01), steps_per_execution=steps_per_execution
                )
            validation = grey(6, seed=1)
            history = vae.fit(
                x, batch_size=8, epochs=4, validation_data=validation, verbose=0
            )
            runs[count] = vae, history.history
        return runs[count]

    return run


@pytest.mark.slow
def test_four_replicas_train_the_same_model(trained):
    one, history = trained(1)
    many, again = trained(4)
    assert many.distribute_strategy.num_replicas_in_sync == 4
    assert int(many.step.numpy()) == 52
    assert distance(one, with_dropout()) > 0.1
    assert {"loss", "kl_loss", "val_loss", "val_kl_loss"} < set(history)
    for name, losses in history.items():
        np.testing.assert_allclose(again[name], losses, rtol=1e-4, err_msg=name)
    assert distance(many, one) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7])
def test_replicas_evaluate_to_the_same_figures(trained, batch_size, grey):
    many, _ = trained(4)
    x = grey(9, seed=2)
    figures = many.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True)
    assert figures["loss"] == pytest.approx(-np.mean(many.elbo(x), dtype=float))


@pytest.mark.slow
def test_replicas_predict_all_rows_in_order(trained, grey):
    many, _ = trained(4)
    x = grey(9)
    predicted = many.predict(x, batch_size=7, verbose=0)
    np.testing.assert_allclose(predicted, many.reconstruct(x), atol=1e-6)


@pytest.mark.parametrize("rows", [8, 7, 6, 1])
def test_the_rows_of_the_replicas_get_noise_of_their_own(replicas, rows):
    strategy = replicas(4)
    data = tf.data.Dataset.from_tensor_slices(np.zeros((rows, 1))).batch(8)

    @tf.function
    def run(batch):
        def step(x):
            part = replica_batch(x)
            return part, RowNoise(1, 2, part.first).normal(part.count, (3,))

        return strategy.run(step, args=(batch,))

    (batch,) = strategy.experimental_distribute_dataset(data)
    parts, noise = run(batch)
    local = strategy.experimental_local_results
    counts = [int(count) for count in local(parts.count)]
    assert len(counts) == 4 and sum(counts) == rows
    assert [int(total) for total in local(parts.total)] == [rows] * 4
    firsts = [int(first) for first in local(parts.first)]
    np.testing.assert_array_equal(firsts, np.cumsum([0, *counts[:-1]]))
    np.testing.assert_array_equal(
        np.concatenate([part.numpy() for part in local(noise)]),
        RowNoise(1, 2).normal(rows, (3,)),
    )


def test_one_replica_holds_the_whole_batch():
    part = replica_batch(tf.zeros((5, 2)))
    assert (int(part.first), int(part.count), int(part.total)) == (0, 5, 5)


def convolutional():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    h = image
    for _ in range(2):  # two, since the fault shows between fused convolutions
        h = keras.layers.Conv2D(4, 3, 2, "same", activation="relu")(h)
        h = keras.layers.BatchNormalization()(h)
    h = keras.layers.Flatten()(h)
    heads = [keras.layers.Dense(2)(h) for _ in range(2)]
    decoder = networks.mlp_decoder(2, (6, 6, 1), hidden_units=())
    return VAE(2, (6, 6, 1), encoder=keras.Model(image, heads), decoder=decoder, seed=3)


@pytest.mark.slow
def test_a_replica_without_examples_harms_no_convolution_and_no_statistics(
    replicas, grey
):
    x = grey(6, (6, 6, 1))
    with replicas(4).scope():
        vae = convolutional()
        vae.compile(sgd(0.01))
    history = vae.fit(x, batch_size=6, validation_data=x[:1], epochs=2, verbose=0)
    assert np.all(np.isfinite(list(history.history.values())))
    for variable in vae.variables:
        assert np.all(np.isfinite(variable.numpy())), variable.path


# Weights of the examples


@pytest.fixture(scope="module")
def evaluated(small_vae, grey):
    """A compiled model, examples, and the two terms of each of them."""
    vae, x = small_vae(beta=3.0), grey(20)
    vae.compile(sgd())
    kl = np.sum(vae(x).latent.kl, axis=-1)
    return vae, x, kl, -vae.elbo(x) - kl


def test_sample_weights_weight_both_terms(evaluated):
    vae, x, kl, reconstruction = evaluated
    weight = np.linspace(0, 2, len(x), dtype=np.float32)
    for batch_size in (7, 20):
        figures = vae.evaluate(
            x, sample_weight=weight, batch_size=batch_size, verbose=0, return_dict=True
        )
        assert figures["kl_loss"] == pytest.approx(np.mean(weight * kl), rel=1e-5)
        assert figures["reconstruction_loss"] == pytest.approx(
            np.mean(weight * reconstruction), rel=1e-5
        )
        assert figures["loss"] == pytest.approx(
            np.mean(weight * (reconstruction + 3 * kl)), rel=1e-5
        )


def test_sample_weights_may_be_a_column(evaluated):
    vae, x, *_ = evaluated
    weight = np.linspace(0, 2, len(x), dtype=np.float32)
    row = vae.evaluate(x, sample_weight=weight, verbose=0)
    column = vae.evaluate(x, sample_weight=weight[:, np.newaxis], verbose=0)
    assert column == row


def test_sample_weights_come_with_a_dataset_too(evaluated):
    vae, x, *_ = evaluated
    weight = np.linspace(0, 2, len(x), dtype=np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, x, weight)).batch(7)
    assert vae.evaluate(data, verbose=0) == pytest.approx(
        vae.evaluate(x, sample_weight=weight, verbose=0), rel=1e-5
    )


@pytest.mark.slow
def test_validation_data_may_have_weights(small_vae, grey):
    x, weight = grey(8), np.linspace(0.0, 1.0, 8)
    vae = small_vae()
    vae.compile(keras.optimizers.SGD(0.0))
    figures = vae.fit(x, validation_data=(x, None, weight), verbose=0).history
    expected = vae.evaluate(x, sample_weight=weight, verbose=0, return_dict=True)
    assert figures["val_loss"] == pytest.approx([expected["loss"]], rel=1e-5)


# Order and resumption


def test_two_fits_of_one_epoch_are_one_fit_of_two(small_vae, grey):
    x = grey(10)
    once, twice = small_vae(), small_vae()
    for vae in (once, twice):
        vae.compile(keras_vae.Adam(0.01))
    unbroken = once.fit(x, batch_size=4, epochs=2, verbose=0).history["loss"]
    broken = [
        twice.fit(x, batch_size=4, epochs=1, verbose=0).history["loss"][0]
        for _ in range(2)
    ]
    np.testing.assert_allclose(broken, unbroken, rtol=1e-6)
    assert distance(once, twice) == 0
    assert unbroken[0] != unbroken[1]


def test_the_default_steps_per_execution_survives_saving(small_vae, tmp_path):
    vae = small_vae()
    vae.compile("adam")
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.get_compile_config()["steps_per_execution"] == "auto"


def test_the_noise_and_the_order_depend_on_the_seed(small_vae, grey):
    x, losses = grey(10), []
    for seed in (1, 2, 1):
        vae = small_vae(seed=seed)
        vae.compile(sgd(0.0))
        losses.append(vae.fit(x, batch_size=4, verbose=0).history["loss"][0])
    assert losses[0] == losses[2] != losses[1]


# Figures


def test_partial_batches_count_as_what_they_are(small_vae, grey):
    x = grey(9)
    vae = small_vae()
    vae.compile(sgd(0.0))
    history = vae.fit(x, batch_size=4, shuffle=False, verbose=0).history
    # Without learning the KL of an epoch is that of evaluation, noise or not.
    expected = vae.evaluate(x, verbose=0, return_dict=True)["kl_loss"]
    assert history["kl_loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_validation_split_keeps_the_last_part_aside(small_vae, grey):
    x = grey(20)
    vae = small_vae()
    vae.compile(sgd())
    history = vae.fit(x, validation_split=0.25, batch_size=5, verbose=0).history
    assert int(vae.step.numpy()) == 3
    expected = vae.evaluate(x[15:], verbose=0, return_dict=True)
    for name, value in expected.items():
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-5)


def test_regularisation_in_a_users_network_is_part_of_the_loss(grey):
    regularizer = keras.regularizers.L2(0.1)
    x = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(x)
    heads = [keras.layers.Dense(2, kernel_regularizer=regularizer)(flat) for _ in "ab"]
    decoder = networks.mlp_decoder(2, SHAPE, hidden_units=())
    vae = VAE(2, SHAPE, encoder=keras.Model(x, heads), decoder=decoder, seed=3)
    vae.compile(sgd())
    for batch_size in (4, 10):
        figures = vae.evaluate(
            grey(10), batch_size=batch_size, verbose=0, return_dict=True
        )
        extra = sum(
            0.1 * np.sum(np.square(w.numpy()))
            for w in vae.trainable_variables
            if "kernel" in w.path and w.shape == (15, 2)
        )
        assert figures["loss"] - figures["kl_loss"] - figures[
            "reconstruction_loss"
        ] == pytest.approx(extra, rel=1e-3)


# Data


def test_stored_integers_are_the_floats_they_stand_for(small_vae, grey):
    x = grey(8)
    vae = small_vae()
    vae.compile(sgd())
    expected = vae.evaluate(x, verbose=0)
    for stored in (
        np.rint(x * 255).astype(np.uint8),
        np.rint(x * 65_535).astype(np.uint16),
        x.astype(np.float64),
    ):
        assert vae.evaluate(stored, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_whole_numbers_0_and_1_are_taken_as_they_are(small_vae, grey):
    x = np.rint(grey(8))
    vae = small_vae()
    vae.compile(sgd())
    expected = vae.evaluate(x, verbose=0)
    for dtype in (bool, np.int64):
        assert vae.evaluate(x.astype(dtype), verbose=0) == expected


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((4, 5, 3)), r"\(n, 3, 5\).*Received: shape \(4, 5, 3\)"),
        (np.full((4, 3, 5), 7.0), "divide by 255"),
        (np.full((4, 3, 5), np.nan), "finite"),
        (np.zeros((0, 3, 5)), "at least one example"),
    ],
    ids=["shape", "range", "NaN", "none"],
)
def test_examples_that_do_not_fit_are_refused_before_the_first_step(
    small_vae, grey, x, words
):
    vae = small_vae()
    vae.compile(sgd())
    with pytest.raises(ValueError, match=words):
        vae.fit(x, verbose=0)
    with pytest.raises(ValueError, match=words):
        vae.fit(grey(4), validation_data=x, verbose=0)
    with pytest.raises(ValueError, match=words):
        vae.evaluate(x, verbose=0)
    assert int(vae.step.numpy()) == 0


def test_validation_split_needs_an_array(small_vae, grey):
    vae = small_vae()
    vae.compile(sgd())
    data = tf.data.Dataset.from_tensor_slices(grey(4)).batch(2)
    with pytest.raises(ValueError, match="`validation_split`"):
        vae.fit(data, validation_split=0.5)


# Compiling


def test_the_name_adam_is_the_fused_adam(small_vae):
    vae = small_vae()
    for name in ("adam", "Adam"):
        vae.compile(name)
        assert type(vae.optimizer) is keras_vae.Adam
    vae.compile("sgd")
    assert type(vae.optimizer) is keras.optimizers.SGD


def test_a_loss_is_refused(small_vae):
    with pytest.raises(ValueError, match="`loss`"):
        small_vae().compile("adam", loss="mse")


@pytest.mark.parametrize("steps", [0, -1, "many"])
def test_steps_per_execution_is_auto_or_a_number(small_vae, steps):
    with pytest.raises(ValueError, match="`steps_per_execution`"):
        small_vae().compile("adam", steps_per_execution=steps)


def test_training_needs_compiling(small_vae, grey):
    with pytest.raises(ValueError, match="compile"):
        small_vae().fit(grey(4), verbose=0)


# Precision


@pytest.mark.slow
def test_mixed_precision_gives_finite_float32_losses(grey):
    keras.utils.set_random_seed(0)
    vae = VAE(2, SHAPE, seed=3, dtype="mixed_bfloat16")
    vae.compile("adam")
    x = grey(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = vae.fit(x, batch_size=8, epochs=3, verbose=0).history
    assert vae.encoder.compute_dtype == "bfloat16"
    assert np.all(np.isfinite(list(history.values())))
    assert history["loss"][-1] < history["loss"][0]
    output = vae(x)
    for part in (output.params, output.latent.z, output.latent.kl, vae.losses[0]):
        assert part.dtype == tf.float32
    figures = vae.evaluate(x, verbose=0, return_dict=True)
    # To more digits than bfloat16 has, so the terms were not computed in it.
    assert figures["loss"] == pytest.approx(
        figures["reconstruction_loss"] + figures["kl_loss"], rel=1e-6
    )
    assert figures["loss"] == pytest.approx(-np.mean(vae.elbo(x)), rel=1e-4)


def test_xla_with_deterministic_operations_is_refused():
    vae = with_dropout()
    tf.config.experimental.enable_op_determinism()
    with (
        pytest.warns(UserWarning, match="jit_compile"),
        pytest.raises(ValueError, match="`jit_compile`"),
    ):
        vae.compile(jit_compile=True)
