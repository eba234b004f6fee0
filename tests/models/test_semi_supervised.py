import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import keras_vae
from keras_vae import networks
from keras_vae.engine import strategies
from keras_vae.evaluation.likelihood import elbo_terms, importance_weighted_nll
from keras_vae.models.partial_labels import NO_LABEL, label_classifier
from keras_vae.models.semi_supervised import M2
from keras_vae.noise import RowNoise

SHAPE, CLASSES, LATENT = (6, 6, 1), 3, 2
SMALL = {"hidden_units": (8,), "activation": "tanh"}


def data(n=24, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    x = random.uniform(0.0, 0.3, (n, *SHAPE)).astype("float32")
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 0.6
    return x, y.astype("int32")


def partly(y, labelled=6):
    return np.where(np.arange(len(y)) < labelled, y, NO_LABEL)


def m2(kind=M2, **options):
    keras.utils.set_random_seed(1)
    arguments = {
        "num_classes": CLASSES,
        "encoder": networks.mlp_encoder(SHAPE, CLASSES * LATENT, **SMALL),
        "decoder": networks.mlp_decoder(LATENT + CLASSES, SHAPE, **SMALL),
        "classifier": label_classifier("mlp", SHAPE, CLASSES, dropout=0, **SMALL),
        "seed": 3,
    }
    model = kind(LATENT, SHAPE, **{**arguments, **options})
    model.compile(optimizer="adam")
    model.ensure_built()
    return model


def m1m2(kind=keras_vae.M1M2, **options):
    keras.utils.set_random_seed(1)
    arguments = {
        "num_classes": CLASSES,
        "encoder": networks.mlp_encoder(SHAPE, LATENT, **SMALL),
        "decoder": networks.mlp_decoder(LATENT, SHAPE, **SMALL),
        "classifier": label_classifier("mlp", (LATENT,), CLASSES, dropout=0, **SMALL),
        "upper_encoder": networks.mlp_encoder((LATENT,), CLASSES * LATENT, **SMALL),
        "upper_decoder": networks.mlp_decoder(LATENT + CLASSES, (2 * LATENT,), **SMALL),
        "seed": 3,
    }
    model = kind(LATENT, SHAPE, **{**arguments, **options})
    model.compile(optimizer="adam")
    model.ensure_built()
    return model


MAKERS = pytest.mark.parametrize("make", [m2, m1m2])


def bound_by_hand(model, x, label):
    """L(x, label) of each example, in float64, from the networks' outputs alone."""
    means, log_vars = (np.asarray(part) for part in model.encoder(x))
    rows = []
    for i in range(len(x)):
        own = slice(label * LATENT, (label + 1) * LATENT)
        mean, log_var = means[i, own], log_vars[i, own].astype(np.float64)
        noise = RowNoise(model.seed, 0, i * CLASSES + label, "evaluation/labels")
        e = np.asarray(noise.normal(1, (LATENT,), "z"))[0]
        z = mean + np.exp(0.5 * log_var) * e
        code = np.eye(CLASSES)[label]
        pair = np.concatenate([z, code]).astype("float32")[np.newaxis]
        logits = np.asarray(model.decoder(pair))[0].astype(np.float64)
        log_prob = np.sum(x[i] * logits - np.logaddexp(0.0, logits))
        kl = 0.5 * np.sum(mean**2 + np.exp(log_var) - 1.0 - log_var)
        rows.append(-log_prob + kl + math.log(CLASSES))
    return np.array(rows)


def test_the_bound_of_a_labelled_example_is_that_of_its_label():
    model, (x, y) = m2(), data(6)
    by_hand = np.stack([bound_by_hand(model, x, label) for label in range(CLASSES)], 1)
    expected = by_hand[np.arange(6), y]
    np.testing.assert_allclose(-model.elbo(x, condition=y), expected, rtol=1e-4)


def test_the_bound_without_a_label_is_the_sum_over_all_labels():
    model, (x, _) = m2(), data(6)
    by_hand = np.stack([bound_by_hand(model, x, label) for label in range(CLASSES)], 1)
    q = model.predict_label(x).astype(np.float64)
    expected = np.sum(q * (by_hand + np.log(q)), axis=1)
    np.testing.assert_allclose(-model.elbo(x), expected, rtol=1e-4)


@pytest.mark.slow
def test_alpha_weighs_the_classification_of_labelled_examples_alone():
    x, y = data(10)
    loss = {}
    for alpha in (0.0, 1.0, 10.0):
        model = m2(alpha=alpha)
        loss[alpha] = model.evaluate(x, y, verbose=0, return_dict=True)
        without = model.evaluate(x, verbose=0, return_dict=True)["loss"]
        assert without == pytest.approx(-m2().elbo(x).mean(), rel=1e-5)
    cost = -np.log(m2().predict_label(x)[np.arange(10), y]).mean()
    assert loss[0.0]["classification_loss"] == pytest.approx(cost, rel=1e-4)
    for alpha in (1.0, 10.0):
        more = loss[alpha]["loss"] - loss[0.0]["loss"]
        assert more == pytest.approx(alpha * cost, rel=1e-3)


def test_accuracy_is_that_of_the_labelled_examples():
    model, (x, y) = m2(), data(12)
    given = partly(y, 7)
    right = model.predict_label(x[:7]).argmax(axis=1) == y[:7]
    figures = model.evaluate(x, given, batch_size=5, verbose=0, return_dict=True)
    assert figures["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def classifier_gradient(model, x, label):
    with tf.GradientTape() as tape:
        output = model((x, tf.constant(label, tf.int32)), training=True)
        loss = model.compute_loss(x, None, output)
    gradients = tape.gradient(loss, model.classifier.trainable_variables)
    return [np.abs(np.asarray(g)).max() for g in gradients if g is not None]


def test_examples_without_a_label_teach_the_classifier():
    x, _ = data(6)
    model = m2(gamma=0.0, views=1)
    gradients = classifier_gradient(model, x, [NO_LABEL] * 6)
    assert min(gradients) > 1e-6


def test_a_classifier_in_updates_of_its_own_hears_nothing_of_the_bound():
    x, y = data(6)
    alone = m2(joint=False, gamma=0.0, views=1)
    assert max(classifier_gradient(alone, x, [NO_LABEL] * 6), default=0.0) == 0.0
    assert max(classifier_gradient(alone, x, y)) > 1e-4


def test_only_its_label_cost_teaches_the_classifier_of_a_labelled_example():
    x, y = data(6)
    assert max(classifier_gradient(m2(alpha=0.0, views=1), x, y), default=0.0) == 0.0
    assert max(classifier_gradient(m2(alpha=1.0, views=1), x, y)) > 1e-4


def test_views_are_not_for_xla():
    model = m2()
    with pytest.raises(ValueError, match="`jit_compile`"):
        model.compile(jit_compile=True)
    assert not model.supports_jit  # what "auto" asks on a GPU
    one_view = m2(views=1)
    one_view.compile(jit_compile=True)
    assert one_view.jit_compile


def test_gamma_weighs_the_agreement_of_views():
    x, _ = data(6)
    penalties = {}
    for gamma in (0.0, 1.0, 2.0):
        model = m2(gamma=gamma, alpha=1.0, views=3)
        last = model.classifier.layers[-1]
        last.kernel.assign(40.0 * last.kernel)  # every label is shown clearly
        output = model(x, training=True)
        penalties[gamma] = output.penalty.numpy()
        disagreement = output.latent.labels.disagreement.numpy()
    assert disagreement.max() > 1e-3
    for gamma in (1.0, 2.0):
        more = penalties[gamma] - penalties[0.0]
        np.testing.assert_allclose(more, gamma * disagreement, atol=2e-4)


@pytest.mark.slow
def test_a_few_labels_are_enough_to_learn_the_classes():
    x, y = data(60)
    model = m2(alpha=20.0, views=1)
    history = model.fit(x, partly(y, 6), batch_size=20, epochs=60, verbose=0).history
    assert (model.predict_label(x).argmax(axis=1) == y).mean() > 0.9
    assert history["loss"][-1] < history["loss"][0]
    assert {"accuracy", "classification_loss", "kl_loss"} <= history.keys()


@pytest.mark.slow
def test_generation_follows_the_label():
    x, y = data(60)
    model = m2(alpha=20.0, views=1)
    model.fit(x, partly(y, 30), batch_size=10, epochs=150, verbose=0)
    made = model.sample(9, seed=1, condition=np.arange(9) % CLASSES)
    bands = made.reshape(9, 3, -1).mean(axis=2)
    np.testing.assert_array_equal(bands.argmax(axis=1), np.arange(9) % CLASSES)


def test_without_a_label_the_most_probable_one_is_taken():
    model, (x, _) = m2(), data(5)
    best = model.predict_label(x).argmax(axis=1)
    np.testing.assert_allclose(model.encode(x), model.encode(x, best), rtol=1e-5)
    np.testing.assert_allclose(
        model.reconstruct(x), model.reconstruct(x, best), rtol=1e-5
    )
    walk = model.interpolate(x[0], x[1], 4)
    np.testing.assert_allclose(walk[[0, -1]], model.reconstruct(x[:2]), rtol=1e-4)


def test_m1_hears_nothing_of_what_m2_generates():
    x, y = data(6)
    model = m1m2(finetune=False)
    alone = keras_vae.VAE(
        LATENT, SHAPE, encoder=model.encoder, decoder=model.decoder, seed=3
    )
    alone.ensure_built()
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    gradients = []
    for vae, inputs in ((model, (x, tf.constant(y))), (alone, x)):
        with tf.GradientTape() as tape:
            output = vae(inputs, training=True)
            loss = vae.compute_loss(x, None, output)
        gradients.append(tape.gradient(loss, variables))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_finetuning_lets_the_labels_train_the_encoder_of_m1():
    x, y = data(6)
    gradients = []
    for finetune in (False, True):
        model = m1m2(finetune=finetune)
        with tf.GradientTape() as tape:
            output = model((x, tf.constant(y)), training=True)
            loss = model.compute_loss(x, None, output)
        gradients.append(tape.gradient(loss, model.encoder.trainable_variables)[0])
    assert np.abs(gradients[1] - gradients[0]).max() > 1e-4


@pytest.mark.slow
def test_m1m2_learns_the_classes_and_generates_them():
    x, y = data(60)
    model = m1m2(alpha=20.0, views=1)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, partly(y, 12), batch_size=10, epochs=80, verbose=0)
    assert (model.predict_label(x).argmax(axis=1) == y).mean() > 0.9
    made = model.sample(6, seed=1, condition=np.arange(6) % CLASSES)
    bands = made.reshape(6, 3, -1).mean(axis=2)
    np.testing.assert_array_equal(bands.argmax(axis=1), np.arange(6) % CLASSES)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 3]), "label 3"),
        (np.array([0, -2]), "label -2"),
        (np.array([0.0, 1.0]), "dtype float64"),
        (np.array([0, 1, 2]), "for 2 examples"),
    ],
)
def test_labels_that_cannot_be_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        m2().fit(data(2)[0], y, verbose=0)


def test_generation_needs_a_label():
    with pytest.raises(ValueError, match="Expected labels, integers from 0 to 2"):
        m2().sample(2)
    with pytest.raises(ValueError, match="label -1"):
        m2().sample(2, condition=np.array([-1, 0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "`alpha`"),
        ({"gamma": math.nan}, "`gamma`"),
        ({"views": 0}, "`views`"),
        ({"labelled_share": 1.0}, "`labelled_share`"),
        ({"condition": "vector"}, "condition"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        m2(**options)


def test_networks_of_another_number_of_labels_are_refused():
    with pytest.raises(ValueError, match="`encoder`"):
        m2(encoder=networks.mlp_encoder(SHAPE, LATENT))
    with pytest.raises(ValueError, match="`classifier`"):
        m2(classifier=label_classifier("mlp", SHAPE, CLASSES + 1))


def widen(encoder):
    """Makes posteriors wider than the prior, so that importance weights are steady."""
    kernel, bias = encoder.get_layer(f"{encoder.name}_head").get_weights()
    bias[len(bias) // 2 :] = 1.0
    encoder.get_layer(f"{encoder.name}_head").set_weights([0.4 * kernel, bias])


@pytest.mark.slow
def test_importance_sampling_sums_the_labels_out():
    model, (x, y) = m2(), data(4)
    widen(model.encoder)
    model.decoder.set_weights([2.0 * weight for weight in model.decoder.get_weights()])
    edges = np.linspace(-6.0, 6.0, 161)
    z = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2).astype("float32")
    log_p = -0.5 * np.sum(z**2, axis=1) - math.log(2 * math.pi)
    log_volume = 2 * math.log(edges[1] - edges[0])
    by_label = np.empty((len(x), CLASSES))
    for label in range(CLASSES):
        logits = model.decode_params(tf.constant(z), tf.fill([len(z)], label)).numpy()
        flat = logits.reshape(len(z), -1).astype(np.float64)
        log_x = x.reshape(len(x), -1) @ flat.T - np.logaddexp(0, flat).sum(axis=1)
        by_label[:, label] = logsumexp(log_x + log_p, axis=1) + log_volume
    by_label -= math.log(CLASSES)
    exact = logsumexp(by_label, axis=1)
    for given, expected in ((None, exact), (y, by_label[np.arange(4), y])):
        found = importance_weighted_nll(model, x, 16_000, condition=given)
        error = np.sqrt(found.variance)
        assert np.all(np.abs(found.log_prob - expected) < 4 * error)
        assert error.max() < 0.03
    assert np.all(-model.elbo(x, 100) > -exact)
    np.testing.assert_allclose(elbo_terms(model, x).neg_elbo, -model.elbo(x), rtol=1e-5)


@pytest.mark.slow
def test_importance_sampling_of_two_floors_sums_out_both():
    model, (x, _) = m1m2(), data(4)
    widen(model.encoder)
    widen(model.upper_encoder)
    random, n = np.random.default_rng(0), 200_000
    z = random.normal(size=(n, LATENT)).astype("float32")
    label = random.integers(0, CLASSES, n).astype("int32")
    params = model.stack.m2.decode_params(tf.constant(z), tf.constant(label)).numpy()
    mean, log_scale = np.split(params, 2, axis=1)
    assert np.abs(log_scale).max() < 3  # where its likelihood does not bound it
    z_1 = mean + np.exp(log_scale) * random.normal(size=mean.shape)
    logits = model.decoder(z_1.astype("float32")).numpy().reshape(n, -1)
    log_x = x.reshape(4, -1) @ logits.T - np.logaddexp(0, logits).sum(axis=1)
    expected = logsumexp(log_x, axis=1) - math.log(n)
    found = importance_weighted_nll(model, x, 16_000)
    error = np.sqrt(found.variance)
    assert np.all(np.abs(found.log_prob - expected) < 4 * error)
    assert error.max() < 0.03
    assert np.all(-model.elbo(x, 100) > -expected)


@pytest.mark.slow
@MAKERS
def test_the_estimate_does_not_depend_on_how_work_is_cut_up(make, in_small_calls):
    model, (x, _) = make(), data(7)
    whole = importance_weighted_nll(model, x, 40).log_prob
    cut = make(in_small_calls(type(model), 2))
    parts = importance_weighted_nll(cut, x, 40).log_prob
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


@pytest.mark.slow
def test_the_first_steps_of_m1m2_are_not_ruled_by_the_latents_of_m2():
    x = np.random.default_rng(0).uniform(size=(64, 8, 8, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras_vae.M1M2(50, (8, 8, 1), num_classes=10, encoder="conv", seed=0)
    model.compile(optimizer="adam")
    y = np.where(np.arange(64) < 10, np.arange(64), NO_LABEL)
    first = model.evaluate(x, y, verbose=0, return_dict=True)
    lower = keras_vae.VAE(50, (8, 8, 1), encoder=model.encoder, decoder=model.decoder)
    lower.compile()
    alone = lower.evaluate(x, verbose=0, return_dict=True)
    # Of the latent of M1 under a standard normal, and of ten labels.
    assert first["kl_loss"] < alone["kl_loss"] + math.log(10) + 50.0
    history = model.fit(x, y, batch_size=32, epochs=3, verbose=0).history["kl_loss"]
    assert max(history) < 200.0


def test_what_m1m2_would_share_between_its_floors_is_refused():
    for prior in ("gaussian_mixture", "vamp", "conditional"):
        with pytest.raises(ValueError, match="`prior`"):
            m1m2(prior=prior)


@pytest.mark.slow
def test_a_replica_without_an_example_does_no_harm_to_convolutions():
    shape = (8, 8, 1)
    x = np.random.default_rng(0).uniform(size=(5, *shape)).astype("float32")
    weights = []
    for strategy in (strategies.one_device(), strategies.mirrored(2)):
        with strategy.scope():
            keras.utils.set_random_seed(1)
            model = M2(
                2, shape, num_classes=2, encoder="conv", classifier="conv", seed=0
            )
            model.compile()
        model.fit(x, np.array([0, 1, -1, -1, 1]), batch_size=4, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
@MAKERS
def test_every_precision_learns_and_infers_labels(make, dtype):
    x, y = data(24)
    keras.config.set_dtype_policy(dtype)
    try:
        model = make(dtype=dtype)
    finally:
        keras.config.set_dtype_policy("float32")
    losses = model.fit(x, partly(y), batch_size=6, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict_label(x).sum(axis=1) == pytest.approx(1.0, abs=1e-2)
    assert importance_weighted_nll(model, x, 20).nll < -model.elbo(x).mean()


@pytest.mark.slow
def test_the_prior_of_z_may_be_learned_for_each_label():
    model, (x, y) = m2(prior="conditional"), data(12)
    kernel, bias = model.prior_network.get_layer("prior_head").get_weights()
    kernel[:, 0] = [-5.0, 0.0, 5.0]
    model.prior_network.get_layer("prior_head").set_weights([kernel, bias])
    low, _, high = (
        model.prior_sample(200, tf.constant([0, 1]), tf.fill([200], label))
        for label in range(CLASSES)
    )
    assert np.mean(high, axis=0)[0] - np.mean(low, axis=0)[0] == pytest.approx(
        10, abs=1
    )
    history = model.fit(x, partly(y), batch_size=4, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
