"""`aectl detect`: a table of anomaly scores, one row per input."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.cli.shards import EngineOption, ShardOption, check_engine, destination
from aectl.cli.stdout import show_path
from aectl.config.scores import SCORES, USUAL_ALARM_RATE
from aectl.errors import ConfigError
from aectl.verbs.tabulating import nothing_more

if TYPE_CHECKING:
    from aectl.data.storage.folders import OnBad
    from aectl.inference.results import Detected
    from aectl.outputs.heat_maps import HeatMapFiles
    from aectl.verbs.tabulating import Each

ANOMALIES_FOUND = 3
"""The exit status with --fail-on-anomaly."""

Normal = Annotated[
    list[str] | None,
    typer.Option(
        "--normal", metavar="INPUT",
        help="Normal inputs that the model did not learn from, to calibrate on; may be given "
        "several times.",
        show_default="the calibration in the model file",
    ),
]  # fmt: skip
FitTo = Annotated[
    list[str] | None,
    typer.Option(
        "--fit-to", metavar="INPUT",
        help="Normal inputs that the score is fitted to, which may be those that the model learnt "
        "from; those of --normal are left out of them. May be given several times.",
        show_default="one half of --normal",
    ),
]  # fmt: skip
ScoreName = Annotated[
    str | None,
    typer.Option(
        "--score", metavar="NAME", help=f"The anomaly score: {', '.join(SCORES)}.",
        autocompletion=lambda: list(SCORES),
        show_default="that of the calibration in the model file, or unusual-region for images "
        "(neighbours for pooled features), code-and-error for vectors (error for a code wider than "
        "these), error for text",
    ),
]  # fmt: skip
AlarmRate = Annotated[
    float | None,
    typer.Option(
        "--alarm-rate", metavar="X",
        help="Maximum fraction of normal inputs that are flagged; it needs 1/X - 1 normal inputs, "
        "twice as many for a score that is fitted to half of them. (1e-9 <= x < 1)",
        show_default=f"that of the calibration in the model file, or {USUAL_ALARM_RATE}",
    ),
]  # fmt: skip
Calibrate = Annotated[
    list[str] | None,
    typer.Option(
        "--calibrate", metavar="INPUT",
        help="Normal inputs, in place of --normal: write the model with its calibration to --out, "
        "and no table; may be given several times.",
        show_default=False,
    ),
]  # fmt: skip
Maps = Annotated[
    Path | None,
    typer.Option(
        "--maps", metavar="DIR",
        help="Write a heat map of each image below this folder: to DIR/shown beside the image, "
        "with what is above the threshold outlined, and to DIR/raw as numbers, in 16 bits.",
    ),
]  # fmt: skip
Boxes = Annotated[
    bool,
    typer.Option(
        "--boxes",
        help="Add the number of marked regions of an image to its row, and their boxes: left, top, "
        "right and bottom, as fractions of the width and height.",
    ),
]
FailOnAnomaly = Annotated[
    bool,
    typer.Option(
        "--fail-on-anomaly", help=f"Exit with status {ANOMALIES_FOUND} if any input is flagged."
    ),
]


@options.with_common_options
def detect(
    common: options.Common,
    model: options.Model,
    inputs: options.Input = None,
    normal: Normal = None,
    fit_to: FitTo = None,
    score: ScoreName = None,
    alarm_rate: AlarmRate = None,
    calibrate: Calibrate = None,
    maps: Maps = None,
    boxes: Boxes = False,
    fail_on_anomaly: FailOnAnomaly = False,
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
    shard: ShardOption = None,
    engine: EngineOption = None,
) -> int:
    """Write an anomaly score of each input as a table, and which are anomalies.

    Of normal inputs, at most the fraction of --alarm-rate is flagged.

    Example: aectl detect runs/parts-autoencoder-1 camera/ --normal good/ --out found.csv
    """
    from aectl.outputs import tables
    from aectl.verbs.detect import check_model_path
    from aectl.verbs.detect import detect as detect_inputs

    _refuse(calibrate, normal or inputs, out, fail_on_anomaly, resume, shard, engine)
    if calibrate and (maps or boxes):
        raise ConfigError("--calibrate detects nothing: leave out --maps and --boxes")
    if calibrate and out:
        check_model_path(out, common.overwrite)
    else:
        out = destination(out, shard, common.errors)
        tables.check_destination(out, common.overwrite, resume)
        check_engine(engine, out, shard, common.overwrite, resume)
    session = Session(common, out, shard, engine)
    detection = detect_inputs(
        model, inputs, normal=calibrate or normal or None, fit_to=fit_to or None,
        score=score, alarm_rate=alarm_rate, maps=None if calibrate else maps is not None or boxes,
        device=common.device, threads=common.threads, shard=shard,
        **session.input_options(
            label_from_folder=label_from_folder, relative_to=relative_to, absolute=absolute
        ),
    )  # fmt: skip
    detection.boxes = boxes
    save = _saving(maps, common.overwrite or resume or bool(shard or engine))
    detection.calibrated(session.console)
    if calibrate and out:
        show_path(detection.save(out, common.overwrite))
        return 0
    detection.marking()
    status = session.write_table("detect", "detecting", detection, resume, save)
    if detection.count:  # a table that was complete has no new rows
        session.console.notice(detection.told())
    return ANOMALIES_FOUND if fail_on_anomaly and detection.found else status


def _saving(maps: Path | None, overwrite: bool) -> "Each":
    """Writes the heat maps of each result, if they are asked for. Raises OutputError."""
    from aectl.outputs.heat_maps import HeatMapFiles

    return partial(_save, HeatMapFiles(maps, overwrite)) if maps else nothing_more


def _save(files: "HeatMapFiles", result: "Detected", on_bad: "OnBad") -> None:
    if result.marked is not None:
        files.save_all(result.paths, result.batch.images, result.marked, on_bad)


def _refuse(
    calibrate: list[str] | None,
    others: list[str] | None,
    out: Path | None,
    fail_on_anomaly: bool,
    resume: bool,
    shard: str | None,
    engine: str | None,
) -> None:
    """Raises ConfigError for options that do not go together."""
    if calibrate and others:
        raise ConfigError("--calibrate reads normal inputs alone: leave out INPUT and --normal")
    if calibrate and (fail_on_anomaly or resume or shard or engine):
        raise ConfigError(
            "--calibrate detects nothing: leave out --fail-on-anomaly, --resume, --shard and"
            " --engine"
        )
    if calibrate and out is None:
        raise ConfigError("--calibrate writes a model: name its file with --out")
    if fail_on_anomaly and engine:
        raise ConfigError("--fail-on-anomaly counts the rows of one process: leave out --engine")
    if fail_on_anomaly and resume:
        raise ConfigError(
            "--fail-on-anomaly tells of the rows that a run writes, and cannot go with --resume,"
            " which has written some before"
        )
