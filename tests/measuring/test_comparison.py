import json

import pytest

from keras_vae.measuring import comparison
from keras_vae.measuring.comparison import compared

RATES = [100.0, 103.0, 98.0, 101.0, 99.0, 102.0]


def row(rounds, what="mlp", unit="images/s", **more):
    return {
        "part": "training",
        "what": what,
        "value": sorted(rounds)[len(rounds) // 2],
        "unit": unit,
        "rounds": list(rounds),
        **more,
    }


def verdict(before, now):
    (change,) = compared([before], [now])
    return change["verdict"]


def test_a_change_beyond_the_noise_is_told_from_noise():
    assert verdict(row(RATES), row([0.9 * rate for rate in RATES])) == "slower"
    assert verdict(row(RATES), row([1.1 * rate for rate in RATES])) == "faster"
    assert verdict(row(RATES), row(RATES[::-1])) == "same"


def test_more_seconds_are_slower():
    longer = [1.1 * value for value in RATES]
    assert verdict(row(RATES, unit="seconds"), row(longer, unit="seconds")) == "slower"


def test_a_machine_that_is_slower_makes_nothing_slower():
    """Rates halve where the machine's do."""
    half = [0.5 * rate for rate in RATES]
    before, now = row(RATES, speeds=[2.0] * 6), row(half, speeds=[1.0] * 6)
    assert verdict(before, now) == "same"
    assert verdict(row(RATES), row(half)) == "slower"


def test_few_rounds_are_not_judged():
    assert verdict(row(RATES[:3]), row([rate / 2 for rate in RATES])) == "not judged"


def test_what_one_run_has_alone_is_left_out():
    assert compared([row(RATES, "conv")], [row(RATES, "mlp")]) == []


def test_a_line_says_how_much():
    (change,) = compared([row(RATES)], [row([0.5 * rate for rate in RATES])])
    assert "0.50 of earlier" in comparison.line(change)


@pytest.mark.parametrize("content", ["[", "[1]", "{}", '{"rows": [{"part": "a"}]}'])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "earlier.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="--compare"):
        comparison.read(str(path))


def test_a_file_of_the_benchmark_is_read(tmp_path):
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps({"machine": {}, "rows": [row(RATES)]}))
    assert comparison.read(str(path)) == [row(RATES)]
