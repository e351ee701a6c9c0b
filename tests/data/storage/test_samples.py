"""Tars of WebDataset: each image with the class in the text file of its sample."""

import csv
import io
import itertools
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from aectl.data.storage.archives import find_in_archive

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def png(shade):
    content = io.BytesIO()
    Image.fromarray(PIXELS + np.uint8(shade)).save(content, "PNG")
    return content.getvalue()


def packed(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def labels(path):
    return [(found.member, found.label) for found in find_in_archive(path)]


@pytest.mark.parametrize("order", [*itertools.permutations([0, 1, 2])])
def test_each_image_has_the_class_of_its_sample_in_any_order_of_its_members(tmp_path, order):
    members = []
    for key in ("a/0", "a/1", "b/1"):
        sample = [(f"{key}.png", png(1)), (f"{key}.cls", key.encode() + b"\n"),
                  (f"{key}.json", b'{"label": "other"}')]  # fmt: skip
        members += [sample[number] for number in order]
    path = packed(tmp_path / "t.tar", members)
    assert labels(path) == [("a/0.png", "a/0"), ("a/1.png", "a/1"), ("b/1.png", "b/1")]


def test_several_images_of_a_sample_have_its_class_and_others_none(tmp_path):
    members = [
        ("0.left.png", png(1)), ("0.cls", b"cat"), ("0.right.png", png(2)), ("1.png", png(3)),
        ("2.cls", b"dog"), ("3.png", png(4)), ("2.png", png(5)),
    ]  # fmt: skip
    assert labels(packed(tmp_path / "t.tar", members)) == [
        ("0.left.png", "cat"), ("0.right.png", "cat"), ("1.png", None), ("3.png", None),
        ("2.png", None),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"x" * 2000])
def test_what_is_no_class_labels_nothing(tmp_path, content):
    path = packed(tmp_path / "t.tar", [("0.cls", content), ("0.png", png(1))])
    assert labels(path) == [("0.png", None)]


def test_of_a_sample_with_many_files_few_wait_for_its_class(tmp_path):
    members = [(f"0.{number}.png", png(number)) for number in range(30)]
    found = labels(packed(tmp_path / "t.tar", [*members, ("0.cls", b"cat")]))
    assert [name for name, _ in found] == [name for name, _ in members]
    assert [label for _, label in found] == [None] * 14 + ["cat"] * 16


JSON = [
    ("0.png", png(1)), ("0.json", b'{"label": "cat", "n": 3, "t": true}'), ("0.txt", b"a cat"),
    ("1.json", b'{"n": -1, "label": ["a"]}'), ("1.png", png(2)), ("1.txt", b" two dogs\n"),
    ("2.json", b"no JSON"), ("2.png", png(3)), ("3.json", b"[1]"), ("3.png", png(4)),
    ("4.cls", b"dog"), ("4.png", png(5)), ("4.json", b'{"label": "cat", "n": 0.5}'),
    ("5.json", b'{"label": "' + b"x" * (1 << 20) + b'"}'), ("5.png", png(6)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--label-from-folder",), ["cat", "t", "t", "t", "dog", "t"]),
        (("--label-column", "label"), ["cat", "", "", "", "cat", ""]),
        (("--label-column", "n"), ["3", "-1", "", "", "0.5", ""]),
        (("--label-column", "txt"), ["a cat", "two dogs", "", "", "", ""]),
        (("--label-column", "cls"), ["", "", "", "", "dog", ""]),
    ],
)
def test_labels_are_in_json_too_and_captions_are_none_unless_asked_for(
    aectl, dense, tmp_path, options, wanted
):
    packed(tmp_path / "t.tar", JSON)
    done = aectl("encode", dense, "t.tar", *options)
    assert [row["label"] for row in csv.DictReader(io.StringIO(done.out))] == wanted
    assert "label" not in aectl("encode", dense, "t.tar").out.partition("\n")[0]


def test_a_classifier_remembers_the_key_of_its_classes(aectl, tmp_path):
    members = []
    for n in range(12):
        members += [(f"{n}.png", png(n)), (f"{n}.cls", b"x"), (f"{n}.json", b'{"k": %d}' % (n % 2))]
    packed(tmp_path / "t.tar", members)
    done = aectl("train", "--model", "classifier", "--dataset", "t.tar", "--label-column", "k",
                 "--hidden", "4", "--epochs", "1", "--out", "m")  # fmt: skip
    assert (done.status, "12 images of 2 classes (0 6, 1 6)" in done.err) == (0, True)
    assert json.loads(aectl("eval", "m", "--dataset", "t.tar", "--json").out)[0]["n"] == 12


@pytest.fixture
def shards(tmp_path):
    """Three tars with images of two classes."""
    for part in range(3):
        members = []
        for number in range(8):
            key = f"{part}{number}"
            bright = 100 * (number % 2)
            members += [(f"{key}.png", png(bright + part)), (f"{key}.cls", b"01"[number % 2 :][:1])]
        packed(tmp_path / f"data-{part + 8:02d}.tar", members)
    return ["data-08.tar", "data-09.tar", "data-10.tar"]


def test_samples_are_encoded_with_their_labels(aectl, dense, shards):
    done = aectl("encode", dense, *shards, "--label-from-folder")
    assert done.status == 0
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["path"] for row in rows] == [
        f"data-{part + 8:02d}.tar/{part}{number}.png" for part in range(3) for number in range(8)
    ]
    assert [row["label"] for row in rows] == ["0", "1"] * 12
    plain = list(csv.DictReader(io.StringIO(aectl("encode", dense, *shards).out)))
    assert "label" not in plain[0]


def test_a_classifier_learns_the_classes_of_samples(aectl, shards):
    done = aectl("train", "--model", "classifier", "--dataset", "-", "--hidden", "", "--epochs",
                 "60", "--lr", "0.05", "--validation", "0", "--out", "m", "-q",
                 stdin="\n".join(shards).encode())  # fmt: skip
    assert done.status == 0
    every = [word for shard in shards for word in ("--dataset", shard)]
    (report,) = json.loads(aectl("eval", "m", *every, "--json").out)
    assert (report["classes"], report["n"], report["error"]) == (["0", "1"], 24, 0)
