"""What has become slower since an earlier run of the benchmark, beyond the noise.

Each round's value is taken relative to what the machine could do in that round, its
bare matrix products, so that a machine that others use too compares with itself. A rank
test over the rounds (Mann and Whitney 1947) tells a change from noise.
"""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_vae.errors import invalid_flag

FEWEST_ROUNDS = 5
"""Of each run: with fewer no difference would be significant."""
SIGNIFICANCE = 0.01
"""Of each row, one-sided, since there are many rows."""

Row = Mapping[str, Any]


def read(path: str) -> list[Row]:
    """Returns the rows of an earlier run.

    Raises:
        ValueError: If the file is none that the benchmark wrote.
    """
    try:
        rows = json.loads(Path(path).read_text())["rows"]
        for row in rows:
            if not {"part", "what", "value", "unit"} <= row.keys():
                raise KeyError
            if any(float(number) <= 0 for number in row.get("rounds", ())):
                raise ValueError
    except OSError as error:
        received = f"{path!r}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        received = f"{path!r}, which is no such file"
    else:
        return list(rows)
    raise invalid_flag("compare", "a JSON file that the benchmark wrote", received)


def compared(earlier: Iterable[Row], now: Iterable[Row]) -> list[dict[str, Any]]:
    """Returns for each row that both runs have what has become of it.

    Returns:
        Dictionaries of `part`, `what`, `ratio`, the speed now relative to earlier, and
        `verdict`: "slower", "faster", "same", or "not judged" with too few rounds.
    """
    from scipy import stats

    known = {(row["part"], row["what"]): row for row in earlier}
    found = []
    for row in now:
        before = known.get((row["part"], row["what"]))
        if before is None or before["unit"] != row["unit"] or not row.get("rounds"):
            continue
        old, new = _speeds(before), _speeds(row)
        if min(len(old), len(new)) < FEWEST_ROUNDS:
            verdict = "not judged"
        elif _p(stats, new, old) < SIGNIFICANCE:
            verdict = "slower"
        else:
            verdict = "faster" if _p(stats, old, new) < SIGNIFICANCE else "same"
        ratio = statistics.median(new) / statistics.median(old) if old else None
        names = {"part": row["part"], "what": row["what"]}
        found.append({**names, "ratio": ratio, "verdict": verdict})
    return found


def _speeds(row: Row) -> list[float]:
    """Returns the speed of each round, relative to the machine's where it is known."""
    rounds = row.get("rounds", [])
    machine = row.get("speeds") or [1.0] * len(rounds)
    rates = [1.0 / value for value in rounds] if row["unit"] == "seconds" else rounds
    return [rate / speed for rate, speed in zip(rates, machine, strict=False)]


def _p(stats: Any, lower: list[float], higher: list[float]) -> float:
    return float(stats.mannwhitneyu(lower, higher, alternative="less").pvalue)


def line(change: Mapping[str, Any]) -> str:
    """Returns a change as a line of the table."""
    ratio = "" if change["ratio"] is None else f"{change['ratio']:6.2f} of earlier"
    return (
        f"{change['part']:<11}{change['what']:<38}{ratio:<20}{change['verdict']}"
    ).rstrip()
