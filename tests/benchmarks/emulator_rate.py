"""`make bench-emulator`: measure how many Leads a second the org emulator takes.

Measure as a client: from opening a job to the last byte of its three result files. On a busy
machine trust the CPU column only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "FirstName,LastName,Company,Email,Phone,Title,Street,City,PostalCode,Country,LeadSource,"
    "Person_Id__c"
)
PERSON_ID = """
[org]
name = "Rate"
[[app]]
consumer_key = "key"
consumer_secret = "secret"
[[field]]
object = "Lead"
name = "Person_Id__c"
length = 64
external_id = true
"""
RULES = """
[[queue]]
developer_name = "Dach"
name = "DACH"
[[assignment_rule]]
name = "Routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE", "AT", "CH"] }
assign_to = "queue:Dach"
[[duplicate_rule]]
name = "Leads like leads"
"""
ORGS = {
    "rules off": PERSON_ID,
    "unique field": PERSON_ID + "unique = true\n",
    "unique field and both rules": PERSON_ID + "unique = true\n" + RULES,
}


@dataclass
class Rate:
    """The rate of one kind of org."""

    org: str
    storage: str
    rows: int
    megabytes: float
    rows_per_second: list[float]
    cpu_microseconds_per_row: float | None
    peak_megabytes: float | None

    def __str__(self) -> str:
        rates = sorted(self.rows_per_second)
        cpu = self.cpu_microseconds_per_row
        return (
            f"{self.org:28} {self.storage:7} {self.rows:>9,} rows {self.megabytes:5.0f} MB"
            f"   {statistics.median(rates):>9,.0f} rows/s ({rates[0]:,.0f} to {rates[-1]:,.0f})"
            + (f"   {cpu:.1f} us of CPU a row" if cpu else "")
            + (f"   peak {self.peak_megabytes:.0f} MB" if self.peak_megabytes else "")
        )


class Org:
    """A client of one emulator process."""

    def __init__(self, url: str, text: str) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.post(f"{url}/emulator/reset", data=text.encode()).raise_for_status()
        form = {"grant_type": "client_credentials", "client_id": "key", "client_secret": "secret"}
        token = self._http.post(f"{url}/services/oauth2/token", data=form).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **more: object) -> requests.Response:
        url = f"{self._url}/services/data/v68.0{path}"
        response = self._http.request(method, url, **more)  # type: ignore[arg-type]
        response.raise_for_status()
        return response

    def load(self, upload: Path) -> float:
        """Load the file. Return the seconds from opening the job to the last byte of results."""
        rules = self.call("GET", "/query", params={"q": "SELECT Id FROM AssignmentRule"}).json()
        job_request = {"object": "Lead", "operation": "insert"}
        if rules["records"]:
            job_request["assignmentRuleId"] = rules["records"][0]["Id"]
        started = time.monotonic()
        job = self.call("POST", "/jobs/ingest", json=job_request).json()["id"]
        with upload.open("rb") as body:
            csv = {"Content-Type": "text/csv"}
            self.call("PUT", f"/jobs/ingest/{job}/batches", data=body, headers=csv)
        self.call("PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"})
        while (status := self.call("GET", f"/jobs/ingest/{job}").json())["state"] != "JobComplete":
            time.sleep(0.02)
        if status["numberRecordsFailed"]:
            raise SystemExit(f"{status['numberRecordsFailed']} rows failed; none should")
        for kind in ("successfulResults", "failedResults", "unprocessedrecords"):
            for _ in self.call("GET", f"/jobs/ingest/{job}/{kind}", stream=True).iter_content(
                1 << 20
            ):
                pass
        return time.monotonic() - started


@contextmanager
def emulator(store: Path | None) -> Iterator[tuple[str, int]]:
    """Start an emulator as a process; yield its address and its pid."""
    command = [sys.executable, "-m", "pipelines.emulator.server", "--port", "0"]
    if store is not None:
        command += ["--store", str(store)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip().rpartition(" on ")[2], process.pid  # type: ignore[union-attr]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU seconds of a process so far; None without /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(pid: int) -> float | None:
    """Return the peak memory of a process; None without /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def write_upload(path: Path, rows: int) -> None:
    """Write a CSV file of synthetic leads."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        print(COLUMNS, file=file)
        for n in range(rows):
            print(
                f'"Ada","Byron {n}","Engines & Co","u{n}@example.com","+49 151 {n}","Countess",'
                f'"Main Street 1","London","{n % 99_999:05d}","GB","Web","q{n}"',
                file=file,
            )


def measure(name: str, upload: Path, rows: int, runs: int, store: Path | None) -> Rate:
    """Load the file several times into an org that was empty."""
    with emulator(store) as (url, pid):
        before = cpu_seconds(pid)
        seconds = [Org(url, ORGS[name]).load(upload) for _ in range(runs)]
        after, peak = cpu_seconds(pid), peak_megabytes(pid)
    cpu = (after - before) / runs / rows * 1e6 if after is not None and before is not None else None
    megabytes = upload.stat().st_size / 1e6
    storage = "store" if store else "memory"
    return Rate(name, storage, rows, megabytes, [rows / s for s in seconds], cpu, peak)


def main() -> None:
    """Measure every kind of org, in memory and in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--org", choices=list(ORGS), action="append", help="default: all")
    parser.add_argument("--storage", choices=["memory", "store"], action="append")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / "leads.csv"
        write_upload(upload, options.rows)
        for storage in options.storage or ["memory", "store"]:
            for name in options.org or ORGS:
                store = Path(folder) / f"{name}.db" if storage == "store" else None
                rates.append(measure(name, upload, options.rows, options.runs, store))
                print(rates[-1], flush=True)  # noqa: T201 - what the script is for
    if options.json:
        options.json.write_text(json.dumps([asdict(rate) for rate in rates], indent=2) + "\n")


if __name__ == "__main__":
    main()
