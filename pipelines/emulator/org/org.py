"""What an org holds: its schema, users, queues, rules, records and sessions, in one store.

An org is made from an org file once; afterwards the store is the org, and only a reset reads the
file again. Nothing here knows HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.emulator.org import ids, standard_objects
from pipelines.emulator.org.assignment_rules import Owners, ResolvedRule
from pipelines.emulator.org.duplicate_rules import index_matches
from pipelines.emulator.org.org_file import (
    AssignmentRule,
    DuplicateRule,
    OrgFile,
    Queue,
    Record,
    User,
    parse_org,
)
from pipelines.emulator.org.org_schema import schema_of
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.sessions import Sessions
from pipelines.emulator.org.store import Parameter, Store
from pipelines.emulator.org.values import (
    Failure,
    JsonTypeError,
    Value,
    from_json,
    now,
    parsed_moment,
)

PROFILES = {"Standard": "Standard User", "CsnOnly": "Chatter Free User"}


class Org:
    """One org; `generation` grows with every reset, so that work of the old one can be dropped."""

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
        """Empty the org back to its file, or make it what `text` says. Every session ends."""
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
                    self._seed()
                self._load()
            except OrgFileError:
                self.__dict__.update(before)
                raise
            self.generation += 1

    @property
    def changed_at(self) -> datetime:
        """Since when the objects and fields are as they are, to the second."""
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
        """Read back what is asked for on every save."""
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
        """The id behind `user:USERNAME` or `queue:DEVELOPER_NAME`."""
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

    def _seed(self) -> None:
        self._seed_organization()
        profiles = {
            kind: self._add("Profile", {"Name": name, "UserType": kind})
            for kind, name in PROFILES.items()
        }
        for user in _all_users(self.file, self.id):
            self._seed_user(user, profiles)
        for queue in _all_queues(self.file):
            self._seed_queue(queue)
        for rule in self.file.assignment_rules:
            self._add(
                "AssignmentRule",
                {"Name": rule.name, "SobjectType": "Lead", "Active": rule.active},
                rule.id,
            )
        for duplicate_rule in self.file.duplicate_rules:
            self._seed_duplicate_rule(duplicate_rule)
        for position, status in enumerate(standard_objects.LEAD_STATUSES):
            values = {"ApiName": status, "MasterLabel": status, "SortOrder": position + 1}
            flags = {"IsDefault": position == 0, "IsConverted": status == "Closed - Converted"}
            self._add("LeadStatus", values | flags)
        # Owners of seeded records are named in words, so the users and queues must be known first.
        self._load()
        for record in self.file.records:
            self._seed_record(record)
        index_matches(self.store, self.file.duplicate_rules, self.schema)

    def _seed_organization(self) -> None:
        values = {
            "Name": self.file.name,
            "IsSandbox": self.file.is_sandbox,
            "InstanceName": "EM1",
            "OrganizationType": "Enterprise Edition",
            "DefaultLeadAccess": "ReadEditTransfer",
        }
        self._add("Organization", values, self.id)

    def _seed_user(self, user: User, profiles: Mapping[str, str]) -> None:
        first, _, last = user.name.rpartition(" ")
        values = {
            "Username": user.username,
            "Name": user.name,
            "FirstName": first or None,
            "LastName": last,
            "Email": user.email,
            "Alias": user.username[:8],
            "CommunityNickname": user.username.partition("@")[0][:40],
            "IsActive": user.is_active,
            "UserType": user.user_type,
            "ProfileId": profiles.get(user.user_type),
        }
        self._add("User", values, user.id)

    def _seed_duplicate_rule(self, rule: DuplicateRule) -> None:
        # The action is told by the Metadata API only; a query shows that the rule is there.
        values = {
            "DeveloperName": rule.name.replace(" ", "_"),
            "MasterLabel": rule.name,
            "SobjectType": rule.object,
            "SobjectSubtype": "None",
            "Language": "en_US",
            "IsActive": True,
        }
        self._add("DuplicateRule", values)

    def _seed_queue(self, queue: Queue) -> None:
        values = {"Name": queue.name, "DeveloperName": queue.developer_name, "Type": "Queue"}
        queue_id = self._add("Group", values, queue.id)
        for served in queue.objects:
            self._add("QueueSobject", {"QueueId": queue_id, "SobjectType": served})
        for username in queue.members:
            found = self.store.row('select Id from "User" where Username = ?', (username.lower(),))
            if found is None:
                raise OrgFileError(
                    f"queue {queue.developer_name!r} has the member {username!r}, "
                    "who is no [[user]] of this file"
                )
            self._add("GroupMember", {"GroupId": queue_id, "UserOrGroupId": found[0]})

    def _seed_record(self, record: Record) -> None:
        sobject = self.schema[record.object]
        values: dict[str, Value] = {}
        for name, given in record.values.items():
            field = sobject.find(name)
            if field is None and (record.object, name) in self.file.hidden_fields:
                continue
            if field is None or not field.stored:
                raise OrgFileError(f"{record.place}.{name} is not a field of {record.object}")
            values[field.name] = _seed_value(record.place, field, given)
        for required in sobject.required_fields:
            if values.get(required.name) is None:
                raise OrgFileError(f"{record.place}.{required.name} is missing")
        if record.owner:
            values["OwnerId"] = self.owner_named(record.owner, f"{record.place}.owner")
        self._add(record.object, _completed(sobject, values, self.running_user_id))

    def _add(self, object_name: str, given: Mapping[str, Any], record_id: str = "") -> str:
        sobject = self.schema[object_name]
        moment = now()
        full_id = self._given_id(sobject, record_id or str(given.get("Id") or ""))
        audit = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), moment)
        # A checkbox is never null, not even one that nobody speaks of.
        flags = {f.name: f.default for f in sobject.stored_fields if f.type == "boolean"}
        values: dict[str, Any] = flags | audit | dict(given) | {"Id": full_id}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        parameters: Sequence[Parameter] = [
            int(v) if isinstance(v, bool) else v for v in values.values()
        ]
        self.store.run(f'insert into "{object_name}" ({names}) values ({marks})', parameters)  # noqa: S608
        return full_id

    def _given_id(self, sobject: SObject, given: str) -> str:
        """The id of a record of the org file: its own, or the next one."""
        if not given:
            return self.store.take_id(sobject.prefix)
        full_id = ids.normalised(given)
        if full_id is None or full_id[:3] != sobject.prefix:
            raise OrgFileError(f"{given!r} is not the id of a {sobject.name}")
        if self.store.row(f'select 1 from "{sobject.name}" where Id = ?', (full_id,)) is not None:  # noqa: S608
            raise OrgFileError(f"{given!r} is the id of two records")
        self.store.reserve_id(full_id)
        return full_id

    def user(self, user_id: str) -> dict[str, Any]:
        """One user, field by field."""
        names = ("Id", "Username", "Name", "FirstName", "LastName", "Email", "UserType", "IsActive")
        found = self.store.row(f'select {", ".join(names)} from "User" where Id = ?', (user_id,))  # noqa: S608
        return dict(zip(names, found or [None] * len(names), strict=True))


def _org_id(file: OrgFile) -> str:
    """Given, or made from the name: two orgs of different names are different orgs."""
    if file.id:
        found = ids.normalised(file.id)
        if found is None or not found.startswith("00D"):
            raise OrgFileError(f"org.id {file.id!r} is not the id of an organization (00D…)")
        return found
    digest = hashlib.sha256(file.name.encode()).digest()
    return ids.numbered("00D", int.from_bytes(digest[:6], "big"))


def _all_users(file: OrgFile, org_id: str) -> list[User]:
    """The users of the file, the running user, and the Chatter user every org ships (§5.4)."""
    users = list(file.users)
    if file.running_user not in {user.username for user in users}:
        users.append(User(file.running_user, "Integration User", file.running_user))
    chatty = f"chatty.{org_id.lower()}@chatter.salesforce.com"
    users.append(
        User(chatty, "Chatter Expert", "noreply@chatter.salesforce.com", user_type="CsnOnly")
    )
    names = [user.username for user in users]
    if len(set(names)) < len(names):
        raise OrgFileError("two [[user]] share a username; usernames are unique")
    return users


def _all_queues(file: OrgFile) -> list[Queue]:
    """The queues of the file, and the default lead owner's where only that names it."""
    queues = list(file.queues)
    names = [queue.developer_name for queue in queues]
    if len(set(names)) < len(names):
        raise OrgFileError("two [[queue]] share a developer_name")
    kind, _, name = file.default_lead_owner.partition(":")
    if kind == "queue" and name and name not in names:
        queues.append(Queue(name, name.replace("_", " "), ("Lead",)))
    return queues


def _seed_value(place: str, field: Field, given: Any) -> Value:
    try:
        return from_json(field, given)
    except Failure as failure:
        raise OrgFileError(f"{place}.{field.name}: {failure.message}") from failure
    except JsonTypeError as error:
        raise OrgFileError(f"{place}.{field.name}: {error}") from error


def _completed(sobject: SObject, given: dict[str, Value], owner_id: str) -> dict[str, Value]:
    values: dict[str, Value] = {
        field.name: field.default
        for field in sobject.stored_fields
        if field.defaulted and field.default is not None
    }
    values |= {"OwnerId": owner_id, "CreatedById": owner_id, "LastModifiedById": owner_id}
    values |= given
    if sobject.find("FirstName"):
        first, last = values.get("FirstName"), values.get("LastName")
        values["Name"] = f"{first} {last}" if first else last
    return values
