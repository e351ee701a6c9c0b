"""Models at URLs: kept in the cache, checked like local files, and used without the network."""

import json
from pathlib import Path

import fsspec
import pytest
from servers import SECRET, hub, site

import aectl as api
from aectl.errors import ModelFileError
from aectl.verbs import machine


@pytest.fixture
def content(dense: Path) -> bytes:
    """The model file of `dense`."""
    return (dense / "model.safetensors").read_bytes()


def test_a_model_of_a_hub(aectl, dense, content, monkeypatch):
    local = aectl("encode", dense, "digits:test")
    with hub(monkeypatch, {"README.md": b"a model", "model.safetensors": content}) as server:
        for word in ("hf://user/model", "hf://user/model/model.safetensors"):
            remote = aectl("encode", word, "digits:test")
            assert (remote.status, remote.err, remote.out) == (0, "", local.out)
        fetched = [path for path, _ in server.asked if path.endswith("/model.safetensors")]
        assert len(set(server.asked)) > 1
        assert ("/api/models/user/model", f"Bearer {SECRET}") in server.asked
        assert len(fetched) <= 2  # a HEAD and a GET, once
    info = aectl("info", "hf://user/model", "--offline", "--verify")
    assert (info.status, info.out) == (0, aectl("info", dense, "--verify").out)
    written = [one.read_bytes() for one in machine.data_dir().rglob("*") if one.is_file()]
    assert len(written) == 2
    assert not any(SECRET.encode() in one for one in written)


def test_a_model_of_a_hub_with_another_digest_is_refused(aectl, content, monkeypatch):
    with hub(monkeypatch, {"model.safetensors": content}) as server:
        server.sha256 = "0" * 64
        done = aectl("info", "hf://user/model")
    assert done.status == 2
    assert "its SHA-256 is not the one that the server states" in done.err
    assert not [one for one in machine.data_dir().rglob("*") if one.is_file()]


def test_a_model_on_the_web_is_downloaded_once_a_version(aectl, dense, trained, content):
    with site({"a/m.safetensors": content}) as web:
        url = f"{web.url}/a/m.safetensors"
        first = aectl("info", url)
        assert (first.status, first.out) == (0, aectl("info", dense).out)
        assert web.sent["a/m.safetensors"] == len(content)
        assert aectl("info", url).out == first.out
        assert web.sent["a/m.safetensors"] < 2 * len(content)
        other = (trained("--epochs", "1") / "model.safetensors").read_bytes()
        web.files["a/m.safetensors"] = other
        assert aectl("info", url, "--json").out != aectl("info", dense, "--json").out
        shown = json.loads(aectl("eval", url, "--dataset", "digits", "--json").out)
    assert aectl("info", url).status == 2  # the server is gone
    again = json.loads(aectl("eval", url, "--dataset", "digits", "--json", "--offline").out)
    assert again == shown


def test_a_damaged_copy_is_downloaded_again_and_never_used(aectl, content):
    with site({"m.safetensors": content}) as web:
        url = f"{web.url}/m.safetensors"
        sound = aectl("info", url)
        (copy,) = machine.data_dir().rglob("m.safetensors")
        copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        offline = aectl("info", url, "--offline")
        assert offline.status == 2
        assert "no whole copy of it, and --offline asks no server" in offline.err
        assert aectl("info", url).out == sound.out
        assert copy.read_bytes() == content


def test_what_is_no_model_is_refused_as_a_local_file_is(aectl, content, tmp_path):
    broken = content.replace(b'"hidden', b'"hiddem', 1)
    with site({"m.safetensors": broken, "n.safetensors": b"import os"}) as web:
        for name in web.files:
            (tmp_path / name).write_bytes(web.files[name])
            local, remote = aectl("info", name), aectl("info", f"{web.url}/{name}")
            assert local.status == remote.status == 2
            reason = local.err.partition(name)[2]
            assert remote.err.endswith(f"{name}{reason}")


def test_folders_with_several_models_or_none(dense, content):
    system = fsspec.filesystem("memory")
    for name in ("none/a.txt", "one/a.safetensors", "two/a.safetensors", "two/b.safetensors"):
        system.pipe(f"/hub/{name}", content)
    assert api.load("memory://hub/one").state_dict().keys() == api.load(dense).state_dict().keys()
    with pytest.raises(ModelFileError, match=r"memory://hub/none holds no \.safetensors file"):
        api.load("memory://hub/none")
    with pytest.raises(ModelFileError, match=r"several models .*: name one of them"):
        api.load("memory://hub/two")
    with pytest.raises(ModelFileError, match="no model memory://hub/three: No such file"):
        api.load("memory://hub/three")


def test_offline_asks_no_server(aectl, dense, scans, content, monkeypatch):
    with site({"m.safetensors": content, "a.png": (scans / "000.png").read_bytes()}) as web:
        model = aectl("info", f"{web.url}/m.safetensors", "--offline")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        inputs = aectl("encode", dense, f"{web.url}/a.png", "s3://bucket/photos")
        listed = aectl("encode", dense, "-", stdin=f"{scans}/000.png\n{web.url}/a.png".encode())
        named = aectl("encode", dense, "mnist:test")
        assert not web.asked
    assert [one.status for one in (model, inputs, listed, named)] == [2, 2, 1, 2]
    for done in (model, inputs, listed, named):
        assert done.err.count("--offline asks no server") == 1


def test_training_starts_from_a_model_at_a_url(aectl, dense, content):
    with site({"m.safetensors": content}) as web:
        url = f"{web.url}/m.safetensors"
        done = aectl(
            "train", "--dataset", "digits", "--load", url, "--epochs", "1", "--out", "more"
        )
        assert done.status == 0, done.err
    local = aectl("train", "--dataset", "digits", "--load", dense, "--epochs", "1", "--out", "same")
    assert local.status == 0
    assert api.load("more").state_dict().keys() == api.load("same").state_dict().keys()
    for name, tensor in api.load("more").state_dict().items():
        assert tensor.equal(api.load("same").state_dict()[name])
    assert url in aectl("info", "more").out


def test_a_url_of_a_model_with_a_password_is_refused(aectl):
    done = aectl("info", f"https://me:{SECRET}@127.0.0.1/m.safetensors")
    assert done.status == 2
    assert "holds a name or a password" in done.err
    assert SECRET not in done.err
