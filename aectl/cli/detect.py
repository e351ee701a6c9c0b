"""`aectl detect`: a table of anomaly scores, one row per input."""

from typing import Annotated

import typer

from aectl.cli import options
from aectl.cli.session import Session
from aectl.config.scores import SCORES, USUAL_ALARM_RATE, USUAL_SCORE
from aectl.errors import ConfigError

ANOMALIES_FOUND = 3
"""The exit status with --fail-on-anomaly."""

Normal = Annotated[
    list[str] | None,
    typer.Option(
        "--normal", metavar="INPUT",
        help="Normal inputs that the model did not learn from, to calibrate on; may be given "
        "several times.",
        show_default=False,
    ),
]  # fmt: skip
ScoreName = Annotated[
    str | None,
    typer.Option(
        "--score", metavar="NAME", help=f"The anomaly score: {', '.join(SCORES)}.",
        autocompletion=lambda: list(SCORES), show_default=USUAL_SCORE,
    ),
]  # fmt: skip
AlarmRate = Annotated[
    float | None,
    typer.Option(
        "--alarm-rate", metavar="X",
        help="Maximum fraction of normal inputs that are flagged; it needs 1/X - 1 normal inputs. "
        "(0 < x < 1)",
        show_default=str(USUAL_ALARM_RATE),
    ),
]  # fmt: skip
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
    score: ScoreName = None,
    alarm_rate: AlarmRate = None,
    fail_on_anomaly: FailOnAnomaly = False,
    label_from_folder: options.LabelFromFolder = False,
    relative_to: options.RelativeTo = None,
    absolute: options.Absolute = False,
    out: options.Out = None,
    resume: options.Resume = False,
) -> int:
    """Write an anomaly score of each input as a table, and which are anomalies.

    Of normal inputs, at most the fraction of --alarm-rate is flagged.

    Example: aectl detect runs/parts-autoencoder-1 camera/ --normal good/ --out found.csv
    """
    from aectl.outputs import tables
    from aectl.verbs.detect import detect as detect_inputs

    if not normal:
        raise ConfigError("detect needs normal inputs to calibrate on: name them with --normal")
    if fail_on_anomaly and resume:
        raise ConfigError(
            "--fail-on-anomaly tells of the rows that a run writes, and cannot go with --resume,"
            " which has written some before"
        )
    tables.check_destination(out, common.overwrite, resume)
    session = Session(common, out)
    detection = detect_inputs(
        model, inputs, normal=normal, score=score, alarm_rate=alarm_rate,
        device=common.device, threads=common.threads,
        **session.input_options(
            label_from_folder=label_from_folder, relative_to=relative_to, absolute=absolute
        ),
    )  # fmt: skip
    detection.calibrated(session.console)
    status = session.write_table("detect", "detecting", detection, resume)
    session.console.notice(detection.told())
    return ANOMALIES_FOUND if fail_on_anomaly and detection.found else status
