"""Downloads: what comes is what was expected, within bounds of size and time."""

import contextlib
import hashlib
import socket
import threading

import pytest

from aectl.data.storage import downloads
from aectl.data.storage.downloads import fetch
from aectl.data.storage.origins import DownloadError, Origin

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
HEAD = b"HTTP/1.0 200 OK\r\n\r\n"


@contextlib.contextmanager
def answering(*pieces, every=0.0, forever=b""):
    """The address of a server that sends these pieces, so many seconds apart, then one for ever."""
    over = threading.Event()

    def serve(listener):
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    for piece in pieces:
                        connection.sendall(piece)
                        over.wait(every)
                    while forever and not over.is_set():
                        connection.sendall(forever)
                        over.wait(every)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/set"
        finally:
            over.set()


def origin(*urls, size=SIZE):
    return Origin("sets/one.bin", urls, size, hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_file_is_fetched_once(tmp_path, size):
    with answering(HEAD, CONTENT) as url:
        path = fetch(origin(url, size=size), tmp_path)
    assert path.read_bytes() == CONTENT
    assert fetch(origin(url), tmp_path) == path
    assert [one.name for one in (tmp_path / "sets").iterdir()] == ["one.bin"]


def test_a_file_that_is_there_and_is_another_is_fetched_anew(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.bin").write_bytes(CONTENT[:-1])
    with answering(HEAD, CONTENT) as url:
        assert fetch(origin(url), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"pieces": [HEAD, CONTENT[::-1]]}, "SHA-256"),
        ({"pieces": [HEAD, CONTENT[:-9]]}, "broke off"),
        ({"pieces": [HEAD, CONTENT, b"more"]}, "more than the 10,240 bytes"),
        ({"pieces": [HEAD], "forever": bytes(1 << 16)}, "more than the 10,240 bytes"),
        ({"pieces": [HEAD], "forever": b"a", "every": 0.05}, "took more than"),
        ({"pieces": [HEAD[:-2]], "forever": b"a: b\r\n", "every": 0.05}, "took more than"),
        ({"pieces": [], "forever": b"H", "every": 0.05}, "took more than"),
        ({"pieces": [HEAD], "forever": b"a", "every": 5}, "timed out"),
        ({"pieces": [b"HTTP/1.0 404 Gone\r\n\r\n"]}, "404"),
        ({"pieces": [b"HTTP/1.0 302 F\r\nLocation: ftp://127.0.0.1:9/x\r\n\r\n"]}, "ftp|refused"),
        ({"pieces": [b"HTTP/1.0 302 F\r\nLocation: file:///etc/hosts\r\n\r\n"]}, "302"),
        ({"pieces": [b"no answer\r\n"]}, "no answer"),
    ],
    ids=[
        "other", "short", "long", "endless", "slow", "slow-headers", "slow-status", "silent",
        "gone", "ftp", "file", "nonsense",
    ],
)  # fmt: skip
def test_what_is_not_the_file_is_refused_and_leaves_nothing(tmp_path, monkeypatch, sent, reason):
    monkeypatch.setattr(downloads, "TOTAL_SECONDS", 0.6)
    monkeypatch.setattr(downloads, "IDLE_SECONDS", 0.3)
    with answering(*sent.pop("pieces"), **sent) as url, pytest.raises(DownloadError, match=reason):
        fetch(origin(url), tmp_path)
    assert not list((tmp_path / "sets").iterdir())


def test_the_next_address_is_tried(tmp_path):
    with answering(HEAD, b"other") as bad, answering(HEAD, CONTENT) as good:
        assert fetch(origin(bad, good), tmp_path).read_bytes() == CONTENT


def test_an_endless_answer_of_unknown_size_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST_UNKNOWN", 1 << 20)
    with (
        answering(HEAD, forever=bytes(1 << 16)) as url,
        pytest.raises(DownloadError, match="1,048,576 bytes"),
    ):
        fetch(origin(url, size=None), tmp_path)


@pytest.mark.parametrize("protocol", ["ftp", "https"])
def test_an_address_of_another_protocol_is_not_asked(tmp_path, protocol):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.1)
        there = f"{protocol}://127.0.0.1:{other.getsockname()[1]}/set"
        moved = f"HTTP/1.0 302 Found\r\nLocation: {there}?token=hidden\r\n\r\n"
        with answering(moved.encode()) as url, pytest.raises(DownloadError) as refused:
            fetch(origin(url), tmp_path)
        with pytest.raises(TimeoutError):
            other.accept()
    assert str(refused.value).startswith(f"{url} leads to {there}?")
    assert "hidden" not in str(refused.value)
