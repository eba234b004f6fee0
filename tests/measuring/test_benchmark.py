import json
import os

import pytest

from keras_vae.measuring import benchmark, processes
from keras_vae.measuring.cases import Case
from keras_vae.measuring.options import BenchmarkOptions


def measured(tmp_path, **options):
    lines = []
    out = tmp_path / "benchmark.json"
    rows = benchmark.run(BenchmarkOptions(out=str(out), **options), lines.append)
    assert lines[:-1] == [benchmark.line(row) for row in rows]
    assert lines[-1] == f"Wrote {out}."
    content = json.loads(out.read_text())
    assert content["rows"] == rows and content["machine"]["cores"] >= 1
    return rows


def test_a_row_of_the_table_has_the_ratio_where_there_is_one():
    row = {"part": "training", "what": "mlp", "value": 1234.56, "unit": "images/s"}
    assert "1,234.6 images/s" in benchmark.line(row)
    assert "products" not in benchmark.line(row)
    assert benchmark.line({**row, "ratio": 0.876}).endswith("0.88 of the products")


def test_the_machine_is_known_where_a_process_has_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert benchmark.machine()["cores"] == os.cpu_count()


@pytest.mark.slow
def test_training_is_measured_for_each_network_and_batch_size(tmp_path):
    names = ("mlp", "conv")
    options = {"parts": ("training",), "batch_sizes": (2000,), "epochs": 2}
    rows = measured(tmp_path, architectures=names, **options)
    assert [row["what"] for row in rows] == [f"{name}, batch 2000" for name in names]
    assert all(row["value"] > 0 for row in rows)
    # A convolution's products are not those of matrices of one size.
    assert [0 < row.get("ratio", 0) < 2 for row in rows] == [True, False]


@pytest.mark.slow
def test_what_people_train_from_is_measured_beside_the_own_pipeline(tmp_path):
    own, *others = measured(tmp_path, parts=("inputs",), images=256, epochs=2)
    assert "ratio" not in own and len(others) == 6
    assert all(row["ratio"] > 0 and row["of"] == own["what"] for row in others)


@pytest.mark.slow
def test_optimizers_are_measured_beside_the_own_adam(tmp_path):
    base, *others = measured(tmp_path, parts=("optimizers",), images=256, epochs=2)
    assert base["what"] == "adam" and len(others) == 6
    assert all(row["ratio"] > 0 and row["of"] == "adam" for row in others)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "tfrecords", "folder"])
def test_training_on_data_of_a_kind_is_measured(tmp_path, kind):
    path = tmp_path / "data"
    make, read = processes.KINDS[kind]
    make(path, 200)
    _, batches = read(path)
    assert sum(len(batch) for batch in batches) == 200
    found = processes.train_on(kind, path, 2)
    assert found["first_step"] > 0 and found["input_seconds"] > 0
    assert len(found["seconds"]) == len(found["mebibytes"]) == 2


def test_cases_are_cases():
    order = []

    def case(what, rate, **options):
        def measure():
            order.append(what)
            return rate

        return Case(what, "images/s", measure, **options)

    cases = [
        case("first", 10.0, products=lambda: 20.0),
        case("second", 5.0, beside="first"),
        case("third", 1.0),
    ]
    rows = list(benchmark.in_turn(cases, 2, lambda: 7.0))
    assert order == ["first", "second", "third"] * 2
    assert [row.get("ratio") for row in rows] == [0.5, 0.5, None]
    assert all(row["speeds"] == [7.0, 7.0] for row in rows)


@pytest.mark.slow
def test_generation_and_evaluation_are_measured_beside_the_products(tmp_path):
    rows = measured(tmp_path, parts=("generation", "evaluation"), epochs=2)
    assert [row["part"] for row in rows] == [*3 * ["generation"], "evaluation"]
    assert all(len(row["rounds"]) == len(row["speeds"]) == 2 for row in rows)
    assert all(row["value"] > 0 and 0 < row["ratio"] < 2 for row in rows)


@pytest.mark.slow
def test_memory_is_that_of_reading_a_folder(tmp_path):
    above, growth = measured(
        tmp_path, parts=("memory",), folder_images=128, folder_epochs=3
    )
    assert (above["unit"], growth["unit"]) == ("MiB", "percent")
    assert abs(above["value"]) < 200 and abs(growth["value"]) < 20


def test_images_of_the_folder_are_all_different(tmp_path):
    processes.make_folder(tmp_path / "images", 5)
    files = sorted((tmp_path / "images").iterdir())
    assert len({file.read_bytes() for file in files}) == len(files) == 5


@pytest.mark.slow
def test_the_program_says_its_figures_and_nothing_else(run_script, tmp_path):
    flags = ["--parts=training", "--architectures=mlp", "--batch_sizes=1000,4000"]
    result = run_script(
        "benchmark.py", *flags, "--epochs=2", f"--out={tmp_path / 'b.json'}"
    )
    assert (result.returncode, result.stderr) == (0, "")
    first, second, last = result.stdout.splitlines()
    assert first.startswith("training   mlp, batch 1000")
    assert second.startswith("training   mlp, batch 4000")
    assert last == f"Wrote {tmp_path / 'b.json'}."
