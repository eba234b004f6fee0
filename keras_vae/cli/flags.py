"""Options as command-line flags: reads them, prints help and answers bad input.

A command declares its options as a dataclass (see `training.options`) and hands that
class and its work to `run_main`; absl reads the flags, `--flagfile` included. Importing
this module, or reading flags with it, does not import TensorFlow.

How a flag reaches a model, as `keras-vae train --free_bits 0.5`: `parse` reads the text
as the type of the field `free_bits` and returns {"free_bits": 0.5}, what was given and
nothing else. `run_main` calls the command's work with it, which makes an object of the
class by `resolve`; here is decided what the flags that were not given are (of a preset,
of the model, or the field's default), and all are checked against each other.
`training.build` calls the constructor with the object's values: the model's entry in
`models.registry` says which argument each flag becomes, and `build._from_flags` which
value, where that is not the flag's own.
"""

import dataclasses
import os
import re
import shlex
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from keras_vae import naming
from keras_vae.engine.signals import Terminated, sigterm_raises
from keras_vae.training import options
from keras_vae.training.options import Options

STOPPED = 1
BAD_INPUT = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

WIDTH = 80
"""Columns of what `--help` prints: those of a terminal as it opens."""

HELP = {"-h", "-help", "--help", "--helpfull", "--helpshort"}


class Stopped(Exception):
    """What a command stops for that is no fault of its input; the text says why."""


def define_flags(options_class: type[Options]) -> absl_flags.FlagValues:
    """Returns absl flags, one for each option; they keep their text until `parse`."""
    values = absl_flags.FlagValues()
    for field in dataclasses.fields(options_class):
        define = (
            absl_flags.DEFINE_boolean
            if options.kind_of(field).base is bool
            else absl_flags.DEFINE_string
        )
        for name in (field.name, field.metadata["alias"]):
            if name is not None:
                define(name, None, field.metadata["help"], flag_values=values)
    return values


def parse(options_class: type[Options], argv: Sequence[str]) -> dict[str, Any]:
    """Returns the options that `argv` gives, by name; what it leaves out is not there.

    Args:
        options_class: Declares the options to read.
        argv: The program's name and its arguments.

    Raises:
        ValueError: If there is no such flag, a value is missing or not allowed, or
            something is not a flag.
    """
    values = define_flags(options_class)
    try:
        _, *rest = values(argv)
    except absl_flags.UnrecognizedFlagError as error:
        names = [field.name for field in dataclasses.fields(options_class)]
        hint = naming.nearest(error.flagname, [*names, "flagfile"])
        raise ValueError(
            f"There is no flag --{error.flagname}.{hint} --help lists them all."
        ) from None
    except absl_flags.CantOpenFlagFileError as error:
        reason = re.sub(r"^.*?\[Errno \d+\] ", "", str(error))
        raise ValueError(f"--flagfile cannot be read: {reason}.") from None
    except UnicodeDecodeError:
        raise ValueError("--flagfile: expected a text file.") from None
    except absl_flags.IllegalFlagValueError as error:
        # Values are read as text, so only a switch's can be illegal for absl.
        flag, *_ = str(error).removeprefix("flag ").split(": ")
        raise ValueError(f"{flag}: expected true or false.") from None
    except (absl_flags.Error, ValueError) as error:
        raise ValueError(f"{error}.") from None
    if rest:
        raise ValueError(
            f"Unexpected argument {rest[0]!r}: flags are written --name value, and "
            "switches --name or --noname."
        )
    return {
        field.name: _value(field, values[name].value)
        for field in dataclasses.fields(options_class)
        for name in (field.metadata["alias"], field.name)
        if name is not None and values[name].present
    }


def _value(field: dataclasses.Field[Any], parsed: Any) -> Any:
    if isinstance(parsed, bool):
        return parsed
    if parsed.startswith("--"):
        raise ValueError(f"--{field.name} has no value: {parsed} comes right after it.")
    kind = options.kind_of(field)

    def one(text: str) -> Any:
        try:
            return kind.base(text.strip()) if kind.base in (int, float) else text
        except ValueError:
            return text

    value = tuple(map(one, parsed.split(","))) if kind.many else one(parsed)
    return options.checked(field, value)


def help_text(options_class: type[Options], description: str, name: str) -> str:
    """Returns what `--help` prints.

    Args:
        options_class: Declares the options to list.
        description: What the program does; a command in it that starts with
            `keras-vae NAME` is shown as the program was called.
        name: The program as it was called, the path of a script or several words.
    """
    called = f"python {shlex.quote(name)}" if name.endswith(".py") else name
    about = re.sub(r"keras-vae \w+", lambda _: called, description.strip())
    lines = [f"usage: {called} [--flag value ...]", "", about]
    for field in dataclasses.fields(options_class):
        metadata = field.metadata
        if metadata["group"]:
            lines += ["", metadata["group"]]
        lines.append(f"  --{field.name}{_default(field)}")
        lines += _wrapped(metadata["help"])
        if metadata["alias"]:
            lines += _wrapped(f"also --{metadata['alias']}, its name in 0.1.0")
        choices = metadata["choices"]
        if isinstance(choices, Mapping):
            width = max(map(len, choices))
            for choice, line in choices.items():
                lines += _wrapped(line, f"{choice:<{width}}  ")
        elif not _takes_any(field):
            lines += _wrapped(options.expected(field))
    lines += ["", "Other", "  --flagfile", *_wrapped("a file with a flag on each line")]
    return "\n".join(lines)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default in (None, False, dataclasses.MISSING):
        return ""
    if isinstance(field.default, tuple):
        return f" ({','.join(map(str, field.default))})"
    return f" ({field.default})"


def _takes_any(field: dataclasses.Field[Any]) -> bool:
    """Whether every value of the option's type is allowed and none needs explaining."""
    limits = ("choices", "minimum", "maximum", "above", "below")
    return options.kind_of(field).base in (bool, str) and not any(
        field.metadata[limit] for limit in limits
    )


def _wrapped(text: str, before: str = "") -> list[str]:
    """Returns the lines of a text, indented, the first of them behind `before`."""
    first = " " * 6 + before
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
        break_long_words=False,
    )


def run_main(
    work: Callable[[dict[str, Any]], None],
    options_class: type[Options],
    description: str | None,
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a program on its command line and returns its exit code.

    Bad input, which is a `ValueError` or an `OSError`, ends in one sentence on stderr
    and code 2, `Stopped` in code 1; Ctrl-C in 130 and SIGTERM in 143. With the
    environment variable KERAS_VAE_TRACEBACK set, the traceback of bad input is shown.

    Args:
        work: What the program does; called with the options that were given, by name.
        options_class: Declares the options.
        description: What the program does, for `--help`.
        argv: The program's name and its arguments; `sys.argv` if None.
    """
    argv = sys.argv if argv is None else argv
    name = Path(argv[0]).name
    if HELP.intersection(argv[1:]):
        sys.stdout.write(help_text(options_class, description or "", argv[0]) + "\n")
        return 0
    # TensorFlow's notes on the CPU that it found say nothing about the user's run.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with sigterm_raises():
            work(parse(options_class, argv))
            return 0
    except Stopped as error:
        sys.stderr.write(f"{name}: {error}\n")
        return STOPPED
    except (ValueError, OSError) as error:
        if os.environ.get("KERAS_VAE_TRACEBACK"):
            raise
        sys.stderr.write(f"{name}: {_sentence(error)}\n")
        return BAD_INPUT
    except MemoryError:
        sys.stderr.write(
            f"{name}: The memory of this machine is too small for that: give fewer "
            "data or smaller settings.\n"
        )
        return BAD_INPUT
    except Terminated:
        sys.stderr.write(f"{name}: terminated\n")
        return TERMINATED
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        return INTERRUPTED


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}."
    return " ".join(str(error).split()) or type(error).__name__
