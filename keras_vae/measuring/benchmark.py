"""How fast this machine trains, generates and evaluates, and what memory it takes.

Every rate comes with the rate of the matrix products that the work cannot do
without, measured in the same process: the ratio says how much is lost to everything
else, and it moves less than a rate does when a machine is shared. All of a part is
measured in turn, round after round.
"""

import json
import statistics
from collections.abc import Callable, Iterable
from typing import Any

from keras_vae.measuring.options import BenchmarkOptions

Row = dict[str, Any]
Say = Callable[[str], None]


def run(options: BenchmarkOptions, say: Say) -> list[Row]:
    """Measures what the options ask for, says each row as it comes, writes the file.

    Raises:
        ValueError: If the file cannot be written, or that of an earlier run not read.
    """
    from keras_vae import files
    from keras_vae.measuring import cases, processes

    files.require_file("--out", options.out, ".json")
    speed = cases.machine_speed()
    rows: list[Row] = []
    for name in options.parts:
        if name in cases.PARTS:
            found = in_turn(cases.PARTS[name](options), options.epochs, speed)
        else:
            found = processes.PARTS[name](options)
        for row in found:
            rows.append({"part": name, **row})
            say(line(rows[-1]))
    content = {"machine": machine(), "rows": rows}
    files.write_text(options.out, json.dumps(content, indent=2) + "\n")
    say(f"Wrote {options.out}.")
    return rows


def in_turn(
    cases: Iterable[Any], rounds: int, speed: Callable[[], float]
) -> Iterable[Row]:
    """Measures cases in turn, round after round; returns a row for each.

    Args:
        cases: See `cases.Case`.
        rounds: How many.
        speed: Of the machine, measured once a round beside the cases.
    """
    cases = list(cases)
    values: dict[str, list[float]] = {case.what: [] for case in cases}
    ratios: dict[str, list[float]] = {case.what: [] for case in cases}
    speeds = []
    for _ in range(rounds):
        speeds.append(speed())
        for case in cases:
            values[case.what].append(case.measure())
            if case.products is not None:
                ratios[case.what].append(values[case.what][-1] / case.products())
        for case in cases:
            if case.beside is not None:
                base = values[case.beside][-1]
                ratios[case.what].append(values[case.what][-1] / base)
    for case in cases:
        row = {
            "what": case.what,
            "value": statistics.median(values[case.what]),
            "unit": case.unit,
            "rounds": values[case.what],
            "speeds": speeds,
        }
        if ratios[case.what]:
            row["ratio"] = statistics.median(ratios[case.what])
            row["of"] = case.beside or "the products"
        yield row


def line(row: Row) -> str:
    """Returns a row of the table."""
    of = row.get("of", "the products")
    ratio = f"{row['ratio']:6.2f} of {of}" if "ratio" in row else ""
    value = f"{row['value']:12,.1f} {row['unit']:<22}"
    return f"{row['part']:<11}{row['what']:<38}{value}{ratio}".rstrip()


def machine() -> dict[str, Any]:
    """Returns what the results were measured on."""
    import tensorflow as tf

    from keras_vae.engine.parallel import cores
    from keras_vae.training.environment import processor, versions

    return {
        "processor": processor(),
        "cores": cores(),
        "gpus": [device.name for device in tf.config.get_visible_devices("GPU")],
        **versions(),
    }
