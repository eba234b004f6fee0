import pytest

from keras_vae.measuring import workers
from keras_vae.measuring.options import BenchmarkOptions


def test_an_exchange_moves_twice_what_each_of_many_workers_holds():
    one = {"bandwidth": 1e6, "latency": 0.0}
    assert workers.exchange_seconds(1, 5e6, **one) == 0.0
    assert workers.exchange_seconds(2, 5e6, **one) == pytest.approx(5.0)
    assert workers.exchange_seconds(1000, 5e6, **one) == pytest.approx(10.0, rel=0.01)


def test_latency_grows_with_the_log_of_the_workers():
    none = {"size": 0.0, "bandwidth": 1.0, "latency": 0.5}
    times = [workers.exchange_seconds(count, **none) for count in (2, 4, 8)]
    assert times == pytest.approx([1.0, 2.0, 3.0])


@pytest.mark.slow
def test_workers_are_measured_beside_the_formula():
    options = BenchmarkOptions(worker_counts=(2,), batch_sizes=(64,))
    rows = {row["what"]: row for row in workers.scale(options)}
    assert all(row["value"] > 0 for row in rows.values())
    # Of the workers that latency and bandwidth are found from.
    exchange = next(row for what, row in rows.items() if " MB" in what)
    assert exchange["ratio"] == pytest.approx(1.0)
    assert rows["2 workers, step"]["of"] == "the formula"
