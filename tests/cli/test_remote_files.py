"""--out and --errors at URLs: what is there is whole, and nothing else is."""

import http.server
from collections import Counter
from pathlib import Path

import fsspec
import pytest
from servers import SECRET, s3_server, s3_settings, serving, without_driver

from aectl.data.storage import drivers, entries
from aectl.verbs import machine


@pytest.fixture
def put(monkeypatch):
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    with s3_server(monkeypatch) as put:
        yield put


def there(url: str) -> bytes:
    system, path = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    return system.cat_file(path)


def names(url: str) -> list[str]:
    system, path = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    return sorted(one.rpartition("/")[2] for one in system.find(path))


def left() -> list[Path]:
    """The files of this machine that wait to be put elsewhere."""
    return [one for one in (machine.data_dir() / "outputs").rglob("*") if one.is_file()]


@pytest.fixture
def some(scans: Path, tmp_path: Path) -> Path:
    """A folder of 30 images, one of them broken."""
    folder = tmp_path / "some"
    folder.mkdir()
    for path in sorted(scans.iterdir())[:30]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "010.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("name", ["codes.csv", "codes.npy"])
def test_a_table_on_s3_is_the_local_one(aectl, dense, some, put, name):
    local = aectl("encode", dense, some, "--out", name, "--errors", "errors.csv")
    to = ("--out", f"s3://made/a/{name}", "--errors", "s3://made/a/errors.csv")
    remote = aectl("encode", dense, some, *to)
    assert (remote.status, remote.err) == (1, local.err)
    for path in [*Path().glob("codes*"), Path("errors.csv")]:
        assert there(f"s3://made/a/{path}") == path.read_bytes()
    assert not left()
    again = aectl("encode", dense, some, *to)
    assert again.status == 2
    assert f"s3://made/a/{name} exists; --overwrite replaces it" in again.err
    assert aectl("encode", dense, some, *to, "--overwrite").status == 1
    whole = aectl("encode", dense, some, *to[:2], "--resume")
    assert (whole.status, there(f"s3://made/a/{name}")) == (1, Path(name).read_bytes())
    assert f"s3://made/a/{name} is complete; there is nothing to do" in whole.err
    assert not left()
    assert SECRET.encode() not in b"".join(
        there(f"s3://made/a/{one}") for one in names("s3://made/a")
    )


def test_an_interrupted_table_is_not_there_and_continues(aectl, dense, some, put, monkeypatch):
    aectl("encode", dense, some, "--batch-size", "8", "--out", "whole.csv")
    options = ("encode", dense, some, "--batch-size", "8", "--out", "s3://made/codes.csv")
    cut = aectl(*options, "--strict")
    assert cut.status == 2
    assert names("s3://made") == []
    assert "rows are kept in" in cut.err
    assert left()
    refused = aectl(*options)
    assert refused.status == 2
    assert "--resume continues it" in refused.err
    assert aectl(*options, "--resume").status == 1
    assert there("s3://made/codes.csv") == Path("whole.csv").read_bytes()
    assert not left()


def test_a_table_that_cannot_be_put_is_kept(aectl, dense, some, put, monkeypatch):
    attempts = Counter()

    def failing(self, path, url):
        attempts[url] += 1
        raise ConnectionError(f"http://me:{SECRET}@host/?sig={SECRET} broke")

    with monkeypatch.context() as patch:
        patch.setattr(drivers._Objects, "put", failing)
        done = aectl("encode", dense, some, "--out", "s3://made/codes.csv")
    assert done.status == 2
    assert set(attempts.values()) == {4}
    assert names("s3://made") == []
    assert "cannot write s3://made/codes.csv: " in done.err
    assert "the same command with --resume" in done.err
    assert SECRET not in done.err
    again = aectl("encode", dense, some, "--out", "s3://made/codes.csv", "--resume")
    assert (again.status, left()) == (1, [])
    local = aectl("encode", dense, some, "--out", "local.csv")
    assert local.status == 1
    assert there("s3://made/codes.csv") == Path("local.csv").read_bytes()


def test_shards_and_their_merge_at_urls(aectl, dense, some, put):
    aectl("encode", dense, some, "--out", "whole.csv", "--errors", "whole.txt")
    table = "s3://made/b/codes.csv"
    for number in (1, 2, 3):
        done = aectl("encode", dense, some, "--out", table, "--shard", f"{number}/3")
        assert done.status in (0, 1), done.err
    finished = aectl("encode", dense, some, "--out", table, "--shard", "2/3", "--resume")
    assert "2-of-3.csv is complete" in finished.err
    merged = aectl("merge", f"{table}.shards", "--out", table, "--errors", "s3://made/b/errors.csv")
    assert (merged.status, merged.out) == (1, f"{table}\n")
    assert there(table) == Path("whole.csv").read_bytes()
    assert there("s3://made/b/errors.csv") == Path("whole.txt").read_bytes()
    fsspec.core.url_to_fs(table)[0].rm_file("made/b/codes.csv.shards/2-of-3.csv")
    lost = aectl("merge", f"{table}.shards", "--out", "lost.csv")
    assert lost.status == 2
    assert "2-of-3.csv is not there, but its record is" in lost.err
    assert not list(machine.data_dir().glob("fetched-*"))


def test_pictures_and_files_of_this_machine(aectl, dense, scans, tmp_path):
    url = f"file://{tmp_path}/there"
    done = aectl("reconstruct", dense, "digits:test", "--count", "4", "--out", f"{url}/grid.png")
    assert (done.status, done.out) == (2, "")  # there is no such folder
    (tmp_path / "there").mkdir()
    done = aectl("reconstruct", dense, "digits:test", "--count", "4", "--separate", "--overwrite",
                 "--out", f"{url}/grid.png")  # fmt: skip
    assert done.out == f"{url}/grid-inputs.png\n{url}/grid-outputs.png\n"
    assert names(url) == ["grid-inputs.png", "grid-outputs.png"]
    table = aectl("encode", dense, scans, "--out", f"{url}/codes.csv")
    assert (table.status, table.err) == (0, "")
    aectl("encode", dense, scans, "--out", "codes.csv")
    assert (tmp_path / "there" / "codes.csv").read_bytes() == Path("codes.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", f"s3://AKIA1:{SECRET}@made/a.csv"), "holds a name or a password"),
        (("--out", f"az://box/a.csv?sig={SECRET}"), "holds a secret, sig"),
        (("--out", "http://127.0.0.1:9/a.csv"), "nothing can be written to an address of the web"),
        (("--out", "memory://made/"), "it names a folder"),
        (("--out", "s3://made.csv"), "cannot write s3://made.csv: it names a folder"),
        (("--out", "gs://unwritten/a.csv"), "pip install 'aectl[gs]' installs it"),
        (("--out", "s3://made/a.csv", "--offline"), "--offline asks no server"),
        (("--relative-to", "s3://made", "--out", "memory://a.nothing"), "a.nothing"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    aectl, dense, scans, monkeypatch, words, message
):
    without_driver(monkeypatch, "gs", "gcsfs")
    done = aectl("encode", dense, scans, *words)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert SECRET not in done.err
    assert not left()


def test_a_run_folder_is_of_this_machine(aectl):
    done = aectl("train", "--dataset", "digits", "--epochs", "1", "--out", "s3://made/run")
    assert done.status == 2
    assert "--out takes a path of this machine, not a URL" in done.err
    assert not any(Path().iterdir())


def test_a_server_cannot_name_files_elsewhere(aectl, monkeypatch, tmp_path):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[dev]'")
    key = f"a.csv.shards/{tmp_path}/evil.csv"
    listed = (
        "<ListBucketResult><Name>made</Name><IsTruncated>false</IsTruncated><Contents>"
        f"<Key>{key}</Key><Size>4</Size></Contents></ListBucketResult>"
    ).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            content = listed if "list-type" in self.path else b"evil"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

    with serving(Handler) as url, s3_settings(monkeypatch, url):
        done = aectl("merge", "s3://made/a.csv.shards", "--out", "a.csv")
    assert not Path("evil.csv").exists()
    assert done.status == 2
    assert "lists files that do not lie in this folder" in done.err


def test_a_file_that_cannot_be_renamed_leaves_nothing_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    (tmp_path / "there" / "codes.csv" / "in the way").mkdir(parents=True)
    (tmp_path / "new.csv").write_bytes(b"new")
    with pytest.raises(OSError):
        drivers.put(str(tmp_path / "new.csv"), f"file://{tmp_path}/there/codes.csv")
    assert [one.name for one in (tmp_path / "there").iterdir()] == ["codes.csv"]
