"""Real batches on their way: at every place from which a step may start, with whatever may disturb
the step there.

A journey is a row. `job` is what the emulator does to the first job. In `steps`, `-` is a step that
nothing disturbs, `lost@2` takes away the answer to its third event (the effect stays), `failed@2`
the event itself, `taken@3` lets another run take the batch over before the fourth; the other words
are functions of `Rig`. After trouble the batch is read again and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.crash.model.relay import Relay
from tests.crash.model.rig import CONTACT, LEAD, Rig, copy_of, fleet
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

Label = tuple[str, ...]
# Bob is the one whom the org refuses.
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
bulk        | insert | on  | A   |                           | repeated@2 robbed@4
bulk        | insert | on  | A   |                           | repeated@2 -
bulk        | insert | on  | A   | stall:30                  | - - taken@0
bulk        | insert | on  | AC  |                           | change_one - wait taken@6 -
bulk        | insert | off | A   |                           | change -
bulk        | insert | off | ABC | lock_rows:1               | - wait failed@6 cut@2
bulk        | insert | off | ABC | lock_rows:1               | - wait lost@6 forget -
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


class Journey(NamedTuple):
    """A row of the table."""

    load_api: str
    operation: str
    has_field: bool
    persons: str
    job: str
    steps: str


def journeys() -> list[Journey]:
    """Every row; a line without a load_api goes on with the one above it."""
    rows: list[list[str]] = []
    for line in TABLE.strip().splitlines()[1:]:
        cells = [cell.strip() for cell in line.split("|")]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1][-1] += f" {cells[-1]}"
    return [
        Journey(load_api, does, field == "on", " ".join(NAMES[one] for one in who), job, steps)
        for load_api, does, field, who, job, steps in rows
    ]


def travel(
    together: list[Journey], emulator: Emulator, relay: Relay, migrated: Path, folder: Path
) -> Iterator[tuple[Label, Journey]]:
    """Make journeys of one kind on one scenario; answers what could be observed of each step."""
    scenario = Scenario(copy_of(migrated, folder, len(list(folder.iterdir()))), emulator)
    crews = [journey.persons for journey in together]
    try:
        with fleet(scenario, relay, crews, **_how(together[0])) as rigs:
            for rig, journey in zip(rigs, together, strict=True):
                jobs = journey.job.split()
                emulator.go_wrong(*({"job": "nth:1", "fault": one} for one in jobs))
                for label in _steps(rig, journey.steps):
                    yield label, journey
    finally:
        scenario.engine.dispose()


def by_stage() -> list[list[Journey]]:
    """The journeys that can share a scenario. An update's batch is not parted by its rule."""
    shared: dict[tuple[str, bool], list[Journey]] = {}
    alone = []
    for journey in journeys():
        if journey.operation == "update" or not _is_by_rule(journey):
            alone.append([journey])
        else:
            shared.setdefault((journey.load_api, journey.has_field), []).append(journey)
    return [*shared.values(), *alone]


def _is_by_rule(journey: Journey) -> bool:
    # Without the field only a deliberate duplicate travels by collections, and only to a queue.
    return journey.load_api == "bulk" or journey.has_field


def _steps(rig: Rig, steps: str) -> Iterator[Label]:
    for word in steps.split():
        if rig.batch.batch_state == "completed":
            return  # the code has left the way, and the sets of steps say where
        if word == "-" or "@" in word:
            label = rig.step(word)
            if "," not in word:
                yield label
        else:
            getattr(rig, word)()


def _how(journey: Journey) -> dict[str, Any]:
    """What makes the code choose this load_api and this operation."""
    how: dict[str, Any] = {"has_field": journey.has_field}
    addresses = [f"{name.lower()}0" for name in journey.persons.split()]
    if journey.operation == "update":
        how |= {"matching": {"existing_lead": "update"}}
        how |= {"org": "".join(map(LEAD.format, addresses))}
    if journey.load_api == "collections" and journey.has_field:
        how |= {"mode": "now"}
    if not _is_by_rule(journey):
        how |= {"strategy": "queue:Inbound", "org": "".join(map(CONTACT.format, addresses))}
    return how
