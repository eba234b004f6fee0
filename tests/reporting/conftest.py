"""A model whose latents can be read off its images, so that plots can be checked."""

import functools
import io
import types

import numpy as np
import pytest
from PIL import Image

from keras_vae.data.datasets import Data, Split
from keras_vae.reporting.runs import Run
from keras_vae.reporting.subject import Subject

REACH = 4.0  # of a latent that an image can hold


class Legible:
    """The first `latent_dim` numbers of x are z, brought from [-4, 4] to [0, 1]."""

    has_kl = has_standard_prior = True
    condition_spec = latent_groups = None

    def __init__(self, latent_dim, shape, variance=None):
        self.latent_dim, self.data_shape = latent_dim, tuple(shape)
        self.variance = np.full(latent_dim, 0.01) if variance is None else variance

    def posterior(self, x, condition=None):
        z = np.reshape(x, (len(x), -1))[:, : self.latent_dim] * 2 * REACH - REACH
        return z, np.broadcast_to(np.log(self.variance), z.shape).astype(np.float32)

    def encode(self, x, condition=None):
        return self.posterior(x)[0]

    def decode(self, z, condition=None):
        z = np.asarray(z, np.float32)
        flat = np.zeros((len(z), int(np.prod(self.data_shape))), np.float32)
        flat[:, : self.latent_dim] = (z + REACH) / (2 * REACH)
        return flat.reshape(len(z), *self.data_shape)

    def reconstruct(self, x, condition=None):
        return self.decode(self.encode(x))

    def sample(self, n, seed=None, condition=None):
        z = np.random.default_rng(seed).standard_normal((n, self.latent_dim))
        return self.decode(z)


class Given(Legible):
    """A `Legible` model that is given labels, or vectors of one number.

    It writes what it is given into the last number of x: a class k as (k + 1) / 10.
    """

    infers_condition = False

    def __init__(self, latent_dim, shape, labels=True):
        super().__init__(latent_dim, shape)
        self.condition_spec = types.SimpleNamespace(
            dtype=types.SimpleNamespace(is_integer=labels)
        )

    def decode(self, z, condition=None):
        x = super().decode(z)
        if condition is None:  # as the data of a test are made
            return x
        assert len(condition) == len(z)
        number = np.reshape(condition, len(z))
        x.reshape(len(z), -1)[:, -1] = (number + 1) / 10
        return x

    def reconstruct(self, x, condition=None):
        return self.decode(self.encode(x), condition)

    def sample(self, n, seed=None, condition=None):
        return self.decode(np.zeros((n, self.latent_dim)), condition)


def latents_of_classes(latent_dim, classes, per_class):
    """Tight clouds, each around its own place; returns z and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    centres = np.linspace(0.5, 3.0, classes)[:, None] * np.ones(latent_dim)
    z = centres[labels] + 0.05 * rng.standard_normal((len(labels), latent_dim))
    order = rng.permutation(len(labels))
    return z[order].astype(np.float32), labels[order].astype(np.int32)


@pytest.fixture
def make_subject(tmp_path):
    """`make_subject(latent_dim=20, shape=(6, 9, 3))`: a subject of a `Legible` model.

    `labels` False leaves the classes out; `z` are the latents of the test examples.
    """

    def make(
        latent_dim=2,
        shape=(6, 4, 1),
        *,
        labels=True,
        classes=8,
        z=None,
        y=None,
        model=None,
        ends=(None, None),
        factors=None,
        kind_of_model=Legible,
        **options,
    ):
        model = model or kind_of_model(latent_dim, shape, **options)
        own_z, own_y = latents_of_classes(latent_dim, classes, 6)
        z = own_z if z is None else np.asarray(z, np.float32)
        y = (own_y if len(z) == len(own_y) else None) if y is None else np.asarray(y)
        y = y if labels else None
        split = Split(model.decode(z), y, factors=factors)
        kind = {3: "images", 2: "sequences", 1: "vectors"}[len(shape)]
        data = Data(
            name="legible",
            kind=kind,
            input_shape=tuple(shape),
            train=split,
            validation=None,
            test=split,
            factor_names=None if factors is None else ("position",),
        )
        run = Run(tmp_path, {"dataset": "legible"}, {}, model, data)
        return Subject(run, *ends)

    return make


@pytest.fixture
def picture_of():
    """Returns the picture that `style.framed` put into a figure."""

    def get(figure):
        return np.asarray(figure.axes[0].images[0].get_array())

    return get


@pytest.fixture
def cell_of(picture_of):
    """Cuts a cell out of a framed picture of `rows` by `columns`, without its lines."""

    def get(figure, rows, columns, row, column):
        picture = picture_of(figure)
        height, width = picture.shape[0] // rows, picture.shape[1] // columns
        top, left = row * height, column * width
        return picture[top + 1 : top + height, left + 1 : left + width, 0]

    return get


@pytest.fixture
def read_z():
    """Reads the first latents off an enlarged cell of a `Legible` image of 6x4."""

    def get(cell, dims):
        scale = cell.shape[1] // 4
        row = cell[-6 * scale + scale // 2, scale // 2 :: scale].astype(float)
        return row[:dims] / 255 * 2 * REACH - REACH

    return get


@pytest.fixture
def given_labels(make_subject):
    """As `make_subject`, of a model that is given the labels."""
    return functools.partial(make_subject, kind_of_model=Given)


@pytest.fixture
def read_label():
    """Reads the class that a `Given` model was given off a cell of 6x4."""

    def get(cell):
        scale = cell.shape[1] // 4
        return round(cell[-1 - scale // 2, -1 - scale // 2] / 255 * 10 - 1)

    return get


@pytest.fixture
def simple():
    """Makes an object of attributes."""
    return types.SimpleNamespace


class Browser:
    """Headless Chromium, and what the tests ask of it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address, width=1280, height=1000):
        """Opens a page in a window of this size."""
        size = {"width": width, "height": height}
        size |= {"deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")  # else only a fragment might change
        self.driver.get(address)

    def prefer(self, scheme):
        """Has pages in a "light" or "dark" scheme from here on."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": features}
        )

    def ask(self, expression, *arguments):
        """Returns the value of JavaScript, in which `arguments` are known."""
        return self.driver.execute_script(f"return {expression}", *arguments)

    def until(self, expression, *arguments):
        """Waits until JavaScript gives something, and returns it."""
        return self.wait(lambda _: self.ask(expression, *arguments), expression)

    def wait(self, found, what):
        """Waits until a function of the driver gives something, and returns it."""
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, 60, poll_frequency=0.2)
        return wait.until(found, what)

    def find(self, selector, text=""):
        """Waits for elements, in whatever shadow, that hold a text; spaces aside."""
        return self.until(f"({_FIND})(...arguments)", selector, text)

    def screenshot(self):
        """Returns what is seen, uint8 `(height, width, 3)`."""
        png = Image.open(io.BytesIO(self.driver.get_screenshot_as_png()))
        return np.asarray(png.convert("RGB"))

    def fits(self):
        """Whether the page is no wider than the window."""
        return self.ask("document.documentElement.scrollWidth <= window.innerWidth")


_FIND = """(selector, text) => {
  const roots = [document], found = [];
  for (const root of roots) {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) roots.push(element.shadowRoot);
      const words = element.textContent.replace(/\\s/g, "");
      if (element.matches(selector) && words.includes(text)) found.push(element);
    }
  }
  return found.length ? found : null;
}"""


@pytest.fixture(scope="module")
def browser():
    """Chromium, where there is one and its driver; one for all tests of a module.

    Closed with them: a page that moves, as the projector, takes a core for itself.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--disable-sync",
        "--enable-unsafe-swiftshader",  # draws in space without a graphics card
        "--no-first-run",
    ):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    try:
        driver = webdriver.Chrome(options=options, service=service)
    except Exception as error:
        pytest.skip(f"no Chromium to drive: {type(error).__name__}")
    yield Browser(driver)
    driver.quit()
