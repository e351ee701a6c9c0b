"""Google Cloud Storage and Azure Blob Storage: the same results as of local files."""

import json
import shutil
from pathlib import Path

import pytest
from clouds import azure_settings, cloud, google_settings, system
from servers import site, without_progress

from aectl.data.storage import drivers, entries
from aectl.verbs import machine

WRONG = "d3Jvbmctc2VjcmV0"
"""A key that no account has."""


@pytest.fixture(params=["gs", "az"])
def bucket(request, monkeypatch):
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    with cloud(request.param, monkeypatch) as url:
        yield url


@pytest.fixture
def photos(scans: Path, tmp_path: Path) -> Path:
    """A folder of folders with 60 images, and a broken one."""
    folder = tmp_path / "photos"
    for number, path in enumerate(sorted(scans.iterdir())[:60]):
        place = folder / ("cat", "dog")[number % 2] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    return folder


def put(folder: Path, url: str) -> None:
    there = system(url)
    for path in folder.rglob("*"):
        if path.is_file():
            there.pipe_file(f"{url}/{path.relative_to(folder)}", path.read_bytes())


def test_tables_from_and_to_a_cloud_are_those_of_local_files(aectl, dense, photos, bucket):
    put(photos, f"{bucket}/photos")
    local = aectl("encode", dense, "photos", "--out", "a.csv", "--label-from-folder")
    options = ("--label-from-folder", "--relative-to", bucket)
    there = aectl("encode", dense, f"{bucket}/photos", "--out", f"{bucket}/b/a.csv", *options)
    assert (there.status, local.status) == (1, 1), there.err
    assert without_progress(there.err) == without_progress(local.err)
    assert system(bucket).cat_file(f"{bucket}/b/a.csv") == Path("a.csv").read_bytes()
    again = aectl("encode", dense, f"{bucket}/photos", "--out", f"{bucket}/b/a.csv", *options)
    assert again.status == 2
    assert f"{bucket}/b/a.csv exists; --overwrite replaces it" in again.err
    whole = aectl("encode", dense, f"{bucket}/photos", "--out", f"{bucket}/b/a.csv", "--resume",
                  *options)  # fmt: skip
    assert f"{bucket}/b/a.csv is complete; there is nothing to do" in whole.err


def test_an_interrupted_table_continues_at_a_cloud(aectl, dense, photos, bucket):
    put(photos, f"{bucket}/photos")
    options = ("encode", dense, f"{bucket}/photos", "--batch-size", "8")
    aectl(*options, "--out", "whole.csv")
    cut = aectl(*options, "--out", f"{bucket}/codes.csv", "--strict")
    assert cut.status == 2
    assert not system(bucket).exists(f"{bucket}/codes.csv")
    assert aectl(*options, "--out", f"{bucket}/codes.csv", "--resume").status == 1
    assert system(bucket).cat_file(f"{bucket}/codes.csv") == Path("whole.csv").read_bytes()


def test_shards_and_models_of_a_cloud(aectl, dense, photos, bucket):
    put(dense, f"{bucket}/runs/one")
    local = aectl("encode", dense, photos, "--out", "whole.csv", "--errors", "errors.csv")
    for number in (1, 2):
        done = aectl("encode", f"{bucket}/runs/one", photos, "--out", f"{bucket}/codes.csv",
                     "--shard", f"{number}/2")  # fmt: skip
        assert done.status in (0, 1), done.err
    merged = aectl("merge", f"{bucket}/codes.csv.shards", "--out", "merged.csv")
    assert merged.status == local.status
    assert Path("merged.csv").read_bytes() == Path("whole.csv").read_bytes()
    (copy,) = machine.data_dir().rglob("model.safetensors")
    assert copy.read_bytes() == (dense / "model.safetensors").read_bytes()
    url = f"{bucket}/runs/one/model.safetensors"
    assert json.loads(aectl("info", url, "--json").out)["kind"] == "autoencoder"


def test_a_folder_of_many_objects(bucket):
    there, names = system(bucket), [f"{number:05d}.png" for number in range(111)]
    for name in names[:-1]:
        there.pipe_file(f"{bucket}/many/{name}", b"x")
    there.pipe_file(f"{bucket}/many/below/x", b"x")
    found = drivers.entries_of(f"{bucket}/many")
    assert [one.name for one in found if not one.is_folder] == names[:-1]
    assert [one.name for one in found if one.is_folder] == ["below"]


@pytest.mark.parametrize(("protocol", "needs"), [("gs", "gcsfs"), ("az", "adlfs")])
@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [("401", "401", 1), ("403", "403", 1), ("503", "503 (4 attempts)", 4)],
)
def test_what_a_cloud_refuses_is_told_at_once(
    aectl, dense, monkeypatch, protocol, needs, fault, reason, requests
):
    pytest.importorskip(needs, reason=f"{needs} is not installed: pip install -e '.[dev]'")
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    with site({}) as web:
        web.answers = int(fault)
        settings = {**google_settings(web.url), **azure_settings(web.url, WRONG)}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        drivers._objects.cache_clear()
        done = aectl("encode", dense, "-", stdin=f"{protocol}://made/a.png".encode())
    drivers._objects.cache_clear()
    assert done.status == 2
    assert reason in done.err
    assert sum(web.asked.values()) == requests
    assert WRONG not in done.err


def test_credentials_that_are_missing_are_told_at_once(aectl, dense, monkeypatch, tmp_path):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[dev]'")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(entries.time, "sleep", lambda seconds: pytest.fail("it asks again"))
    with site({}) as web:
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        drivers._objects.cache_clear()
        done = aectl("encode", dense, "s3://made/a.png")
    drivers._objects.cache_clear()
    assert done.status == 2
    assert "s3://made/a.png: no valid credentials: Unable to locate credentials" in done.err
    assert not web.asked
