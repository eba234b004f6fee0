"""The pages of one small finished run, which is trained here: report, explorer, and
TensorBoard."""

import io
import json
import re
import subprocess
import sys
import threading
from urllib.parse import unquote

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
        "image_every": 15,
        "output_dir": str(path),
    }
    return runs.train(TrainConfig.resolve(given)).path


@pytest.fixture(scope="module")
def explorer(folder):
    return explorers.Explorer(load_run(folder))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


# Report


@pytest.fixture(scope="module")
def report(folder):
    """The file."""
    return reports.report(folder)


def test_the_report_is_one_file_that_needs_nothing_else(report):
    text = report.read_text(encoding="utf-8")
    assert report.name == "report.html"
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in text


def test_the_report_shows_the_plots_of_the_run(folder, report):
    run = load_run(folder)
    text = report.read_text(encoding="utf-8")
    assert f"{run.metrics['neg_elbo']:.2f}" in text
    assert "latent_dim" in text
    assert text.count("data:image/png") >= 5
    assert 'name="viewport"' in text


def test_the_report_says_when_where_and_how_it_was_trained(folder, report):
    text = report.read_text(encoding="utf-8")
    kept = load_run(folder).config["environment"]
    for name in ("date", "hardware", "tensorflow"):
        assert kept[name] and kept[name] in text
    assert "--latent_dim 3" in text and "--hidden_units 32" in text


def test_the_report_has_contents_each_figure_once_and_an_appendix(report, browser):
    browser.open(report.as_uri(), 1280)
    links = browser.ask(
        "[...document.querySelectorAll('nav a')].map((link) =>"
        " document.querySelector(link.hash).getBoundingClientRect().top)"
    )
    assert len(links) > 5
    assert links == sorted(links)
    contents, numbers = browser.ask(
        "['nav', '.numbers'].map((name) =>"
        " document.querySelector(name).getBoundingClientRect().top)"
    )
    assert contents < numbers < links[0]
    appendix = browser.ask("document.querySelector('#appendix').offsetTop")
    assert 800 < appendix < 5 * 800
    sources = browser.ask("[...document.images].map(({ src }) => src)")
    assert len(set(sources)) == len(sources) > 8


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


@pytest.fixture(scope="module")
def address(folder):
    """Where the explorer of the run answers."""
    with explorers.server(load_run(folder)) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.port}/"
        made.shutdown()
        thread.join(10)


@pytest.fixture
def page(address, browser):
    """The browser with the explorer's page open."""
    browser.open(address)
    browser.until("document.body.dataset.ready")
    return browser


def shown_after(page, code, *arguments):
    """Does something on the page; returns the latent and the picture that come."""
    before = page.ask("$('picture').dataset.number")
    page.ask(code, *arguments)
    page.until("$('picture').dataset.number !== arguments[0]", before)
    page.until("!asking")
    return page.ask("[...u]"), page.ask("$('picture').src")


def test_a_slider_moves_the_image(page):
    before = page.ask("$('picture').src")
    seen = page.screenshot()
    strongest = page.ask("run.sliders[0].dim")
    move = """(() => {
      const slider = document.querySelector("#sliders input");
      slider.value = slider.max;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    })()"""
    u, after = shown_after(page, move)
    assert u == [4.0 if dim == strongest else 0.0 for dim in range(3)]
    assert after != before
    now = page.screenshot()
    box = page.ask("$('picture').getBoundingClientRect()")
    top, left = int(box["y"]), int(box["x"])
    place = slice(top, top + int(box["height"])), slice(left, left + int(box["width"]))
    assert (now[place] != seen[place]).any()


def test_a_click_on_the_map_shows_what_is_decoded_there(page):
    from selenium.webdriver import ActionChains

    box = page.driver.find_element("id", "map")
    before = page.ask("$('picture').dataset.number")
    width = page.ask("$('map').getBoundingClientRect().width")
    ActionChains(page.driver).move_to_element_with_offset(
        box, int(width / 4), 0
    ).click().perform()
    page.until("$('picture').dataset.number !== arguments[0]", before)
    place = page.ask("onPlane()")
    (left, right), _ = page.ask("run.map.limits")
    assert place[0] == pytest.approx(left + 0.75 * (right - left), abs=0.05 * right)
    assert page.ask("$('what').textContent") == "a place on the map"


def test_two_examples_are_walked_between(page):
    first, _ = shown_after(page, "$('examples').children[3].click()")
    assert first == pytest.approx(page.ask("run.examples[3].u"))
    assert page.ask("$('t').disabled")
    shown_after(page, "$('examples').children[40].click()")
    page.until("!$('way').hidden && !$('save-walk').hidden")
    assert page.ask("$('way').naturalWidth / $('way').naturalHeight") > 8
    assert page.ask("$('save-walk').download") == "walk.gif"
    middle, _ = shown_after(
        page, "($('t').value = 0.5, $('t').dispatchEvent(new Event('input')))"
    )
    last = page.ask("run.examples[40].u")
    assert middle == pytest.approx((np.add(first, last) / 2).tolist())
    page.ask("(window.gif = new Image()).src = $('save-walk').href")
    page.until("gif.naturalWidth > 0")


@pytest.mark.parametrize("source", ["prior", "aggregate"])
def test_a_button_draws_another_latent_each_time(page, source):
    first, _ = shown_after(page, f"$('{source}').click()")
    second, _ = shown_after(page, f"$('{source}').click()")
    assert first != second
    href = page.ask("$('save-latent').href")
    saved = json.loads(unquote(href.partition(",")[2]))
    assert saved["standard_deviations"] == second


@pytest.mark.parametrize("width", [390, 1280])
def test_the_picture_stays_in_sight_wherever_one_is_on_the_page(
    address, browser, width
):
    browser.open(address, width, height=700)
    browser.until("document.body.dataset.ready")
    browser.ask("$('examples').children[3].click()")  # an original is set beside
    browser.until("!asking && $('original-picture').naturalWidth")
    for place in ("#sliders input", "#map", "#file", "#examples", "#t"):
        visible = browser.ask(
            """(() => {
              document.querySelector(arguments[0]).scrollIntoView({ block: "end" });
              return ["picture", "original-picture"].every((id) => {
                const box = $(id).getBoundingClientRect();
                const at = (y) => document.elementFromPoint(box.x + box.width / 2, y);
                return at(box.top + 4) === $(id) && at(box.bottom - 4) === $(id);
              });
            })()""",
            place,
        )
        assert visible, place


def test_a_point_of_the_map_shows_its_example_and_a_click_takes_its_latents(page):
    from selenium.webdriver import ActionChains

    k, row, x, y = page.ask(
        """(() => {
          const far = ([x, y]) => Math.hypot(x, y);
          const k = run.map.points.reduce(
            (best, point, k) => far(point) < far(run.map.points[best]) ? k : best, 0);
          const [x, y] = inPixels(run.map.points[k]);
          return [k, run.map.rows[k], x - $("map").width / 2, y - $("map").height / 2];
        })()"""
    )
    box = page.driver.find_element("id", "map")
    pointing = ActionChains(page.driver).move_to_element_with_offset(
        box, round(x), round(y)
    )
    pointing.perform()
    page.until("!$('pointed').hidden && $('pointed-picture').naturalWidth")
    assert page.ask("$('pointed-name').textContent") == page.ask(f"nameOfPoint({k})")
    pointing.click().perform()
    page.until("!$('original').hidden && !asking")
    assert f"example {row}" in page.ask("$('what').textContent")
    assert page.ask("onPlane()") == pytest.approx(
        page.ask("run.map.points[arguments[0]]", k), abs=1e-3
    )
    page.ask("$('map').focus()")
    ActionChains(page.driver).send_keys("\ue014").perform()  # arrow to the right
    assert page.ask("$('what').textContent") == "a place on the map"
    page.until("$('original').hidden")


def test_an_image_of_ones_own_is_reconstructed_with_the_original_beside(page, tmp_path):
    field = page.driver.find_element("id", "file")
    place = tmp_path / "mine <b>.png"
    Image.effect_noise((90, 60), 80).save(place)
    before = page.ask("run.examples.length")
    field.send_keys(str(place))
    page.until("run.examples.length > arguments[0] && !asking", before)
    assert page.ask("!$('original').hidden && $('original-picture').naturalWidth > 0")
    assert "90×60" in page.ask("$('own-note').textContent")
    assert "mine <b>.png" in page.ask("$('what').textContent")
    assert page.ask("[...u]") == pytest.approx(page.ask("run.examples.at(-1).u"))
    # It is an end of a walk as any other.
    shown_after(page, "$('examples').children[0].click()")
    page.until("!$('way').hidden")
    (tmp_path / "letter.png").write_text("no image")
    field.send_keys(str(tmp_path / "letter.png"))
    page.until("$('own-note').textContent.includes('not taken')")
    assert page.ask("run.examples.length") == before + 1


def test_the_strip_is_one_stop_for_the_tab_key_with_arrows_inside(page):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()
        return page.ask("[...$('examples').children].indexOf(document.activeElement)")

    page.ask("$('swap').focus()")
    assert press(Keys.TAB) == 0
    assert press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT) == 1
    below = press(Keys.ARROW_DOWN)
    assert below > 1
    assert press(Keys.ARROW_UP) == press(Keys.ARROW_UP) == 1  # no further up
    assert press(Keys.END) == page.ask("run.examples.length") - 1
    press(Keys.ENTER)
    page.until("$('examples').lastElementChild.ariaSelected === 'true'")
    assert press(Keys.TAB) == -1
    stops = page.ask("document.querySelectorAll('#examples [tabindex=\"0\"]').length")
    assert stops == 1


def test_the_pages_are_dark_where_the_system_is(report, address, browser):
    for page in (address, report.as_uri()):
        light = {}
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            browser.open(page)
            browser.until("document.body.dataset.ready || !document.scripts.length")
            light[scheme] = browser.screenshot().mean()
        browser.prefer("light")
        assert light["light"] > 200
        assert light["dark"] < 90


def test_no_request_of_the_page_leaves_the_machine(page):
    shown_after(page, "$('examples').children[3].click()")
    asked = page.ask("performance.getEntriesByType('resource').map(({ name }) => name)")
    own = page.ask("[location.origin, `blob:${location.origin}`, 'data:']")
    assert len(asked) > 5
    assert all(name.startswith(tuple(own)) for name in asked)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_pages_fit_a_phone_and_a_desk(report, address, browser, width):
    for page in (address, report.as_uri()):
        browser.open(page, width)
        browser.until("document.body.dataset.ready || !document.scripts.length")
        assert browser.fits()
        images = browser.ask(
            "[...document.images].filter((image) => image.checkVisibility())"
            ".map((image) =>"
            " [image.naturalWidth, image.getBoundingClientRect().right])"
        )
        assert all(natural > 0 and right <= width for natural, right in images)


# TensorBoard


@pytest.fixture(scope="module")
def tensorboard(folder):
    """Where TensorBoard shows the logs of the run."""
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", folder / "logs"]
    options = ["--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [*map(str, program), *options], stderr=subprocess.PIPE, text=True
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield found[0]
                break
        process.terminate()
    assert found, said


def test_tensorboard_has_every_curve(tensorboard, browser):
    browser.open(f"{tensorboard}data/plugin/scalars/tags")
    tags = json.loads(browser.ask("document.body.textContent"))
    assert {
        "objective/loss",
        "objective/reconstruction_loss",
        "objective/kl_loss",
        "training/kl_weight",
        "training/learning_rate",
        "training/images_per_second",
    } <= set(tags["train"])
    assert {"objective/loss", "objective/kl_loss"} <= set(tags["validation"])
    assert set(tags["latents"]) == {"z/active_units"}


def test_tensorboard_draws_the_curves_of_the_kl(tensorboard, browser):
    browser.open(f"{tensorboard}?tagFilter=kl_loss#timeseries")
    browser.find("scalar-card", "objective/kl_loss")
    assert browser.find("scalar-card line-chart")
    for run in ("train", "validation"):
        browser.find("scalar-card", run)  # in the table below the curves


def test_tensorboard_shows_the_pictures_made_in_training(tensorboard, browser):
    browser.open(f"{tensorboard}?tagFilter=reconstruction#timeseries")
    (image, *_) = browser.find("image-card img")
    browser.until("arguments[0].naturalWidth > 0", image)


def test_the_projector_shows_thumbnails_of_all_latents(folder, tensorboard, browser):
    labels = (folder / "logs" / "latents" / "labels.tsv").read_text().splitlines()
    browser.open(f"{tensorboard}#projector")
    for _ in range(2):  # one within the other
        browser.driver.switch_to.frame(browser.find("iframe")[0])
    browser.find("div", f"Points:{len(labels)}")
    browser.find("div", "Dimension:3")
    canvas = browser.find("canvas")[0]

    def dark(_):  # images of digits on white
        shot = np.asarray(Image.open(io.BytesIO(canvas.screenshot_as_png)).convert("L"))
        return (shot < 60).mean() > 0.01

    browser.wait(dark, "thumbnails")
