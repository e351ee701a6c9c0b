"""Checkpoints: files that the safetensors library reads, and files that are refused."""

import hashlib
import json
import os

import pytest
import safetensors
import torch
from test_state import FIELDS, STATE, record_of

from aectl.errors import ModelFileError
from aectl.models import tensor_file
from aectl.training import checkpoint
from aectl.training.state import flat


def equal(a, b):
    """Whether two values are the same, tensors by their types and bits; a list is as a tuple."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.fixture
def saved(tmp_path):
    """A folder with a checkpoint."""
    checkpoint.save(tmp_path, STATE)
    return tmp_path


def content_of(run):
    """The JSON and the tensors of a checkpoint."""
    tensors, metadata = tensor_file.read(checkpoint.path_in(run))
    return json.loads(metadata[checkpoint.KEY]), tensors


def forge(run, described, tensors):
    """Writes a checkpoint with a right digest."""
    content = json.dumps(described)
    metadata = {checkpoint.KEY: content, checkpoint.DIGEST: checkpoint.digest(content, tensors)}
    tensor_file.write(checkpoint.path_in(run), tensors, metadata)


def test_a_state_comes_back_as_it_was(saved):
    assert equal(flat(checkpoint.load(saved)), flat(STATE))


def test_the_safetensors_library_reads_every_tensor(saved):
    with safetensors.safe_open(checkpoint.path_in(saved), "pt") as file:
        found = [file.get_tensor(name) for name in sorted(file.keys(), key=int)]
        described = json.loads(file.metadata()["aectl-checkpoint"])
    assert described["format_version"] == 3
    assert described["state"]["run"]["rows"] == [{"epoch": 1, "loss": 0.5}]
    run = STATE.run
    (of_optimizer,) = (held[0] for held in run.optimizer)
    wanted = [
        run.weights["w"], run.stage_weights["v"], of_optimizer["step"], of_optimizer["old"][0],
        run.remembered["steps"], run.loop.sums["loss"], run.order, run.random,
    ]  # fmt: skip
    assert equal(found, wanted)


def test_the_digest_is_the_sha256_of_the_json_and_of_each_tensor_with_its_place(saved):
    raw = checkpoint.path_in(saved).read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    metadata = header.pop("__metadata__")
    found = hashlib.sha256(metadata["aectl-checkpoint"].encode())
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        found.update(json.dumps([name, entry]).encode() + raw[end + begin : end + stop])
    assert metadata["sha256"] == found.hexdigest()


def test_a_changed_byte_of_a_tensor_is_found(saved):
    path = checkpoint.path_in(saved)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match="is damaged: its content was changed"):
        checkpoint.load(saved)


def test_a_changed_number_of_the_json_is_found(saved):
    tensors, metadata = tensor_file.read(checkpoint.path_in(saved))
    changed = metadata[checkpoint.KEY].replace('"threads": 1', '"threads": 2')
    assert changed != metadata[checkpoint.KEY]
    metadata[checkpoint.KEY] = changed
    tensor_file.write(checkpoint.path_in(saved), tensors, metadata)
    with pytest.raises(ModelFileError, match="is damaged"):
        checkpoint.load(saved)


def test_a_reference_to_a_tensor_that_is_not_there_is_refused(saved):
    described, tensors = content_of(saved)
    del tensors["0"]
    forge(saved, described, tensors)
    with pytest.raises(ModelFileError, match="is not a checkpoint of aectl"):
        checkpoint.load(saved)


def test_the_state_of_a_training_is_running_then_finished_then_gone(saved):
    assert (checkpoint.is_kept(saved), checkpoint.is_finished(saved)) == (True, False)
    checkpoint.finish(saved)
    assert (checkpoint.is_kept(saved), checkpoint.is_finished(saved)) == (True, True)
    assert equal(flat(checkpoint.load(saved)), flat(STATE))
    checkpoint.save(saved, STATE)
    assert not checkpoint.is_finished(saved)
    assert os.listdir(saved / "checkpoint") == ["checkpoint.safetensors"]
    checkpoint.remove(saved)
    assert not checkpoint.is_kept(saved)
    assert not os.listdir(saved)


def test_removing_leaves_the_files_of_others(saved):
    (saved / "checkpoint" / "notes.txt").write_text("mine")
    (saved / "checkpoint" / ".checkpoint.safetensors.12.part").write_text("half")
    (saved / "model.safetensors").write_text("mine")
    checkpoint.remove(saved)
    assert sorted(os.listdir(saved)) == ["checkpoint", "model.safetensors"]
    assert os.listdir(saved / "checkpoint") == ["notes.txt"]


@pytest.mark.parametrize(
    ("finished", "said"),
    [(False, "seed-2 can go on"), (True, "several finished trainings")],
)
def test_a_folder_of_several_runs_names_those_that_can_go_on(tmp_path, finished, said):
    (tmp_path / "seed-2").mkdir()
    checkpoint.save(tmp_path / "seed-2", STATE)
    if finished:
        checkpoint.finish(tmp_path / "seed-2")
    with pytest.raises(ModelFileError, match=said):
        checkpoint.load(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"there is no run folder .*none"):
        checkpoint.load(tmp_path / "none")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="has no checkpoint"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b'\x08\0\0\0\0\0\0\0{"a":1}', b"rubbish" * 100])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = checkpoint.path_in(tmp_path)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="is not a checkpoint of aectl"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 99)
    checkpoint.save(tmp_path, STATE)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="another version"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("wrong", ["absent", "of another type", "unknown"])
@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda one: getattr(one, "__name__", one))
def test_a_field_that_is_missing_or_wrong_is_named(kind, name, wrong, saved):
    described, tensors = content_of(saved)
    record = record_of(described["state"], kind)
    if wrong == "absent":
        del record[name]
    elif wrong == "unknown":
        record[f"{name}_2"] = record[name]
    else:
        record[name] = "word" if isinstance(record[name], int | float | dict) else 1.5
    forge(saved, described, tensors)
    with pytest.raises(ModelFileError, match=f"is not a checkpoint of aectl: .*{name}") as refused:
        checkpoint.load(saved)
    assert len(str(refused.value).splitlines()) == 1
