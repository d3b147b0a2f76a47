"""Real batches in every state from which a step starts, with everything that can disturb the step.

Each row of the table is the path of one batch. `job` are faults that the emulator injects into the
first job. `steps` are the steps in their order:

- `-` is a step without a disturbance.
- `lost@2` drops the response of its third event, `failed@2` the event itself.
- `taken@3` lets another run take the batch over before the fourth event.
- Other disturbances are in `recorder.py`; other words are methods of `Rig`.

After an error the batch is read again, and its path continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.crash.model.relay import Relay
from tests.crash.model.rig import CONTACT, LEAD, Rig, copy_of, open_rigs
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

Label = tuple[str, ...]
# The org's duplicate rule blocks Bob.
NAMES = {"A": "Ada", "B": "Bob", "C": "Cyd"}

TABLE = """
load_api    | does   | fld | who | job                       | steps
bulk        | insert | on  | ABC |                           | lost@0 taken@1 lost@1 lost@0
            |        |     |     |                           | taken@1 - failed@2 - aborted@2 -
            |        |     |     |                           | taken@3
bulk        | insert | on  | A   |                           | failed@2 lost@1
bulk        | insert | on  | A   |                           | failed@2 taken@1
bulk        | insert | on  | ABC |                           | lost@3 lost@0 taken@0 lost@1
            |        |     |     |                           | failed@2 closed@2 wait lost@2
            |        |     |     |                           | lost@3 lost@4 lost@5 cut@2
bulk        | insert | on  | ABC |                           | lost@4 wait taken@6 lost@6
bulk        | insert | on  | A   |                           | - wait completed@2
bulk        | insert | on  | ABC |                           | lost@3 - wait -
bulk        | insert | off | A   |                           | repeated@2 lost@3 failed@4 lost@5 -
bulk        | insert | on  | A   |                           | repeated@2 taken@5
bulk        | insert | on  | A   |                           | repeated@2 aborted@4
bulk        | insert | on  | A   |                           | repeated@2 taken_aborted@4
bulk        | insert | on  | A   |                           | repeated@2 -
bulk        | insert | on  | A   | stall:30                  | - - taken@0
bulk        | insert | on  | AC  |                           | change_one - wait taken@6 -
bulk        | insert | off | A   |                           | change -
bulk        | insert | off | ABC | lock_rows:1               | - wait failed@6 cut@2
bulk        | insert | off | ABC | lock_rows:1               | - wait lost@6 forget_payload -
bulk        | insert | off | ABC | lock_rows:1               | - wait -
bulk        | insert | on  | A   | lock_rows:9               | - wait lost@5
bulk        | insert | off | AB  | lock_rows:1               | - wait -
bulk        | insert | on  | B   |                           | - wait taken@5 failed@5 -
bulk        | insert | off | AC  | fail_after_chunk:0        | - wait cut@4
bulk        | insert | on  | A   | abort_after_chunk:0       | - wait - - -
bulk        | insert | on  | AC  | forget                    | - wait lost@2 lost@3 taken@4
            |        |     |     |                           | failed@4
bulk        | insert | on  | A   | forget                    | - wait -
bulk        | insert | on  | ABC | forget                    | - wait lost@4
bulk        | insert | on  | ABC | forget                    | - wait -
bulk        | insert | on  | A   | forget fail_after_chunk:0 | - wait taken@3 failed@3 -
bulk        | insert | off | A   | forget                    | - wait taken@2 failed@2 -
bulk        | insert | on  | A   |                           | make_leads - wait -
collections | insert | on  | AC  |                           | taken@0 failed@0 lost@0
collections | insert | on  | AC  |                           | lost@2 lost@0 taken@1 -
collections | insert | on  | AC  |                           | lost@3
collections | insert | on  | AC  |                           | taken@3
collections | insert | on  | AC  |                           | locked@1 -
collections | insert | on  | A   |                           | locked@1 lost@1 lost@0 taken@2
            |        |     |     |                           | lost@1 failed@2 -
collections | insert | on  | AC  |                           | change_one -
collections | insert | on  | A   |                           | change -
collections | insert | on  | AC  |                           | lost@2 failed@1
collections | insert | on  | AC  |                           | locked@1,lost@2 -
collections | insert | on  | A   |                           | locked@1,failed@2 -
collections | insert | on  | AB  |                           | lost@1 failed@2 -
collections | insert | on  | A   |                           | make_leads lost@2
collections | insert | on  | A   |                           | make_leads lost@3
collections | insert | on  | A   |                           | make_leads taken@4
collections | insert | on  | A   |                           | make_leads lost@4
collections | insert | on  | A   |                           | make_leads -
collections | insert | on  | AC  |                           | make_leads locked@1
collections | insert | on  | AC  |                           | make_leads change_one -
collections | insert | on  | A   |                           | failed@1 lost@0 taken@1 failed@1 -
collections | insert | on  | B   |                           | taken@2
collections | insert | on  | B   |                           | lost@2
collections | insert | on  | B   |                           | -
collections | insert | off | A   |                           | failed@1 taken@0 failed@0 -
bulk        | update | on  | A   |                           | - wait miscounted@1
bulk        | update | off | A   | forget                    | - wait failed@2 -
collections | update | on  | A   |                           | lost@1 taken@0 failed@0 -
collections | update | on  | A   |                           | -
"""


class BatchPath(NamedTuple):
    """A row of the table."""

    load_api: str
    operation: str
    has_field: bool
    persons: str
    job: str
    steps: str


def batch_paths() -> list[BatchPath]:
    """Return every row. A line without a load_api continues the one above it."""
    rows: list[list[str]] = []
    for line in TABLE.strip().splitlines()[1:]:
        cells = [cell.strip() for cell in line.split("|")]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1][-1] += f" {cells[-1]}"
    return [
        BatchPath(load_api, does, field == "on", " ".join(NAMES[one] for one in who), job, steps)
        for load_api, does, field, who, job, steps in rows
    ]


def take_paths(
    paths: list[BatchPath], emulator: Emulator, relay: Relay, migrated: Path, folder: Path
) -> Iterator[tuple[Label, BatchPath]]:
    """Take paths that share a scenario. Yield what was observed of each step."""
    scenario = Scenario(copy_of(migrated, folder, len(list(folder.iterdir()))), emulator)
    groups = [path.persons for path in paths]
    try:
        with open_rigs(scenario, relay, groups, **_options(paths[0])) as rigs:
            for rig, path in zip(rigs, paths, strict=True):
                faults = path.job.split()
                emulator.go_wrong(*({"job": "nth:1", "fault": one} for one in faults))
                for label in _steps(rig, path.steps):
                    yield label, path
    finally:
        scenario.engine.dispose()


def grouped_paths() -> list[list[BatchPath]]:
    """Return the paths in groups that share a scenario: all persons must get an assignment rule."""
    shared: dict[tuple[str, bool], list[BatchPath]] = {}
    alone = []
    for path in batch_paths():
        if path.operation == "update" or not _is_by_rule(path):
            alone.append([path])
        else:
            shared.setdefault((path.load_api, path.has_field), []).append(path)
    return [*shared.values(), *alone]


def _is_by_rule(path: BatchPath) -> bool:
    # Without the field only an intended duplicate is loaded by collections, and only to a queue.
    return path.load_api == "bulk" or path.has_field


def _steps(rig: Rig, steps: str) -> Iterator[Label]:
    for step in steps.split():
        if rig.batch.batch_state == "completed":
            return  # the code has left the path, and the sets of steps will differ
        if step == "-" or "@" in step:
            label = rig.step(step)
            if "," not in step:
                yield label
        else:
            getattr(rig, step)()


def _options(path: BatchPath) -> dict[str, Any]:
    """Return the options that make the code choose this load_api and this operation."""
    options: dict[str, Any] = {"has_field": path.has_field}
    addresses = [f"{name.lower()}0" for name in path.persons.split()]
    if path.operation == "update":
        options |= {"matching": {"existing_lead": "update"}}
        options |= {"org": "".join(map(LEAD.format, addresses))}
    if path.load_api == "collections" and path.has_field:
        options |= {"mode": "now"}
    if not _is_by_rule(path):
        options |= {"strategy": "queue:Inbound", "org": "".join(map(CONTACT.format, addresses))}
    return options
