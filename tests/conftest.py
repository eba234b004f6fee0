"""Helpers for all tests."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent
LOGICAL_CPUS = 4
BROWSER_SECONDS = 180  # that a page may take on a machine with much else to do


def pytest_collection_finish(session):
    """Splits the CPU, so that tests can train several replicas in this process.

    It is possible only before TensorFlow makes its first tensor, and done only if a
    test module imported TensorFlow.
    """
    if "tensorflow" in sys.modules:
        from keras_vae.training import strategies

        strategies.logical_cpus(LOGICAL_CPUS)


@pytest.fixture
def run_python(tmp_path):
    """Runs Python in a process of its own, in an empty folder, and returns the result.

    `run_python("-c", code)`; `result.returncode`, `result.stdout`, `result.stderr`.
    Keywords other than `timeout`, in seconds, are environment variables.
    """

    def run(*arguments, timeout=180, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def run_script(run_python):
    """Runs a program of `scripts/`: `run_script("train.py", "--epochs", 2)`."""

    def run(name, *arguments, **keywords):
        return run_python(ROOT / "scripts" / name, *arguments, **keywords)

    return run


@pytest.fixture
def load_script():
    """Imports a program of `scripts/`, to call its `main` in this process."""

    def load(name):
        path = ROOT / "scripts" / name
        spec = importlib.util.spec_from_file_location(f"scripts_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def full_length():
    """Whether long proofs run at full length (`make test FULL=1`)."""
    return bool(os.environ.get("KERAS_VAE_FULL_TESTS"))


@pytest.fixture(scope="session")
def mnist10k():
    """The path of mnist10k.npz, which `scripts/make_mnist10k.py` makes."""
    path = os.environ.get("MNIST10K", "")
    if not Path(path).is_file():
        pytest.skip("the environment variable MNIST10K does not name mnist10k.npz")
    return Path(path)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """The folder of a short run of digits with 3 latent dimensions; only to be read."""
    from keras_vae.training import run
    from keras_vae.training.config import TrainConfig

    path = tmp_path_factory.mktemp("runs") / "digits-vae-z3"
    config = TrainConfig(
        latent_dim=3, hidden_units=(64,), epochs=6, output_dir=str(path)
    )
    run.train(config)
    return path


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium without a window, driven by selenium; it has no network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which does not start for root
        "--disable-dev-shm-usage",
        "--use-angle=swiftshader",  # WebGL without a GPU
        "--enable-unsafe-swiftshader",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    chromium = webdriver.Chrome(options=options, service=service)
    chromium.set_page_load_timeout(BROWSER_SECONDS)
    yield chromium
    chromium.quit()


@pytest.fixture
def screen(browser):
    """`screen(390, 844)`: gives the browser's page that size in pixels."""

    def resize(width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        metrics = {**size, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    return resize


@pytest.fixture
def wait_for(browser):
    """Waits until JavaScript returns what is true: `wait_for("return ...")`."""
    from selenium.webdriver.support.ui import WebDriverWait

    def wait(script):
        waiting = WebDriverWait(browser, BROWSER_SECONDS, poll_frequency=0.1)
        return waiting.until(lambda page: page.execute_script(script), script)

    return wait
