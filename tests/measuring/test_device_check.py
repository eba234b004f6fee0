import json

import pytest

from keras_vae.cli import check
from keras_vae.measuring import device_check
from keras_vae.measuring.device_check import CheckOptions


def row(**changes):
    return {
        "architecture": "mlp",
        "check": "cpu",
        "what": "losses, beside the CPU",
        "value": 0.5,
        "unit": "relative",
        "tolerance": 0.001,
        "passed": False,
        **changes,
    }


@pytest.mark.slow
def test_the_cpu_and_virtual_devices_pass(tmp_path):
    lines, out = [], tmp_path / "check.json"
    options = CheckOptions(
        device="cpu", architectures=("mlp",), images=400, epochs=1, out=str(out)
    )
    rows = device_check.run(options, lines.append)
    assert device_check.missed(rows) == []
    assert {row["check"] for row in rows} == device_check.CHECKS.keys()
    judged = [row for row in rows if row["tolerance"] is not None]
    assert len(judged) == 12 and all(row["passed"] for row in judged)
    assert all(row["value"] > 0 for row in rows if row["unit"] == "images/s")
    assert lines == [*map(device_check.line, rows), f"Wrote {out}."]
    assert json.loads(out.read_text())["rows"] == rows


def test_a_line_says_whether_a_tolerance_was_missed():
    said = device_check.line(row())
    assert "at most 0.001 " in said and said.endswith(" MISSED")
    assert device_check.line(row(passed=True)).endswith("passed")
    error = row(value=None, error="ValueError: no\nmore")
    assert device_check.line(error).endswith("MISSED ValueError: no")


def test_a_tolerance_that_is_missed_ends_in_code_1(monkeypatch, capsys):
    for found, code in ((row(), 1), (row(passed=True), 0), (row(passed=None), 0)):
        monkeypatch.setattr(device_check, "run", lambda *a, found=found, **k: [found])
        assert check.main(["keras-vae check"]) == code
        said = capsys.readouterr().err
        assert ("mlp: losses, beside the CPU" in said) == bool(code)
