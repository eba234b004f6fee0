"""Pictures of many examples: tiles, pairs, interpolations, manifolds.

Images come in as `(n, height, width, channels)` or, grey, `(n, height, width)`: uint8,
uint16, bool, or floats in [0, 1]. The range is fixed: values outside are clipped,
nothing is stretched to its own minimum and maximum, so that pictures compare. Pictures
go out as uint8 `(height, width, 1)` or `(height, width, 3)`; grey stays grey.

Channels: one is grey and three are red, green, blue. Four are red, green, blue and
opacity, laid over black. Two are shown as red and cyan, grey where they agree. Of more
than four the first three are shown.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from keras_vae.errors import invalid_argument, require

Picture = NDArray[np.uint8]

CELL = 64  # an example is enlarged until its longer side has this many pixels,
WIDEST = 1600  # as long as the whole picture does not grow beyond this many
SEPARATOR = 6  # added between blocks of rows, in pixels
LINES = 72  # grey level of the gaps: seen on black, quieter than any digit
MISSING = 128  # and of what of an image is not given: apart from gaps, black and white
RED = (235, 50, 50)
CAPTION = 16  # height of the strip above a cell that carries its title, in pixels


def to_uint8(images: ArrayLike) -> Picture:
    """Returns images as uint8 `(n, height, width, 1 or 3)` by the rules above.

    NaN, as a diverged model gives it, becomes black.

    Raises:
        ValueError: If the array is empty, has another rank, or holds no pixels.
    """
    x = np.asarray(images)
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if x.ndim != 4 or 0 in x.shape:
        raise invalid_argument(
            "images",
            "at least one image, as (n, height, width, channels) or (n, height, width)",
            received=f"shape {x.shape}",
        )
    if x.dtype == np.uint16:
        x = x / np.float32(65535)
    elif x.dtype == bool:
        x = x.astype(np.float32)
    if np.issubdtype(x.dtype, np.floating) or x.dtype.name == "bfloat16":
        x = np.nan_to_num(x.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
        x = (np.clip(x, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    elif x.dtype != np.uint8:
        raise invalid_argument(
            "images",
            "uint8, uint16, bool or floats in [0, 1]",
            received=str(x.dtype),
            advice="Convert with `.astype('uint8')`.",
        )
    channels = x.shape[-1]
    if channels == 2:
        return x[..., [0, 1, 1]]
    if channels == 4:
        opacity = x[..., 3:].astype(np.uint16)
        return ((x[..., :3] * opacity + 127) // 255).astype(np.uint8)
    return x[..., :3]


def _enlargement(
    height: int, width: int, rows: int, columns: int, widest: int = WIDEST
) -> int:
    """The integer factor that makes a cell CELL pixels and the whole not too large."""
    wanted = math.ceil(CELL / max(height, width))
    return max(1, min(wanted, widest // max(rows * height, columns * width)))


@functools.cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _captions(titles: Sequence[str], width: int) -> Picture:
    """Strips `(n, CAPTION, width, 1)`, each with one title, light on black."""
    strip = Image.new("L", (width, CAPTION * len(titles)))
    draw = ImageDraw.Draw(strip)
    for i, title in enumerate(titles):
        at = (width // 2, i * CAPTION + CAPTION // 2)
        title = title.replace("\N{MINUS SIGN}", "-")  # which the font does not have
        draw.text(at, title, fill=210, font=_font(11), anchor="mm")
    return np.asarray(strip).reshape(len(titles), CAPTION, width, 1)


def _captioned(cells: Picture, titles: Sequence[str]) -> Picture:
    """Puts titles above cells, which become wider where the titles are."""
    width, channels = cells.shape[2:]
    needed = math.ceil(max(_font(11).getlength(title) for title in titles)) + 4
    more = max(0, needed - width)
    cells = np.pad(cells, ((0, 0), (0, 0), (more // 2, more - more // 2), (0, 0)))
    strips = _captions(titles, width + more).repeat(channels, axis=-1)
    return np.concatenate([strips, cells], axis=1)


def cell_gap(height: int, width: int) -> int:
    """Returns the pixels between cells of a size in pixels: a sixteenth, 1 to 8."""
    return int(np.clip(round(max(height, width) / 16), 1, 8))


def tile(
    images: ArrayLike,
    columns: int | None = None,
    gap: int | None = None,
    scale: int | None = None,
    background: int = LINES,
    titles: Sequence[str] | None = None,
) -> Picture:
    """Lays images out in reading order, one cell each.

    Args:
        images: `(n, height, width, channels)` or `(n, height, width)`.
        columns: Cells per row; by default the layout is as square as it gets.
        gap: Thickness in pixels of the lines between and around the cells; by default
            a sixteenth of a cell, so that what fills its cell does not touch the next.
        scale: Enlargement by a whole number, each pixel a sharp square; by default
            small images are enlarged until their longer side has 64 pixels.
        background: Grey level 0-255 of the lines and of cells without an image.
        titles: One short text per image, written above it.

    Returns:
        The picture, uint8 `(height, width, 1 or 3)`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    cells = to_uint8(images)
    n, height, width, channels = cells.shape
    if columns is None:
        columns = math.ceil(math.sqrt(n))
    require(columns >= 1, "columns", "at least 1", columns)
    require(gap is None or gap >= 0, "gap", "0 or more pixels", gap)
    require(scale is None or scale >= 1, "scale", "at least 1", scale)
    require(0 <= background <= 255, "background", "a grey level 0-255", background)
    rows = math.ceil(n / columns)
    scale = scale or _enlargement(height, width, rows, columns)
    gap = cell_gap(height * scale, width * scale) if gap is None else gap
    cells = cells.repeat(scale, axis=1).repeat(scale, axis=2)
    if titles is not None:
        require(len(titles) == n, "titles", f"one per image, {n}", len(titles))
        cells = _captioned(cells, titles)
    _, height, width, _ = cells.shape
    # Each cell carries the lines above and left of it; the last two come at the end.
    grid = np.full(
        (rows * columns, height + gap, width + gap, channels), background, np.uint8
    )
    grid[:n, gap:, gap:] = cells
    grid = grid.reshape(rows, columns, height + gap, width + gap, channels)
    picture = grid.swapaxes(1, 2).reshape(
        rows * (height + gap), columns * (width + gap), channels
    )
    return np.pad(
        picture, ((0, gap), (0, gap), (0, 0)), constant_values=np.uint8(background)
    )


def _alike(*arrays: ArrayLike) -> list[Picture]:
    pictures = [to_uint8(array) for array in arrays]
    for other in pictures[1:]:
        if other.shape != pictures[0].shape:
            raise ValueError(
                "The rows of a picture must hold equally many images of one size. "
                f"Received shapes: {[np.shape(array) for array in arrays]}."
            )
    return pictures


def _joined(blocks: Sequence[Picture], axis: int) -> Picture:
    """Blocks one after the other along `axis`, apart by SEPARATOR, filled with grey."""
    across = max(block.shape[1 - axis] for block in blocks)
    padded = []
    for i, block in enumerate(blocks):
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[axis] = (SEPARATOR if i else 0, 0)
        pads[1 - axis] = (0, across - block.shape[1 - axis])
        padded.append(np.pad(block, pads, constant_values=np.uint8(LINES)))
    return np.concatenate(padded, axis=axis)


def reconstruction_grid(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    columns: int | None = None,
    scale: int | None = None,
) -> Picture:
    """Two rows: originals above, their reconstructions below.

    More than `columns` images (by default more than 16) go on in further blocks of two
    rows.

    Raises:
        ValueError: If the two differ in number or size.
    """
    above, below = _alike(originals, reconstructions)
    n, height, width, _ = above.shape
    if columns is None:
        columns = n if n <= 16 else math.ceil(math.sqrt(2 * n))
    columns = min(columns, n)
    require(columns >= 1, "columns", "at least 1", columns)
    starts = range(0, n, columns)
    scale = scale or _enlargement(height, width, 2 * len(starts), columns)
    blocks = []
    for start in starts:
        part = slice(start, start + columns)
        both = np.concatenate([above[part], below[part]])
        blocks.append(tile(both, columns=len(both) // 2, scale=scale))
    return _joined(blocks, axis=0)


def three_row_grid(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    interpolation: ArrayLike,
    scale: int | None = None,
) -> Picture:
    """Three rows: originals, reconstructions, the way from the first to the second.

    Raises:
        ValueError: If the three differ in number or size.
    """
    rows = _alike(originals, reconstructions, interpolation)
    return tile(np.concatenate(rows), columns=len(rows[0]), scale=scale)


def completion_grid(
    originals: ArrayLike,
    given: ArrayLike,
    completions: ArrayLike,
    scale: int | None = None,
) -> Picture:
    """A row for each image: the region that is given, its completions, the image.

    Args:
        originals: `(n, height, width, channels)`.
        given: Which pixels are given, `(n or 1, height, width, 1)`; the others are
            grey, lighter than the gaps between the cells.
        completions: `(n, k, height, width, channels)`.
        scale: As for `tile`.

    Raises:
        ValueError: If the shapes do not go together.
    """
    made = np.asarray(completions)
    require(made.ndim == 5, "completions", "five axes", made.shape)
    flat = to_uint8(made.reshape(-1, *made.shape[2:]))
    whole = to_uint8(originals)
    n, k = made.shape[:2]
    same = whole.shape == (n, *flat.shape[1:])
    require(same, "completions", f"those of {whole.shape}", made.shape)
    shown = np.broadcast_to(np.asarray(given) > 0.5, (*whole.shape[:-1], 1))
    part = np.where(shown, whole, np.uint8(MISSING))
    rows = [
        part[:, np.newaxis],
        flat.reshape(n, k, *flat.shape[1:]),
        whole[:, np.newaxis],
    ]
    cells = np.concatenate(rows, axis=1).reshape(-1, *flat.shape[1:])
    return tile(cells, columns=k + 2, scale=scale)


def pairs_grid(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    rows: int = 10,
    scale: int | None = None,
) -> Picture:
    """Rows of input and reconstruction, side by side.

    More than `rows` pairs go on in further blocks of two columns to the right.

    Raises:
        ValueError: If the two differ in number or size.
    """
    require(rows >= 1, "rows", "at least 1", rows)
    left, right = _alike(originals, reconstructions)
    n, height, width, channels = left.shape
    pairs = np.stack([left, right], axis=1)
    starts = range(0, n, rows)
    scale = scale or _enlargement(height, width, min(rows, n), 2 * len(starts))
    blocks = [
        tile(
            pairs[start : start + rows].reshape(-1, height, width, channels),
            columns=2,
            scale=scale,
        )
        for start in starts
    ]
    return _joined(blocks, axis=1)


def interpolation_grid(
    images: ArrayLike,
    t: ArrayLike | None = None,
    columns: int | None = None,
    scale: int | None = None,
) -> Picture:
    """The images between two, in reading order; up to 12 in one row.

    Args:
        images: `(steps, height, width, channels)`.
        t: The position of each between the two, `(steps,)`, written above it.
        columns: Cells per row; by default one row, or for more than 12 a square.
        scale: As in `tile`.
    """
    n = len(np.asarray(images))
    if columns is None and n <= 12:
        columns = max(n, 1)
    return tile(images, columns, scale=scale, titles=t_titles(t))


def t_titles(t: ArrayLike | None) -> list[str] | None:
    """The titles `t=0.25` for positions between two examples, None for None."""
    return None if t is None else [f"t={value:.2f}" for value in np.asarray(t)]


def lattice(x: ArrayLike, y: ArrayLike) -> NDArray[np.float32]:
    """The points `(len(y) * len(x), 2)` to decode for `manifold`, x running fastest."""
    grid = np.meshgrid(np.asarray(x, np.float32), np.asarray(y, np.float32))
    return np.stack(grid, axis=-1).reshape(-1, 2)


def manifold(
    images: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    path: ArrayLike | None = None,
    gap: int | None = None,
    scale: int | None = None,
) -> Picture:
    """What a plane of latents decodes to, x to the right and y up.

    Args:
        images: The decoded `lattice(x, y)`,
            `(len(y) * len(x), height, width, channels)`.
        x: The lattice's coordinates to the right, ascending.
        y: The lattice's coordinates upwards, ascending.
        path: Points `(m, 2)` in those coordinates, drawn as a red line with a dot where
            it starts and a ring where it ends.
        gap: As in `tile`.
        scale: As in `tile`.

    Raises:
        ValueError: If there is not one image per point of the lattice.
    """
    cells = to_uint8(images)
    n, height, width, channels = cells.shape
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    expected = f"one image per point of the {len(y)} by {len(x)} lattice"
    require(n == len(x) * len(y), "images", expected, f"{n} images")
    scale = scale or _enlargement(height, width, len(y), len(x))
    if gap is None:
        gap = cell_gap(height * scale, width * scale)
    upwards = cells.reshape(len(y), len(x), height, width, channels)[::-1]
    picture = tile(upwards.reshape(cells.shape), len(x), gap, scale)
    if path is None:
        return picture
    points = np.asarray(path, np.float64)
    right = _position(points[:, 0], x) * (width * scale + gap)
    up = _position(points[:, 1], y) * (height * scale + gap)
    return _with_path(
        picture,
        np.stack([right, picture.shape[0] - up], axis=-1),
        thickness=max(2, round(min(height, width) * scale / 16)),
    )


def _position(
    values: NDArray[np.float64], ticks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where values lie, in cells from the edge; ticks are the cells' middles."""
    step = np.diff(ticks) if len(ticks) > 1 else np.ones(1)
    far = 1e4  # a line that leaves the lattice goes on straight at the edge's spacing
    known = np.concatenate(
        [[ticks[0] - far * step[0]], ticks, [ticks[-1] + far * step[-1]]]
    )
    cells = np.concatenate([[-far], np.arange(len(ticks)), [len(ticks) - 1 + far]])
    return np.interp(values, known, cells) + 0.5


def _with_path(
    picture: Picture, points: NDArray[np.float64], thickness: int
) -> Picture:
    """Draws a red line through `points` (x, y in pixels from the top left)."""
    fine = 2  # drawn twice as large and reduced, which smooths the edges
    height, width = picture.shape[:2]
    mask = Image.new("L", (width * fine, height * fine))
    draw = ImageDraw.Draw(mask)
    line = [(float(x) * fine, float(y) * fine) for x, y in points]
    draw.line(line, fill=255, width=thickness * fine, joint="curve")
    radius = 2.2 * thickness * fine
    draw.circle(line[0], radius, fill=255)
    draw.circle(line[-1], radius, fill=0, outline=255, width=thickness * fine)
    colored = Image.fromarray(np.broadcast_to(picture, (height, width, 3)).copy())
    colored.paste(RED, (0, 0), mask.reduce(fine))
    return np.asarray(colored)


def montage_frames(
    images: ArrayLike,
    bounce: bool = True,
    gap: int | None = None,
    scale: int | None = None,
) -> list[Picture]:
    """Frames of a grid in which every cell walks its own way.

    Args:
        images: `(rows, columns, steps, height, width, channels)`.
        bounce: Whether to walk back as well, so that the loop has no jump.
        gap: As in `tile`.
        scale: As in `tile`, but for a smaller whole: a GIF carries every frame.

    Raises:
        ValueError: If the array has another rank.
    """
    x = np.asarray(images)
    expected = "(rows, columns, steps, height, width, channels)"
    require(x.ndim == 6, "images", f"the shape {expected}", x.shape)
    rows, columns, steps, height, width = x.shape[:5]
    scale = scale or _enlargement(height, width, rows, columns, widest=720)
    frames = [
        tile(x[:, :, step].reshape(-1, *x.shape[3:]), columns, gap, scale)
        for step in range(steps)
    ]
    return frames + frames[-2:0:-1] if bounce else frames
