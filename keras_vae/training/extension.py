"""More epochs for a run that has come to its end."""

import math
from pathlib import Path

from keras_vae.engine import checkpoint
from keras_vae.training.config import TrainConfig


def is_of(there: TrainConfig, config: TrainConfig) -> bool:
    """Whether a configuration is that of a run with more epochs, and nothing else."""
    if set(config.differences(there)) != {"epochs"}:
        return False
    return config.epochs > there.epochs


def check(path: Path, there: TrainConfig, config: TrainConfig, complete: bool) -> None:
    """Raises a ValueError if a run cannot go on for more epochs.

    Args:
        path: Its folder.
        there: Its configuration.
        config: The same with more epochs.
        complete: Whether it is trained, evaluated and exported.
    """
    found = checkpoint.load(path / "checkpoint")
    state = {} if found is None else found[1]
    if state.get("finished") is True and "epochs" in state:
        try:
            checkpoint.typed(state, {"epoch": (int,), "epochs": (int,)})
        except ValueError as error:
            raise checkpoint.damaged(path / "checkpoint", str(error)) from error
        _require_asked(path, there, config, state["epoch"])
    elif complete:
        raise ValueError(
            f"{path} is complete, but it has no checkpoint to go on from for more "
            "--epochs, as runs of version 0.1.0 have none: train with --overwrite, or "
            "in another --output_dir."
        )
    else:
        raise ValueError(
            f"{path} holds a run of --epochs {there.epochs} that is not complete: give "
            f"that first, and then --epochs {config.epochs}; or choose another "
            "--output_dir, or --overwrite to throw that run away."
        )


def _require_asked(
    path: Path, there: TrainConfig, config: TrainConfig, done: int
) -> None:
    """Raises a ValueError where a schedule would start again and nobody asked for it.

    Schedules are as long as the run, so in a longer run `done` epochs are an
    earlier point of them.
    """
    again = []
    if config.learning_rate_schedule == "cosine":
        was, now = (
            config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done / epochs))
            for epochs in (max(done, there.epochs), config.epochs)
        )
        again.append(
            f"its learning rate has come down to {was:.2g} along a cosine of "
            f"{there.epochs} epochs and would go on from {now:.2g}, along one of "
            f"{config.epochs}"
        )
    if config.capacity is not None and done < config.epochs / 2:
        capacity = config.capacity * 2 * done / config.epochs
        again.append(
            f"its capacity grows over half of the epochs and would go back to "
            f"{capacity:.3g}"
        )
    if again and not config.stretch_schedule:
        raise ValueError(
            f"{path} has been trained for {done} epochs: {', and '.join(again)}, which "
            f"is not quite what {config.epochs} epochs from the start would be. Add "
            "--stretch_schedule to have it so, or train in another --output_dir."
        )
