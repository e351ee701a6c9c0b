"""Formats, told by the names of files; and those that are refused, with a command that helps."""

import json
import os
import pickle
import struct

import fsspec
import numpy as np
import pytest
import torch
from conftest import shell
from foreign import FEATURES, SAE_LENS_6, UNITS, used, vectors, weights, write
from safetensors.numpy import load_file, save_file

import aectl
from aectl.cli import main
from aectl.errors import ModelFileError
from aectl.models.imported import recognition
from aectl.models.model_file import read_card

STANDARD = {**SAE_LENS_6, "architecture": "standard"}


def refused(source, tmp_path, **options):
    with pytest.raises(ModelFileError) as caught:
        aectl.import_model(source, tmp_path / "m.safetensors", **options)
    assert not (tmp_path / "m.safetensors").exists()
    return str(caught.value)


def command_in(message):
    """The command that a message offers, and the message before it."""
    told, _, line = message.rpartition("\n  ")
    assert line.startswith("python -c ")
    return told, line


def test_the_weights_of_a_folder_name_it_as_well(tmp_path):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    sources = (folder, folder / "sae_weights.safetensors")
    models = [aectl.import_model(one, tmp_path / f"{one.name}.m").model for one in sources]
    first, second = (read_card(one).weights_sha256 for one in models)
    assert first == second


def test_a_pickle_beside_a_config_is_refused_with_a_command_that_converts_it(tmp_path):
    folder = tmp_path / "it's a sae"
    trainer = {"dict_class": "AutoEncoderNew", "activation_dim": FEATURES, "dict_size": UNITS}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}))
    layers = torch.nn.ModuleDict(
        {"encoder": torch.nn.Linear(FEATURES, UNITS), "decoder": torch.nn.Linear(UNITS, FEATURES)}
    )
    torch.save(layers.state_dict(), folder / "ae.pt")
    told, line = command_in(refused(folder, tmp_path))
    assert told.endswith(
        "ae.pt: a pickle can run any program when it is loaded, so aectl loads none; this makes"
        " ae.safetensors of it:"
    )
    done = shell(line, tmp_path, warmed=True)
    assert (done.status, done.err) == (0, "")
    model = aectl.import_model(folder, tmp_path / "m.safetensors").model
    with torch.no_grad():
        wanted = layers["encoder"](torch.tensor(vectors())).relu()
    np.testing.assert_allclose(used(model, vectors(), tmp_path)[0], wanted, atol=1e-5)


def test_a_checkpoint_with_a_state_dict_in_it_is_converted_by_the_command_offered(tmp_path):
    state = {"encoder.weight": torch.ones(3, 2).t(), "decoder.weight": torch.ones(3, 2)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    _, line = command_in(refused(tmp_path / "last.ckpt", tmp_path))
    assert shell(line, tmp_path, warmed=True).status == 0
    found = load_file(tmp_path / "last.safetensors")
    assert {name: one.shape for name, one in found.items()} == {
        "encoder.weight": (2, 3), "decoder.weight": (3, 2)
    }  # fmt: skip


def test_an_archive_of_numpy_is_converted_by_the_command_offered(tmp_path):
    np.savez(tmp_path / "w.npz", **{"0.kernel": np.ones((3, 2))})
    _, line = command_in(refused(tmp_path / "w.npz", tmp_path))
    assert shell(line, tmp_path, warmed=True).status == 0
    assert load_file(tmp_path / "w.safetensors")["0.kernel"].shape == (3, 2)


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_model_of_keras_is_converted_by_the_command_offered(name, tmp_path, monkeypatch):
    (tmp_path / name).touch()
    _, line = command_in(refused(tmp_path / name, tmp_path))
    assert "keras.models.load_model" in line
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(6)]
    keras.Sequential([keras.Input((6,)), *layers]).save(tmp_path / name)
    assert shell(line, tmp_path, warmed=True).status == 0
    (tmp_path / "like.toml").write_text("hidden = [4]\nmodality = 'vectors'\n")
    file = (tmp_path / name).with_suffix(".safetensors")
    aectl.import_model(file, tmp_path / "a.safetensors", like=tmp_path / "like.toml")
    rows = np.random.default_rng(0).normal(size=(9, 6)).astype("f4")
    wanted = keras.models.load_model(tmp_path / name)(rows).detach().numpy()
    made = used(tmp_path / "a.safetensors", rows, tmp_path)[1]
    np.testing.assert_allclose(made, wanted, atol=1e-5)


@pytest.mark.parametrize("ending", recognition.CONVERSIONS)
def test_no_pickle_is_opened(ending, tmp_path):
    class Program:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    (tmp_path / f"m{ending}").write_bytes(pickle.dumps({"weights": Program()}))
    refused(tmp_path / f"m{ending}", tmp_path)
    refused(tmp_path / f"m{ending}", tmp_path, like=tmp_path / "like.toml")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_model_of_another_program_is_told_apart(aectl, dense, tmp_path):
    out = ("--out", tmp_path / "m.safetensors")
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    (tmp_path / "empty").mkdir()
    for words, said in {
        ("nothing",): "no file or folder nothing",
        ("empty",): "empty is no model that aectl reads: those have cfg.json and sae_weights.saf",
        (dense,): f"{dense.name} is a model of aectl already",
        (dense / "model.safetensors",): "model.safetensors is a model of aectl already",
        (folder, "--like", "like.toml"): "--like describes a state dict, a file",
        ("/dev/zero",): "no file or folder /dev/zero",
    }.items():
        done = aectl("import", *words, *out)
        assert (done.status, done.out) == (2, "")
        assert said in done.err
        assert len(done.err.splitlines()) == 1
    (tmp_path / "some.safetensors").write_bytes((folder / "sae_weights.safetensors").read_bytes())
    assert "a state dict needs --like FILE" in aectl("import", "some.safetensors", *out).err


def test_a_file_that_exists_is_replaced_only_when_asked(aectl, tmp_path):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    (tmp_path / "m.safetensors").write_text("mine")
    done = aectl("import", folder, "--out", "m.safetensors")
    assert (done.status, (tmp_path / "m.safetensors").read_text()) == (2, "mine")
    assert aectl("import", folder, "--out", "m.safetensors", "--overwrite").status == 0
    assert aectl("info", "m.safetensors", "--verify").status == 0


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


HUGE = {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}
HOSTILE = {
    "a tensor larger than the file": ("sae_weights.safetensors", header(W_enc=HUGE)),
    "a header longer than the file": ("sae_weights.safetensors", struct.pack("<Q", 2**62)),
    "no header": ("sae_weights.safetensors", b""),
    "a nested header": ("sae_weights.safetensors", struct.pack("<Q", 9**5) + b"[" * 9**5),
    "a nested config": ("cfg.json", b'{"a": ' + b"[" * 10**5),
    "a long config": ("cfg.json", b'{"a": "' + b"a" * 2**20 + b'"}'),
    "a list": ("cfg.json", b"[1]"),
    "twice": ("cfg.json", b'{"k": 1, "k": 2}'),
    "no number": ("cfg.json", b'{"k": NaN}'),
    "no text": ("cfg.json", b"\xff\xfe{}"),
    "a huge number": ("cfg.json", b'{"k": 1' + b"0" * 5000 + b"}"),
}


@pytest.mark.parametrize(("name", "content"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_folder_gets_a_line(aectl, name, content, tmp_path):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    (folder / name).write_bytes(content)
    done = aectl("import", folder, "--out", tmp_path / "m.safetensors")
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert name in done.err
    assert "defect of aectl" not in done.err
    assert not (tmp_path / "m.safetensors").exists()


def test_a_folder_of_a_pipe_does_not_wait(tmp_path):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    (folder / "cfg.json").unlink()
    os.mkfifo(folder / "cfg.json")
    assert "is no model that aectl reads" in refused(folder, tmp_path)


def test_the_command_needs_an_output(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["aectl", "import", "sae"])
    assert main() == 2
    assert "--out" in capsys.readouterr().err


def test_a_folder_at_a_url_is_downloaded_once_and_then_used_without_the_network(tmp_path, aectl):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    system = fsspec.filesystem("memory")
    for one in (*folder.iterdir(), tmp_path / "sae" / "cfg.json"):
        system.pipe(f"/hub/layer.8/{one.name}", one.read_bytes())
    local = aectl("import", folder, "--out", "local.safetensors")
    remote = aectl("import", "memory://hub/layer.8", "--out", "remote.safetensors")
    assert (local.status, remote.status, remote.err) == (0, 0, "")
    system.rm("/hub", recursive=True)
    again = aectl("import", "memory://hub/layer.8", "--out", "again.safetensors", "--offline")
    assert again.status == 0, again.err
    told = [
        json.loads(aectl("info", f"{one}.safetensors", "--json").out)
        for one in ("local", "remote", "again")
    ]
    assert len({one["weights_sha256"] for one in told}) == 1
    assert told[1]["training"]["imported"]["source"] == "memory://hub/layer.8"
    gone = aectl("import", "memory://hub/layer.8", "--out", "more.safetensors")
    assert gone.status == 2
    assert gone.err.startswith("aectl: no model memory://hub/layer.8: ")


def test_a_state_dict_and_the_weights_of_a_folder_at_a_url(tmp_path, aectl):
    folder = write(tmp_path / "sae", STANDARD, weights("b_enc"))
    system = fsspec.filesystem("memory")
    layers = {"encoder.weight": np.ones((2, 3), "f4"), "decoder.weight": np.ones((3, 2), "f4")}
    save_file(layers, tmp_path / "w.safetensors")
    system.pipe("/w.safetensors", (tmp_path / "w.safetensors").read_bytes())
    (tmp_path / "like.toml").write_text("hidden = [2]\nmodality = 'vectors'\n")
    like = ("--like", "like.toml")
    assert aectl("import", "memory://w.safetensors", "--out", "a.safetensors", *like).status == 0
    system.pipe("/empty/cfg.json", (folder / "cfg.json").read_bytes())
    for url, said in {
        "memory://empty": "memory://empty is no model that aectl reads: those have cfg.json and",
        "https://me:word@localhost/sae": "holds a name or a password",
        "memory://none": "no model memory://none: ",
    }.items():
        done = aectl("import", url, "--out", "b.safetensors")
        assert done.status == 2
        assert said in done.err
