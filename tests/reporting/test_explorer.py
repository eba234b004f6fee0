"""Explorer and graph of models that are told a condition; they never trained."""

import contextlib
import dataclasses
import io
import json
import re
import threading

import keras
import numpy as np
import pytest
from PIL import Image, ImageSequence
from werkzeug.serving import make_server
from werkzeug.test import Client

from keras_vae import CVAE, M1M2, M2, HierarchicalVAE
from keras_vae.reporting import plots
from keras_vae.reporting.explorer import Explorer, application
from keras_vae.reporting.runs import load_run
from keras_vae.reporting.subject import Subject

SHAPE = (6, 4, 1)
LATENT = [[0.3, -0.5]]


@pytest.fixture(scope="module", params=["label", "left_half"])
def explorer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    x = np.random.default_rng(0).integers(0, 256, (12, *SHAPE[:2]), np.uint8)
    y = np.arange(12) % 3
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    config = {"dataset": str(folder / "data.npz"), "binarize": "none", "seed": 0}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text("{}")
    keras.utils.set_random_seed(0)
    classes = 3 if request.param == "label" else None
    model = CVAE(2, SHAPE, condition=request.param, num_classes=classes, seed=0)
    model.ensure_built()
    model.save(folder / "model.keras")
    return Explorer(load_run(folder))


def test_the_graph_of_the_model_shows_the_condition(explorer):
    figure = plots.model_graph(explorer.subject)["model_graph"]
    words = {text.get_text() for text in figure.axes[0].texts}
    labelled = "label" in explorer.state["condition"]
    # A part of x is in x, which the encoder sees whole.
    x, kind = ("x,c", "label") if labelled else ("x", "condition")
    assert {x, "q(z|x,c): N(mean, variance)", "z, 2 numbers; c"} <= words
    assert any(text.endswith(f"weights; c is the {kind}") for text in words)


@pytest.mark.parametrize(
    ("model", "expected", "absent"),
    [
        (
            lambda: CVAE(2, SHAPE, condition="label", num_classes=3),
            {"p(z): N(0, I)", "ε ~ N(0, I)", "KL(q ‖ p)"},
            "q(c|x)",
        ),
        (
            lambda: CVAE(
                2, SHAPE, condition="label", num_classes=3, prior="conditional"
            ),
            {"p(z|c): network of c, 16 weights", "KL(q ‖ p)"},
            "ConditionalNormal",
        ),
        (
            lambda: CVAE(
                2, SHAPE, condition="label", num_classes=3, posterior="planar"
            ),
            {"q(z|x,c): flow of a normal", "Planar flow, 4 steps", "Dense 20"},
            "mean, variance",
        ),
        (lambda: M2(2, SHAPE, num_classes=3), {"ε ~ N(0, I)"}, "ConditionalNormal"),
        (
            lambda: M1M2(2, SHAPE, num_classes=3),
            {
                "q(z₁|x): N(mean, variance)",
                "q(z|z₁,c): N(mean, variance)",
                "p(z₁|z,c): N(mean, variance)",
                "p(x|z₁): Bernoulli",
                "Dense 300, relu",  # of its upper networks
            },
            "q(c|x)",
        ),
    ],
)
def test_the_graph_names_the_prior_the_noise_and_the_loss(
    explorer, model, expected, absent
):
    made = model()
    made.ensure_built()
    if made.condition.name != explorer.subject.model.condition.name:
        pytest.skip("of labels")
    subject = Subject(dataclasses.replace(explorer.subject.run, model=made))
    figure = plots.model_graph(subject)["model_graph"]
    words = {text.get_text() for text in figure.axes[0].texts}
    assert expected <= words
    assert any(text.startswith("reconstruction loss") for text in words)
    assert not any(absent in text for text in words)
    classifier = any(re.match(r"q\(c\|.*\): classifier", text) for text in words)
    assert classifier == isinstance(made, M2)


def test_the_condition_that_is_chosen_changes_the_picture(explorer):
    choices = explorer.state["conditions"] or [{"example": k} for k in (0, 1)]
    first, second = ({"label": 0}, {"label": 1}) if "label" in choices[0] else choices
    assert explorer.picture(LATENT, first) == explorer.picture(LATENT, first)
    assert explorer.picture(LATENT, first) != explorer.picture(LATENT, second)


def test_labels_have_names_and_parts_are_those_of_examples(explorer):
    start, conditions = explorer.state["condition"], explorer.state["conditions"]
    if "label" in start:
        assert [choice["name"] for choice in conditions] == ["0", "1", "2"]
    else:
        assert conditions is None
    assert explorer.state["examples"][0]["condition"] == start


@pytest.mark.parametrize("condition", [None, {"label": "1"}, {"example": 99}, 3])
def test_what_is_no_condition_is_refused(explorer, condition):
    with pytest.raises(ValueError, match="condition: expected one of this model"):
        explorer.picture(LATENT, condition)


def png(seed):
    """An image file of the model's size."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, SHAPE[:2], np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_upload_has_the_label_that_is_chosen_or_the_half_that_it_shows(explorer):
    start = explorer.state["condition"]
    first, second = (explorer.upload(png(seed), start) for seed in (1, 2))
    if "label" in start:
        other = explorer.upload(png(1), {"label": 2})
        assert first["condition"] == start and other["condition"] == {"label": 2}
        assert first["u"] != other["u"]  # q(z|x,c)
        with pytest.raises(ValueError, match="condition: "):
            explorer.upload(png(1), {"label": 99})
        return
    pictures = {explorer.picture(LATENT, made["condition"]) for made in (first, second)}
    assert len(pictures) == 2
    for seed in range(40):
        explorer.upload(png(seed))
    with pytest.raises(ValueError, match="condition: "):  # the oldest are let go of
        explorer.picture(LATENT, first["condition"])


def test_draws_are_made_under_the_condition(explorer):
    u = explorer.draw("prior", explorer.state["condition"])
    assert len(u) == 2
    assert np.isfinite(u).all()


def test_each_half_of_a_walk_has_the_condition_of_its_end(explorer):
    examples = explorer.state["examples"]
    first, last = (examples[place]["condition"] for place in (0, -1))
    assert first != last
    u = LATENT[0]
    frames = [
        Image.open(io.BytesIO(explorer.walk(u, u, given, steps=4))).n_frames
        for given in ([first, first], [first, last])
    ]
    assert frames == [1, 3]  # there and back; equal ones in a row are one
    both = explorer.picture(LATENT * 2, [first, last], columns=2)
    assert both not in (explorer.picture(LATENT * 2, one, 2) for one in (first, last))


def test_conditions_are_one_for_each_latent(explorer):
    start = explorer.state["condition"]
    with pytest.raises(ValueError, match="condition: expected one of this model"):
        explorer.picture(LATENT, [start, start])


@pytest.mark.slow
def test_the_page_takes_over_the_condition_of_either_example(explorer, browser):
    with serving(explorer) as address:
        browser.open(address)
        browser.until("document.body.dataset.ready")
        last = len(explorer.state["examples"]) - 1
        conditions = [explorer.state["examples"][k]["condition"] for k in (0, last)]
        browser.ask("$('examples').children[0].click()")
        browser.ask(f"$('examples').children[{last}].click()")
        browser.until("!$('save-walk').hidden")
        for t, expected in ((0.0, 0), (0.5, 0), (0.51, 1), (1.0, 1), (0.2, 0)):
            browser.ask(
                "($('t').value = arguments[0], "
                "$('t').dispatchEvent(new Event('input')))",
                t,
            )
            assert browser.ask("condition") == conditions[expected]
            shown = json.loads(browser.ask("$('condition').value"))
            assert shown == conditions[expected]


def test_a_temperature_is_for_hierarchies_alone(explorer):
    with pytest.raises(ValueError, match="temperature"):
        explorer.picture(LATENT, explorer.state["condition"], temperature=0.5)


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory):
    """The explorer of a hierarchy that never trained."""
    folder = tmp_path_factory.mktemp("hierarchy")
    x = np.random.default_rng(0).integers(0, 256, (12, *SHAPE[:2]), np.uint8)
    np.savez(folder / "data.npz", x_train=x, x_test=x)
    config = {"dataset": str(folder / "data.npz"), "binarize": "none", "seed": 0}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text("{}")
    keras.utils.set_random_seed(0)
    model = HierarchicalVAE(2, SHAPE, groups=(1, 1), group_channels=2, width=4, seed=0)
    model.ensure_built()
    model.save(folder / "model.keras")
    return Explorer(load_run(folder))


def test_the_temperature_moves_what_is_below_the_top(hierarchy):
    def pixels(**options):
        with Image.open(io.BytesIO(hierarchy.picture(LATENT, **options))) as image:
            return np.asarray(image).astype(int)

    means, warm = pixels(), pixels(temperature=1.0)
    assert np.any(warm != means)
    np.testing.assert_array_equal(pixels(temperature=1.0), warm)
    np.testing.assert_array_equal(pixels(temperature=0), means)


def test_equal_latents_have_equal_noise_so_that_a_walk_does_not_flicker(hierarchy):
    gif = hierarchy.walk(LATENT[0], LATENT[0], steps=4, temperature=1.0)
    with Image.open(io.BytesIO(gif)) as image:
        frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)]
    for frame in frames:
        np.testing.assert_array_equal(frame, frames[0])


@pytest.mark.parametrize("temperature", [-0.1, 1.5, True, "hot", None, [1]])
def test_what_is_no_temperature_is_refused(hierarchy, temperature):
    with pytest.raises(ValueError, match="temperature"):
        hierarchy.picture(LATENT, temperature=temperature)


@pytest.mark.slow
def test_the_page_has_a_switch_for_the_temperature_of_a_hierarchy(hierarchy, browser):
    with serving(hierarchy) as address:
        browser.open(address)
        browser.until("document.body.dataset.ready")
        assert not browser.ask("$('temperature-row').hidden")
        before = browser.ask("Number($('picture').dataset.number)")
        browser.ask(
            "($('temperature').value = 0.5, "
            "$('temperature').dispatchEvent(new Event('input')))"
        )
        browser.until(f"Number($('picture').dataset.number) > {before}")
        assert browser.ask("temperature") == 0.5
        assert browser.ask("$('trouble').hidden")


@contextlib.contextmanager
def serving(explorer):
    """Gives the address at which the page of an explorer answers."""
    made = make_server("127.0.0.1", 0, application(explorer), threaded=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.port}/"
    made.shutdown()
    thread.join(10)


NESTED = b'{"u": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
QUESTIONS = {
    "nested deeply": ("decode", NESTED),
    "nested conditions": (
        "decode",
        b'{"u": [[0, 0]], "condition": ' + b"[" * 900 + b"]" * 900 + b"}",
    ),
    "a number for rows": ("decode", b'{"u": 5}'),
    "nothing": ("decode", b"{}"),
    "nothing in rows": ("decode", b'{"u": []}'),
    "rows of text": ("decode", b'{"u": [["a", "b"]]}'),
    "rows of objects": ("decode", b'{"u": [[{}, {}]]}'),
    "text": ("decode", b'{"u": "two"}'),
    "numbers too large": ("decode", b'{"u": [[1e308, 0]]}'),
    "integers too large": ("decode", b'{"u": [[1' + b"0" * 400 + b", 0]]}"),
    "a label too large": (
        "decode",
        b'{"u": [[0, 0]], "condition": {"label": 1' + b"0" * 30 + b"}}",
    ),
    "a label that is not there": (
        "decode",
        b'{"u": [[0, 0]], "condition": {"label": 77}}',
    ),
    "a label that is a switch": (
        "decode",
        b'{"u": [[0, 0]], "condition": {"label": true}}',
    ),
    "a way without an end": ("walk", b'{"a": [0, 0]}'),
    "a way between numbers": ("walk", b'{"a": 1, "b": 2}'),
    "a draw from nowhere": ("draw", b"{}"),
    "a draw from a list": ("draw", b'{"source": [[]]}'),
    "no object": ("draw", b"[1]"),
    "no JSON": ("draw", b"{"),
}


@pytest.mark.parametrize(("name", "content"), QUESTIONS.values(), ids=QUESTIONS)
def test_what_is_no_question_is_refused_in_a_plain_sentence(explorer, name, content):
    client = Client(application(explorer))
    answer = client.post(f"/{name}", data=content, content_type="application/json")
    assert answer.status_code == 400
    assert len(answer.text) < 400
    for words in ("object of type", "Traceback", "int()", "recursion", "KeyError"):
        assert words not in answer.text
    assert answer.text.endswith(".") and len(answer.text.split()) > 3


def test_no_other_page_can_frame_the_explorer(explorer):
    headers = Client(application(explorer)).get("/").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_examples_outside_of_the_map_are_counted(make_subject):
    z = np.zeros((300, 2))
    z[0] = 40.0
    assert Explorer(make_subject(z=z, labels=False).run).state["map"]["outside"] == 1
    assert Explorer(make_subject(1).run).state["map"]["outside"] == 0
