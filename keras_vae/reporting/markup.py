"""The HTML of a report: tables, and figures inside the page."""

import base64
import html
import io
from collections.abc import Iterable, Mapping

from matplotlib.figure import Figure

from keras_vae.visualization import style

_WIDE = 760  # pixels from which a picture has a row of its own
_PER_INCH = 96  # pixels of a page
_DENSE = 2  # pixels of a plot for one on the page, for screens of today


def figure(drawn: Figure) -> str:
    """Embeds a figure as wide as it was drawn."""
    buffer = io.BytesIO()
    # What is made of pixels, such as tiles, keeps them one to one.
    of_pixels = drawn.dpi < style.DPI
    per_inch = drawn.dpi if of_pixels else _PER_INCH
    dpi = per_inch if of_pixels else _DENSE * per_inch
    drawn.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    titles = [words.get_text() for words in drawn.texts]
    titles += [axes.get_title() for axes in drawn.axes]
    title = " ".join(next(filter(None, titles), "").split())
    width = round(drawn.get_figwidth() * per_inch)
    return picture(buffer.getvalue(), title, width, of_pixels)


def picture(
    png: bytes, caption: str, width: int | None = None, of_pixels: bool = True
) -> str:
    """Embeds a picture; one with a width has its caption as a title in itself.

    Where that title is too small to read, the style sheet shows the caption.

    Args:
        png: The file.
        caption: What it shows.
        width: On the page, in pixels; None takes its own.
        of_pixels: Whether its pixels are to be seen as they are, not smoothed.
    """
    coded = base64.b64encode(png).decode()
    size = "" if width is None else f' width="{width}"'
    kinds = {
        "wide": (width or 0) > _WIDE,
        "titled": width is not None,
        "pixels": of_pixels,
    }
    kind = " ".join(name for name, applies in kinds.items() if applies)
    return (
        f'<figure class="{kind}"><img alt="{text(caption)}" '
        f'src="data:image/png;base64,{coded}"{size}>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def pairs(facts: Mapping[str, str]) -> str:
    """Returns a table of names and values."""
    return table(
        f'<tr><th scope="row">{text(name)}</th>'
        f'<td class="value">{text(value)}</td></tr>'
        for name, value in facts.items()
    )


def table(rows: Iterable[str], head: str = "") -> str:
    """Returns a table of rows that are HTML."""
    head = f"<thead>{head}</thead>" if head else ""
    body = "".join(rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def anchor(title: str) -> str:
    """Returns the name by which a link finds a section."""
    return title.lower().replace(" ", "-")


def text(words: object) -> str:
    """Returns words as HTML that shows them as they are."""
    return html.escape(str(words))
