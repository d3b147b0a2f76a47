"""Keep and write the result files of ingest jobs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from pipelines.emulator.bulk.csv_rows import csv_line, open_upload, single_rows
from pipelines.emulator.bulk.job_info import ENDED, Job
from pipelines.emulator.bulk.jobs import PIECE, Jobs
from pipelines.emulator.bulk.uploads import DELIMITERS, BrokenRow, JobDataError, header_names
from pipelines.emulator.org.org import Org


class JobResults:
    """The result files of the ingest jobs of one org."""

    def __init__(self, org: Org, jobs: Jobs) -> None:
        self._org = org
        self._store = org.store
        self._jobs = jobs

    def add(self, job_id: str, bodies: Mapping[str, Mapping[int, bytes]]) -> None:
        """Store result lines by file and chunk; repeating a chunk replaces it."""
        self._store.run_many(
            "insert or replace into emulator_job_results values (?, ?, ?, ?)",
            (
                (job_id, kind, chunk, body)
                for kind, chunks in bodies.items()
                for chunk, body in chunks.items()
            ),
        )

    def file(self, job: Job, kind: str) -> Iterator[bytes]:
        """Yield a result file: the header, then the chunks in a shuffled order."""
        header = self._result_header(job)
        named = '"sf__Id",' if job.names_failed_records else ""
        marks = {"successful": '"sf__Id","sf__Created"', "failed": f'{named}"sf__Error"'}
        cut, end = job.result_format(self._org.behaviour.result_dialect)
        whole = f"{marks[kind].replace(',', cut)}{cut}{header}" if header else marks[kind]
        yield f"{whole}{end}".encode()
        sql = "select chunk from emulator_job_results where job_id = ? and kind = ?"
        chunks = [int(c or 0) for (c,) in self._store.rows(sql, (job.id, kind))]
        random.Random(f"{self._org.behaviour.seed}{job.id}{kind}").shuffle(chunks)  # noqa: S311
        held = bytearray()
        for chunk in chunks:
            body = self._store.row(
                "select body from emulator_job_results where job_id = ? and kind = ? and chunk = ?",
                (job.id, kind, chunk),
            )
            held += body[0] if body else b""  # type: ignore[arg-type]  # a blob column
            # Each piece costs a thread switch in the server, so a few chunks share one.
            if len(held) >= PIECE:
                yield bytes(held)
                held.clear()
        yield bytes(held)

    def are_available(self, job: Job) -> bool:
        """Return whether results can be read. Before the end of a job this is unknown, so a switch
        decides.
        """
        return job.state in ENDED or self._org.behaviour.early_results == "partial"

    def unprocessed(self, job: Job) -> Iterator[bytes]:
        """Yield the rows that were not processed, without sf__ columns."""
        cut, end = job.result_format(self._org.behaviour.result_dialect)
        header = self._result_header(job)
        yield f"{header}{end}".encode() if header else b""
        if job.state not in {"Failed", "Aborted"}:
            return
        layout = job.layout(newline_in_cell=True)
        try:
            uploaded, blocks = open_upload(self._jobs.pieces(job.id), layout)
            width = len(header_names(uploaded or "", layout.delimiter))
            for cells in single_rows(blocks, layout, job.rows_done):
                yield csv_line([""] * width if isinstance(cells, BrokenRow) else cells, cut, end)
        except JobDataError:
            return

    def _header(self, job: Job) -> str:
        """Return the header line as uploaded, or "" where no upload can be read."""
        try:
            header, _ = open_upload(self._jobs.pieces(job.id), job.layout(newline_in_cell=True))
        except JobDataError:
            return ""
        return (header or "").removesuffix("\r")

    def _result_header(self, job: Job) -> str:
        """Return the header line in the format of the result files."""
        header, own = self._header(job), DELIMITERS[job.column_delimiter]
        cut, _ = job.result_format(self._org.behaviour.result_dialect)
        if cut == own:
            return header
        try:
            return cut.join(header_names(header, own))
        except JobDataError:
            return header
