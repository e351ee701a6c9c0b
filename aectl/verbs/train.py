"""Training: from options to runs, and from runs to run folders."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aectl.config.configuration import Config
from aectl.config.decoding import OnRemark
from aectl.config.kinds import KINDS
from aectl.config.loss_options import LossConfig
from aectl.config.model_options import ModelConfig
from aectl.config.precedence import coerced
from aectl.data.storage.folders import OnBad, ignore
from aectl.errors import ConfigError, ModelFileError
from aectl.modalities import Modality, modality_named, modality_of
from aectl.models import model_file
from aectl.models.architecture import SIZES, Architecture
from aectl.training.reading import PATTERNS, Reading
from aectl.verbs import machine

if TYPE_CHECKING:
    import torch

    from aectl.training.initialisation import Start
    from aectl.training.loop import TrainingProgress
    from aectl.training.run import Run
    from aectl.training.state import RunState, TrainingCommand, TrainingState
    from aectl.verbs.training_run import Watcher

OF_THE_LOSS = ("sparsity", *(field.name for field in dataclasses.fields(LossConfig)))


class Trained(NamedTuple):
    """A trained model: its file, its run folder, and a row of metrics for each epoch."""

    model: Path
    folder: Path
    metrics: list[dict[str, float]]


class _Silent:
    """Watches a training for a caller in Python."""

    urgent = False

    def __init__(self, on_epoch: Callable[[dict[str, Any]], object]) -> None:
        self._on_epoch = on_epoch

    def epoch(self, row: dict[str, Any]) -> None:
        self._on_epoch(dict(row))

    def progress(self, progress: "TrainingProgress") -> None:
        pass

    def saved(self) -> None:
        pass


def train(
    out: "str | os.PathLike[str] | None" = None,
    *,
    overwrite: bool = False,
    data_dir: "str | os.PathLike[str] | None" = None,
    device: str = "auto",
    workers: int | None = None,
    memory: float | None = None,
    threads: int | None = None,
    on_epoch: Callable[[dict[str, Any]], object] = dict,
    on_bad: OnBad = ignore,
    on_remark: OnRemark = ignore,
    **options: Any,
) -> Trained:
    """Trains a model, and fills a run folder: `out`, or a new one in `runs`.

    >>> trained = aectl.train("small", dataset="digits", hidden=[8], sparse=True, epochs=2)
    >>> print(trained.model, [row["epoch"] for row in trained.metrics])
    small/model.safetensors [1, 2]

    `options` are those of `aectl train`, with underscores in their names; `memory` is in GiB.
    `on_epoch(row)` is called after each epoch with its metrics, `on_bad(path, reason)` for each
    file that cannot be read. The weights are those that the command gives on the same machine. In
    training, torch has one CPU thread if the network is small; denormal numbers are flushed to 0.

    Raises ConfigError for options that do not go together, DataError for data that cannot be used,
    DivergedError for a loss that is not finite, and OutputError where the folder cannot be written.
    """
    import torch

    from aectl.outputs import run_folder
    from aectl.verbs.training_run import removed_if_empty

    folder = None if out is None else Path(out)
    run_folder.refuse_filled(folder, overwrite)
    room = machine.half_the_memory() if memory is None else memory * 2**30
    reading = Reading(
        Path(data_dir or machine.data_dir()), on_bad, workers or machine.cores(), room,
        on_remark=on_remark,
    )  # fmt: skip
    plan = planned(None, options, {}, reading, 1)
    before = torch.get_num_threads()
    on = machine.torch_device(device, threads)
    torch.set_flush_denormal(True)
    try:
        run = new_run(plan.config, plan.data, on, plan.start)
        if threads is None and run.small:
            torch.set_num_threads(1)
        folder = folder_of(folder, plan.config, overwrite)
        session = session_of(plan, None, dict(options), [], on.type, reading.data_dir)

        def watch(run: "Run") -> "AbstractContextManager[Watcher]":
            return contextlib.nullcontext(_Silent(on_epoch))

        with run_folder.locked(folder), removed_if_empty(folder):
            ((_, model),) = train_all(plan, run, folder, session, False, watch, goes_on=False)
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
    return Trained(model, folder, run.rows)


def prepare(
    given: Mapping[str, object], file: Mapping[str, object], reading: Reading
) -> tuple[Config, Any]:
    """The resolved config of the `given` options over those of a `file`, and its training set.

    Raises ConfigError, DataError or ModelFileError.
    """
    asked = {**coerced(file), **coerced(given)}
    settled = _settled_by_models(asked)
    asked = {**settled, **asked}
    modality = _modality(asked.get("model"), asked.get("encoder"))
    found = modality.look(asked)
    config = Config.from_options(given, file, settled | found.settled)
    return modality.training_set(config, reading, found, asked)


def prepare_again(
    given: Mapping[str, object], options: Mapping[str, object], reading: Reading, begun: "RunState"
) -> tuple[Config, Any]:
    """The config of a run that had `begun` with these options, all resolved, and its training set.

    No model that it started from is needed. Raises ConfigError, DataError or ModelFileError.
    """
    config = Config.from_options(given, options)
    if config.training.epochs is None or config.model.hidden is None:
        raise ModelFileError("the options in the checkpoint leave --epochs or --hidden open")
    modality = modality_named(_architecture(begun).modality)
    return config, modality.training_set_again(config, reading)


def new_run(
    config: Config,
    data: Any,
    device: "torch.device",
    start: "Start | None",
    begun: "RunState | None" = None,
) -> "Run":
    """A run on a training set; one that had `begun` is yet to be restored from that state.

    Raises ConfigError where config, data and start do not fit together, and ModelFileError where
    the state does not fit them.
    """
    if begun is None:
        modality = _modality(config.model.model, config.training.encoder)
        return modality.run(config, data, device, start)
    found = _architecture(begun)
    modality = modality_named(found.modality)
    classes = len(data.classes) if found.classes else 0
    of_data = modality.input_again(data, begun, found)
    wanted = Architecture(config.model, of_data, classes, found.encoder)
    if wanted.to_json() != found.to_json():
        raise ModelFileError("the architecture in the checkpoint does not fit its options and data")
    return modality.run(config, data, device, start, begun, found)


def start_of(config: Config) -> "Start":
    """The models that a config starts from. Raises ModelFileError."""
    from aectl.training.initialisation import Start

    paths = config.training
    weights, card = model_file.load(Path(paths.load)) if paths.load else (None, None)
    encoder = model_file.load(Path(paths.encoder)) if paths.encoder else None
    of = card or (encoder[1] if encoder else None)
    return Start(weights, encoder, of.vocabulary if of else None)


@dataclass(frozen=True)
class Plan:
    """A config, its training set and seeds; `several` if each seed has a folder of its own.

    `config` is that of the first seed.
    """

    config: Config
    data: Any
    start: "Start | None"
    seeds: list[int]
    several: bool


def planned(
    begun: "TrainingState | None",
    given: Mapping[str, object],
    file: Mapping[str, object],
    reading: Reading,
    seeds: int,
) -> Plan:
    """The plan of the options; of a training that has `begun`, the rest of it."""
    if begun is None:
        config, data = prepare(given, file, reading)
        first = config.training.seed
        return Plan(config, data, start_of(config), [*range(first, first + seeds)], seeds > 1)
    session = begun.session
    with contextlib.chdir(session.cwd):
        config, data = prepare_again(given, session.options, reading, begun.run)
        start = start_of(config) if len(session.seeds) > 1 else None
    return Plan(config, data, start, session.seeds, session.several)


def session_of(
    plan: Plan,
    begun: "TrainingState | None",
    asked: dict[str, object],
    continued: list[str],
    device: str,
    data_dir: Path,
) -> "TrainingCommand":
    """The record in a checkpoint of this command, or of the one that had `begun`; options are set
    for each run.
    """
    import torch

    from aectl.training.run import versions
    from aectl.training.state import TrainingCommand

    return TrainingCommand(
        options={},
        asked=begun.session.asked if begun else asked,
        continued=continued,
        cwd=begun.session.cwd if begun else os.getcwd(),
        data_dir=str(data_dir.absolute()),
        data_sha256=plan.data.checksum,
        device=device,
        threads=torch.get_num_threads(),
        versions=versions(),
        seeds=plan.seeds,
        several=plan.several,
    )


def folder_of(out: Path | None, config: Config, overwrite: bool) -> Path:
    """Makes the run folder `out`, or a new one that is named after the data and the model.

    Raises OutputError.
    """
    from aectl.outputs import run_folder

    dataset = Path(config.data.dataset.replace(":", "-")).resolve().name
    return run_folder.make(out, f"{dataset}-{config.model.model}", overwrite)


def train_all(
    plan: Plan,
    run: "Run",
    folder: Path,
    session: "TrainingCommand",
    tensorboard: bool,
    watch: "Callable[[Run], AbstractContextManager[Watcher]]",
    goes_on: bool,
) -> "Iterator[tuple[Run, Path]]":
    """Trains the `run` of the first seed, and those of the other seeds; gives each with the path of
    its model.

    `session` is what a checkpoint holds of the first; `watch` makes whoever watches a run.
    """
    from aectl.verbs.training_run import train_one

    for number, seed in enumerate(plan.seeds):
        if number:
            run = new_run(_seeded(plan.config, seed), plan.data, run.device, plan.start)
            session = dataclasses.replace(session, seeds=plan.seeds[number:], continued=[])
        session = dataclasses.replace(session, options=run.config.values())
        target = folder / f"seed-{seed}" if plan.several else folder
        train_one(run, target, session, watch(run), tensorboard, goes_on and not number)
        yield run, target / model_file.FILE_NAME


def _seeded(config: Config, seed: int) -> Config:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))


def _architecture(begun: "RunState") -> Architecture:
    """The architecture of a run that had begun. Raises ModelFileError."""
    try:
        return Architecture.from_json(begun.architecture)
    except ConfigError as error:
        raise ModelFileError(f"the architecture in the checkpoint is invalid: {error}") from None


def _modality(kind: object, encoder: object) -> Modality:
    """The modality of a model of a kind, or that of the encoder on which it stands.

    A kind that does not exist, which the config refuses, has that of the default.
    """
    if isinstance(encoder, str):
        return modality_of(model_file.read_card(Path(encoder)))
    known = KINDS.get(str(kind)) or KINDS[ModelConfig.model]
    return modality_named(known.modalities[0])


def _settled_by_models(asked: Mapping[str, object]) -> dict[str, object]:
    """The options that --load and --encoder settle: the network's own, its data, its loss."""
    settled: dict[str, object] = {}
    if isinstance(encoder := asked.get("encoder"), str):
        card = model_file.read_card(Path(encoder))
        if not KINDS[card.architecture.kind].has_code:
            raise ModelFileError(
                f"--encoder needs an autoencoder; {encoder} is a {card.architecture.kind}"
            )
        if not card.architecture.code_is_vector:
            raise ModelFileError(f"--encoder needs a code that is a vector; {encoder} gives texts")
        settled |= {"model": "classifier", "dataset": card.dataset}
        settled |= modality_of(card).settled_by_encoder(card)
    if isinstance(load := asked.get("load"), str):
        card = model_file.read_card(Path(load))
        if card.architecture.encoder:
            raise ConfigError(
                "--load cannot start from a classifier that stands on an encoder; train a new one"
                " with --encoder"
            )
        described = card.architecture.to_json()
        settled |= {k: v for k, v in described.items() if k not in SIZES}
        settled["dataset"] = card.dataset
        settled |= modality_of(card).settled_by_start(card, asked)
        trained = card.options
        settled |= {name: trained[name] for name in OF_THE_LOSS if name in trained}
        if "dataset" not in asked:
            settled |= {name: trained[name] for name in PATTERNS if name in trained}
    return settled
