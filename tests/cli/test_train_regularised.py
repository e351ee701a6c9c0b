"""Every way to make an autoencoder sparse or robust, from the command line on the digits."""

import csv
import json

import pytest

DIGITS = ("train", "-q", "--dataset", "digits", "--epochs", "1")
NARROW = ("--hidden", "40")


@pytest.fixture
def run(trained):
    """The run folder of a model that was trained with these options."""

    def train(*options, epochs=10):
        widths = () if "--hidden" in options else NARROW
        return trained("--epochs", str(epochs), *widths, *options)

    return train


@pytest.fixture
def measured(aectl, run):
    """The error report of a model that was trained with these options."""

    def measure(*options, epochs=10):
        (report,) = json.loads(aectl("eval", "-q", run(*options, epochs=epochs), "--json").out)
        return report

    return measure


@pytest.mark.parametrize(
    ("options", "l0"),
    [
        (("--sparsity", "topk", "--k", "5"), 5),
        (("--sparsity", "topk", "--k", "5", "--alpha", "2"), 10),
        (("--sparsity", "topk", "--k", "5", "--k-start", "20", "--aux-k", "8"), 5),
        (("--sparsity", "topk"), 2),
        (("--sparsity", "batch-topk", "--k", "5", "--aux-k", "8"), 5),
    ],
)
def test_as_many_units_are_active_as_were_asked_for(measured, options, l0):
    report = measured(*options, epochs=40 if "batch-topk" in options else 10)
    assert report["l0"] == pytest.approx(l0, rel=0.1)
    assert report["explained_variance"] > 0.35


@pytest.mark.parametrize("kind", ["topk", "batch-topk"])
def test_dead_units_are_brought_back_unless_that_is_switched_off(run, kind):
    options = ("--sparsity", kind, "--k", "2", "--hidden", "200")
    dead, enough = {}, {"topk": 30, "batch-topk": 45}
    for given in ((), ("--revive", "0")):
        folder = run(*options, *given, epochs=enough[kind])
        with (folder / "metrics.csv").open() as file:
            *_, last = csv.DictReader(file)
        dead[given] = float(last["train_dead"])
    assert dead["--revive", "0"] > 0.2
    assert dead[()] < 0.05


@pytest.mark.parametrize("kind", ["l1", "jumprelu", "gated"])
def test_a_larger_beta_leaves_fewer_units_active_and_costs_error(measured, kind):
    options = ("--sparsity", kind, "--lr", "0.02", "--beta")
    epochs = 10 if kind == "jumprelu" else 5
    mild, strong = (measured(*options, beta, epochs=epochs) for beta in ("0.01", "1"))
    assert strong["l0"] < 0.8 * mild["l0"]
    assert strong["mse"] > mild["mse"]


def test_winner_take_all_leaves_units_active_for_a_part_of_the_images(measured):
    narrow, wide = (measured("--sparsity", "wta", "--rate", rate) for rate in ("0.05", "1"))
    assert narrow["explained_variance"] < wide["explained_variance"]


@pytest.mark.parametrize("noise", ["masking", "salt-and-pepper", "gaussian"])
def test_more_noise_costs_error_on_clean_images(measured, noise):
    levels = ((), *(("--noise", noise, "--noise-level", level) for level in ("0.1", "0.5")))
    errors = [measured("--lr", "0.02", *level)["mse"] for level in levels]
    assert errors == sorted(errors)
    assert errors[2] > 2 * errors[1]


def test_a_contractive_network_has_a_flatter_code(measured, run):
    options = ("--code-activation", "sigmoid")
    plain, contractive = measured(*options), measured(*options, "--contractive", "1")
    assert contractive["mse"] > plain["mse"]
    with (run(*options, "--contractive", "1") / "metrics.csv").open() as file:
        assert "contraction" in file.readline().split(",")


@pytest.mark.parametrize(
    "options",
    [
        ("--decoder-columns", "unit-norm"),
        ("--decoder-columns", "orthonormal"),
        ("--input-dropout", "0.1"),
        ("--shift", "1"),
        ("--optimizer", "lbfgs"),
        ("--hidden", "50,20", "--stack", "10"),
    ],
)
def test_other_ways_to_train_still_reconstruct(measured, options):
    assert measured(*options)["explained_variance"] > 0.5


def test_a_classifier_learns_from_a_few_labels_and_better_from_more(aectl):
    errors = []
    for labels in ("20", "200"):
        options = ("--model", "classifier", "--hidden", "", "--labels", labels)
        options += ("--epochs", "50", "--lr", "0.03")
        done = aectl("train", "--dataset", "digits", *options, "--out", "run", "--overwrite")
        assert f"on {labels} images of digits" in done.err
        (report,) = json.loads(aectl("eval", "-q", "run", "--json").out)
        errors.append(report["error"])
    assert 50 > errors[0] > errors[1] + 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--labels", "10"), "--labels has no effect without --model classifier"),
        (("--k", "3"), "--k has no effect without --sparsity topk or batch-topk"),
        (("--sparsity", "topk", "--k", "41"), "--k is 41, and the code has 40 units"),
        (("--noise-level", "0.1"), "--noise-level has no effect without --noise masking or"),
        (("--sparsity", "jumprelu", "--code-activation", "tanh"), "needs --code-activation relu"),
        (("--sparsity", "gated", "--tied"), "cannot go with --tied"),
        (("--sparsity", "topk", "--contractive", "1"), "--contractive needs a smooth code"),
        (("--optimizer", "lbfgs", "--noise", "masking"), "without randomness, which --noise adds"),
        (("--optimizer", "lbfgs", "--dropout", "0.5"), "without randomness, which --dropout adds"),
        (
            ("--optimizer", "lbfgs", "--input-dropout", "0.5"),
            "randomness, which --input-dropout adds",
        ),
        (("--optimizer", "lbfgs", "--shift", "1"), "without randomness, which --shift adds"),
        (("--optimizer", "lbfgs", "--flip"), "without randomness, which --flip adds"),
        (("--optimizer", "lbfgs", "--batch-size", "9"), "--batch-size has no effect without"),
        (("--stack", "1", "--sparsity", "jumprelu"), "--stack cannot go with --sparsity jumprelu"),
        (("--stack", "1", "--sparse"), "--stack and --sparsity kl need --activation sigmoid"),
        (("--stack", "1", "--loss", "bce"), "--stack and --loss bce need --activation sigmoid"),
        (("--sparsity", "wta", "--rate", "0"), "--rate must be above 0 and at most 1; 0 given"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(aectl, tmp_path, options, said):
    done = aectl(*DIGITS, *NARROW, *options, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
