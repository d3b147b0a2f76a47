"""`/emulator/…`: what tests and people may do to the org that no org would allow."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.emulator.bulk.job_info import described
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.messages import Answer, ApiError, Call
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.rest.records_api import Rest
from pipelines.emulator.transport.faults import FaultRefused, Faults


class Door:
    """Outside the org's own paths, and never counted as requests."""

    def __init__(self, org: Org, faults: Faults, rest: Rest, jobs: Jobs) -> None:
        self._org = org
        self._faults = faults
        self._rest = rest
        self._jobs = jobs

    def answer(self, call: Call) -> Answer:
        """The answer to any request under `/emulator/`."""
        doors: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("POST", "/emulator/reset"): self._reset,
            ("GET", "/emulator/requests"): lambda _call: Answer(200, self._faults.requests()),
            ("PUT", "/emulator/faults"): self._put_faults,
            ("GET", "/emulator/org"): lambda _call: Answer(200, self._dump()),
        }
        found = doors.get((call.method, call.path))
        if found is None:
            known = ", ".join(f"{method} {path}" for method, path in doors)
            return _refusal(404, f"no such door; there are {known}")
        return found(call)

    def _reset(self, call: Call) -> Answer:
        try:
            text = call.body.decode()
            self._org.reset(text if text.strip() else None)
        except UnicodeDecodeError:
            return _refusal(400, "the org file is not UTF-8")
        except OrgFileError as error:
            return _refusal(400, f"the org file: {error}")
        self._faults.forget()
        return Answer(200, {"org_id": self._org.id})

    def _put_faults(self, call: Call) -> Answer:
        try:
            self._faults.put(call.json())
        except (ApiError, FaultRefused) as error:
            return _refusal(400, str(error))
        return Answer(200, {"faults": len(self._faults)})

    def _dump(self) -> dict[str, object]:
        with self._org.store.lock:
            return {
                "leads": self._rest.dump("Lead"),
                "contacts": self._rest.dump("Contact"),
                "jobs": [described(job) for job in self._jobs.all("V2Ingest")],
            }


def _refusal(status: int, sentence: str) -> Answer:
    return Answer(status, {"error": sentence})
