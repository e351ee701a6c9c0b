"""The directions in which rooms may import each other, held by reading the code, file by file."""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "aectl"

LEVELS = (
    {"errors", "progress"},
    {"files"},
    {"config"},
    {"models"},
    {"data"},
    {"objectives", "inference"},
    {"training", "outputs"},
    {"modalities"},
    {"verbs"},
    {"__init__"},
    {"cli"},
    {"__main__"},
)
"""The rooms; each may import itself and those of the levels before it."""

NOT = {
    "data": {"models"},
    "objectives": {"data", "files", "progress"},
    "models": {"progress"},
}
"""Rooms of levels before it that a room may not import, but for OF_FILES."""

OF_FILES = {"data/text/text_batches.py": {"models"}}
"""Files that may import what their rooms may not: the tokens of text are those of a vocabulary."""

LOSSES = PACKAGE / "objectives" / "losses.py"

TORCH_FREE = (
    "errors",
    "files",
    "progress",
    "config",
    "data",
    "outputs",
    "modalities",
    "verbs",
    "cli",
)
"""Rooms that load no torch when they are imported."""

TORCH_FREE_FILES = [
    PACKAGE / name
    for name in ("inference/features.py", "inference/in_numpy.py", "inference/results.py")
] + [
    PACKAGE / "models" / name
    for name in (
        "__init__.py", "architecture.py", "calibration.py", "dense_floats.py", "footprint.py",
        "image_spec.py", "input_spec.py", "metadata.py", "model_card.py", "model_file.py",
        "numpy_elements.py", "numpy_networks.py", "numpy_scaling.py", "operations.py",
        "tensor_file.py", "text_spec.py",
        "training_record.py", "vector_spec.py", "vocabulary.py",
    )
]  # fmt: skip

MACHINE = PACKAGE / "verbs" / "machine.py"
"""The one module beside the command line that knows the surroundings."""

RANKS = PACKAGE / "training" / "distributed"
"""The one package that knows of several processes, which the environment tells it of."""


MOST_ROOMS, MOST_LINES, MOST_FILES_OF_RHO = 14, 60, 6

OF_ONE = re.compile(
    r"text|vector|^models/(image_spec|language|vocabulary)|^data/images/"
    r"|^training/(image_|token_set)"
    r"|^inference/metrics"
)
"""Modules of one modality, by their paths."""

OF_TEXT = re.compile(
    r"(vocabulary|tokens?|TEXT|Text[A-Z]\w*|is_text\w*|ThroughText|ThroughVector|IMAGES"
    r"|Vector[A-Z]\w*|Scaling)$"
)
"""Names by which a condition asks for a modality."""

TESTED_ELSEWHERE = {
    "cli/test_app.py": ("cli/__init__.py", "cli/config_options.py"),
    "cli/test_many_files.py": ("cli/console.py", "cli/encode.py"),
    "cli/test_model_files_in_use.py": ("cli/info.py", "cli/stdout.py"),
    "cli/test_training_view.py": (
        "cli/live_runs.py", "cli/live_table.py", "cli/training_progress.py"
    ),
    "cli/test_calibrated_models.py": ("verbs/calibrated_models.py",),
    "cli/test_detect.py": (
        "inference/examined_images.py", "verbs/detect.py", "verbs/normal_inputs.py",
    ),
    "cli/test_evaluate.py": ("cli/eval_checks.py", "cli/metrics_view.py"),
    "models/test_autoencoder.py": ("models/dense_layers.py",),
    "training/test_distributed.py": ("training/distributed/exchange.py",),
    "training/test_optimizers.py": ("training/uncompiled.py",),
    "cli/test_several_runs.py": ("verbs/turns.py",),
    "cli/test_parquet_in_use.py": (
        "data/images/input_tables.py", "data/images/parquet_images.py",
        "data/images/table_columns.py",
        "data/storage/parquet_footer.py",
    ),
    "cli/test_containers_in_use.py": ("data/storage/containers.py", "data/storage/members.py"),
    "cli/test_index_files_in_use.py": ("data/images/index_files.py",),
    "cli/test_export_detectors.py": ("inference/detector_graph.py",),
    "cli/test_export.py": (
        "config/exports.py", "models/graphs.py", "models/text_graph.py", "models/vector_graph.py",
        "outputs/exports/onnx_file.py", "outputs/exports/program_file.py",
        "outputs/exports/tracing.py", "verbs/export.py", "verbs/export_report.py",
        "verbs/exporting.py",
    ),
    "cli/test_shards.py": (
        "cli/merge.py", "data/shares.py", "modalities/request.py", "outputs/merging.py",
    ),
    "outputs/test_formats.py": ("outputs/assembled_formats.py", "outputs/frames.py"),
    "cli/test_laboratory_in_use.py": ("verbs/matching.py",),
    "cli/test_recipes_command.py": ("cli/recipes.py",),
    "cli/test_remote_files.py": ("data/storage/staging.py",),
    "cli/test_train.py": ("modalities/image_folder.py",),
    "outputs/test_page.py": (
        "modalities/portraits.py", "outputs/page/image_page.py", "outputs/page/numbers.py",
    ),
    "outputs/test_detection_page.py": (
        "outputs/page/detection_page.py", "verbs/report_page.py",
    ),
    "outputs/test_text_page.py": (
        "inference/text_inspection.py", "modalities/text_folder.py", "outputs/page/text_page.py",
    ),
    "outputs/test_vector_page.py": (
        "data/vectors/row_names.py", "inference/strongest.py", "inference/vector_inspection.py",
        "modalities/vector_folder.py",
    ),
    "inference/test_inspection.py": (
        "inference/maps.py", "inference/sampling.py", "inference/unit_values.py",
    ),
    "cli/test_training_inputs.py": ("training/image_setup.py",),
    "cli/test_held_out_by_default.py": (
        "modalities/image_stream.py", "training/folder_defaults.py",
    ),
    "models/test_map_autoencoder.py": ("models/residual_stages.py",),
    "objectives/test_penalties.py": ("objectives/step.py",),
    "training/test_code_run.py": ("training/code_set.py",),
    "training/test_patch_run.py": ("training/image_runs.py",),
    "cli/test_texts_in_use.py": (
        "inference/references.py", "inference/text_comparison.py", "modalities/text.py",
        "modalities/text_stream.py",
        "training/text_setup.py",
    ),
    "cli/test_tensorboard.py": ("outputs/tensorboard.py",),
    "config/test_configuration.py": (
        "config/data_options.py", "config/model_options.py", "config/training_options.py",
    ),
    "cli/test_layouts_in_use.py": ("data/splits_found.py",),
    "data/test_inputs.py": ("data/images/image_batches.py", "data/named_inputs.py"),
    "training/test_capacity.py": ("errors.py",),
    "training/test_scale.py": (
        "training/image_sketch.py", "training/memory_sketch.py", "training/text_sketch.py",
        "training/vector_sketch.py",
    ),
    "data/codes/test_code_tables.py": (
        "data/codes/code_arrays.py", "data/codes/code_frames.py", "data/codes/code_lines.py",
        "data/frame_process.py",
    ),
    "data/images/test_training_images.py": ("data/images/headers.py",),
    "data/images/test_datasets.py": (
        "data/images/dataset_readers.py", "data/images/image_set.py",
    ),
    "data/images/test_decode.py": ("data/images/pixels.py", "data/images/upright.py"),
    "data/images/test_decoders.py": ("data/images/worker.py",),
    "data/images/test_tiff.py": (
        "data/images/tiff_pieces.py", "data/images/tiff_plain.py", "data/images/tiff_samples.py",
    ),
    "data/storage/test_archive_bounds.py": (
        "data/storage/compressions.py", "data/storage/expansion.py",
    ),
    "data/storage/test_archives.py": (
        "data/storage/tar_headers.py", "data/storage/tars.py", "data/storage/zips.py",
    ),
    "data/text/test_text_inputs.py": ("data/text/text_batches.py",),
    "data/storage/test_downloads.py": ("data/storage/origins.py",),
    "data/storage/test_folders.py": ("config/run_files.py",),
    "cli/test_urls_in_use.py": (
        "data/storage/ahead.py", "data/storage/drivers.py", "data/storage/entries.py",
        "data/storage/objects.py", "data/storage/places.py", "data/storage/s3_buckets.py",
        "data/storage/urls.py",
        "data/storage/web.py",
    ),
    "modalities/test_a_new_modality.py": ("modalities/__init__.py", "modalities/images.py"),
    "modalities/test_batches_of_vectors.py": ("modalities/vector_stream.py",),
    "models/imported/test_sae_lens_folder.py": ("models/imported/foreign_model.py",),
    "models/imported/test_recognition.py": (
        "cli/import_model.py", "models/imported/foreign_files.py", "verbs/import_model.py",
    ),
    "models/test_input_spec.py": (
        "models/image_spec.py", "models/text_spec.py", "models/vector_spec.py",
    ),
    "models/test_footprint.py": ("models/dense_floats.py",),
    "cli/test_vectors_in_use.py": (
        "data/vectors/vector_arrays.py",
        "data/vectors/vector_file.py", "data/vectors/vector_inputs.py",
        "data/vectors/vector_set.py", "inference/apply_vectors.py", "modalities/vectors.py",
        "training/vector_run.py", "training/vector_sets.py", "training/vector_setup.py",
    ),
    "cli/test_vectors_on_disk.py": (
        "data/vectors/stored_vectors.py", "data/vectors/vector_survey.py",
    ),
    "data/vectors/test_vector_tables.py": ("data/vectors/columns.py",),
    "models/test_model_file.py": ("models/architecture.py", "models/model_card.py"),
    "training/test_run.py": ("training/image_run.py", "training/memory_run.py"),
    "verbs/test_hub.py": ("data/storage/cache.py",),
    "verbs/test_cluster.py": ("verbs/tabulating.py",),
    "verbs/test_detector.py": ("inference/detection_quality.py",),
    "verbs/test_public_functions.py": (
        "verbs/classify.py", "verbs/encode.py", "verbs/evaluate.py", "verbs/reconstruct.py",
        "verbs/train.py",
    ),
}  # fmt: skip
"""Modules without a test file of their own, by the file that tests them: what they decide is seen
only through a command, a config, a table, a model file, a whole run, or a public function."""


@functools.cache
def code(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def is_module(name: str) -> bool:
    """Whether a dotted name is that of a module of the package."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports(tree: ast.AST) -> set[str]:
    """The modules that the code imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                found.add(below if is_module(below) else node.module or "")
    return found


def top_level_imports(path: Path) -> set[str]:
    tree = code(path)
    return set().union(
        *(imports(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    )


class _ForTypesAlone(ast.NodeTransformer):
    """Removes what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if ast.unparse(node.test) == "TYPE_CHECKING" else node


def loaded_imports(path: Path) -> set[str]:
    """The modules that a module, or a function in it, loads."""
    return imports(_ForTypesAlone().visit(ast.parse(path.read_text())))


MODULES = sorted(PACKAGE.rglob("*.py"))


def of_all_modules(faults: Callable[[Path], Iterable[object]]) -> list[str]:
    """The faults of each module, each with the module's path."""
    return [f"{path.relative_to(PACKAGE)}: {one}" for path in MODULES for one in faults(path)]


def test_there_are_few_rooms():
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms == set().union(*LEVELS) - {"__init__", "__main__"}
    assert len(rooms) <= MOST_ROOMS


def test_a_module_imports_only_rooms_below_its_own():
    def faults(path: Path) -> set[str]:
        own = room(path)
        level = next(number for number, rooms in enumerate(LEVELS) if own in rooms)
        allowed = set().union({own}, *LEVELS[:level]) - NOT.get(own, set())
        allowed |= OF_FILES.get(str(path.relative_to(PACKAGE)), set())
        names = {name for name in imports(code(path)) if name.startswith("aectl")}
        used = {name.split(".")[1] for name in names if "." in name} - {"__version__"}
        return used - allowed

    assert of_all_modules(faults) == []


def test_losses_know_neither_models_nor_configs():
    names = imports(code(LOSSES))
    assert not {name for name in names if name.startswith("aectl.") and "shapes" not in name}


def test_no_module_is_part_of_a_cycle_of_imports():
    """Those in functions too; those for type checkers are never loaded."""
    names = {
        ".".join(("aectl", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in MODULES
    }
    edges = {
        name: {other for other in loaded_imports(path) if other in names and other != name}
        for name, path in names.items()
    }
    done: set[str] = set()
    while left := {name for name in edges if name not in done and not edges[name] - done}:
        done |= left
    assert done == set(edges)


def test_no_two_modules_have_the_same_name():
    """But for a command of the command line and the public function that it calls."""
    found: dict[str, list[str]] = {}
    for path in MODULES:
        if not path.stem.startswith("__"):
            found.setdefault(path.stem, []).append(room(path))
    twice = {name: rooms for name, rooms in found.items() if len(rooms) > 1}
    assert not {name for name, rooms in twice.items() if sorted(rooms) != ["cli", "verbs"]}


def test_no_two_public_classes_have_the_same_name():
    """Classes, and other types with a name, such as `Activation = Callable[...]`; but for the
    declarations of options in the command line, which are named after their options."""
    names: list[str] = []
    for path in MODULES:
        for node in code(path).body:
            if isinstance(node, ast.ClassDef):
                names.append(node.name)
            if isinstance(node, ast.Assign) and room(path) != "cli":
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    public = [name for name in names if re.fullmatch(r"[A-Z]+[a-z]\w*", name)]
    assert not {name for name in public if public.count(name) > 1}


@functools.cache
def spelt(path: Path) -> frozenset[str]:
    """The identifiers of a module, and its strings as a whole."""
    keys = ("id", "attr", "arg", "name", "value")
    found = (getattr(node, key, None) for node in ast.walk(code(path)) for key in keys)
    return frozenset(one for one in found if isinstance(one, str))


def spells(path: Path, name: str) -> bool:
    """Whether the code of a module, apart from help and docstrings, has an identifier."""
    return name in spelt(path)


def test_an_option_goes_from_its_declaration_to_the_loss_in_few_hops():
    """Counts the whole package: the initial bias of sparse units and the report know rho too."""
    files = [path for path in MODULES if spells(path, "rho")]
    assert PACKAGE / "config" / "loss_options.py" in files
    assert LOSSES in files
    assert len(files) <= MOST_FILES_OF_RHO


def test_rooms_before_the_core_load_no_heavy_library_at_import():
    def faults(path: Path) -> set[str]:
        heavy = set()
        if room(path) in TORCH_FREE or path in TORCH_FREE_FILES:
            heavy |= {"torch", "torchvision", "sklearn", "matplotlib", "polars"}
        if room(path) in ("cli", "config"):
            heavy |= {"numpy", "PIL"}
        return heavy & {name.split(".")[0] for name in top_level_imports(path)}

    assert of_all_modules(faults) == []


def test_the_core_neither_prints_nor_exits_nor_reads_the_environment():
    def faults(path: Path) -> Iterator[str]:
        for node in ast.walk(code(path)):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in ("print", "exit", "input"):
                yield called
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "exit"):
                yield node.attr

    found = of_all_modules(faults)
    knowing = (str(path.relative_to(PACKAGE)) for path in (MACHINE, RANKS))
    beside = ("__init__.py", "cli/", "__main__.py", *knowing)
    assert [one for one in found if not one.startswith(beside)] == []
    assert len(found) > 1


def test_only_the_command_line_knows_typer_and_rich():
    for path in MODULES:
        names = {name.split(".")[0] for name in imports(code(path))}
        assert room(path) in ("cli", "__main__") or not names & {"typer", "rich"}, path


def test_only_one_module_knows_of_ranks():
    """Neither the package of torch nor the variables of torchrun occur elsewhere."""
    variables = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")

    def faults(path: Path) -> Iterator[str]:
        yield from (name for name in imports(code(path)) if name.startswith("torch.distributed"))
        yield from (name for name in variables if spells(path, name))

    found = of_all_modules(faults)
    own = str(RANKS.relative_to(PACKAGE))
    assert [one for one in found if not one.startswith(own)] == []
    assert len(found) > 1


def test_only_the_storage_knows_what_opens_urls():
    def faults(path: Path) -> Iterator[str]:
        opening = (
            "fsspec",
            "s3fs",
            "obstore",
            "gcsfs",
            "adlfs",
            "huggingface_hub",
            "urllib.request",
        )
        yield from (name for name in imports(code(path)) if name.startswith(opening))

    found = of_all_modules(faults)
    assert [one for one in found if not one.startswith("data/storage/")] == []
    assert len(found) > 1


def conditions(tree: ast.AST) -> list[ast.expr]:
    """The conditions by which the code decides."""
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            found.append(node.test)
        elif isinstance(node, ast.comprehension):
            found += node.ifs
        elif isinstance(node, ast.Match):
            found.append(node.subject)
    return found


def test_no_shared_module_decides_by_a_modality():
    """But for the modules of one modality."""

    def faults(path: Path) -> Iterator[str]:
        if room(path) == "modalities" or OF_ONE.search(str(path.relative_to(PACKAGE))):
            return
        for condition in conditions(code(path)):
            nodes = list(ast.walk(condition))
            names = {node.id for node in nodes if isinstance(node, ast.Name)}
            names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            if any(OF_TEXT.match(name) for name in names):
                yield ast.unparse(condition)

    assert of_all_modules(faults) == []


def test_no_function_is_longer_than_a_screen():
    """With its signature and its docstring."""

    def faults(path: Path) -> Iterator[str]:
        for node in ast.walk(code(path)):
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if function and node.end_lineno - node.lineno >= MOST_LINES:
                yield node.name

    assert of_all_modules(faults) == []


def test_no_module_reads_or_writes_pickles():
    for path in MODULES:
        names = imports(code(path))
        assert not names & {"pickle", "joblib", "shelve", "marshal"}
        assert "torch.load" not in path.read_text()
        assert "torch.save" not in path.read_text()


def test_no_docstring_begins_with_what():
    """A docstring names the thing, or says what is done to it; comments after names count too."""

    def faults(path: Path) -> Iterator[str]:
        for node in ast.walk(code(path)):
            said = getattr(node.value, "value", "") if isinstance(node, ast.Expr) else ""
            if str(said).lstrip().startswith("What"):
                yield f"line {node.lineno}"

    assert of_all_modules(faults) == []


def decides(path: Path) -> bool:
    """Whether a public function, or a method of a public class, has a condition or a loop."""
    functions: list[ast.AST] = []
    for node in code(path).body:
        if not getattr(node, "name", "_").startswith("_"):
            functions += node.body if isinstance(node, ast.ClassDef) else [node]
    kinds = (ast.If, ast.IfExp, ast.Compare, ast.Match, ast.For, ast.While, ast.comprehension)
    return any(
        isinstance(node, kinds)
        for function in functions
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    )


def own_test(path: Path) -> Path:
    """The test file of a module: of a package, the one that is named after its folder."""
    module = path.parent if path.name == "__init__.py" else path.with_suffix("")
    below = module.relative_to(PACKAGE)
    return TESTS / below.with_name(f"test_{below.name}.py")


def test_each_module_that_decides_anything_has_a_test_file_of_its_name():
    """Or stands, once, in the table of those that another file tests."""
    elsewhere = [PACKAGE / name for names in TESTED_ELSEWHERE.values() for name in names]
    without = [path for path in MODULES if decides(path) and not own_test(path).is_file()]
    assert sorted(elsewhere) == without
    assert all((TESTS / name).is_file() for name in TESTED_ELSEWHERE)
