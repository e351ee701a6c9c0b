"""The caller of a function has its own settings of torch between the results and after them."""

import shlex
import sys

import pytest
import torch
from conftest import shell

import aectl as package
from aectl.errors import DataError
from aectl.verbs import machine
from aectl.verbs.torch_settings import TorchSettings, restored

OWN = TorchSettings(3)


@pytest.fixture
def conv(trained):
    return trained("--model", "conv-autoencoder", "--hidden", "4,8", "--epochs", "1")


@pytest.fixture(autouse=True)
def _settings(conv, classifier):
    """Those of the caller, set after the training of the models."""
    before = TorchSettings.now()
    OWN.set()
    yield
    before.set()


NAMES = ["encode", "classify", "reconstruct", "detect"]


@pytest.mark.parametrize("name", NAMES)
def test_results_are_computed_with_few_threads_and_given_with_those_of_the_caller(
    name, conv, classifier, scans, monkeypatch
):
    monkeypatch.setattr("aectl.verbs.use.covers", lambda _: False)  # of NumPy, which has its own
    model = classifier if name == "classify" else conv
    normal = {"normal": str(scans)} if name == "detect" else {}
    asked, found = [], 0
    compute = torch.nn.Module.__call__

    def noted(module, *given, **options):
        asked.append(torch.get_num_threads())
        return compute(module, *given, **options)

    monkeypatch.setattr(torch.nn.Module, "__call__", noted)
    for _ in getattr(package, name)(model, str(scans), batch_size=100, threads=2, **normal):
        found += 1
        assert TorchSettings.now() == OWN
    assert found > 1 and set(asked) == {2}
    assert TorchSettings.now() == OWN


@pytest.mark.parametrize("name", NAMES)
def test_so_they_are_after_some_of_the_results(name, conv, classifier, scans):
    model = classifier if name == "classify" else conv
    normal = {"normal": str(scans)} if name == "detect" else {}
    results = iter(getattr(package, name)(model, str(scans), batch_size=100, **normal))
    next(results)
    results.close()
    assert TorchSettings.now() == OWN


def test_settings_that_the_caller_changes_between_results_stay(conv, scans):
    for _ in package.encode(conv, str(scans), batch_size=100):
        torch.set_num_threads(2)
    assert TorchSettings.now() == TorchSettings(2)


def test_so_they_are_after_a_measurement_an_export_and_a_failure(conv, scans, tmp_path):
    package.evaluate(conv, str(scans))
    assert TorchSettings.now() == OWN
    package.export(conv, tmp_path / "e.pt2")
    assert TorchSettings.now() == OWN
    with pytest.raises(DataError):
        package.evaluate(conv, str(tmp_path / "none"))
    assert TorchSettings.now() == OWN


def test_so_they_are_after_a_training(tmp_path):
    package.train(tmp_path / "run", dataset="digits", hidden=[4], epochs=1, threads=2)
    assert TorchSettings.now() == OWN


def test_a_caller_may_have_set_convolutions_and_recurrent_layers_apart(conv, scans):
    """torch then refuses to say whether cuDNN as a whole may use tf32."""
    cudnn = torch.backends.cudnn
    cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = "ieee", "tf32"
    for _ in package.encode(conv, str(scans), batch_size=100):
        assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("ieee", "tf32")
    package.evaluate(conv, str(scans))
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("ieee", "tf32")


def test_a_caller_may_have_set_tf32_for_everything(conv, scans, tmp_path):
    """At inference, convolutions are computed in float32 all the same."""
    backends = torch.backends
    backends.cuda.matmul.fp32_precision = "none"  # another test may have set this one by itself
    backends.fp32_precision = "tf32"
    try:
        before = TorchSettings.now()
        package.train(tmp_path / "run", dataset="digits", hidden=[4], epochs=1)
        assert (TorchSettings.now(), backends.cuda.matmul.fp32_precision) == (before, "tf32")
        with restored():
            machine.torch_device("cpu", None)
            assert backends.cudnn.conv.fp32_precision == "ieee"
    finally:
        backends.fp32_precision = "none"
        torch.set_float32_matmul_precision("highest")


def test_where_torch_is_loaded_meanwhile_it_has_its_usual_number_of_threads_after(
    conv, scans, tmp_path
):
    program = (
        "import sys, aectl; results = iter(aectl.encode(sys.argv[1], sys.argv[2], threads=1));"
        "assert 'torch' not in sys.modules; next(results); import torch;"
        "print(torch.get_num_threads(), torch.backends.cudnn.allow_tf32)"
    )
    words = shlex.join([sys.executable, "-c", program, str(conv), str(scans)])
    done = shell(f"MKL_NUM_THREADS=2 OMP_NUM_THREADS=2 {words}", tmp_path)
    assert done.out == "2 True\n"
