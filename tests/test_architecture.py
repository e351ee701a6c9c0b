"""The directions in which rooms may import each other, held by reading the code."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aectl"

CORE = {
    "kinds",
    "sparsity",
    "decoding",
    "errors",
    "types",
    "options",
    "sections",
    "config",
    "files",
    "run_files",
} | {
    "architecture",
    "model_file",
    "tensor_file",
    "vocabulary",
}
MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "decoding": set(),
    "run_files": set(),
    "encodings": set(),
    "spelling": set(),
    "progress": set(),
    "options": {"errors", "spelling"},
    "kinds": set(),
    "sparsity": set(),
    "sections": {"decoding", "errors", "options", "kinds", "sparsity"},
    "config": {
        "encodings",
        "errors",
        "files",
        "kinds",
        "options",
        "sections",
        "sparsity",
        "spelling",
        "types",
    },
    "files": {"errors"},
    "tensor_file": {"files"},
    "architecture": {"errors", "types", "options", "sections", "config", "kinds", "models"},
    "vocabulary": {"errors", "types"},
    "metadata": {"errors", "options", "config", "spelling"},
    "footprint": {"architecture", "kinds", "types"},
    "model_file": {
        "decoding",
        "errors",
        "types",
        "config",
        "files",
        "run_files",
        "tensor_file",
        "architecture",
        "footprint",
        "metadata",
        "models",
        "vocabulary",
    },
    "losses": {"types"},
    "corruptions": {"types"},
    "recipes": {"errors", "options", "config"},
    "models": {"architecture", "types", "models"},
    "metrics": {"errors", "types"},
    "pca": {"errors", "metrics"},
    "data": {
        "decoding",
        "encodings",
        "errors",
        "types",
        "options",
        "config",
        "files",
        "run_files",
        "spelling",
        "data",
        "vocabulary",
    },
    "fused": {"models"},
    "penalties": {"losses", "models", "config", "sections"},
    "objective": {
        "losses",
        "corruptions",
        "fused",
        "models",
        "config",
        "penalties",
        "sparsity",
    },
    "inference": {"decoding", "errors", "types", "data", "models", "metrics", "pca", "progress"},
    "text_inference": {
        "footprint",
        "types",
        "data",
        "inference",
        "models",
        "metrics",
        "vocabulary",
    },
    "filters": {"data", "inference", "models"},
    "findings": set(),
    "inspection": {"errors", "data", "filters", "findings", "inference", "metrics", "models"},
    "training": CORE
    | {"aectl", "data", "models", "metrics", "objective", "text_inference", "training"},
    "outputs": {
        "decoding",
        "errors",
        "files",
        "run_files",
        "outputs",
        "data",
        "findings",
        "spelling",
        "text_inference",
    },
    "modalities": {
        "data",
        "decoding",
        "errors",
        "footprint",
        "inference",
        "kinds",
        "metrics",
        "model_file",
        "models",
        "options",
        "outputs",
        "text_inference",
        "modalities",
    },
    "verbs": {
        "architecture",
        "data",
        "decoding",
        "errors",
        "footprint",
        "inference",
        "kinds",
        "modalities",
        "model_file",
        "outputs",
        "metrics",
        "models",
        "progress",
        "verbs",
    },
    "cli": None,
    "__init__": {"verbs"},
    "__main__": {"cli"},
}
"""What each room may import of the package; the command line, anything."""

TORCH_FREE = (
    "decoding", "errors", "types", "options", "sections", "config", "files", "run_files", "data",
    "spelling",
    "outputs", "cli", "recipes", "vocabulary", "progress", "metadata", "footprint", "architecture",
    "model_file", "tensor_file", "kinds", "sparsity", "modalities", "verbs",
)  # fmt: skip
"""Rooms that load no torch when they are imported."""

MACHINE = PACKAGE / "verbs" / "machine.py"
"""The one module beside the command line that knows the surroundings."""


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """The modules that the code imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below if node.module == "aectl" else {node.module or ""}
    return found


def top_level_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return set().union(
        *(imports(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    )


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path):
    allowed = MAY_IMPORT[room(path)]
    names = imports(ast.parse(path.read_text()))
    used = {name.split(".")[1] if "." in name else name for name in names if name[:5] == "aectl"}
    if allowed is not None:
        assert used <= allowed | {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_before_the_core_load_no_heavy_library_at_import(path):
    names = {name.split(".")[0] for name in top_level_imports(path)}
    if room(path) in TORCH_FREE:
        assert not names & {"torch", "torchvision", "sklearn", "matplotlib", "polars"}
    if room(path) == "cli":
        assert not names & {"numpy", "PIL"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_neither_prints_nor_exits_nor_reads_the_environment(path):
    if room(path) in ("cli", "__main__") or path == MACHINE:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "exit", "input")
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "getenv", "exit")


def test_no_module_reads_or_writes_pickles():
    for path in MODULES:
        names = imports(ast.parse(path.read_text()))
        assert not names & {"pickle", "joblib", "shelve", "marshal"}
        assert "torch.load" not in path.read_text()
        assert "torch.save" not in path.read_text()
