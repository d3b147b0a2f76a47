"""What an org holds: schema, users, queues, rules, records and sessions, in one store.

An org is created from an org file once. Later the store is the org, and only a reset reads the file
again. Nothing here knows HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.emulator.org import ids
from pipelines.emulator.org.assignment_rules import Owners, ResolvedRule
from pipelines.emulator.org.duplicate_rules import index_matches
from pipelines.emulator.org.org_config import (
    AssignmentRule,
    OrgFile,
)
from pipelines.emulator.org.org_file import parse_org
from pipelines.emulator.org.org_schema import schema_of
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.org.org_seed import OrgSeeder
from pipelines.emulator.org.sessions import Sessions
from pipelines.emulator.org.store import Store
from pipelines.emulator.org.values import (
    now,
    parsed_moment,
)


class Org:
    """One org. `generation` grows with every reset, so that jobs from before can be dropped."""

    def __init__(self, store: Store, text: str, directory: Path) -> None:
        self.store = store
        self.generation = 0
        known = store.get("org_text")
        if known is None:
            self.reset(text, directory)
        else:
            self._use_file(parse_org(known, Path(store.get("org_directory") or ".")))
            self._load()
            index_matches(store, self.file.duplicate_rules, self.schema)

    def reset(self, text: str | None = None, directory: Path | None = None) -> None:
        """Reset the org to its file, or to the org file in `text`; every session ends.

        Raise OrgFileError, and change nothing, where the file is wrong.
        """
        with self.store.lock:
            text = text if text is not None else self.store.get("org_text") or ""
            directory = directory or Path(self.store.get("org_directory") or ".")
            before = self.__dict__.copy()
            self._use_file(parse_org(text, directory))
            try:
                with self.store.transaction():
                    self.store.empty(self.schema)
                    self.store.put("org_text", text)
                    self.store.put("org_directory", str(directory))
                    self.store.put("changed_at", now())
                    seeder = OrgSeeder(self.store, self.file, self.schema, self.id)
                    seeder.add_setup()
                    # The owner of a record is named by user or queue, so these are read first.
                    self._load()
                    seeder.add_records(self.owner_named, self.running_user_id)
                    index_matches(self.store, self.file.duplicate_rules, self.schema)
            except OrgFileError:
                self.__dict__.update(before)
                raise
            self.generation += 1

    @property
    def changed_at(self) -> datetime:
        """Return when objects and fields last changed, to the second."""
        known = self.store.get("changed_at") or now()
        return parsed_moment(known).replace(microsecond=0)

    def _use_file(self, file: OrgFile) -> None:
        self.file = file
        self.behaviour = file.behaviour
        self.schema = schema_of(file)
        self.id = _org_id(file)
        self.sessions = Sessions(self.store, self.id, file.behaviour.session_minutes)
        self.countries: Mapping[str, frozenset[str]] = {
            country.label: frozenset(country.states) for country in file.countries
        }

    def _load(self) -> None:
        """Load what every save needs: users, queues and rules."""
        self.usernames = {
            str(name).lower(): str(id_)
            for id_, name in self.store.rows('select Id, Username from "User"')
        }
        self.running_user_id = self.usernames[self.file.running_user]
        self.owners = Owners(
            user_types={
                str(id_): str(kind)
                for id_, kind in self.store.rows('select Id, UserType from "User"')
            },
            inactive={
                str(id_) for (id_,) in self.store.rows('select Id from "User" where IsActive = 0')
            },
            queue_objects=self._queue_objects(),
            queue_for_users_only=self.behaviour.contact_queue_owner,
        )
        self.without_api = {
            self.usernames[user.username] for user in self.file.users if not user.api_enabled
        }
        self._queues = {
            str(name): str(id_)
            for id_, name in self.store.rows(
                "select Id, DeveloperName from \"Group\" where Type = 'Queue'"
            )
        }
        self.default_lead_owner = self._default_lead_owner()
        rule_ids = [
            str(i) for (i,) in self.store.rows("select Id from AssignmentRule order by rowid")
        ]
        for id_, rule in zip(rule_ids, self.file.assignment_rules, strict=True):
            self.owners.rules[id_] = self._rule(id_, rule)

    def _queue_objects(self) -> dict[str, set[str]]:
        served: dict[str, set[str]] = {
            str(i): set()
            for (i,) in self.store.rows("select Id from \"Group\" where Type = 'Queue'")
        }
        for queue, name in self.store.rows("select QueueId, SobjectType from QueueSobject"):
            served[str(queue)].add(str(name))
        return served

    def _default_lead_owner(self) -> str:
        named = self.file.default_lead_owner
        return self.owner_named(named, "org.default_lead_owner") if named else self.running_user_id

    def _rule(self, id_: str, rule: AssignmentRule) -> ResolvedRule:
        place = f"assignment_rule {rule.name!r}"
        lead = self.schema["Lead"]
        entries = []
        for when, owner in rule.entries:
            for name in when:
                if lead.find(name) is None:
                    raise OrgFileError(f"{place} tests {name}, which Lead does not have")
            tested = {lead[name].name: values for name, values in when.items()}
            entries.append((tested, self.owner_named(owner, f"{place} entry.assign_to")))
        keeps = self.behaviour.rule_without_match == "keep_owner"
        owner = self.default_lead_owner
        return ResolvedRule(id_, rule.name, rule.active, tuple(entries), owner, keeps_owner=keeps)

    def owner_named(self, owner: str, place: str) -> str:
        """Return the id of `user:USERNAME` or `queue:DEVELOPER_NAME`; raise OrgFileError
        otherwise.
        """
        kind, _, name = owner.partition(":")
        found = {"user": self.usernames, "queue": self._queues}.get(kind, {}).get(
            name.lower() if kind == "user" else name
        )
        if found is None:
            raise OrgFileError(
                f"{place} names {owner!r}; write user:USERNAME or queue:DEVELOPER_NAME"
                " of a [[user]] or [[queue]] of this file"
            )
        return found

    def user(self, user_id: str) -> dict[str, Any]:
        """Return the fields of one user."""
        names = ("Id", "Username", "Name", "FirstName", "LastName", "Email", "UserType", "IsActive")
        found = self.store.row(f'select {", ".join(names)} from "User" where Id = ?', (user_id,))  # noqa: S608
        return dict(zip(names, found or [None] * len(names), strict=True))


def _org_id(file: OrgFile) -> str:
    """Return the id of the file, or one derived from the name: other names give other ids."""
    if file.id:
        found = ids.normalised(file.id)
        if found is None or not found.startswith("00D"):
            raise OrgFileError(f"org.id {file.id!r} is not the id of an organization (00D…)")
        return found
    digest = hashlib.sha256(file.name.encode()).digest()
    return ids.numbered("00D", int.from_bytes(digest[:6], "big"))
