"""Servers on this machine that stand for storages elsewhere: of S3, and of files on the web."""

import contextlib
import hashlib
import http.server
import json
import re
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SECRET = "wJalrXUtnFEMI-a-secret"
"""What nothing that aectl writes may contain."""


@contextlib.contextmanager
def s3_settings(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[None]:
    """The environment names a server of S3."""
    from aectl.data.storage import drivers

    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    drivers._objects.cache_clear()
    yield
    drivers._objects.cache_clear()


@contextlib.contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Path], None]]:
    """A server of S3 with an empty bucket `made`, which the environment names; gives a function
    that puts the files of a folder there."""
    moto = pytest.importorskip(
        "moto.server", reason="moto is not installed: pip install -e '.[dev]'"
    )
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[dev]'")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))

    def put(prefix: str, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder)}"
                client.put_object(Bucket="made", Key=key, Body=path.read_bytes())

    try:
        with s3_settings(monkeypatch, url):
            client = boto3.client("s3")
            client.create_bucket(Bucket="made")
            yield put
    finally:
        server.stop()


class Site:
    """Files on the web: `faults` says what goes wrong with a path, how often; `asked` counts
    requests by their paths, `sent` bytes; `answers` is the status of all answers, if given."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked, self.sent = files, Counter[str](), Counter[str]()
        self.faults: dict[str, tuple[str, int]] = {}
        self.url, self.has_parts = "", True
        self.answers: int | None = None
        self.states_size = True


@contextlib.contextmanager
def site(files: dict[str, bytes], slow: float = 1.0) -> Iterator[Site]:
    """A web server with files; one that is slow waits so many seconds."""
    made = Site(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).lstrip("/")
            made.asked[path] += 1
            fault, times = made.faults.get(path, ("", 0))
            if made.asked[path] > times:
                fault = ""
            if fault == "drops":
                self.connection.close()
                return
            if fault == "delays":
                time.sleep(slow)
            if made.answers or fault.isdigit() or path not in files:
                self.send_error(made.answers or int(fault or 404))
                return
            content = files[path]
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if part and made.has_parts:
                content = content[int(part[1]) : int(part[2]) + 1]
            self.send_response(206 if part and made.has_parts else 200)
            if made.states_size:
                self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{sha256(content)}"')
            self.send_header("Last-Modified", "Sat, 28 Nov 2026 12:00:00 GMT")
            self.end_headers()
            if self.command == "HEAD":
                return
            made.sent[path] += len(content)  # before the client has it, and looks
            with contextlib.suppress(OSError):
                self.wfile.write(content[: len(content) // 2] if fault == "truncates" else content)

        do_HEAD = do_GET

    with serving(Handler) as made.url:
        yield made


class Server(http.server.ThreadingHTTPServer):
    """Lets many wait for their connection: of more than five, which is usual, the system of a busy
    machine lets some try again a second later, when a client with a short limit has given up."""

    daemon_threads = True
    request_queue_size = 100


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a web server."""
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Hub:
    """A server that answers as Hugging Face does for the files of the model `user/model`: `asked`
    are the requests, with the tokens that they bore."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, list[tuple[str, str | None]]()
        self.sha256: str | None = None
        self.url = ""

    def listed(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": name, "size": len(content), "oid": git_digest(content)}
            | {
                "lfs": {
                    "oid": self.sha256 or sha256(content),
                    "size": len(content),
                    "pointerSize": 9,
                }
            }
            for name, content in self.files.items()
        ]


@contextlib.contextmanager
def hub(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Iterator[Hub]:
    """Hugging Face, for this process, with a token."""
    from huggingface_hub import constants

    from aectl.data.storage import drivers

    made = Hub(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            made.asked.append((path, self.headers.get("Authorization")))
            content = files.get(path.rpartition("/resolve/main/")[2])
            if path == "/api/models/user/model":
                content = json.dumps({"id": "user/model", "sha": "main", "siblings": []}).encode()
            elif path == "/api/models/user/model/tree/main":
                content = json.dumps(made.listed()).encode()
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", f'"{sha256(content or b"")}"')
            self.send_header("X-Repo-Commit", "main")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

    with serving(Handler) as made.url:
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        pattern = f"{made.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", pattern)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        drivers._objects.cache_clear()
        yield made
    drivers._objects.cache_clear()


def without_driver(monkeypatch: pytest.MonkeyPatch, protocol: str, package: str) -> None:
    """A driver seems not to be installed, whether another test has opened it before or not."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)


def without_progress(said: str) -> str:
    """Messages without the lines of progress, which a busy machine has time for."""
    return re.sub(r"^[a-z ]+: [0-9,]+ (of [0-9,]+ )?[a-z]+(, .*)?\n", "", said, flags=re.MULTILINE)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
