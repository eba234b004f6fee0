"""Images that a person brings to the explorer, made into examples."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from keras_vae.errors import DataError
from keras_vae.reporting import uploads
from keras_vae.reporting.explorer import Explorer, application

SHAPE = (6, 4, 1)


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def grey():
    """An image of the model's own size."""
    return np.random.default_rng(0).integers(0, 256, SHAPE[:2], np.uint8)


@pytest.fixture
def run(make_subject):
    return make_subject(shape=SHAPE).run


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_an_image_of_the_right_size_keeps_its_values(run, grey, kind):
    x, note = uploads.example(encoded(grey, kind), run)
    assert x.shape == (1, *SHAPE) and x.dtype == np.float32
    np.testing.assert_allclose(x[0, ..., 0] * 255, grey, atol=0.01)
    assert note == "Taken as it is."


def test_the_name_of_a_swap_is_in_the_note(run, grey):
    x, note = uploads.example(encoded(grey), run, swap=True)
    np.testing.assert_allclose(x[0, ..., 0] * 255, 255 - grey.astype(int), atol=0.01)
    assert "swapped" in note


def test_a_larger_image_is_cropped_to_the_middle_and_averaged(run):
    wide = np.zeros((60, 80), np.uint8)
    wide[:, 20:60] = 255  # what is left of 80 columns where 60 rows become 6
    x, note = uploads.example(encoded(wide), run)
    assert x.min() == 1.0
    assert "cropped" in note.lower() and "80×60" in note and "4×6" in note


def test_what_is_transparent_is_black_and_what_lies_on_its_side_is_turned(run):
    clear = np.full((*SHAPE[:2], 4), 255, np.uint8)
    clear[0, :, 3] = 0
    x, _ = uploads.example(encoded(clear), run)
    assert np.all(x[0, 0] == 0) and np.all(x[0, 1:] == 1)
    lying = np.zeros((4, 6), np.uint8)
    lying[:, 0] = 255  # the top once it is turned
    exif = Image.Exif()
    exif[0x0112] = 6
    x, note = uploads.example(encoded(lying, exif=exif), run)
    assert np.all(x[0, 0] == 1) and np.all(x[0, 1:] == 0)
    assert note == "Taken as it is."


def test_sixteen_bits_and_colours_become_grey_levels(run, grey):
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    x, _ = uploads.example(encoded(deep), run)
    np.testing.assert_allclose(x[0, ..., 0] * 255, grey, atol=0.01)
    red = np.zeros((*SHAPE[:2], 3), np.uint8)
    red[..., 0] = 255
    x, _ = uploads.example(encoded(red), run)
    assert x == pytest.approx(0.299, abs=0.01)


def test_grey_images_have_three_channels_for_a_model_of_colours(make_subject, grey):
    run = make_subject(shape=(6, 4, 3)).run
    x, _ = uploads.example(encoded(grey), run)
    assert x.shape == (1, 6, 4, 3)
    assert np.all(x[..., :1] == x)


def test_it_is_binarised_where_the_data_were(run, grey):
    run.config["binarize"] = "threshold"
    x, note = uploads.example(encoded(grey), run)
    np.testing.assert_array_equal(x[0, ..., 0], grey >= 127.5)
    assert "black or white" in note


def test_it_gets_the_range_of_data_that_are_not_from_0_to_1(run, grey):
    run.data.train.x[:] = np.linspace(-1, 1, run.data.train.x.size).reshape(
        run.data.train.x.shape
    )
    x, note = uploads.example(encoded(grey), run)
    np.testing.assert_allclose(x[0, ..., 0], grey / 127.5 - 1, atol=1e-5)
    assert "-1" in note


CUT_OFF = encoded(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))[:300]


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, CUT_OFF],
    ids=["empty", "only a head", "a drawing", "zeros", "cut off"],
)
def test_what_is_no_image_is_refused(run, content):
    with pytest.raises(DataError, match="image: "):
        uploads.example(content, run)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(run):
    bomb = encoded(Image.new("1", (20_000, 5_000)))
    with pytest.raises(DataError, match="20000 x 5000"):
        uploads.example(bomb, run)


def test_models_of_vectors_and_of_many_channels_take_no_files(make_subject, grey):
    for shape in ((6,), (6, 4, 2)):
        with pytest.raises(DataError, match="image: this model"):
            uploads.example(encoded(grey), make_subject(shape=shape).run)


# The explorer


@pytest.fixture
def client(run):
    return Client(application(Explorer(run)))


def post(client, content, **question):
    return client.post(
        "/upload",
        query_string={"question": json.dumps(question)},
        data=content,
        content_type="application/octet-stream",
    )


def test_an_upload_gives_its_latents_and_the_example_made_of_it(client, grey):
    answer = post(client, encoded(grey)).json
    # The first numbers of a legible image are its latents.
    expected = grey.ravel()[:2] / 255 * 8 - 4
    assert answer["u"] == pytest.approx(expected.tolist(), abs=1e-3)
    assert answer["condition"] is None
    with Image.open(io.BytesIO(base64.b64decode(answer["original"]))) as original:
        shown = np.asarray(original)
    scale = shown.shape[0] // 6
    np.testing.assert_array_equal(
        shown[::scale, ::scale].reshape(6, 4, -1)[..., 0], grey
    )


def test_files_that_are_refused_have_a_plain_sentence(client):
    answer = post(client, b"no image")
    assert answer.status_code == 400
    assert answer.text.startswith("image: ") and answer.text.endswith(".")
    large = post(client, b"\0" * (uploads.MOST_BYTES + 1))
    assert large.status_code == 413
    assert "MiB" in large.text


def test_an_upload_is_refused_from_a_page_elsewhere(client, grey):
    for kind in ("text/plain", "multipart/form-data", "image/png"):
        answer = client.post("/upload", data=encoded(grey), content_type=kind)
        assert answer.status_code == 400


def test_a_point_of_the_map_has_its_example(make_subject):
    explorer = Explorer(make_subject(shape=SHAPE).run)
    state = explorer.state
    client = Client(application(explorer))
    for k in (0, 7):
        row = state["map"]["rows"][k]
        example = client.post("/example", json={"row": row}).json
        assert example["u"] == pytest.approx(state["map"]["points"][k], abs=1e-3)
        assert f"example {row}" in example["name"]
        assert client.get(f"/original?row={row}").data == explorer.original(row)
    for row in (len(explorer.subject.examples), -1, True, "0", None, [0]):
        assert client.post("/example", json={"row": row}).status_code == 400
    for row in ("", "-1", "x", "9" * 30, "../0"):
        assert client.get("/original", query_string={"row": row}).status_code == 400
