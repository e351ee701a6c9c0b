"""What is said of words that name nothing, or inputs of another modality."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TRAIN = ("train", "--hidden", "2", "--epochs", "1", "--out", "m", "--dataset")
TEXT = ("train", "--model", "text-autoencoder", "--dataset")


@pytest.fixture(autouse=True)
def inputs(aectl, tmp_path):
    """Folders and files, in the folder in which `aectl` runs."""
    for folder in ("none", "none.npy", "words", "rows", "pictures"):
        (tmp_path / folder).mkdir()
    Path("words/a.txt").write_text("a line\n" * 20)
    Image.new("L", (8, 8)).save("pictures/a.png")
    np.save("rows/a.npy", np.eye(4, dtype=np.float32))
    np.savez("two.npz", a=np.eye(4), b=np.eye(4))
    Path("acts.pt").write_bytes(b"PK\3\4")


@pytest.mark.parametrize(
    ("command", "word", "said"),
    [
        (TRAIN, "none", "no images in none (looked for"),
        (TRAIN, "none", "there are no vectors in none either"),
        (TRAIN, "none.npy", "aectl: there are no vectors in none.npy (looked for"),
        (TRAIN, "words", "no images in words (looked for"),
        (TRAIN, "words", "words holds text, which --model text-autoencoder learns from"),
        (TEXT, "rows", "rows holds vectors, which --model autoencoder learns from"),
        (TEXT, "pictures", "pictures holds images, which --model autoencoder learns from"),
        (TRAIN, "gone.txt", "no dataset, file or folder 'gone.txt'"),
        (TEXT, "gone.npy", "no dataset, file or folder 'gone.npy'"),
        (TRAIN, "acts.pt", "vectors are read from files that end in .npy"),
        (TEXT, "acts.pt", "acts.pt is a file of vectors, which --model autoencoder learns from"),
        (TRAIN, "rows/a.npy:x", "rows/a.npy is there, but only .npz and .safetensors have arrays"),
    ],
)
def test_a_training_names_what_a_word_is(aectl, command, word, said):
    done = aectl(*command, word)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("verb", [("encode",), ("eval", "--dataset")], ids=["encode", "eval"])
@pytest.mark.parametrize(
    ("model", "word", "said"),
    [
        ("pictures", "none", "there are no images in none"),
        ("pictures", "rows", "rows holds vectors, and the model takes images"),
        ("pictures", "two.npz:a", "two.npz:a is a file of vectors, and the model takes images"),
        ("pictures", "rows/a.npy", "rows/a.npy is a file of vectors, and the model takes images"),
        ("pictures", "wikitext-2", "wikitext-2 is text, and the model takes images"),
        ("rows", "none.npy", "there are no vectors in none.npy"),
        ("rows", "words", "words holds text, and the model takes vectors"),
        ("rows", "words/a.txt", "words/a.txt is text, and the model takes vectors"),
        ("rows", "digits", "digits is a dataset of images, and the model takes vectors"),
    ],
)
def test_a_verb_names_what_its_model_cannot_take(aectl, verb, model, word, said):
    assert aectl(*TRAIN, model, "-q").status == 0
    command, *option = verb
    done = aectl(command, "m", *option, word)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
