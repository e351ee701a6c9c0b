"""Files at URLs that a command writes: --out and --errors."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aectl.cli.stdout import shown_as
from aectl.errors import AectlError, OutputError

WRITTEN = ("out", "errors")
"""The arguments of commands that name files to write, and may be URLs."""


@contextmanager
def on_this_machine(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments of a command, with paths of this machine for URLs of files that it writes. They
    are put there after the block, unless it raises an exception.

    Raises OutputError, before the block for what must not be replaced.
    """
    urls = {name: values[name] for name in WRITTEN if isinstance(values.get(name), str)}
    if not urls:
        yield dict(values)
        return
    from aectl.data.storage.staging import Staged
    from aectl.verbs import machine

    if values.get("engine") and "out" in urls:
        _refuse_elsewhere()
    room, shard = machine.data_dir() / "outputs", values.get("shard")
    staged = {name: Staged(url, room, shard or "") for name, url in urls.items()}
    resume, overwrite = bool(values.get("resume")), bool(values.get("overwrite"))
    main = {name: _written(one.path, shard) for name, one in staged.items()}
    try:
        for name, one in staged.items():
            if resume and name == "out":
                from aectl.config.table_formats import ids_of
                from aectl.outputs.unfinished import record_of

                one.restore(main[name], record_of(main[name]), ids_of(main[name]))
            elif overwrite:
                one.start_again()
            else:
                one.refuse_existing(main[name])
        folders = {one.folder: one.base for one in staged.values()}
        with shown_as(folders):
            yield {**values, **{name: one.path for name, one in staged.items()}}
            for name, one in staged.items():
                one.publish(main[name], overwrite or resume)
    finally:
        for one in staged.values():
            one.leave()


def _written(path: Path, shard: str | None) -> Path:
    """The file that is written: that of --out, or the part of it that --shard writes."""
    if shard is None:
        return path
    from aectl.data.shares import Shard
    from aectl.outputs.merging import part_of

    with contextlib.suppress(AectlError):  # which the command itself reports
        return part_of(path, Shard.parsed(shard))
    return path


def _refuse_elsewhere() -> None:
    """Raises OutputError if a Ray cluster is on other machines, which cannot reach the cache of
    this machine."""
    from aectl.verbs import cluster

    if not cluster.is_here(os.environ.get("RAY_ADDRESS", "")):
        raise OutputError(
            "--engine on a cluster cannot write to a URL: name a file with --out, in a folder that"
            " all machines share, and copy it to the URL"
        )
