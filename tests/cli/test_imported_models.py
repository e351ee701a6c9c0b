"""Models of other programs in the commands that use models."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

FEATURES, UNITS = 12, 40
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(0.3, 1.2, (300, FEATURES)).astype(np.float32)
WEIGHTS = {
    "W_enc": RANDOM.normal(0, 0.3, (FEATURES, UNITS)),
    "W_dec": RANDOM.normal(0, 1, (UNITS, FEATURES)),
    "b_enc": RANDOM.normal(0, 0.3, UNITS),
    "b_dec": RANDOM.normal(0, 0.3, FEATURES),
}  # fmt: skip


@pytest.fixture
def imported(aectl, tmp_path):
    """Imports a topk of SAELens whose units have an order."""

    def made(name, order):
        folder = tmp_path / f"sae-{name}"
        folder.mkdir()
        config = {"architecture": "topk", "k": 5, "d_in": FEATURES, "d_sae": UNITS}
        (folder / "cfg.json").write_text(json.dumps(config))
        tensors = {
            **WEIGHTS, "W_enc": WEIGHTS["W_enc"][:, order], "W_dec": WEIGHTS["W_dec"][order],
            "b_enc": WEIGHTS["b_enc"][order],
        }  # fmt: skip
        save_file(
            {key: value.astype("f4", order="C") for key, value in tensors.items()},
            folder / "sae_weights.safetensors",
        )
        done = aectl("import", folder, "--out", f"{name}.safetensors")
        assert (done.status, done.err) == (0, "")
        return f"{name}.safetensors"

    np.save(tmp_path / "rows.npy", ROWS)
    return made


def test_every_command_of_vectors_takes_them(aectl, imported):
    model = imported("m", np.arange(UNITS))
    for words in (
        ("encode", model, "rows.npy", "--out", "codes.npy"),
        ("reconstruct", model, "rows.npy", "--out", "made.csv"),
        ("detect", model, "rows.npy", "--normal", "rows.npy", "--out", "found.csv"),
        ("eval", model, "--dataset", "rows.npy", "--report", "report.html"),
        ("info", model, "--verify"),
        ("train", "--load", model, "--dataset", "rows.npy", "--epochs", "1", "--out", "more"),
    ):
        done = aectl(*words)
        assert done.status == 0, done.err
    assert ((np.load("codes.npy") > 0).sum(axis=1) == 5).all()


def test_dictionaries_are_matched_whatever_the_order_of_their_units(aectl, imported, tmp_path):
    first = imported("first", np.arange(UNITS))
    second = imported("second", RANDOM.permutation(UNITS))
    np.save(tmp_path / "truth.npy", WEIGHTS["W_dec"])
    done = aectl(
        "eval", first, second, "--dataset", "rows.npy", "--match", first, "--truth", "truth.npy",
        "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    for found in json.loads(done.out):
        assert found["matched_cosine"] == pytest.approx(1, abs=1e-6)
        assert found["truth_cosine"] == pytest.approx(1, abs=1e-6)
        assert found["l0"] == pytest.approx(5)


def test_without_an_input_they_ask_for_one(aectl, imported):
    done = aectl("encode", imported("m", np.arange(UNITS)))
    assert done.status == 2
    assert "the model does not say what it was trained on; name an INPUT" in done.err


def test_an_import_does_not_replace_its_source(aectl, imported, tmp_path):
    imported("m", np.arange(UNITS))
    weights = tmp_path / "sae-m" / "sae_weights.safetensors"
    before = weights.read_bytes()
    done = aectl("import", tmp_path / "sae-m", "--out", weights, "--overwrite")
    assert done.status == 2
    assert done.err == f"aectl: --out {weights} is a file that is imported: name another\n"
    assert weights.read_bytes() == before
    done = aectl("import", tmp_path / "sae-m", "--out", "m.safetensors", "--overwrite")
    assert done.status == 0
