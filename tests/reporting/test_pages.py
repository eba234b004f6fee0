"""The report and the explorer of one small finished run, which is trained here."""

import io
import re
import threading

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from keras_vae.reporting import explorer as explorers
from keras_vae.reporting import report as reports
from keras_vae.reporting.runs import load_run
from keras_vae.training import run as runs
from keras_vae.training.config import TrainConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "run"
    given = {
        "latent_dim": 3,
        "hidden_units": (32,),
        "epochs": 15,
        "image_every": 0,
        "output_dir": str(path),
    }
    return runs.train(TrainConfig.resolve(given)).path


@pytest.fixture(scope="module")
def explorer(folder):
    return explorers.Explorer(load_run(folder))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


# Report


def test_the_report_is_one_file_that_needs_nothing_else(folder):
    place = reports.report(folder)
    text = place.read_text(encoding="utf-8")
    assert place.name == "report.html"
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in text


def test_the_report_shows_the_figures_of_the_run(folder):
    run = load_run(folder)
    text = reports.page(run)
    assert f"{run.metrics['neg_elbo']:.2f}" in text
    assert "latent_dim" in text
    assert text.count("data:image/png") >= 5
    assert 'name="viewport"' in text


# Model card


def test_the_model_card_says_what_the_model_is_and_how_to_load_it(folder):
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "digits" in card
    assert 'keras_vae.load_model("model.keras")' in card
    assert "signatures" in card


# Explorer


def test_a_slider_changes_the_picture_and_back_gives_the_first(explorer):
    start = explorer.picture([[0.0, 0.0, 0.0]])
    strongest = explorer.state["sliders"][0]["dim"]
    moved = [0.0, 0.0, 0.0]
    moved[strongest] = 3.0
    assert not np.array_equal(pixels(start), pixels(explorer.picture([moved])))
    assert explorer.picture([[0.0, 0.0, 0.0]]) == start


def test_sliders_are_ordered_by_kl(explorer):
    weights = [slider["weight"] for slider in explorer.state["sliders"]]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == 3


def test_a_walk_goes_there_and_back(explorer):
    a, b = [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]
    gif = Image.open(io.BytesIO(explorer.walk(a, b, steps=5)))
    assert gif.n_frames == 8


@pytest.mark.parametrize("source", ["prior", "aggregate"])
def test_draws_are_latents_and_differ(explorer, source):
    first, second = explorer.draw(source), explorer.draw(source)
    assert len(first) == 3
    assert first != second


def test_the_page_answers_and_refuses_what_is_no_question(explorer):
    client = Client(explorers.application(explorer))
    assert client.get("/").status_code == 200
    assert client.get("/state").json["latent_dim"] == 3
    decoded = client.post("/decode", json={"u": [[0.0, 1.0, 0.0]]})
    assert decoded.mimetype == "image/png"
    assert pixels(decoded.data).ndim >= 2
    assert client.post("/decode", json={"u": [[0.0]]}).status_code == 400
    assert client.post("/decode", data="u=1").status_code == 400
    assert client.get("/etc/passwd").status_code == 404


def test_a_page_from_elsewhere_is_refused(explorer):
    client = Client(explorers.application(explorer))
    response = client.get("/state", base_url="http://example.com/")
    assert response.status_code == 400


def test_the_browser_shows_another_image_when_a_slider_moves(folder):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    try:
        browser = webdriver.Chrome(options=options, service=service)
    except Exception as error:
        pytest.skip(f"no Chromium to drive: {type(error).__name__}")
    with explorers.server(load_run(folder)) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            browser.get(f"http://127.0.0.1:{made.port}/")
            from selenium.webdriver.support.ui import WebDriverWait

            wait = WebDriverWait(browser, 60)
            slider = wait.until(
                lambda page: page.find_element(By.CSS_SELECTOR, "#sliders input")
            )
            shown = "return document.querySelector('#picture').src"
            wait.until(lambda page: page.execute_script(shown))
            before = browser.execute_script(shown)
            browser.execute_script(
                "arguments[0].value = arguments[0].max;"
                "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
                slider,
            )
            wait.until(lambda page: page.execute_script(shown) != before)
            picture = browser.get_screenshot_as_png()
            assert pixels(picture).std() > 1.0
        finally:
            browser.quit()
            made.shutdown()
            thread.join(10)
