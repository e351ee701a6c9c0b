"""Folders of SAELens: read back by aectl and, where it is installed, by the library itself."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import aectl
from aectl.config.model_options import ModelConfig
from aectl.config.shapes import VectorShape
from aectl.errors import ConfigError
from aectl.models import model_file
from aectl.models.architecture import Architecture
from aectl.models.build import build_network
from aectl.models.model_card import ModelCard
from aectl.outputs.exports import sae_lens

FEATURES, UNITS = 12, 40
ROWS = np.random.default_rng(0).normal(3, 1.2, (300, FEATURES)).astype(np.float32)
TOP = {"sparsity": "topk", "k": 5}
CASES = {
    "no rule": {},
    "l1, tied": {"sparsity": "l1", "tied": True},
    "wta": {"sparsity": "wta"},
    "topk": TOP,
    "topk, more at inference": {**TOP, "alpha": 2.0},
    "topk, all at inference": {**TOP, "alpha": 20.0},
    "batch-topk": {"sparsity": "batch-topk", "k": 5},
    "jumprelu": {"sparsity": "jumprelu"},
    "gated": {"sparsity": "gated"},
    "omp-1": {"sparsity": "omp-1", "code_activation": "linear", "tied": True},
    "not centered": {**TOP, "center": False},
    "standard": {**TOP, "scale": "standard"},
    "standard, gated": {"sparsity": "gated", "scale": "standard"},
    "minmax, not centered": {"sparsity": "jumprelu", "scale": "minmax", "center": False},
    "center": {"scale": "center", "center": False},
    "layer norm": {**TOP, "scale": "layer-norm"},
    "layer norm, not centered": {"sparsity": "gated", "scale": "layer-norm", "center": False},
    "unit norm": {**TOP, "scale": "unit-norm"},
    "unit norm, batch-topk": {"sparsity": "batch-topk", "k": 5, "scale": "unit-norm"},
    "unit norm, not centered": {"sparsity": "gated", "scale": "unit-norm", "center": False},
}


def model_of(folder, **options):
    """A model file with random numbers everywhere."""
    torch.manual_seed(0)
    config = ModelConfig(
        modality="vectors", hidden=(UNITS,), **{"output_activation": "linear", **options}
    )
    card = ModelCard(Architecture(config, VectorShape(FEATURES)))
    network = build_network(card.architecture)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    if network.encoder.center is not None:
        network.encoder.center.copy_(torch.randn(FEATURES))
    if network.scaling is not None:
        network.scaling.fit([torch.tensor(ROWS)])
    if config.sparsity == "batch-topk":
        network.encoder.code.threshold.fill_(0.4)
    model_file.save(folder / "m.safetensors", network, card)
    return folder / "m.safetensors"


def used(model, folder):
    """Codes and reconstructions of the rows, by the public functions."""
    np.save(folder / "rows.npy", ROWS)
    codes = [one.code for one in aectl.encode(model, str(folder / "rows.npy"))]
    made = [one.reconstruction for one in aectl.reconstruct(model, str(folder / "rows.npy"))]
    return np.concatenate(codes), np.concatenate(made)


def close(found, wanted):
    (code, made), (codes, back) = found, wanted
    assert (code != 0).any(axis=1).mean() > 0.9
    assert ((code != 0) == (codes != 0)).all()
    np.testing.assert_allclose(code, codes, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made, back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_folder_gives_the_codes_and_metrics_of_the_model(options, tmp_path):
    model = model_of(tmp_path, **options)
    sae_lens.write_folder(tmp_path / "sae", *model_file.load(model))
    again = aectl.import_model(tmp_path / "sae", tmp_path / "again.safetensors")
    assert again.notes == ()
    close(used(again.model, tmp_path), used(model, tmp_path))
    first, second = (
        aectl.evaluate(one, str(tmp_path / "rows.npy")) for one in (model, again.model)
    )
    assert first.keys() - second.keys() <= {"scaled_mse"}, "SAELens has no unit but the input's"
    for name, value in second.items():
        if isinstance(value, float):
            assert value == pytest.approx(first[name], rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_the_library_itself_gives_the_same(options, tmp_path):
    library = pytest.importorskip("sae_lens", reason="sae-lens is not installed")
    model = model_of(tmp_path, **options)
    sae_lens.write_folder(tmp_path / "sae", *model_file.load(model))
    sae = library.SAE.load_from_disk(tmp_path / "sae")
    with torch.no_grad():
        rows = torch.tensor(ROWS)
        found = sae.encode(rows).numpy(), sae(rows).numpy()
    close(found, used(model, tmp_path))


def test_a_folder_of_sae_lens_that_was_imported_is_written_again_as_it_was(tmp_path):
    sae_lens.write_folder(tmp_path / "first", *model_file.load(model_of(tmp_path, **TOP)))
    aectl.import_model(tmp_path / "first", tmp_path / "again.safetensors")
    sae_lens.write_folder(tmp_path / "second", *model_file.load(tmp_path / "again.safetensors"))
    first, second = (
        (tmp_path / name / "sae_weights.safetensors").read_bytes() for name in ("first", "second")
    )
    assert first == second


def test_the_config_has_the_fields_of_the_library(tmp_path):
    network, card = model_file.load(model_of(tmp_path, **TOP))
    sae_lens.write_folder(tmp_path / "sae", network, card)
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert config == {
        "architecture": "topk", "d_in": FEATURES, "d_sae": UNITS, "k": 5,
        "rescale_acts_by_decoder_norm": False, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12", "sae_lens_training_version": None,
            "aectl_weights_sha256": card.weights_sha256,
        },
    }  # fmt: skip


REFUSED = {
    "two layers": ({"hidden": (20, 10)}, "it has 2 hidden layers, not one"),
    "sigmoid": ({"code_activation": "sigmoid"}, "its code-activation is sigmoid, not relu"),
    "kl": ({"sparsity": "kl", "code_activation": "sigmoid"}, "its code-activation is sigmoid"),
    "clamp": ({"output_activation": "clamp"}, "its output-activation is clamp, not linear"),
    "missing": ({"missing": "mean"}, "its missing is mean, not refuse"),
}


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_the_library_cannot_have_is_refused_with_the_reason(options, said, tmp_path):
    wanted = {"hidden": (UNITS,), "output_activation": "linear", "modality": "vectors", **options}
    card = ModelCard(Architecture(ModelConfig(**wanted), VectorShape(FEATURES)))
    with pytest.raises(ConfigError, match=f"SAELens has no such model: {said}"):
        sae_lens.write_folder(tmp_path / "sae", build_network(card.architecture), card)
    assert not (tmp_path / "sae").exists()


@pytest.fixture
def exported(aectl, tmp_path):
    """Exports a model of vectors to the folder `sae`."""
    np.save(tmp_path / "rows.npy", ROWS)
    model = model_of(tmp_path, **{**TOP, "scale": "standard"})

    def export(*words):
        return aectl("export", model, "rows.npy", "--format", "sae-lens", "--out", "sae", *words)

    return export


def test_the_command_checks_codes_and_reconstructions_of_the_folder(exported, aectl, tmp_path):
    done = exported()
    assert (done.status, done.out) == (0, "sae\n")
    wrote, checked = done.err.splitlines()
    assert wrote.startswith("sae: vectors: float32 (batch, 12) -> code: float32 (batch, 40), recon")
    assert "; 0 units active in one alone, and " in checked
    report = json.loads((tmp_path / "sae.json").read_text())
    assert report["what"] == "encoder and autoencoder"
    assert {name: one["relative"] < 1e-5 for name, one in report["outputs"].items()} == {
        "code": True, "reconstruction": True
    }  # fmt: skip
    assert report["bytes"] == sum(one.stat().st_size for one in (tmp_path / "sae").iterdir())
    assert sorted(one.name for one in (tmp_path / "sae").iterdir()) == [
        "cfg.json", "sae_weights.safetensors",
    ]  # fmt: skip
    assert aectl("import", "sae", "--out", "back.safetensors").status == 0
    close(used("back.safetensors", tmp_path), used("m.safetensors", tmp_path))


def test_a_folder_that_does_not_agree_is_not_written_and_an_earlier_one_stays(exported, tmp_path):
    done = exported("--tolerance", "0")
    assert done.status == 2
    assert "sae is not written: its code differs from the model's" in done.err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.safetensors", "rows.npy"]
    assert exported().status == 0
    (tmp_path / "sae" / "cfg.json").write_text("mine")
    (tmp_path / "sae.json").unlink()
    assert "sae holds files; --overwrite replaces those of the export" in exported().err
    assert exported("--overwrite", "--tolerance", "0").status == 2
    assert (tmp_path / "sae" / "cfg.json").read_text() == "mine"
    assert exported("--overwrite").status == 0
    assert json.loads((tmp_path / "sae" / "cfg.json").read_text())["architecture"] == "topk"


def test_what_a_folder_of_sae_lens_does_not_have_is_refused(exported, aectl, dense, tmp_path):
    assert "--what has no effect with --format sae-lens" in exported("--what", "encoder").err
    (tmp_path / "sae").write_text("a file")
    assert "sae exists; --overwrite replaces it" in exported().err
    done = aectl("export", dense, "digits:test", "--format", "sae-lens", "--out", "other")
    assert done.status == 2
    assert "SAELens has no such model: it is no dense autoencoder of vectors" in done.err
    assert not (tmp_path / "other").exists()


def test_a_model_of_images_is_refused(dense, tmp_path):
    with pytest.raises(ConfigError, match="it is no dense autoencoder of vectors"):
        sae_lens.write_folder(tmp_path / "sae", *model_file.load(dense))
