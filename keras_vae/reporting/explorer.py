"""A page in the browser to move about the latent space of a run.

`Explorer` answers the page's questions and knows nothing of HTTP; `application` is the
WSGI application around it; `explore` runs it on this machine. The page itself is in
`pages/` and takes nothing from any network.
"""

import base64
import contextlib
import functools
import math
import os
import re
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.colors import to_hex
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from keras_vae.naming import shortened
from keras_vae.reporting import uploads
from keras_vae.reporting.conditions import Conditions
from keras_vae.reporting.drawings import at_ends
from keras_vae.reporting.questions import application
from keras_vae.reporting.runs import Run, load_run
from keras_vae.reporting.subject import Subject
from keras_vae.visualization import grids, lines, picture_files, style

SLIDERS = 64
"""Latent dimensions with a slider, those of highest KL."""

_REACH = 4.0  # of a slider to either side, in standard deviations
_FURTHEST = 1_000_000  # standard deviations from the centre
_EXAMPLES = 60  # to pick from
_POINTS = 2_000  # on the map
_SIDE = 336  # pixels of the longer side of a picture, where that enlarges it
_MOST = 64  # pictures of one question
_SEED = 0  # of the noise of the groups below the top of a hierarchy

Say = Callable[[str], None]


def _silent(line: str) -> None:
    del line


class Explorer:
    """What can be asked about a run's latent space.

    Latents are given as `u`, in standard deviations from the centre of the prior: z =
    centre + u unit, see `Subject`. A condition is a name, see `Conditions`. Where there
    are several latents, it may be a list with one for each.

    Of a hierarchy u is the top; the groups below follow the prior, at a temperature
    from 0, its means, to 1, always with the same noise.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.subject = subject = Subject(run)
        self._model = run.model
        self._rows = np.sort(subject.varied(_EXAMPLES))
        if subject.shown_classes is not None:
            classes = subject.shown_classes[self._rows]
            self._rows = self._rows[np.argsort(classes, kind="stable")]
        self._seeds = np.random.default_rng()
        self._fitted = getattr(run.model, "aggregate", None) is not None
        self._lock = threading.Lock()
        self._conditions = Conditions(subject)
        start = self._conditions.of(self._rows[0])
        for count in (1, 2):  # compiles, so that the first slider moves at once
            self.picture(np.zeros((count, subject.latent_dim)), start)

    @functools.cached_property
    def state(self) -> dict[str, Any]:
        """What the page must know from the start, ready for JSON."""
        subject = self.subject
        dims = [int(dim) for dim in subject.order[:SLIDERS]]
        weights = np.nan_to_num(subject.kl if subject.has_kl else subject.z.std(axis=0))
        sources = ["prior"] if subject.has_kl else []
        return {
            "name": subject.run.path.resolve().name,
            "title": f"{type(self._model).__name__} of {subject.run.data.name}, "
            f"{subject.latent_dim} latent dimensions",
            "part": subject.split,
            "latent_dim": subject.latent_dim,
            "reach": _REACH,
            "weight": "KL, nats" if subject.has_kl else "standard deviation",
            "sliders": [{"dim": dim, "weight": float(weights[dim])} for dim in dims],
            "centre": subject.centre.tolist(),
            "unit": subject.unit.tolist(),
            "examples": [self.example(int(row)) for row in self._rows],
            "map": self._map(),
            "sources": [*sources, "aggregate"],
            "fitted": self._fitted,
            "hierarchical": self._is_hierarchical,
            "images": subject.is_image,
            "most_bytes": uploads.MOST_BYTES,
            "condition": self._conditions.of(self._rows[0]),
            "conditions": self._conditions.labels(),
        }

    def picture(
        self, u: Any, condition: Any = None, columns: int = 1, temperature: Any = 0.0
    ) -> bytes:
        """Decodes latents and returns a PNG of what comes, side by side.

        Args:
            u: `(n, latent_dim)`, 1 to 64 rows.
            condition: See the class.
            columns: How many go into a row.
            temperature: See the class.

        Raises:
            ValueError: If they are not that.
        """
        with self._lock:
            return picture_files.encode_png(
                self._drawn(self._decode(u, condition, temperature), columns)
            )

    def walk(
        self,
        a: Any,
        b: Any,
        condition: Any = None,
        steps: int = 31,
        temperature: Any = 0.0,
    ) -> bytes:
        """Returns a GIF of the straight way from a to b and back.

        Args:
            a: Where it starts, `(latent_dim,)`.
            b: Where it ends.
            condition: See the class; of two, each half has that of its end.
            steps: From a to b.
            temperature: See the class.

        Raises:
            ValueError: If they are no latents or no conditions.
        """
        ends = self._checked([a, b])
        t = np.linspace(0.0, 1.0, steps)[:, np.newaxis]
        if isinstance(condition, list) and len(condition) == 2:
            condition = [condition[end] for end in at_ends(0, 1, steps)]
        with self._lock:
            x = self._decode((1.0 - t) * ends[0] + t * ends[1], condition, temperature)
            frames = [self._drawn(x[step : step + 1], 1) for step in range(steps)]
        return picture_files.encode_gif(frames + frames[-2:0:-1])

    def draw(self, source: str, condition: Any = None) -> list[float]:
        """Draws a latent, and returns it as u.

        Args:
            source: "prior"; or "aggregate", the density of all examples' posteriors
                fitted after training, without one the posterior of any example.
            condition: See the class.

        Raises:
            ValueError: If there is no such source.
        """
        if source not in self.state["sources"]:
            raise ValueError(
                f"source: expected prior or aggregate, got {shortened(source)}."
            )
        subject, model = self.subject, self._model
        seed = tf.constant(self._seeds.integers(2**31 - 1, size=2), tf.int32)
        with self._lock:
            given = model.check_condition(self._conditions.arrays(condition, 1), 1)
            if source == "prior":
                z = model.prior_sample(1, seed, given)[0, : subject.latent_dim]
            elif self._fitted:
                z = model.aggregate_sample(1, seed, given)[0, : subject.latent_dim]
            else:
                mean, log_var = subject.posterior
                row = self._seeds.integers(len(mean))
                noise = self._seeds.standard_normal(subject.latent_dim)
                z = mean[row] + np.exp(0.5 * log_var[row]) * noise
        return self._in_units(z)

    def thumbnails(self) -> bytes:
        """Returns the examples to pick from, one below the other, as a PNG."""
        x = self.subject.examples.x[self._rows]
        if self.subject.is_image:
            return picture_files.encode_png(grids.tile(x, 1, gap=0, scale=1))
        return picture_files.encode_png(self._lines(x, 1, 1.0))

    # Examples and the map.

    def example(self, row: Any) -> dict[str, Any]:
        """Returns name, number, u and condition of a held-out example.

        Raises:
            ValueError: If there is none of this number.
        """
        row = self._checked_row(row)
        subject = self.subject
        name, classes = f"example {row}", subject.shown_classes
        if classes is not None and classes[row] >= 0:
            # A dash tells the class from the number of the example.
            name = f"{subject.names[classes[row]]} \N{EN DASH} {name}"
        return {
            "name": name,
            "row": row,
            "u": self._in_units(subject.z[row]),
            "condition": self._conditions.of(row),
        }

    def original(self, row: Any) -> bytes:
        """Returns a held-out example as a PNG, drawn as `picture` draws.

        Raises:
            ValueError: If there is none of this number.
        """
        row = self._checked_row(row)
        return self._png(self.subject.examples.x[row : row + 1])

    def upload(
        self, content: bytes, condition: Any = None, swap: Any = False
    ) -> dict[str, Any]:
        """Encodes an image of the user's.

        Args:
            content: Of the file, see `uploads.example`.
            condition: See the class; for models that do not find it in the image.
            swap: Whether black becomes white.

        Returns:
            u, condition, the example that was made of it as a PNG in base64
            ("original"), and in words how it was made ("note").

        Raises:
            ValueError: If it cannot be read or the condition is none of this model.
        """
        with self._lock:
            x, note = uploads.example(content, self.subject.run, bool(swap))
            condition, given = self._conditions.of_upload(x, condition)
            z = self._model.posterior(x, given)[0][0, : self.subject.latent_dim]
            return {
                "u": self._in_units(z),
                "condition": condition,
                "original": base64.b64encode(self._png(x)).decode(),
                "note": note,
            }

    def _in_units(self, z: Any) -> list[float]:
        u = (np.asarray(z, np.float64) - self.subject.centre) / self.subject.unit
        return [float(value) for value in u]

    def _checked_row(self, row: Any) -> int:
        most = len(self.subject.examples) - 1
        whole = isinstance(row, int) and not isinstance(row, bool)
        if not whole or not 0 <= row <= most:
            raise ValueError(
                f"row: expected an integer from 0 to {most}, got {shortened(row)}."
            )
        return int(row)

    def _map(self) -> dict[str, Any]:
        subject = self.subject
        n = len(subject.examples)
        rows = np.linspace(0, n - 1, min(n, _POINTS)).astype(np.int64)
        classes = subject.shown_classes
        points = subject.on_map(subject.z, classes)[rows]
        known = np.zeros(len(rows), np.int64) if classes is None else classes[rows]
        colors = [style.BLUE] if classes is None else _colors(len(subject.names))
        low, high = np.sort(subject.map_limits, axis=1).T  # rows go downwards
        inside = ((points >= low) & (points <= high)).all(axis=1)
        return {
            "outside": int(len(points) - inside.sum()),
            "points": np.round(points, 4).tolist(),
            "rows": rows.tolist(),
            "classes": known.tolist(),
            "colors": colors,
            "names": [] if classes is None else list(subject.names),
            "origin": subject.map.origin.tolist(),
            "axes": subject.map.axes.tolist(),
            "labels": [_plain(label) for label in subject.map.labels],
            "limits": [list(map(float, limit)) for limit in subject.map_limits],
        }

    # Decoding and drawing.

    def _checked(self, u: Any) -> np.ndarray:
        try:
            values = np.asarray(u, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError("u: expected rows of numbers.") from error
        d = self.subject.latent_dim
        whole = values.ndim == 2 and values.shape[1] == d
        if not whole or not 1 <= len(values) <= _MOST:
            raise ValueError(
                f"u: expected 1 to {_MOST} rows of {d} numbers, got shape "
                f"{values.shape}."
            )
        if not np.all(np.abs(values) <= _FURTHEST):  # nor NaN
            raise ValueError(f"u: expected numbers from -{_FURTHEST} to {_FURTHEST}.")
        return values

    def _decode(self, u: Any, condition: Any, temperature: Any = 0.0) -> np.ndarray:
        values, scale = self._checked(u), self._checked_temperature(temperature)
        z = (self.subject.centre + values * self.subject.unit).astype(np.float32)
        given = self._conditions.arrays(condition, len(z))
        if scale:
            # One by one, since noise is by row and all have that of the first.
            rows = [
                self._model.complete(
                    z[row : row + 1],
                    _SEED,
                    None if given is None else tf.constant(given[row : row + 1]),
                    scale,
                )
                for row in range(len(z))
            ]
            z = np.concatenate(rows)
        return np.asarray(self._model.decode(z, given))

    def _checked_temperature(self, temperature: Any) -> float:
        number = isinstance(temperature, int | float) and temperature is not True
        most = 1.0 if self._is_hierarchical else 0.0
        if not number or not 0.0 <= temperature <= most:
            raise ValueError(
                f"temperature: expected a number from 0 to {most:g}, got "
                f"{shortened(temperature)}."
            )
        return float(temperature)

    @property
    def _is_hierarchical(self) -> bool:
        return self._model.latent_groups is not None

    def _png(self, x: np.ndarray) -> bytes:
        return picture_files.encode_png(self._drawn(x, 1))

    def _drawn(self, x: np.ndarray, columns: int) -> grids.Picture:
        if not self.subject.is_image:
            return self._lines(x, columns, _SIDE / lines.CELL if len(x) == 1 else 1.0)
        side = _SIDE if len(x) == 1 else _SIDE // 4
        scale = math.ceil(side / max(x.shape[1:3]))
        return grids.tile(x, columns, gap=0 if len(x) == 1 else None, scale=scale)

    def _lines(self, x: np.ndarray, columns: int, scale: float) -> grids.Picture:
        known = self.subject.train.x[:1000]
        return lines.line_grid(x, reference=known, columns=columns, scale=scale)


def _colors(count: int) -> list[str]:
    return [to_hex(color) for color in style.class_colors(count)]


def _plain(label: str) -> str:
    """Returns a label of a figure without its mathematics: z with a small number."""
    small = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    text = re.sub(r"\$z_\{(\d+)\}\$", lambda dim: "z" + dim[1].translate(small), label)
    return text.replace("$", "")


class _Quiet(WSGIRequestHandler):
    """Does not write a line for each of a slider's hundred questions."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""


@contextlib.contextmanager
def server(
    run: Run, host: str = "127.0.0.1", port: int = 0
) -> Iterator[BaseWSGIServer]:
    """Gives a server for a run, listening and not yet answering.

    Args:
        run: The run.
        host: The address to listen on; the default is this machine alone.
        port: 0 takes any that is free.

    Raises:
        ValueError: If it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:  # a name may be none that can be asked for
        reason = getattr(error, "strerror", None) or "no such address"
        raise ValueError(
            f"--host, --port: cannot listen on {host}:{port} ({reason}): "
            "choose others; without --port one that is free is taken."
        ) from error
    with listener:
        made = make_server(
            host,
            port,
            application(Explorer(run), host),
            threaded=True,
            request_handler=_Quiet,
            fd=listener.fileno(),
        )
        try:
            yield made
        finally:
            made.server_close()


def explore(
    path: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 0,
    show: bool = True,
    say: Say = _silent,
) -> None:
    """Serves a run's page until Ctrl-C.

    Args:
        path: The folder of a finished run.
        host: The address to listen on.
        port: 0 takes any that is free.
        show: Open the page in the browser, where there is a screen.
        say: Takes the lines a person should read, one at a time.

    Raises:
        ValueError: If there is no finished run, or it cannot listen there.
    """
    say(f"Loading {path}")
    with server(load_run(path), host, port) as made:
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{made.port}/"
        say(f"Explorer of {path} at {url}\nCtrl-C ends it.")
        screen = any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
        if show and (screen or sys.platform in ("darwin", "win32")):
            webbrowser.open(url)
        made.serve_forever()  # returns at Ctrl-C
    say("The explorer has ended.")
