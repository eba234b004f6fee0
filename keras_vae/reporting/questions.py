"""The explorer's page over HTTP: its questions, their answers, and what is refused."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    SecurityError,
)
from werkzeug.wrappers import Request, Response

from keras_vae.reporting import pages
from keras_vae.reporting.uploads import MOST_BYTES

if TYPE_CHECKING:
    from keras_vae.reporting.explorer import Explorer

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_FILES = (
    "explorer.html",
    "explorer.css",
    "explorer.js",
    "explorer_examples.js",
    "explorer_map.js",
)
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def application(explorer: "Explorer", host: str = "127.0.0.1") -> Callable[..., Any]:
    """Returns the WSGI application of an explorer.

    On loopback it answers only who calls it by a name of this machine: so no page from
    elsewhere can reach it by a name that it made point here.

    Args:
        explorer: What answers.
        host: The address that it is bound to.
    """
    trusted = list(_LOOPBACK) if host in ("127.0.0.1", "localhost", "::1") else None

    def answer(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        request.trusted_hosts = trusted
        upload = request.path == "/upload"
        request.max_content_length = MOST_BYTES if upload else 2**22
        try:
            _ = request.host  # raises where it is not trusted
            response = _respond(explorer, request)
        except ValueError as error:
            response = Response(str(error), 400)
        except RecursionError:
            response = Response("The question is nested too deeply.", 400)
        except RequestEntityTooLarge:
            most = f"{MOST_BYTES / 2**20:.0f} MiB" if upload else "4 MiB"
            response = Response(f"It is larger than {most}; choose a smaller one.", 413)
        except SecurityError:
            response = Response("This page answers on this machine only.", 400)
        except HTTPException as error:
            response = Response(str(error.description), error.code)
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self' blob: data:; connect-src 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    return answer


def _respond(explorer: "Explorer", request: Request) -> Response:
    name = request.path.strip("/") or "explorer.html"
    if request.method == "GET":
        if name == "state":
            return Response(json.dumps(explorer.state), mimetype="application/json")
        if name == "thumbnails":
            return Response(explorer.thumbnails(), mimetype="image/png")
        if name == "original":
            row = request.args.get("row", "")
            png = explorer.original(int(row) if row.isdecimal() else row)
            return Response(png, mimetype="image/png")
        if name in _FILES:
            kind = _TYPES[name.rpartition(".")[2]]
            return Response(pages.read(name), mimetype=kind)
        raise NotFound("There is nothing here.")
    if request.method == "POST":
        return _answer(explorer, name, request)
    raise BadRequest("A question is a POST of JSON.")


def _answer(explorer: "Explorer", name: str, request: Request) -> Response:
    # A page from elsewhere cannot send these types here without asking, and is refused
    # then.
    if name == "upload" and request.mimetype == "application/octet-stream":
        asked = _object(request.args.get("question", "{}"))
        condition, swap = asked.get("condition"), asked.get("swap", False)
        made = explorer.upload(request.get_data(), condition, swap)
        return Response(json.dumps(made), mimetype="application/json")
    if not request.is_json:
        raise BadRequest("A question is a POST of JSON.")
    asked = _object(request.get_data(as_text=True))
    condition, temperature = asked.get("condition"), asked.get("temperature", 0)
    if name == "decode":
        u = _asked(asked, "u")
        columns = len(u) if isinstance(u, list) else 1
        png = explorer.picture(u, condition, columns, temperature)
        return Response(png, mimetype="image/png")
    if name == "walk":
        a, b = _asked(asked, "a"), _asked(asked, "b")
        gif = explorer.walk(a, b, condition, temperature=temperature)
        return Response(gif, mimetype="image/gif")
    if name in ("draw", "example"):
        if name == "draw":
            found = {"u": explorer.draw(_asked(asked, "source"), condition)}
        else:
            found = explorer.example(_asked(asked, "row"))
        return Response(json.dumps(found), mimetype="application/json")
    raise NotFound("There is nothing here.")


def _object(text: str) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise BadRequest("A question is a JSON object.")
    return asked


def _asked(asked: dict[str, Any], name: str) -> Any:
    """Returns what a question says of this name."""
    if name not in asked:
        raise BadRequest(f"The question says nothing of {name}.")
    return asked[name]
