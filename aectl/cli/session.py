"""One call of a verb: its messages, the record of its inputs, and its table."""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Unpack

from aectl.cli.console import Console, Outcome
from aectl.cli.options import Common
from aectl.cli.stdout import for_tables, shown
from aectl.errors import OutputError
from aectl.models import model_file
from aectl.models.model_card import ModelCard
from aectl.verbs import machine
from aectl.verbs.tabulating import Each, Tabular, nothing_more, tabulate

if TYPE_CHECKING:
    from aectl.outputs.rows import Rows
    from aectl.outputs.tables import Table
    from aectl.verbs.cluster import Done
    from aectl.verbs.input_options import InputOptions
    from aectl.verbs.use import Use

ROWS_SINCE = "0.1.0"
"""The version of aectl since which the rows of tables are the same, so that a table which an older
version began can be continued."""


def write_each(path: Path, rows: "Iterable[Rows]", by: str | None, descending: bool = False) -> int:
    """Writes the table of --per-image to a path (`-` is stdout), sorted by the column named `by`.

    Returns the number of rows.
    """
    from aectl.outputs.tables import write_file

    return write_file(on_stdout(path), rows, by, descending, for_tables())


def on_stdout(path: Path | None) -> Path | None:
    """The path of a table; None if it is stdout."""
    return None if path == Path("-") else path


def stdin() -> BinaryIO | None:
    """The unbuffered stream of stdin, which returns available bytes at once; None if closed."""
    return None if sys.stdin is None else getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


class Session:
    """One call of a verb: its messages to stderr, and the record of its inputs."""

    def __init__(
        self,
        common: Common,
        out: Path | None = None,
        shard: str | None = None,
        engine: str | None = None,
    ) -> None:
        if out is not None and out == common.errors:
            raise OutputError(f"--out and --errors name the same file, {out}")
        self.common, self.out, self.shard, self.engine = common, out, shard, engine
        self.console = Console(common.quiet, common.plain)
        self.outcome = Outcome(self.console, common.errors, common.overwrite, common.strict)

    def input_options(self, **more: Unpack["InputOptions"]) -> "InputOptions":
        """The options for finding and reading inputs: the common ones, and `more`."""
        common = self.common
        options: InputOptions = {
            "data_dir": machine.data_dir(common.data_dir),
            "stdin": stdin(),
            "null": common.null,
            "ext": common.ext,
            "include": common.include or (),
            "exclude": common.exclude or (),
            "max_pixels": common.max_pixels,
            "truncated": common.truncated,
            "columns": common.columns or (),
            "id_column": common.id_column,
            "label_column": common.label_column,
            "paths_column": common.paths_column,
            "batch_size": common.batch_size,
            "workers": common.workers,
            "on_bad": self.outcome.on_bad,
            "on_remark": self.outcome.on_remark,
            "skipped": self.outcome.skipped,
            "notice": self.console.once(self.console.notice),
            "warning": self.console.once(self.console.warning),
        }
        return {**options, **more}

    def use(
        self,
        path: Path,
        card: ModelCard,
        words: list[str] | None,
        options: "InputOptions | None" = None,
        reported: bool = True,
        unseen: bool = False,
        references: bool = False,
    ) -> "Use":
        """A model and the inputs that words name; unreadable inputs are reported if `reported`.

        Without words, with `unseen`, these are what was held out, where there is no test split;
        with `references`, each line of text has a summary after a tab.
        """
        from aectl.data.storage.folders import ignore
        from aectl.verbs.input_options import request
        from aectl.verbs.use import Use

        common, how = self.common, self.input_options() if options is None else options
        if not reported:
            how = {**how, "on_bad": ignore, "on_remark": ignore}
        asked = request(words, how, unseen, references)
        return Use(path, card, asked, common.device, common.threads)

    def status(self, use: "Use", count: int) -> int:
        """The exit status after `count` inputs; prints the notices about them."""
        for notice in use.stream.notices():
            self.console.notice(notice)
        with use.noted():
            part = use.share is not None and use.share.total > 0
            return self.outcome.status(count, None if part else use.nothing)

    def write_table(
        self,
        verb: str,
        doing: str,
        results: Tabular,
        resume: bool,
        each: Each = nothing_more,
        **how: object,
    ) -> int:
        """Writes the rows of all results to the file of --out, or to stdout; returns the exit
        status. `each` is called with each result, before its rows are written; `how`: options that
        change the rows, besides the key of the results.
        """
        if self.engine is not None:
            return self._write_parts(verb, doing, results, resume, each, how)
        use = results.use
        if self.shard is not None:
            with self.console.lasting("listing the inputs"):
                _ = use.share
        table = self._table(self._key(verb, results, how), resume, how)
        tabulate(
            results, table, self.outcome.on_bad, each,
            lambda found: self.console.counted(found, doing, use.modality.noun),
        )  # fmt: skip
        if table.whole:
            self.console.notice(
                f"{shown(self.out)} is complete; there is nothing to do (--overwrite writes it"
                " again)"
            )
        return self.status(use, table.count)

    def _write_parts(
        self,
        verb: str,
        doing: str,
        results: Tabular,
        resume: bool,
        each: Each,
        how: dict[str, object],
    ) -> int:
        """The same, by the tasks of a cluster, whose parts are merged."""
        from aectl.outputs.merging import folder_of_parts, merged, parts_in
        from aectl.verbs import cluster

        assert self.out is not None
        parts = folder_of_parts(self.out)
        results = cluster.self_contained(results)
        use, layout = results.use, str(how.get("layout", "columns"))
        with self.console.lasting("listing the inputs"):
            total = cluster.listed(use)
        use.refuse_empty(total)
        job = cluster.Job(
            results, self.out, self._key(verb, results, how), layout, each, str(Path.cwd())
        )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # else it prints some after the run
        with cluster.connected(os.environ.get("RAY_ADDRESS")):
            done = cluster.run(job, cluster.slots(use.device, self.common.workers), total)
            for one in self.console.counted(done, doing, use.modality.noun, total):
                self._take(one)
        with self.console.lasting("merging"):
            checked = parts_in([parts])
            rows = sum(one.kept.rows for one in checked)
            bad = merged(checked, self.out if rows else None).bad
        for path, reason in bad:
            self.outcome.on_bad(path, reason)
        return self.status(use, rows)

    def _take(self, done: "Done") -> None:
        """Records what is said of the inputs of a part; with --strict, raises DataError."""
        for path, remark in done.remarks:
            self.outcome.on_remark(path, remark)
        for notice in done.notices:
            self.console.notice(notice)
        for path, reason in done.bad if self.common.strict else ():
            self.outcome.on_bad(path, reason)

    def _of_columns(self) -> dict[str, object]:
        """The options of columns that are given."""
        names = ("columns", "id_column", "label_column", "paths_column")
        given = {name: getattr(self.common, name) for name in names}
        return {name: value for name, value in given.items() if value}

    def _key(self, verb: str, results: Tabular, how: dict[str, object]) -> dict[str, object]:
        """All that decides the rows of a table; `how`: options that change the rows."""
        model = hashlib.sha256(model_file.resolve(results.use.path).read_bytes()).hexdigest()
        return {
            "aectl": ROWS_SINCE,
            "verb": verb,
            "model": model,
            "device": self.common.device,
            "threads": self.common.threads,
            "max_pixels": self.common.max_pixels,
            "truncated": self.common.truncated,
            **self._of_columns(),
            **results.key(),
            **how,
        }

    def _table(self, key: dict[str, object], resume: bool, how: dict[str, object]) -> "Table":
        """The table of a run with a key. Raises OutputError."""
        from aectl.outputs.tables import Table

        return Table(
            self.out,
            for_tables(),
            layout=str(how.get("layout", "columns")),
            key=key,
            resume=resume,
            bad=self.outcome.bad,
            empty=self.shard is not None,
        )
