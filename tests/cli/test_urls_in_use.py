"""URLs as INPUT: the same tables, errors and statuses as of local files."""

import contextlib
import http.server
import io
import shutil
import sys
import tarfile
from collections import Counter
from pathlib import Path

import fsspec
import pytest
from servers import (
    SECRET,
    s3_server,
    s3_settings,
    serving,
    site,
    without_driver,
    without_progress,
)

import aectl as api
from aectl.data.storage import downloads, drivers, entries
from aectl.outputs import tables
from aectl.verbs import machine

BAD = "cat-2/broken.png"


@pytest.fixture
def photos(scans: Path, tmp_path: Path) -> Path:
    """A folder with two folders, whose names have another order as texts, and a broken file."""
    folder = tmp_path / "photos"
    for number, path in enumerate(sorted(scans.iterdir())[:40]):
        place = folder / ("cat", "cat-2", "")[number % 3] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (folder / BAD).write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def put(monkeypatch):
    with s3_server(monkeypatch) as put:
        yield put


@pytest.fixture
def soon(monkeypatch):
    """Short waits for a server."""
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    monkeypatch.setattr(downloads, "IDLE_SECONDS", 0.3)


def renamed(table: Path | str, url: str) -> bytes:
    """A table of the local folder `photos`, as one of a URL."""
    content = table.read_bytes() if isinstance(table, Path) else table.encode()
    return content.replace(b"photos/", f"{url}/".encode())


@pytest.mark.parametrize("more", [(), ("--label-from-folder",), ("--include", "cat*/*3*")])
def test_a_folder_of_s3_gives_the_table_of_the_local_folder(aectl, dense, photos, put, more):
    put("some/photos", photos)
    there = "s3://made/some/photos"
    local = aectl("encode", dense, "photos", "--out", "a.csv", "--errors", "a.txt", *more)
    remote = aectl("encode", dense, there, "--out", "b.csv", "--errors", "b.txt", *more)
    assert remote.status == local.status == (0 if "--include" in more else 1), remote.err
    assert Path("b.csv").read_bytes() == renamed(Path("a.csv"), there)
    assert Path("b.txt").read_bytes() == renamed(Path("a.txt"), there)
    assert without_progress(remote.err) == without_progress(local.err).replace(
        "photos/", f"{there}/"
    )
    assert SECRET not in remote.err


def test_objects_of_s3_are_read_by_obstore_and_of_no_server_twice(aectl, dense, scans, monkeypatch):
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[dev]'")
    pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[dev]'")
    files = {f"made/{path.name}": path.read_bytes() for path in sorted(scans.iterdir())[:8]}
    monkeypatch.delattr(s3fs.S3FileSystem, "_cat_file")
    with site(files) as web, s3_settings(monkeypatch, web.url):
        listed = "".join(f"s3://{name}\n" for name in files).encode()
        done = aectl("encode", dense, "-", stdin=listed)
        assert (done.status, done.err, set(web.asked.values())) == (0, "", {1})


def test_lists_of_urls_and_archives_of_s3(aectl, dense, photos, put):
    with tarfile.open(photos / "some.tar", "w") as tar:
        tar.add("photos/cat", "cat")
    (photos / "empty.png").write_bytes(b"")
    put("photos", photos)
    some = sorted(str(path.relative_to(photos)) for path in photos.rglob("0*.png"))[::4]
    names = [*some, "some.tar", "gone.png", "empty.png", BAD]
    listed = "".join(f"photos/{name}\n" for name in names)
    local = aectl("encode", dense, "-", "--out", "a.csv", stdin=listed.encode())
    there = renamed(listed, "s3://made/photos")
    remote = aectl("encode", dense, "-", "--out", "b.csv", stdin=there)
    assert (local.status, remote.status) == (1, 1), remote.err
    assert Path("b.csv").read_bytes() == renamed(Path("a.csv"), "s3://made/photos")
    assert "gone.png: No such file or directory" in remote.err
    assert without_progress(remote.err) == without_progress(local.err).replace(
        "photos/", "s3://made/photos/"
    )
    assert not any(Path(machine.data_dir()).glob("*"))


def test_an_interrupted_table_of_urls_continues(aectl, dense, photos, put, monkeypatch):
    put("photos", photos)
    options = ("encode", dense, "s3://made/photos", "--batch-size", "8", "--out")
    whole = aectl(*options, "whole.csv")
    with monkeypatch.context() as patch:
        patch.setattr(tables, "BLOCK_SECONDS", 0.0)
        patch.setattr(drivers, "read", failing_after(20, drivers.read))
        cut = aectl(*options, "part.csv")
    assert cut.status == 130
    assert "are kept in part.csv.part" in cut.err
    read = Counter()
    monkeypatch.setattr(drivers, "read", counting(read, drivers.read))
    again = aectl(*options, "part.csv", "--resume")
    assert again.status == whole.status == 1
    assert Path("part.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert 0 < len(read) < 40


def failing_after(count, read):
    done = Counter()

    def reading(url, *rest):
        done["read"] += 1
        if done["read"] > count:
            raise KeyboardInterrupt
        return read(url, *rest)

    return reading


def counting(read, work):
    def reading(url, *rest):
        read[url] += 1
        return work(url, *rest)

    return reading


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_urls_in_the_public_functions(dense, photos, protocol, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    there = f"file://{tmp_path}/photos"
    if protocol == "memory":
        there = f"memory://{tmp_path.name}/photos"
        fsspec.filesystem("memory").put("photos", there, recursive=True)
    local, remote = encoded(dense, "photos"), encoded(dense, there)
    assert [name.replace("photos/", f"{there}/") for name in local[0]] == remote[0]
    assert local[1] == remote[1]
    assert [(f"{there}/{BAD}", reason) for _, reason in local[2]] == remote[2]
    relative = encoded(dense, there, relative_to=there)
    assert relative[0] == [name.removeprefix("photos/") for name in local[0]]
    assert encoded(dense, there, absolute=True)[0] == remote[0]
    listed = encoded(dense, "-", stdin=io.BytesIO("\n".join(remote[0]).encode()))
    assert listed == (*remote[:2], [])


def encoded(model, word, **options):
    """The paths, the codes, and what could not be read."""
    bad = []
    results = list(api.encode(model, word, on_bad=lambda *told: bad.append(told), **options))
    codes = b"".join(result.code.tobytes() for result in results)
    return [path for result in results for path in result.paths], codes, bad


@pytest.mark.parametrize("by_obstore", [True, False])
@pytest.mark.parametrize("fault", ["drops", "delays", "truncates", "503"])
def test_a_server_of_s3_with_faults_costs_retries_and_then_the_row(
    aectl, dense, scans, soon, monkeypatch, fault, by_obstore
):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[dev]'")
    if not by_obstore:
        monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setattr(entries, "SECONDS", 0.5)
    monkeypatch.setattr(entries, "SLOWEST", 10**9)
    files = {f"made/{path.name}": path.read_bytes() for path in sorted(scans.iterdir())[:8]}
    with site(files) as web, s3_settings(monkeypatch, web.url):
        listed = "".join(f"s3://{name}\n" for name in files).encode()
        sound = aectl("encode", dense, "-", stdin=listed)
        assert (sound.status, sound.err) == (0, "")
        web.asked.clear()
        web.faults = {"made/001.png": (fault, 2), "made/005.png": (fault, 100)}
        done = aectl("encode", dense, "-", stdin=listed)
        assert web.asked["made/005.png"] >= 4
    assert done.status == 1, done.err
    assert done.out.splitlines() == [one for one in sound.out.splitlines() if "005.png" not in one]
    (told, _) = done.err.splitlines()
    assert told.startswith("aectl: left out s3://made/005.png: ")
    assert told.endswith("(4 attempts)")
    assert SECRET not in told


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("drops", "without response"),
        ("delays", "timed out"),
        ("truncates", "broke off after"),
        ("503", "the server answers 503"),
        ("429", "the server answers 429"),
    ],
)
def test_a_server_with_faults_costs_retries_and_then_the_row(
    aectl, dense, scans, soon, fault, reason
):
    files = {path.name: path.read_bytes() for path in sorted(scans.iterdir())[:8]}
    with site(files) as web:
        listed = "".join(f"{web.url}/{name}\n" for name in files).encode()
        sound = aectl("encode", dense, "-", stdin=listed)
        assert (sound.status, sound.err) == (0, "")
        web.asked.clear()
        web.faults = {"001.png": (fault, 2), "005.png": (fault, 100)}
        done = aectl("encode", dense, "-", stdin=listed)
        assert (web.asked["000.png"], web.asked["001.png"], web.asked["005.png"]) == (1, 3, 4)
    assert done.status == 1
    without = [line for line in sound.out.splitlines() if "005.png" not in line]
    assert done.out.splitlines() == without
    (told, _) = done.err.splitlines()
    assert told.startswith(f"aectl: left out {web.url}/005.png: ")
    assert reason in told
    assert told.endswith("(4 attempts)")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("404", "No such file or dir"), ("403", "refuses it"), ("302", "the server answers 302")],
)
def test_what_a_server_refuses_is_not_asked_for_again(aectl, dense, scans, fault, reason):
    with site({"a.png": (scans / "000.png").read_bytes()}) as web:
        web.faults = {"b.png": (fault, 9)}
        done = aectl("encode", dense, f"{web.url}/a.png", f"{web.url}/b.png")
        assert web.asked["b.png"] == 1
    assert done.status == 1
    assert reason in done.err
    assert done.out.count("\n") == 2


@pytest.mark.parametrize("name", ["a.tar", "a.parquet", "a.csv", "m.safetensors"])
def test_a_file_of_no_stated_size_has_a_limit(aectl, dense, monkeypatch, name):
    monkeypatch.setattr(entries, "LARGEST_UNSTATED", 100_000)
    with site({name: bytes(10_000_000)}) as web:
        web.states_size = False
        command = ("encode", dense, f"{web.url}/{name}")
        if name == "a.csv":
            command += ("--paths-column", "path")
        if name == "m.safetensors":
            command = ("info", f"{web.url}/{name}")
        done = aectl(*command)
    assert done.status == 2
    assert "the server does not s" in done.err
    assert "attempts" not in done.err


def test_a_url_may_hold_spaces_and_letters_of_other_scripts(aectl, dense, scans):
    with site({"é x/1%.png": (scans / "000.png").read_bytes()}) as web:
        done = aectl("encode", dense, f"{web.url}/é x/1%25.png")
    assert (done.status, done.err) == (0, "")
    assert f"{web.url}/é x/1%25.png," in done.out


def test_local_files_do_not_lie_below_a_url(aectl, dense, scans):
    done = aectl("encode", dense, scans / "000.png", "--relative-to", "memory://some/photos")
    assert (done.status, done.err) == (0, "")
    assert f"\n{scans}/000.png," in done.out


def test_a_server_that_is_not_there_leaves_nothing_to_do(aectl, dense, soon):
    done = aectl("encode", dense, "http://127.0.0.1:9/a.png")
    assert done.status == 2
    assert "Connection refused (4 attempts)" in done.err
    assert "none of the 1 inputs could be read" in done.err


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIA1:{SECRET}@bucket/a.png",
        f"s3://AKIA1:ab/{SECRET}@bucket/a.png",
        f"https://me:{SECRET}@127.0.0.1/a.png",
        f"https://{SECRET}@127.0.0.1/a.png",
        f"https://127.0.0.1/a.png?X-Amz-Signature={SECRET}&x=1",
        f"https://127.0.0.1/a.png?sv=1&sig={SECRET}",
        f"gs://bucket/a.png?X-Goog-Credential={SECRET}",
        f"https://127.0.0.1/a.png?access_token={SECRET}",
        f"https://127.0.0.1/a.png#access_token={SECRET}",
        f"https://127.0.0.1/a.png#a?access_token={SECRET}",
    ],
)
def test_urls_with_credentials_are_refused_without_naming_them(aectl, dense, scans, url):
    given = aectl("encode", dense, url, "--out", "a.csv")
    listed = f"{url}\n{scans}/000.png\n".encode()
    read = aectl("encode", dense, "-", "--out", "b.csv", "--errors", "errors.csv", stdin=listed)
    assert (given.status, read.status) == (2, 1), given.err + read.err
    assert "holds a" in given.err
    assert "own tools" in given.err
    written = "".join(path.read_text() for path in Path().rglob("*.csv"))
    for text in (given.err, given.out, read.err, read.out, written):
        assert SECRET not in text
    assert "holds a" in read.err


def test_other_urls_are_no_credentials(aectl, dense, scans):
    with site({"a@b/1.png": (scans / "000.png").read_bytes()}) as web:
        done = aectl("encode", dense, f"{web.url}/a@b/1.png?width=8")
    assert (done.status, done.err) == (0, "")
    assert f"{web.url}/a@b/1.png?width=8," in done.out


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://unopened/a", "pip install 'aectl[gs]' installs it"),
        ("abfs://unopened@account.dfs.core.windows.net/a", "pip install 'aectl[az]' installs it"),
        ("nowhere://a/b", "nowhere:// is not a protocol that fsspec opens"),
        ("memory://not/there", "no file or folder 'memory://not/there'"),
        ("github://a", "github:// cannot be opened: "),
        ("dir://a", "dir:// cannot be opened: "),
    ],
)
def test_a_url_that_cannot_be_opened_is_one_line(aectl, dense, monkeypatch, url, message):
    without_driver(monkeypatch, "gs", "gcsfs")
    without_driver(monkeypatch, "abfs", "adlfs")
    done = aectl("encode", dense, url)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1, done.err
    assert message in done.err


def test_an_image_that_never_ends_is_left_out(aectl, dense, monkeypatch):
    class Endless(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")

    monkeypatch.setattr("aectl.config.decoding.LARGEST_FILE", 1 << 20)
    with serving(Endless) as url:
        done = aectl("encode", dense, f"{url}/a.png", "--max-pixels", 100)
    told = "has more than 1,048,576 bytes, and the server does not say how many"
    assert (done.status, f"aectl: left out {url}/a.png: {told}\n" in done.err) == (2, True)
