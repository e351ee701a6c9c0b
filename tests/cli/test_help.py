"""`aectl help`: how pages are shown; they name all of the program, and nothing else."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from conftest import shell
from test_training_view import in_terminal, screen_of

from aectl.cli.app import app
from aectl.config.recipes import RECIPES
from aectl.data.images.datasets import DATASETS
from aectl.data.text.text_datasets import TEXTS
from aectl.data.vectors.synthetic import Synthetic
from aectl.data.vectors.vector_inputs import VECTOR_NAMES

ROOT = Path(__file__).parents[2]
OF_LAUNCHERS = {
    "--standalone", "--nproc-per-node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint",
    "--rdzv-id", "--nodes", "--ntasks-per-node", "--gpus-per-node", "--signal",
}  # fmt: skip
"""The options of torchrun and of SLURM that a page names."""

PAGES = {path.stem: path.read_text() for path in (ROOT / "aectl" / "help").glob("*.md")}
SHOWN = {**PAGES, "README": (ROOT / "README.md").read_text()}
"""All that shows commands to users."""

GROUP = typer.main.get_command(app)
SHARED = "Options of several commands"
FILES = {
    "photos",
    "scans",
    "shards",
    "shards/",
    "l2_supercat_256.safetensors",
    "zen.txt",
    "reviews.tsv",
    "pairs.tsv",
    "patches:photos",
    "~/Pictures",
    "scans.tar.gz",
    "acts.npy",
    "s3://bucket/photos",
    "-",
}
"""What examples train on beside named datasets."""

SPLITS = {name: dataset.splits for name, dataset in DATASETS.items()} | {
    name: tuple(text.members) for name, text in TEXTS.items()
}

each_command = pytest.mark.parametrize("name", GROUP.commands)
each_text = pytest.mark.parametrize("topic", SHOWN)


def options(command, both=True):
    """The long options of a command, with or without those such as --no-tied."""
    found = {"--help"}
    for parameter in command.params:
        found |= set(parameter.opts) | (set(parameter.secondary_opts) if both else set())
    return {name for name in found if name.startswith("--")}


def named(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def section(title):
    return PAGES["commands"].partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def code(text):
    """The blocks and the words in a text that are set as code."""
    fenced = re.findall(r"^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(.+)$", text, re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose)]
    return "\n".join([*fenced, *indented, *spans]).replace("\\\n", " ")


def calls(text):
    """Each `aectl WORD ...` in a text: the word, and what follows it to the end of the command."""
    return re.findall(r"(?<![\w.-])aectl +([\w-]+)([^\n|;>)]*)", code(text))


@each_command
def test_the_page_of_commands_names_each_option_of_each_command(name):
    own, real = named(section(f"aectl {name}")), GROUP.commands[name]
    assert options(real, both=False) - own - named(section(SHARED)) - {"--help"} == set()
    assert own <= options(real)


@each_command
def test_the_help_of_a_command_wraps_where_the_terminal_does_and_shows_no_type_of_switches(
    aectl, name
):
    assert "\n" not in GROUP.commands[name].help.replace("\n\n", "")
    for shown in (aectl(name, "--help").out, aectl("--help").out):
        assert "--help" in shown
        assert "<bool>" not in shown


def test_a_default_that_several_values_of_an_option_have_is_named_once(aectl):
    text = " ".join(aectl("train", "--help").out.replace("│", " ").split())
    assert "[default: 3; 0.1 with --sparsity l1 or jumprelu or gated]" in text


def test_the_page_of_commands_names_the_options_of_the_program_itself():
    installed = {"--install-completion", "--show-completion"}
    assert named(section("aectl")) == options(GROUP) | installed


def test_an_option_that_is_said_to_be_of_several_commands_is():
    for name in named(section(SHARED)):
        assert sum(name in options(command) for command in GROUP.commands.values()) > 1, name


@each_text
def test_a_page_names_no_option_that_does_not_exist(topic):
    known = options(GROUP).union(*map(options, GROUP.commands.values()))
    known |= {"--install-completion", "--show-completion"}
    assert named(SHOWN[topic]) - known <= (OF_LAUNCHERS if topic == "clusters" else set())


@each_text
def test_commands_in_a_page_exist_and_have_the_options_that_stand_behind_them(topic):
    for word, rest in calls(SHOWN[topic]):
        if word.startswith("-") or word.isupper():
            continue
        assert word in GROUP.commands
        assert named(rest) <= options(GROUP.commands[word]), f"aectl {word}{rest}"
        page = rest.split("#")[0].strip()
        assert word != "help" or page in {"", "TOPIC", *PAGES}, f"aectl help {page}"


def test_the_page_of_data_lists_each_dataset_with_its_splits():
    listed = {}
    for names, splits in re.findall(r"^\| (`.*?) \| (.*?) \|$", PAGES["data"], re.MULTILINE):
        for name in re.findall(r"`(.+?)`", names):
            listed[name] = tuple(splits.split(", "))
    assert listed == SPLITS


@each_text
def test_datasets_and_recipes_that_a_page_names_exist(topic):
    text = code(SHOWN[topic])
    for name, split in re.findall(r"([\w-]+):(train|test|valid|extra)\b", text):
        assert split in SPLITS[name]
    given = set(re.findall(r"--dataset ([^\s\"`]+)", text))
    made = {word for word in given if VECTOR_NAMES.has(word)}
    assert all(map(Synthetic.of, made))
    words = {word for word in given if not word.isupper()}
    assert words - FILES - made <= {*SPLITS, "patches:FOLDER"}
    assert set(re.findall(r"--recipe ([a-z][\w-]*)", text)) <= {*RECIPES, "help"}


def test_the_page_of_recipes_lists_each():
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", PAGES["recipes"], re.MULTILINE))
    assert set(re.findall(r"`(.+?)`", rows)) == set(RECIPES)


def test_alone_it_lists_each_topic_with_the_summary_of_its_page(aectl):
    done = aectl("help")
    assert (done.status, done.err) == (0, "")
    *lines, gap, hint = done.out.splitlines()
    heads = ["# {}: {}".format(*re.split(r"  +", line)) for line in lines]
    assert heads == [PAGES[topic].splitlines()[0] for topic in sorted(PAGES)]
    assert [line.split()[0] for line in lines] == sorted(PAGES)
    assert (gap, hint) == ("", "aectl help TOPIC shows a page.")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("topic", PAGES)
def test_in_a_pipe_a_page_is_the_markdown_as_it_is(aectl, topic):
    done = aectl("help", topic)
    assert (done.status, done.out, done.err) == (0, PAGES[topic], "")


def test_on_a_terminal_a_page_is_formatted_in_its_width(tmp_path):
    status, seen = in_terminal("help", "speed", folder=tmp_path, columns=60, lines=400)
    lines = screen_of(seen, 60, 400)
    assert status == 0
    assert "An epoch" in lines  # a heading without its marks
    assert not [line for line in lines if "|" in line or "`" in line]
    words, shown = (
        re.findall(r"\w+(?:\.\w+)*", text) for text in (PAGES["speed"], "\n".join(lines))
    )
    assert set(words) - set(shown) == set()


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("tabels", "; did you mean 'tables'?"),
        ("recipe", "; did you mean 'recipes'?"),
        ("zzz", ""),
        ("../security", "; did you mean 'security'?"),
        ("train", "; aectl train --help shows that command's options"),
    ],
)
def test_an_unknown_topic_is_refused_with_what_may_be_meant(aectl, topic, said):
    done = aectl("help", topic)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0] == f"aectl: no topic '{topic}' in the manual{said}"
    assert "--help" in said or done.err.splitlines()[1:] == ["aectl help lists the topics"]


@pytest.mark.parametrize(
    ("name", "topics"),
    [
        ("mse", ["reports", "sparsity", "vectors"]), ("probe_error", ["reports", "sparsity"]),
        ("perplexity", ["text"]), ("PSNR", ["reports"]),
        ("topk", ["sparsity"] * 2 + ["vectors"] * 3),
        ("digits", ["data"]), ("emnist-mnist", ["data"]), ("copied", ["text"]),
        ("config.toml", ["reports"]),
        ("k-sparse", ["classifiers", "recipes"]),
    ],
)  # fmt: skip
def test_a_name_shows_its_rows_of_the_tables_of_all_pages(aectl, name, topics):
    done = aectl("help", name)
    assert (done.status, done.err) == (0, "")
    assert re.findall(r"^From `aectl help (.*)`\.$", done.out, re.MULTILINE) == topics
    shown = [line for line in done.out.splitlines() if line.startswith(("|", "#"))]
    assert all(any(f"{line}\n" in PAGES[topic] for topic in topics) for line in shown)
    rows = [line for line in shown if line.startswith("| `")]
    assert sum(f"`{name.lower()}`" in row for row in rows) >= len(topics)


def test_every_metric_of_eval_has_an_entry(aectl, dense, classifier):
    for model in (dense, classifier):
        (found,) = json.loads(aectl("eval", model, "--json").out)
        for name in found.keys() - {"model", "dataset", "n", "classes"}:
            assert "help reports" in aectl("help", name).out, name


def test_a_word_of_the_manual_that_is_no_entry_names_its_pages(aectl):
    done = aectl("help", "rho")
    assert (done.status, done.out) == (2, "")
    pages = [topic for topic in sorted(PAGES) if re.search(r"\brho\b", PAGES[topic])]
    assert done.err.splitlines()[0].endswith(f"these pages have the word: {', '.join(pages)}")


def test_topics_are_completed(tmp_path):
    script = 'COMP_WORDS="aectl help s" COMP_CWORD=2 _AECTL_COMPLETE=complete_bash aectl'
    assert shell(script, tmp_path, warmed=True).out.split() == [
        "security",
        "sparsity",
        "speed",
        "storage",
    ]


def test_help_loads_no_library_of_arrays_or_images():
    code = """
import sys
from aectl.cli import main
for words in (["--help"], ["help"], ["help", "tables"], ["help", "tabels"]):
    sys.argv = ["aectl", *words]
    main()
loaded = {"torch", "numpy", "PIL", "sklearn", "matplotlib", "polars"} & sys.modules.keys()
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_newcomers_are_told_of_the_manual(aectl):
    for words in ((), ("--help",)):
        assert "aectl help" in aectl(*words).out


def test_the_package_holds_every_file_that_is_not_python():
    """A wheel has the files that these patterns match, beside modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "aectl"
    held = {path for pattern in settings["package-data"]["aectl"] for path in package.glob(pattern)}
    files = {path for path in package.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert files == held
