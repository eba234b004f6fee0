"""The workers of a job meet before TensorFlow connects them, and compare their flags.

Worker 0 listens at its own address, the others call it; nobody goes on before all have
come with the same flags. Messages are lines of JSON over TCP, on the ports that
TensorFlow takes over afterwards. Nothing here imports TensorFlow.
"""

import contextlib
import errno
import json
import selectors
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from keras_vae.errors import as_flag

SECONDS_BETWEEN_NOTES = 30.0
"""Of waiting, from one note on who is missing to the next."""

_MOST_BYTES = 2**18  # of a message
_SECONDS_TO_CALL = 2.0  # that a connection may take
_PAUSE = 0.2  # seconds between two looks

Flags = Mapping[str, Any]
Say = Callable[[str], None]


class WorkerMissing(RuntimeError):
    """Another worker of the job did not start in time."""


def meet(
    addresses: Sequence[str],
    index: int,
    flags: Flags,
    timeout: float,
    say: Say,
    between: float = SECONDS_BETWEEN_NOTES,
) -> None:
    """Waits until every worker of a job has started, and compares their flags.

    Args:
        addresses: Of all workers, "host:port", the same list on each.
        index: Which of them this process is.
        flags: What must be the same on all workers, by name; ready for JSON.
        timeout: Seconds to wait for the others.
        say: Takes a note on who is missing, again and again.
        between: Seconds from one note to the next.

    Raises:
        ValueError: On all workers, if the flags of one differ from those of worker 0 or
            two processes have the same index; and if the port of this one is taken.
        WorkerMissing: If another worker has not come in time.
    """
    wait = _Wait(addresses, timeout, say, between)
    with _listening(addresses[index], index) as door:
        if index == 0:
            _receive(door, addresses, flags, wait)
        else:
            _call(addresses[0], index, flags, wait)


class _Wait:
    """The time spent waiting: says who is missing and when it is enough."""

    def __init__(
        self,
        addresses: Sequence[str],
        timeout: float,
        say: Say,
        between: float,
    ) -> None:
        self._addresses = addresses
        self._timeout, self._say, self._between = timeout, say, between
        self._began = time.monotonic()
        self._due = self._began + between

    def on(self, missing: Collection[int]) -> None:
        now = time.monotonic()
        seconds = now - self._began
        names = " and ".join(f"worker {n} ({self._addresses[n]})" for n in missing)
        if seconds >= self._timeout:
            raise WorkerMissing(
                f"{names[0].upper()}{names[1:]} did not start within "
                f"{self._timeout:g} s, so the job has stopped. Start every "
                "worker with its own --worker_index, or wait longer with "
                "--worker_timeout."
            )
        if now >= self._due:
            self._due = now + self._between
            self._say(f"Still waiting for {names}, {seconds:.0f} s so far.")


@contextlib.contextmanager
def _listening(address: str, index: int) -> Iterator[socket.socket]:
    """Gives a socket that holds the port of this worker, as TensorFlow will."""
    port = int(address.rpartition(":")[2])
    try:
        door = socket.create_server(("", port))
    except OSError as error:
        reason = (
            "is in use, by another program or by a worker with the same --worker_index"
            if error.errno == errno.EADDRINUSE
            else f"cannot be listened on ({error.strerror})"
        )
        raise ValueError(
            f"--workers: port {port} of worker {index} ({address}) {reason}. Give "
            "every worker its own --worker_index and a port that is free."
        ) from error
    with door:
        yield door


class _Line:
    """A connection that carries lines of JSON; reading never waits."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection, self._buffer = connection, b""

    def fileno(self) -> int:
        return self._connection.fileno()

    def read(self) -> list[dict[str, Any]]:
        """Returns the messages that have come whole since.

        Raises:
            OSError: If the connection has ended or carries something else.
        """
        try:
            received = self._connection.recv(2**16)
        except BlockingIOError:
            return []
        self._buffer += received
        *whole, self._buffer = self._buffer.split(b"\n")
        if not received or len(self._buffer) > _MOST_BYTES:
            raise ConnectionAbortedError
        try:
            messages = [json.loads(line) for line in whole]
        except (ValueError, RecursionError) as error:
            raise ConnectionAbortedError from error
        if not all(isinstance(message, dict) for message in messages):
            raise ConnectionAbortedError
        return messages

    def write(self, message: Mapping[str, Any]) -> None:
        """Sends a message; who has gone does not get it."""
        with contextlib.suppress(OSError):
            self._connection.settimeout(_SECONDS_TO_CALL)
            self._connection.sendall(json.dumps(message).encode() + b"\n")
            self._connection.setblocking(False)

    def close(self) -> None:
        self._connection.close()


# Worker 0.


def _receive(
    door: socket.socket, addresses: Sequence[str], flags: Flags, wait: _Wait
) -> None:
    """Waits for the others, compares, and tells them what came of it."""
    expected = range(1, len(addresses))
    come: dict[int, tuple[_Line, Flags]] = {}
    with contextlib.closing(_Guests(door)) as guests:
        known: set[int] = set()
        while len(come) < len(expected):
            missing = [number for number in expected if number not in come]
            try:
                wait.on(missing)
            except WorkerMissing as error:
                guests.tell({"given_up": str(error)})
                raise
            for line, message in guests.messages():
                number = message.get("worker")
                theirs = message.get("flags")
                if not isinstance(number, int) or not isinstance(theirs, dict):
                    continue
                if number not in expected:
                    continue
                if number in come:
                    _refuse(
                        guests,
                        f"Two processes came as worker {number}: give every worker its "
                        "own --worker_index.",
                    )
                come[number] = line, theirs
            come = {n: (line, f) for n, (line, f) in come.items() if line in guests}
            if known != come.keys():
                known = set(come)
                guests.tell({"missing": [n for n in expected if n not in known]})
        for number, (_, theirs) in sorted(come.items()):
            if differing := _differences(flags, theirs):
                _refuse(
                    guests,
                    f"Worker {number} ({addresses[number]}) was started with other "
                    f"flags than worker 0 ({differing}): start every worker with the "
                    "same flags, --worker_index apart.",
                )
        guests.tell({"start": True})


class _Guests:
    """Who is connected to worker 0."""

    def __init__(self, door: socket.socket) -> None:
        door.setblocking(False)
        self._door = door
        self._ready = selectors.DefaultSelector()
        self._ready.register(door, selectors.EVENT_READ)
        self._lines: list[_Line] = []

    def __contains__(self, line: _Line) -> bool:
        return line in self._lines

    def messages(self) -> Iterator[tuple[_Line, dict[str, Any]]]:
        """Yields what has come, and from whom; waits a moment for it."""
        for key, _ in self._ready.select(_PAUSE):
            if key.fileobj is self._door:
                with contextlib.suppress(OSError):
                    line = _Line(self._door.accept()[0])
                    self._lines.append(line)
                    self._ready.register(line, selectors.EVENT_READ, line)
                continue
            line = key.data
            try:
                for message in line.read():
                    yield line, message
            except OSError:  # it has gone, or is no worker
                self._ready.unregister(line)
                self._lines.remove(line)
                line.close()

    def tell(self, message: Mapping[str, Any]) -> None:
        for line in self._lines:
            line.write(message)

    def close(self) -> None:
        self._ready.close()
        for line in self._lines:
            line.close()


def _refuse(guests: _Guests, sentence: str) -> None:
    guests.tell({"refused": sentence})
    raise ValueError(sentence)


def _differences(ours: Flags, theirs: Flags) -> str:
    """Says which flags differ, with worker 0's value first; empty where none does."""
    names = [*ours, *(name for name in theirs if name not in ours)]
    return ", ".join(
        f"--{name} {as_flag(theirs.get(name))}, not {as_flag(ours.get(name))}"
        for name in names
        if ours.get(name) != theirs.get(name)
    )


# The other workers.


def _call(address: str, index: int, flags: Flags, wait: _Wait) -> None:
    """Calls worker 0 until it answers, and hears what came of it."""
    host, _, port = address.rpartition(":")
    missing = [0]
    while True:
        wait.on(missing)
        try:
            connection = socket.create_connection((host, int(port)), _SECONDS_TO_CALL)
        except OSError:
            time.sleep(_PAUSE)
            continue
        with contextlib.closing(_Line(connection)) as line:
            line.write({"worker": index, "flags": flags})
            if _answered(line, index, wait):
                return


def _answered(line: _Line, index: int, wait: _Wait) -> bool:
    """Waits for what worker 0 says: True to start, False where it has gone."""
    missing = [0]
    with selectors.DefaultSelector() as ready:
        ready.register(line, selectors.EVENT_READ)
        while True:
            wait.on(missing)
            if not ready.select(_PAUSE):
                continue
            try:
                messages = line.read()
            except OSError:
                return False
            for message in messages:
                if "refused" in message:
                    raise ValueError(str(message["refused"]))
                if "given_up" in message:
                    raise WorkerMissing(str(message["given_up"]))
                if message.get("start"):
                    return True
                missing = [n for n in message.get("missing", []) if n != index] or [0]
