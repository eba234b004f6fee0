"""Workers of a job meet: threads on loopback, without TensorFlow."""

import socket
import threading
import time

import pytest

from keras_vae.engine import rendezvous


def addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return found


class Worker(threading.Thread):
    """Calls `meet` and keeps what came of it."""

    def __init__(self, at, index, flags=None, timeout=20.0, between=30.0):
        super().__init__(daemon=True)
        self.notes, self.error = [], None
        self._given = at, index, flags or {"seed": 0}, timeout, self.notes.append
        self._between = between
        self.start()

    def run(self):
        try:
            rendezvous.meet(*self._given, self._between)
        except (ValueError, rendezvous.WorkerMissing) as error:
            self.error = error


def met(*workers):
    """What each worker raised."""
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    return [worker.error for worker in workers]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_workers_with_the_same_flags_start_together(order):
    at = addresses(3)
    assert met(*[Worker(at, index) for index in order]) == [None] * 3
    for address in at:  # TensorFlow takes the ports over
        socket.create_server(("", int(address.split(":")[1]))).close()


def test_flags_that_differ_are_named_to_every_worker():
    at = addresses(3)
    flags = {"seed": 0, "learning_rate": 0.001, "batch_norm": False}
    other = {**flags, "learning_rate": 0.01, "batch_norm": True}
    errors = met(Worker(at, 0, flags), Worker(at, 1, flags), Worker(at, 2, other))
    for error in errors:
        assert isinstance(error, ValueError)
        for words in ("orker 2", "--learning_rate 0.01", "0.001", "--batch_norm true"):
            assert words in str(error)
        assert "--seed" not in str(error)


def test_a_port_in_use_is_said():
    at = addresses(2)
    with socket.create_server(("127.0.0.1", int(at[0].split(":")[1]))):
        (error,) = met(Worker(at, 0))
    assert isinstance(error, ValueError)
    assert "in use" in str(error) and at[0] in str(error)


@pytest.mark.slow
def test_the_same_index_twice_is_said():
    at = addresses(3)
    first = Worker(at, 1, timeout=2)
    time.sleep(0.3)
    (error,) = met(Worker(at, 1))
    assert "--worker_index" in str(error)
    met(first)


def test_the_same_index_from_two_hosts_ends_all():
    at = addresses(3)
    elsewhere = [at[0], addresses(1)[0], at[2]]
    errors = met(Worker(at, 0), Worker(at, 1), Worker(elsewhere, 1))
    for error in errors:
        assert isinstance(error, ValueError)
        assert "worker 1" in str(error)


@pytest.mark.slow
def test_who_is_missing_is_said_again_and_again_until_it_is_enough():
    at = addresses(3)
    workers = [Worker(at, index, timeout=1.5, between=0.4) for index in (0, 1)]
    for worker, error in zip(workers, met(*workers), strict=True):
        assert isinstance(error, rendezvous.WorkerMissing)
        assert "orker 2" in str(error) and "--worker_timeout" in str(error)
        assert len(worker.notes) >= 2
        assert at[2] in worker.notes[-1]


def test_a_worker_without_the_first_says_that_it_is_missing():
    at = addresses(2)
    worker = Worker(at, 1, timeout=1.0, between=0.3)
    assert isinstance(met(worker)[0], rendezvous.WorkerMissing)
    assert f"worker 0 ({at[0]})" in worker.notes[0]


def test_what_is_no_worker_is_passed_over():
    at = addresses(2)
    first = Worker(at, 0)
    place = "127.0.0.1", int(at[0].split(":")[1])
    for said in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"[" * 9_999 + b"\n",
        b"7\n",
        b"",
    ):
        while True:
            try:
                connection = socket.create_connection(place)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        connection.sendall(said)
        connection.close()
    assert met(first, Worker(at, 1)) == [None, None]


def test_a_worker_that_goes_and_comes_again_is_waited_for():
    at = addresses(2)
    first = Worker(at, 0)
    met(Worker([at[0], addresses(1)[0]], 1, timeout=0.0))
    assert met(first, Worker(at, 1)) == [None, None]
