r"""Generates examples with a SavedModel and writes a picture or the arrays.

Examples:
    keras-vae generate --num 64 --out grid.png \
        --saved_model saved_models/digits-vae-z20/saved_model
    keras-vae generate --saved_model DIR --num 100000 --out x.npz
    keras-vae generate --saved_model DIR --label 0,1,2 --out grid.png
    keras-vae generate --onnx DIR --num 64 --out grid.png

It needs TensorFlow, or onnxruntime with --onnx, and numpy, Pillow and absl, not
the package that trained the model: the file keras_vae/cli/generate.py runs
alone when it is copied to another machine.

The same seed gives the same examples, and a larger --num starts with the same
ones. Up to 4,096 examples, fewer of large ones, come from one call of the model
with the seed [--seed, 0], the next from one with [--seed, 1], and so on:
however large --num is, the memory for a call stays the same.
"""

import contextlib
import difflib
import math
import os
import re
import secrets
import shlex
import shutil
import sys
import textwrap
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from absl import flags as absl_flags

FLAGS = {
    "saved_model": "folder of the SavedModel, saved_models/NAME/saved_model",
    "onnx": "in place of --saved_model: a folder that `keras-vae export --format onnx` "
    "wrote; onnxruntime computes, and seeds give other examples than TensorFlow's",
    "out": "the file to write; its ending, .png or .npz, says what",
    "num": "how many examples",
    "seed": "of what is drawn; by default a new one each time",
    "label": "for a model conditioned on labels: one for all examples, or several with "
    "commas between, taken in turn",
    "condition": "for a model conditioned on anything else: an .npy file with one row "
    "for all examples or --num rows; uint8 is divided by 255, uint16 by 65,535",
    "sampler": "prior, or aggregate: the density fitted to the training latents",
    "draw": "draw from the likelihood instead of giving its mean",
    "format": "png: a grid of images, or of sequences drawn as lines; npz: the array "
    "x, float32 (num, ...); by default what the ending of --out says",
    "device": "what computes: cpu, gpu, or gpu:1 for the GPU of that number, counted "
    "from 0; auto is the first GPU, or the CPU where there is none",
}
DEFAULTS = {"num": "64", "sampler": "prior", "device": "auto"}
FORMATS = ("png", "npz")
SAMPLERS = ("prior", "aggregate")

MOST = 1_000_000_000  # examples; the disk is the limit that is met first
MOST_SEED = 2**31 - 1
VALUES = {
    "num": f"an integer, at least 1, at most {MOST:,}",
    "seed": f"an integer, at least 0, at most {MOST_SEED:,}",
    "sampler": f"one of {', '.join(SAMPLERS)}",
    "format": f"one of {', '.join(FORMATS)}",
}

MOST_PIXELS = 2**26  # in a picture before enlargement; more is no use to look at
# What one call of the model makes. To change either changes what a seed gives.
ROWS_PER_CALL = 4096
NUMBERS_PER_CALL = 2**22

CELL = 64  # an image is enlarged until its longer side has this many pixels,
WIDEST = 1600  # as long as the whole picture does not grow beyond this many
SEQUENCE = (128, 96)  # width and height of a sequence drawn as lines
# Okabe and Ito's colours, told apart by colour-blind eyes.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = 72  # grey level of the lines between images


# The command line. Whatever is wrong is a ValueError with the sentence to show.


class Request(NamedTuple):
    """What the flags ask for."""

    folder: Path
    onnx: bool
    out: Path
    format: str
    num: int
    seed: int
    labels: list[int] | None
    condition: Path | None
    sampler: str
    draw: bool
    device: str


def parse(argv: Sequence[str]) -> Request:
    """Reads the command line, the program's name first."""
    given = read_flags(argv)
    source = "onnx" if "onnx" in given else "saved_model"
    for name in (source, "out"):
        if name not in given:
            raise ValueError(f"--{name} must be given: {FLAGS[name]}.")
    if source == "onnx":
        check_onnx_flags(given)
    text = {**dict.fromkeys(FLAGS, ""), **DEFAULTS, **given}
    out = Path(text["out"])
    labels = [integer("label", x, 0) for x in text["label"].split(",") if text["label"]]
    request = Request(
        folder=Path(text[source]),
        onnx=source == "onnx",
        out=out,
        format=wanted_format(out, text["format"]),
        num=integer("num", text["num"], 1, MOST),
        seed=integer("seed", text["seed"] or str(secrets.randbelow(MOST_SEED + 1)), 0),
        labels=labels or None,
        condition=Path(text["condition"]) if text["condition"] else None,
        sampler=choice("sampler", text["sampler"], SAMPLERS),
        draw=text["draw"] == "True",
        device=known_device(text["device"]),
    )
    if request.labels and request.condition:
        raise ValueError("--label and --condition exclude each other: leave one out.")
    if request.labels and len(request.labels) > request.num:
        raise ValueError(f"--label: got {len(labels)} labels for --num {request.num}.")
    if request.draw and request.sampler == "aggregate":
        raise ValueError(
            "--draw has no effect with --sampler aggregate, which gives means: leave "
            "one out."
        )
    return request


def check_onnx_flags(given: dict[str, str]) -> None:
    """Refuses flags that ask for what a folder of ONNX files has not got."""
    for name, only in (("saved_model", ""), ("draw", "False"), ("sampler", "prior")):
        if given.get(name, only) != only:
            raise ValueError(f"--{name} and --onnx exclude each other: leave one out.")
    if given.get("device", "cpu") not in ("auto", "cpu"):
        raise ValueError("--device: expected cpu with --onnx, got a GPU.")


def read_flags(argv: Sequence[str]) -> dict[str, str]:
    """Returns the text of each flag that is on the command line."""
    values = absl_flags.FlagValues()
    for name in FLAGS:
        boolean = name == "draw"
        define = absl_flags.DEFINE_boolean if boolean else absl_flags.DEFINE_string
        define(name, None, "", flag_values=values)
    try:
        _, *rest = values(argv)
    except absl_flags.UnrecognizedFlagError as error:
        close = difflib.get_close_matches(error.flagname, FLAGS, n=1)
        hint = f" Did you mean --{close[0]}?" if close else ""
        raise ValueError(
            f"There is no flag --{error.flagname}.{hint} --help lists them all."
        ) from None
    except (absl_flags.Error, ValueError) as error:
        raise ValueError(f"{first_line(error).removeprefix('ERROR:: ')}.") from None
    if rest:
        raise ValueError(
            f"Unexpected argument {rest[0]!r}: flags are written --name value."
        )
    given = {name: str(values[name].value) for name in FLAGS if values[name].present}
    empty = [n for n, value in given.items() if not value or value.startswith("--")]
    if empty:
        raise ValueError(f"--{empty[0]} has no value.")
    return given


def integer(flag: str, text: str, least: int, most: int = MOST_SEED) -> int:
    """Returns the integer that a flag's text stands for."""
    with contextlib.suppress(ValueError):
        if least <= int(text) <= most:
            return int(text)
    raise ValueError(
        f"--{flag}: expected an integer from {least:,} to {most:,}, got "
        f"{shown(repr(text))}."
    )


def choice(flag: str, text: str, known: Sequence[str]) -> str:
    """Returns a flag's text if it is one of the `known` values."""
    if text in known:
        return text
    raise ValueError(
        f"--{flag}: expected {' or '.join(known)}, got {shown(repr(text))}."
    )


def known_device(text: str) -> str:
    """Returns what --device says if it is the name of a device."""
    if re.fullmatch("auto|cpu|gpu(:[0-9]{1,3})?", text):
        return text
    raise ValueError(
        "--device: expected auto, cpu, gpu, or gpu:N for the GPU of number N from 0, "
        f"as in gpu:1, got {shown(repr(text))}."
    )


def wanted_format(out: Path, given: str) -> str:
    """Returns what --format says or, without it, the ending of --out."""
    ending = out.suffix.lower().removeprefix(".")
    if not given and ending not in FORMATS:
        raise ValueError(
            f"--out: expected a name that ends in .png or .npz, got {str(out)!r}: "
            "change it, or say --format png or --format npz."
        )
    wanted = choice("format", given or ending, FORMATS)
    if ending in FORMATS and ending != wanted:
        raise ValueError(
            f"--format {wanted} contradicts --out {out}: leave out --format, or end "
            f"the name in .{wanted}."
        )
    return wanted


def help_text(name: str) -> str:
    """Returns what `--help` prints.

    Args:
        name: The program as it was called, the path of this file or several words.
    """
    called = f"python {shlex.quote(name)}" if name.endswith(".py") else name
    about = re.sub(r"keras-vae \w+", lambda _: called, str(__doc__).strip())
    lines = [f"usage: {called} [--flag value ...]", "", about, "", "Generation"]
    for flag, use in FLAGS.items():
        default = f" ({DEFAULTS[flag]})" if flag in DEFAULTS else ""
        lines.append(f"  --{flag}{default}")
        for text in filter(None, (use, VALUES.get(flag))):
            lines.append(
                textwrap.indent(
                    textwrap.fill(text, 74, break_on_hyphens=False), " " * 6
                )
            )
    lines += ["", "Other", "  --flagfile", "      a file with a flag on each line"]
    return "\n".join(lines)


# The model.


def check_folder(folder: Path) -> None:
    """Refuses what is not a SavedModel; TensorFlow need not be there for that."""
    if not folder.exists():
        raise ValueError(
            f"--saved_model: there is no folder {folder}. Training writes one: "
            "saved_models/NAME/saved_model."
        )
    if (folder / "saved_model.pb").is_file():
        return
    inner = (folder if folder.is_dir() else folder.parent) / "saved_model"
    hint = f" Did you mean {inner}?" if (inner / "saved_model.pb").is_file() else ""
    why = "there is no saved_model.pb in it" if folder.is_dir() else "it is a file"
    raise ValueError(f"--saved_model: {folder} is not a SavedModel: {why}.{hint}")


def start_tensorflow(device: str) -> Any:
    """Returns the module `tensorflow`, its devices found and only `device` in use.

    Meanwhile stderr is closed, to C++ too: nothing else stops TensorFlow's first lines.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if device != "auto":
            tf.config.set_visible_devices(gpus_of(device, gpus), "GPU")
        tf.config.list_logical_devices()
        return tf
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def gpus_of(device: str, gpus: Sequence[Any]) -> Sequence[Any]:
    """Returns those of the GPUs that --device names."""
    if device == "cpu":
        return []
    number = device.partition(":")[2]
    wanted = gpus[int(number) :][:1] if number else gpus
    if not wanted:
        there = f"{len(gpus)}, counted from 0" if gpus else "none"
        raise ValueError(
            f"--device {device}: TensorFlow sees no such GPU here; there is {there}. "
            "Choose another, or --device cpu."
        )
    return wanted


class Input(NamedTuple):
    """Shape and kind of what a model is conditioned on."""

    shape: tuple[Any, ...]
    is_integer: bool


class Generator(NamedTuple):
    """A model that generates: maps (n, seed, condition) to x."""

    call: Callable[[int, tuple[int, int], np.ndarray | None], np.ndarray]
    shape: tuple[int, ...]
    condition: Input | None


def load_generator(request: Request) -> Generator:
    """Returns what generates, from a SavedModel or from ONNX files."""
    if request.onnx:
        return load_onnx(request)
    tf = start_tensorflow(request.device)
    signature = load_signature(tf, request)

    def call(n: int, seed: tuple[int, int], condition: np.ndarray | None) -> np.ndarray:
        given = {} if condition is None else {"condition": condition}
        inputs = {"num": n, "seed": seed, **given}
        try:
            x = signature(**{k: tf.constant(v) for k, v in inputs.items()})["x"]
        except tf.errors.OpError as error:
            # TensorFlow's reason stands between names and places in the graph.
            before = re.sub(r"{{.*?}}", "", error.message).split("\n\t [[")[0]
            raise RuntimeError(before.strip().splitlines()[-1]) from error
        return np.asarray(x)

    spec = signature.structured_input_signature[1].get("condition")
    return Generator(
        call,
        tuple(signature.structured_outputs["x"].shape[1:]),
        spec and Input(tuple(spec.shape), spec.dtype.is_integer),
    )


def load_onnx(request: Request) -> Generator:
    """Returns what `generate.onnx` in a folder generates."""
    file = request.folder / "generate.onnx"
    if not file.is_file():
        raise ValueError(
            f"--onnx: there is no generate.onnx in {request.folder}. `keras-vae export "
            "--format onnx` writes a folder that has one."
        )
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(
            "--onnx needs the package onnxruntime: pip install onnxruntime."
        ) from None
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(file), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # whatever a damaged file makes of the parser
        reason = first_line(error)
        raise ValueError(f"--onnx: {file} cannot be loaded: {reason}.") from None
    inputs = {each.name: each for each in session.get_inputs()}
    outputs = {each.name: each for each in session.get_outputs()}
    if "noise" not in inputs or set(outputs) != {"x"}:
        raise ValueError(f"--onnx: {file} is not a file that keras_vae exported.")

    def call(n: int, seed: tuple[int, int], condition: np.ndarray | None) -> np.ndarray:
        given = {} if condition is None else {"condition": condition}
        for index, name in enumerate(("noise", "uniform")):
            if name in inputs:
                random = np.random.default_rng([*seed, index])
                draw = random.standard_normal if name == "noise" else random.random
                given[name] = draw((n, inputs[name].shape[1]), np.float32)
        try:
            return np.asarray(session.run(["x"], given)[0])
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise RuntimeError(first_line(error)) from error

    spec = inputs.get("condition")
    return Generator(
        call,
        tuple(outputs["x"].shape[1:]),
        spec and Input(tuple(spec.shape), "int" in spec.type),
    )


def load_signature(tf: Any, request: Request) -> Any:
    """Returns the signature of the SavedModel that does what is asked."""
    try:
        signatures = tf.saved_model.load(os.fspath(request.folder)).signatures
    # A file that is cut off or made by something else can raise nearly anything.
    except Exception as error:
        raise ValueError(
            f"--saved_model: {request.folder} cannot be loaded: {first_line(error)}."
        ) from error
    name = "generate_draws" if request.draw else "generate"
    if name not in signatures or not is_generator(signatures[name]):
        raise ValueError(
            f"--saved_model: {request.folder} is not a model that keras_vae "
            f"exported. Expected the signature {name}, from num and seed to x; found "
            f"{', '.join(sorted(signatures)) or 'no signature'}."
        )
    if request.sampler == "aggregate":
        name = "generate_from_aggregate"
        if name not in signatures:
            raise ValueError(
                "--sampler aggregate: no density of the training latents was fitted "
                f"before {request.folder} was exported. Use --sampler prior."
            )
    return signatures[name]


def is_generator(signature: Any) -> bool:
    """Whether a signature's inputs and outputs are those of `generate`."""
    inputs = signature.structured_input_signature[1]
    outputs = signature.structured_outputs
    if set(inputs) - {"condition"} != {"num", "seed"} or set(outputs) != {"x"}:
        return False
    shape = outputs["x"].shape
    return (
        all(inputs[name].dtype.name == "int32" for name in ("num", "seed"))
        and inputs["num"].shape == ()
        and inputs["seed"].shape == (2,)
        and outputs["x"].dtype.is_floating
        and bool(shape.rank)
        and shape[1:].is_fully_defined()
    )


def generated(
    generator: Generator, request: Request, condition: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yields the examples, float32 (n, ...), one call of the model at a time."""
    rows = max(1, min(ROWS_PER_CALL, NUMBERS_PER_CALL // math.prod(generator.shape)))
    said = time.monotonic()
    for call, start in enumerate(range(0, request.num, rows)):
        stop = min(start + rows, request.num)
        given = None if condition is None else condition[start:stop]
        try:
            x = generator.call(stop - start, (request.seed, call), given)
        except RuntimeError as error:
            about = ", perhaps at --label" if request.labels else ""
            raise ValueError(f"The model fails{about}: {error}.") from error
        if not np.isfinite(x).all():
            raise ValueError(
                "The model gives NaN or infinity: "
                + (
                    "is every --label one that it knows?"
                    if request.labels
                    else "train it at a smaller learning rate."
                )
            )
        yield x
        if time.monotonic() - said > 2:
            said = time.monotonic()
            print(f"{stop:,} of {request.num:,} examples", flush=True)


# What a conditional model is given.


def read_condition(path: Path) -> np.ndarray:
    """Returns the array of an .npy file, float32; uint8 and uint16 go to [0, 1]."""
    try:
        with warnings.catch_warnings():  # of what a damaged header seems to say
            warnings.simplefilter("ignore")
            array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # whatever a damaged header makes of the parser
        raise ValueError(
            f"--condition: {path} cannot be read as an .npy file: {first_line(error)}."
        ) from None
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"--condition: expected numbers, {path} holds {array.dtype.name}."
        )
    largest = {"uint8": 255.0, "uint16": 65535.0}.get(array.dtype.name, 1.0)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity
        rows = np.asarray(array, np.float32) / np.float32(largest)
    if not np.isfinite(rows).all():
        raise ValueError(f"--condition: {path} holds NaN or infinity.")
    return rows


def conditions(request: Request, rows: np.ndarray | None, spec: Input | None) -> Any:
    """Returns what each example is conditioned on, (num, ...), or None.

    Args:
        request: What is asked for.
        rows: What the file of --condition holds.
        spec: Of the model's input `condition`; None without one.
    """
    flag = "condition" if request.condition else "label"
    if spec is None:
        if request.labels or request.condition:
            raise ValueError(
                f"--{flag}: {request.folder} is not conditional: leave it out."
            )
        return None
    if spec.is_integer:
        if request.labels is None:
            raise ValueError(
                "This model needs labels: one, --label 7, or several, --label 0,1,2."
            )
        return np.resize(np.asarray(request.labels, np.int32), request.num)
    shape = tuple(spec.shape[1:])
    expected = f"({', '.join(map(str, (1, *shape)))}) or ({request.num}, ...)"
    if rows is None:
        raise ValueError(
            f"This model needs --condition FILE.npy, an array of shape {expected}."
        )
    if shape == (1,) and rows.ndim == 1:
        rows = rows[:, np.newaxis]  # a column may come flat, as in training data
    every = rows[np.newaxis] if rows.shape == shape else rows
    if every.shape[1:] != shape or len(every) not in (1, request.num):
        raise ValueError(
            f"--condition: expected shape {expected}, {request.condition} holds "
            f"{rows.shape}."
        )
    return np.broadcast_to(every, (request.num, *shape))


# What is written.


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1], (n, height, width, channels), as uint8 with 1 or 3 channels.

    The range is fixed, what lies outside is clipped. Two channels are shown as red and
    cyan, a fourth is opacity over black, further ones are not shown.
    """
    x = (np.clip(images, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    if x.shape[-1] == 2:
        return x[..., [0, 1, 1]]
    if x.shape[-1] == 4:
        opacity = x[..., 3:].astype(np.uint16)
        return ((x[..., :3] * opacity + 127) // 255).astype(np.uint8)
    return x[..., :3]


def tile(cells: np.ndarray) -> np.ndarray:
    """Lays uint8 images out as square as it gets, enlarged, with lines between them."""
    n, height, width, channels = cells.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    wanted = math.ceil(CELL / max(height, width))
    scale = max(1, min(wanted, WIDEST // max(rows * height, columns * width)))
    height, width = height * scale, width * scale
    gap = int(np.clip(round(max(height, width) / 16), 1, 8))
    height, width = height + gap, width + gap
    grid = np.full((rows * columns, height, width, channels), LINES, np.uint8)
    grid[:n, gap:, gap:] = cells.repeat(scale, axis=1).repeat(scale, axis=2)
    grid = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    picture = grid.reshape(rows * height, columns * width, channels)
    return np.pad(
        picture, ((0, gap), (0, gap), (0, 0)), constant_values=np.uint8(LINES)
    )


def drawn_sequences(x: np.ndarray) -> np.ndarray:
    """Sequences (n, time, channels) as uint8 images, time to the right, upwards more.

    A line for each channel between its lowest and highest value of all examples; of
    more than six channels spectra instead, from the lowest value, black, to white.
    """
    from PIL import Image, ImageDraw

    spectra = x.shape[-1] > len(COLORS)
    axes = None if spectra else (0, 1)
    low, high = x.min(axis=axes), x.max(axis=axes)
    unit = (x - low) / np.where(high > low, high - low, 1.0)
    if spectra:
        return to_uint8(unit.swapaxes(1, 2)[:, ::-1, :, np.newaxis])
    fine = 2  # drawn twice as large and reduced, which smooths the lines
    width, height = SEQUENCE[0] * fine, SEQUENCE[1] * fine
    across = np.linspace(0.05 * width, 0.95 * width, x.shape[1])
    if x.shape[1] == 1:  # a single moment is seen as a level line
        across, unit = np.array([0.05, 0.95]) * width, unit.repeat(2, axis=1)
    cells = []
    for example in unit:
        cell = Image.new("RGB", (width, height), "white")
        pen = ImageDraw.Draw(cell)
        for level, color in zip(example.T, COLORS, strict=False):
            upwards = (0.95 - 0.9 * level) * height
            points = [
                (float(a), float(b)) for a, b in zip(across, upwards, strict=True)
            ]
            pen.line(points, fill=color, width=2 * fine, joint="curve")
        cells.append(np.asarray(cell.reduce(fine)))
    return np.stack(cells)


def picture_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width in pixels of an example in a picture, before enlargement."""
    if len(shape) == 3:
        return shape[0], shape[1]
    if shape[-1] > len(COLORS):
        return shape[1], shape[0]
    return SEQUENCE[1], SEQUENCE[0]


def write_png(file: IO[bytes], examples: Iterable[np.ndarray]) -> None:
    """Writes images, or sequences (n, time, channels), as one picture."""
    from PIL import Image

    pieces = [to_uint8(x) if x.ndim == 4 else x for x in examples]
    cells = np.concatenate(pieces)
    picture = tile(cells if cells.ndim == 4 else drawn_sequences(cells))
    grey = picture.shape[-1] == 1
    Image.fromarray(picture[..., 0] if grey else picture).save(file, "PNG")


def write_npz(
    file: IO[bytes], examples: Iterable[np.ndarray], shape: tuple[int, ...]
) -> None:
    """Writes examples as the array `x` of an .npz file, as they come."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open(zipfile.ZipInfo("x.npy"), "w", force_zip64=True) as array:
            np.lib.format.write_array_header_1_0(array, header)
            for x in examples:
                array.write(x.astype("<f4").tobytes())


def check_writable(request: Request, shape: tuple[int, ...]) -> None:
    """Refuses pictures of what is no image, and what is too large to write."""
    instead = f"Write the array: --format npz --out {request.out.with_suffix('.npz')}"
    if request.format == "npz":
        needed = 4 * request.num * math.prod(shape)
        free = shutil.disk_usage(request.out.parent).free
        if needed > free:
            raise ValueError(
                f"--num {request.num} would take {needed / 2**30:,.1f} GiB, the folder "
                f"of --out has {free / 2**30:,.1f} GiB free."
            )
    elif len(shape) not in (2, 3):
        raise ValueError(
            "--format png: this model generates no images or sequences but arrays of "
            f"shape {shape}. {instead}."
        )
    elif request.num > (most := MOST_PIXELS // math.prod(size := picture_size(shape))):
        what = "images" if len(shape) == 3 else "sequences"
        raise ValueError(
            f"--num {request.num}: a picture holds at most {most:,} {what} of "
            f"{size[0]}x{size[1]} pixels. {instead}."
        )


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[IO[bytes]]:
    """Gives a file beside `path` that takes its place once the body is through."""
    if path.is_dir():
        raise ValueError(f"--out: {path} is a folder; name a file.")
    aside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        if not path.parent.exists():
            raise ValueError(
                f"--out: there is no folder {path.parent}; make it, or name another "
                "place."
            )
        file = aside.open("wb")
    except OSError as error:
        raise ValueError(
            f"--out: {path} cannot be written: {error.strerror}."
        ) from None
    try:
        with file:
            yield file
        aside.replace(path)
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(
            f"--out: {path} cannot be written: {error.strerror}."
        ) from None
    finally:
        aside.unlink(missing_ok=True)


def summary(request: Request, shape: tuple[int, ...]) -> str:
    """Says what was written and from which seed."""
    what = "images" if len(shape) == 3 else "examples"
    return (
        f"Wrote {request.out}: {request.num:,} {what} of {'x'.join(map(str, shape))}, "
        f"{'draws' if request.draw else 'means'}, from the {request.sampler}, "
        f"seed {request.seed}."
    )


def first_line(error: Exception) -> str:
    """The first line of what an exception says, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = re.sub(r"<[\w.]*?(\w+) object at 0x\w+>", r"\1", lines[0])
    return shown(line).rstrip(".")


def shown(text: str) -> str:
    """A text as part of a sentence, cut short where it is long."""
    return text if len(text) <= 200 else f"{text[:197]}..."


def generate(request: Request) -> None:
    """Does what the flags ask for; bad input is refused as early as it can be."""
    if not request.onnx:
        check_folder(request.folder)
    rows = read_condition(request.condition) if request.condition else None
    with written_aside(request.out) as file:
        print(f"Loading {request.folder}", flush=True)
        generator = load_generator(request)
        condition = conditions(request, rows, generator.condition)
        check_writable(request, generator.shape)
        examples = generated(generator, request, condition)
        if request.format == "png":
            write_png(file, examples)
        else:
            write_npz(file, examples, (request.num, *generator.shape))
    print(summary(request, generator.shape))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    argv = sys.argv if argv is None else argv
    name = Path(argv[0]).name
    if {"-h", "-help", "--help", "--helpfull", "--helpshort"}.intersection(argv[1:]):
        print(help_text(argv[0]))
        return 0
    try:
        generate(parse(argv))
    except (ValueError, OSError) as error:
        sentence = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            sentence = f"{error.filename}: {error.strerror}."
        print(f"{name}: {' '.join(sentence.split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
