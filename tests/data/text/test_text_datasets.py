"""The datasets of text that are known by name."""

import functools
import hashlib
import http.server
import threading
import zipfile

import pytest

from aectl.data.storage.origins import Origin
from aectl.data.text import text_datasets
from aectl.data.text.text_datasets import TextDataset
from aectl.data.text.text_inputs import TEXT, TextInputs
from aectl.data.text.text_sets import load
from aectl.errors import DatasetUnavailableError


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; of short.zip, less than it says."""

    def do_GET(self):
        if self.path == "/short.zip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def on_bad():
    return lambda path, reason: pytest.fail(f"{path} {reason}")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server with an archive such as that of WikiText-2; the name is made to stand for it."""
    folder = tmp_path / "served"
    folder.mkdir()
    with zipfile.ZipFile(folder / "texts.zip", "w") as archive:
        for split in ("train", "valid", "test"):
            archive.writestr(f"wikitext-2/wiki.{split}.tokens", f"= {split} =\nof it\n")
    (folder / "broken.zip").write_bytes(b"no archive")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("wikitext-2/wiki.train.tokens", bytes(2 << 20))
    real = text_datasets.TEXTS["wikitext-2"]
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def use(name, fake=False):
            url = f"http://127.0.0.1:{server.server_port}/{name}"
            path = folder / name
            content = path.read_bytes() if path.exists() else b""
            known = real.origin.sha256 if fake else hashlib.sha256(content).hexdigest()
            origin = Origin("wikitext-2/wikitext-2-v1.zip", (url,), sha256=known)
            dataset = TextDataset(origin, real.members)
            monkeypatch.setitem(text_datasets.TEXTS, "wikitext-2", dataset)

        yield use
        server.shutdown()


def test_a_dataset_that_is_not_here_is_downloaded_once(tmp_path, served, on_bad):
    served("texts.zip")
    found = load(
        TextInputs(TEXT.sources(["wikitext-2"], ""), tmp_path, split="train"), [None], on_bad
    )
    assert found.name == "wikitext-2:train"
    assert [line.text for line in found.lines] == ["= train =", "of it"]
    served("gone.zip")
    assert (
        len(load(TextInputs(TEXT.sources(["wikitext-2:valid"], ""), tmp_path), [None], on_bad)) == 2
    )


@pytest.mark.parametrize("name", ["gone.zip", "broken.zip", "short.zip", "bomb.zip"])
def test_a_download_that_fails_says_so_and_leaves_nothing(
    tmp_path, served, name, on_bad, monkeypatch
):
    monkeypatch.setattr(text_datasets, "LARGEST", 1 << 20)
    served(name)
    with pytest.raises(DatasetUnavailableError, match="cannot be downloaded"):
        load(TextInputs(TEXT.sources(["wikitext-2"], ""), tmp_path, split="train"), [None], on_bad)
    assert not list(tmp_path.glob("wikitext-2/*"))


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path, served, on_bad):
    served("texts.zip", fake=True)
    with pytest.raises(DatasetUnavailableError, match="SHA-256"):
        load(TextInputs(TEXT.sources(["wikitext-2"], ""), tmp_path, split="train"), [None], on_bad)
    assert not list(tmp_path.glob("wikitext-2/*"))
