"""Exit statuses, pipes, and errors that say what is wrong in a line or two."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import shell

from aectl.cli.app import COMMANDS

WRONG = {
    "train --dataset mnits": "'mnist'",
    "train --dataset digit": "'digits'",
    "train --dataset digits:tset": "train, test",
    "train --dataset digits --sparse --rho 0": "--rho",
    "train --dataset digits --sparse --rho 1.5": "--rho",
    "train --dataset digits --rho 0.1": "--sparse",
    "train --dataset digits --hidden 0": "--hidden",
    "train --dataset digits --hidden x": "--hidden",
    "train --dataset digits --hidden 1000000,1000000": "2,000,131,000,064 weights",
    "train --dataset digits --loss msee": "'mse'",
    "train --dataset digits --foo": "--foo",
    "train --dataset digits --epochs many": "--epochs",
    "train --dataset digits --hidden 5 --bottleneck-factor 2": "--bottleneck-factor",
    "train --dataset digits --config nowhere.toml": "nowhere.toml",
    "train --dataset digits --encoder nowhere": "nowhere",
    "train --dataset digits --encoder {classifier}": "autoencoder",
    "train --dataset digits --encoder {dense} --size 16": "--size",
    "train -q --dataset digits --optimizer sgd --lr 1e30": "--lr",
    "train --dataset digits --out {full}": "--overwrite",
    "train --dataset digits --out {text}/run": "run",
    "train --dataset {text}": "--model text-autoencoder",
    "train --dataset {empty}": "no images",
    "train --dataset nowhere": "nowhere",
    "train --dataset {scans} --model classifier --quiet": "labels",
    "train --dataset digits --device cuda": "cuda",
    "encode": "MODEL",
    "encode nowhere digits": "nowhere",
    "encode {text} digits": "not a model",
    "encode {empty} digits": "model.safetensors",
    "encode {dense} nowhere.png": "nowhere.png",
    "encode {dense} {empty}": "no images",
    "encode {dense} mnits": "'mnist'",
    "encode {dense} digits --out {text}": "extension",
    "encode {dense} digits --out {table}": "--overwrite",
    "encode {dense} digits --out a.csv --errors a.csv": "--errors",
    "encode {dense} digits --errors nowhere/a.csv": "nowhere",
    "encode {classifier} digits": "autoencoder",
    "reconstruct {classifier} digits": "autoencoder",
    "reconstruct {dense} digits --out {table}": ".png",
    "reconstruct {dense} digits --out {picture}": "--overwrite",
    "classify {dense} digits": "classifier",
    "classify {classifier} --top-k 11": "--top-k",
    "eval {dense} --sort": "--per-image",
    "eval {classifier} --per-image each.csv": "classify",
    "eval {dense} --json --csv": "--json",
    "eval {dense} {dense} --per-image each.csv": "--per-image",
    "eval {dense} {dense} --dataset -": "stdin",
    "info {text}": "not a model",
    "frobnicate": "frobnicate",
}


@pytest.fixture
def places(tmp_path, dense, classifier, scans):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    for name in ("text.txt", "table.csv", "picture.png", "full/precious"):
        (tmp_path / name).write_text("precious")
    return {
        "empty": tmp_path / "empty", "full": tmp_path / "full", "text": tmp_path / "text.txt",
        "table": tmp_path / "table.csv", "picture": tmp_path / "picture.png",
        "dense": dense, "classifier": classifier, "scans": scans,
    }  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_explained_in_two_lines_and_changes_nothing(aectl, places, tmp_path, line):
    before = sorted(tmp_path.rglob("*"))
    done = aectl(*(word.format(**places) for word in line.split()))
    assert (done.status, done.out) == (2, "")
    assert 1 <= len(done.err.splitlines()) <= 2
    assert done.err.startswith("aectl: ")
    assert WRONG[line] in done.err
    assert sorted(tmp_path.rglob("*")) == before
    for name in ("text.txt", "table.csv", "picture.png", "full/precious"):
        assert (tmp_path / name).read_text() == "precious"


def test_overwrite_replaces_a_table(aectl, dense, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    assert aectl("encode", dense, "--out", "t.csv", "--overwrite").status == 0
    assert (tmp_path / "t.csv").read_text().startswith("path,label,f0")


def test_debug_shows_the_traceback(aectl):
    with pytest.raises(Exception, match="mnits"):
        aectl("train", "--dataset", "mnits", "--debug")


def test_code_with_unreleased_changes_has_a_version_of_its_own(aectl):
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^]]*)\]", changes, re.MULTILINE)
    version = aectl("--version").out.split()[-1]
    assert "## [Unreleased]\n\n## " in changes or (released and version not in released)


def test_version_and_help_answer(aectl):
    assert aectl("--version").out.startswith("aectl 0.")
    for command in ("train", "reconstruct", "encode", "classify", "detect", "eval", "info"):
        done = aectl(command, "--help")
        assert done.status == 0
        assert "Example" in done.out


def test_completion_offers_commands_and_choices(tmp_path):
    script = 'COMP_WORDS="aectl {words}" COMP_CWORD={at} _AECTL_COMPLETE=complete_bash aectl'
    commands = shell(script.format(words="", at=1), tmp_path).out.split()
    assert {"train", "encode", "classify", "detect", "reconstruct", "eval"} <= set(commands)
    scores = shell(script.format(words="detect run --score ", at=4), tmp_path).out.split()
    assert {"error", "unusual-region", "fisher"} <= set(scores)
    losses = shell(script.format(words="train --loss ", at=3), tmp_path).out.split()
    assert set(losses) == {"mse", "l1", "charbonnier", "bce", "softmax-kl", "ssim"}


def test_a_pipe_prints_exactly_what_head_lets_through(scans, tmp_path):
    script = f"""
        model=$(aectl train -q --dataset digits --epochs 1 --out run) &&
        find {scans} -name '*.png' | aectl encode "$model" - | head -3
        echo "${{PIPESTATUS[*]}}" >&2
    """
    done = shell(script, tmp_path, warmed=True)
    lines = done.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("path,f0,f1")
    assert done.err.split() == ["0", "0", "0"]


def test_a_closed_pipe_lets_a_long_list_of_paths_end_well(dense, scans, tmp_path):
    """`cat` goes on at once when there is room in the pipe, also on a busy machine."""
    (tmp_path / "list").write_text(f"{scans}/000.png\n" * 40_000)
    script = f"cat list | aectl encode {dense} - | head -1; echo ${{PIPESTATUS[*]}}"
    done = shell(script, tmp_path, warmed=True)
    assert done.out.splitlines()[-1] == "0 0 0"
    assert done.err == ""


def test_python_dash_m_is_the_same_command(dense):
    done = subprocess.run(
        [sys.executable, "-m", "aectl", "info", dense], capture_output=True, text=True, check=True
    )
    assert "autoencoder" in done.stdout


def test_unreachable_objects_are_seldom_looked_for_while_torch_is_imported(dense, scans):
    code = f"""
import gc, os, sys
gc.callbacks.append(lambda phase, info: os.write(2, b"." * (phase == "start")))
sys.argv = ["aectl", "eval", {str(dense)!r}, "--dataset", {str(scans / "000.png")!r}, "--json"]
from aectl.cli import program
program()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert json.loads(done.stdout)[0]["mse"] > 0
    assert done.stderr == b"." * len(done.stderr)
    assert len(done.stderr) < 100


OF_HELP = [["--help"], ["--version"], *(
    [name, "--help"] for name in ("train", "encode", "detect", "eval", "info")
)]  # fmt: skip
WITHOUT_TORCH = """
import sys
from aectl.cli import main
late = "torch", "torchvision", "sklearn", "matplotlib", "polars"
later = *late, "numpy", "statistics", "aectl.outputs", "aectl.training"
of_help, dense = eval(sys.argv[1]), sys.argv[2]
others = {
    ("train", "--rho", "1.5", "--sparse"): 2, ("train", "--nonsense"): 2, ("info", dense): 0,
    ("encode", dense, "/nowhere"): 2,
}
for words, status in [*((words, 0) for words in of_help), *others.items()]:
    sys.argv = ["aectl", *words]
    assert main() == status, words
    loaded = {*(later if words in of_help else late)} & sys.modules.keys()
    assert not loaded, (words, loaded)
"""


def test_answers_that_need_no_torch_do_not_load_it(dense):
    """Nor do those before them, in one process."""
    command = [sys.executable, "-c", WITHOUT_TORCH, repr(OF_HELP), dense]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["encode", "classify"])
def test_dense_networks_need_no_torch_on_a_cpu(verb, dense, classifier, scans, aectl):
    model = dense if verb == "encode" else classifier
    words = [verb, str(model), str(scans), "--device", "cpu"]
    code = f"""
import sys
sys.modules["torch"] = None
sys.argv = ["aectl", *{words!r}]
from aectl.cli import program
program()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("path,")
    assert done.stdout.count("\n") > len(list(scans.iterdir()))
    assert aectl(*words).out == done.stdout


def test_codes_of_dense_networks_do_not_depend_on_the_batch_size_to_the_last_bit(
    dense, scans, aectl
):
    made = {aectl("encode", dense, scans, "--batch-size", n).out for n in (1, 7, 128, 300)}
    assert len(made) == 1


def test_a_closed_pipe_leaves_the_stdin_of_a_loop_alone(dense, tmp_path):
    (tmp_path / "list").write_text("one\ntwo\nthree\n")
    loop = f"while read word; do aectl encode {dense} digits | head -1 | wc -l; done < list"
    assert shell(loop, tmp_path, warmed=True).out.split() == ["1", "1", "1"]


def test_alone_it_tells_a_newcomer_three_commands_that_work_one_after_the_other(aectl, tmp_path):
    done = aectl()
    assert (done.status, done.err) == (0, "")
    steps = [line.split("   ")[0].split() for line in done.out.splitlines() if line[:2] == "  "]
    assert [words[1] for words in steps] == ["train", "eval", "encode"]
    first, *others = steps
    assert aectl(*first[1:], "--epochs", "2").status == 0
    assert (tmp_path / "first" / "report.html").is_file()
    for words in others:
        assert aectl(*words[1:]).status == 0
    assert (tmp_path / "codes.csv").is_file()
    assert max(map(len, done.out.splitlines())) <= 100


def test_every_command_s_help_ends_its_text_with_an_example(aectl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for name in COMMANDS:
        example = aectl(name, "--help").out.partition("Example: ")[2].splitlines()[0]
        assert f"aectl {name if name != 'recipes' else 'train --recipe'}" in example


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("eval", "m", "--heatmap"), None),
        (("eval", "m", "--verbose"), None),
        (("encode", "m", "--threshold", "1"), None),
        (("encode", "m", "--drop"), None),
        (("train", "--epoch", "3"), "--epochs"),
        (("train", "--batchsize", "3"), "--batch-size"),
        (("train", "--sparce"), "--sparse"),
        (("eval", "m", "--reprot", "p.html"), "--report"),
        (("encode", "m", "--label-from-folders"), "--label-from-folder"),
    ],
)
def test_an_option_is_suggested_only_where_it_may_be_meant(aectl, words, meant):
    done = aectl(*words)
    assert done.status == 2
    assert "No such option" in done.err
    suggested = done.err.partition("options:")[2]
    assert (meant in suggested) if meant else (suggested == "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--channels", "2"), "--channels must be 1 or 3; 2 given"),
        (("--channels", "4"), "--channels must be 1 or 3; 4 given"),
        (("--size", "64*64"), "--size must be HEIGHTxWIDTH, or one number for both; '64*64' given"),
        (("--size", "64x"), "--size must be HEIGHTxWIDTH, or one number for both; '64x' given"),
        (("--size", "1x2x3"), "--size takes HEIGHTxWIDTH, or one number for both; 3 numbers given"),
        (("--size", "0x5"), "--size must lie between 1 and 4,096; 0 given"),
        (("--hidden", "a,b"), "--hidden must be whole numbers such as 1000,500; 'a,b' given"),
    ],
)
def test_an_error_of_an_option_says_what_may_stand_there(aectl, words, said):
    done = aectl("train", "--dataset", "digits", *words)
    assert done.status == 2
    assert said in done.err


def test_help_says_what_may_stand_behind_size_and_channels(aectl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = " ".join(aectl("train", "--help").out.split())
    assert "--size HEIGHTxWIDTH" in shown
    assert "1 (grey) or 3 (colour)" in shown
    assert "1 <= x <= 3" not in shown


MISSING = {
    "reconstruct": ("reconstruct", "MODEL", "--out", "no/where.png"),
    "separate": ("reconstruct", "MODEL", "--separate", "--out", "no/where.png"),
    "encode": ("encode", "MODEL", "--out", "no/where.csv"),
    "classify": ("classify", "CLASSIFIER", "--out", "no/where.csv"),
    "detect": ("detect", "MODEL", "--normal", "no", "--out", "no/where.csv"),
    "errors": ("encode", "MODEL", "--errors", "no/where.csv"),
    "per-image": ("eval", "MODEL", "--per-image", "no/where.csv"),
    "report": ("eval", "MODEL", "--report", "no/where.html"),
}


@pytest.mark.parametrize("words", MISSING.values(), ids=MISSING)
def test_a_folder_that_is_not_there_is_missed_before_the_work(aectl, dense, classifier, words):
    """The input would be missed first, were it looked for."""
    models = {"MODEL": dense, "CLASSIFIER": classifier}
    at = ("--dataset", "no-such-input") if words[0] == "eval" else ("no-such-input",)
    done = aectl(*(models.get(word, word) for word in words), *at)
    assert (done.status, done.out) == (2, "")
    assert "there is no such folder" in done.err


def test_quiet_keeps_warnings_and_drops_notices(aectl, scans, tmp_path):
    stand_in = aectl("train", "-q", "--epochs", 1, "--out", "digits")
    assert stand_in.status == 0
    assert stand_in.err.startswith("warning: MNIST is not in ")
    assert "next:" not in stand_in.err
    words = ("--sparsity", "l1", "--beta", 100, "--revive", 0, "--lr", "0.1", "--epochs", 3)
    dead = aectl("train", "-q", "--dataset", "digits", *words, "--out", "dead")
    assert dead.status == 0
    told = r"warning: [0-9]+% of the code's units are active for no image; .*\n"
    assert re.fullmatch(told, dead.err)
    whole = ("--dataset", scans, "--validation", 0, "--epochs", 1, "--out", "known")
    assert aectl("train", "-q", *whole).err == ""
    known = aectl("eval", "known", "-q")
    assert known.err == f"warning: measured on {scans}, the data that it was trained on\n"
