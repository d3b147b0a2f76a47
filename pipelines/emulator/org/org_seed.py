"""Fill an empty org with the records that its org file describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.emulator.org import ids, standard_objects
from pipelines.emulator.org.org_config import (
    DuplicateRule,
    OrgFile,
    Queue,
    Record,
    User,
)
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.org.schema import Field, Schema, SObject
from pipelines.emulator.org.store import Parameter, Store
from pipelines.emulator.org.values import (
    Failure,
    JsonTypeError,
    Value,
    from_json,
    now,
)

PROFILES = {"Standard": "Standard User", "CsnOnly": "Chatter Free User"}
OwnerIdOf = Callable[[str, str], str]


class OrgSeeder:
    """Fills an empty store with what one org file says."""

    def __init__(self, store: Store, file: OrgFile, schema: Schema, org_id: str) -> None:
        self._store = store
        self._file = file
        self._schema = schema
        self._org_id = org_id

    def add_setup(self) -> None:
        """Add users, queues, rules and everything else that clients only read."""
        self._add_organization()
        profiles = {
            kind: self._add("Profile", {"Name": name, "UserType": kind})
            for kind, name in PROFILES.items()
        }
        for user in _all_users(self._file, self._org_id):
            self._add_user(user, profiles)
        for queue in _all_queues(self._file):
            self._add_queue(queue)
        for rule in self._file.assignment_rules:
            self._add(
                "AssignmentRule",
                {"Name": rule.name, "SobjectType": "Lead", "Active": rule.active},
                rule.id,
            )
        for duplicate_rule in self._file.duplicate_rules:
            self._add_duplicate_rule(duplicate_rule)
        for position, status in enumerate(standard_objects.LEAD_STATUSES):
            values = {"ApiName": status, "MasterLabel": status, "SortOrder": position + 1}
            flags = {"IsDefault": position == 0, "IsConverted": status == "Closed - Converted"}
            self._add("LeadStatus", values | flags)

    def add_records(self, owner_id_of: OwnerIdOf, running_user_id: str) -> None:
        """Add the leads, contacts and accounts of the file; add the setup first.

        `owner_id_of` turns an owner such as `queue:NAME` into an id.
        """
        for record in self._file.records:
            self._add_record(record, owner_id_of, running_user_id)

    def _add_organization(self) -> None:
        values = {
            "Name": self._file.name,
            "IsSandbox": self._file.is_sandbox,
            "InstanceName": "EM1",
            "OrganizationType": "Enterprise Edition",
            "DefaultLeadAccess": "ReadEditTransfer",
        }
        self._add("Organization", values, self._org_id)

    def _add_user(self, user: User, profiles: Mapping[str, str]) -> None:
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

    def _add_duplicate_rule(self, rule: DuplicateRule) -> None:
        # Only the Metadata API shows the action; a query shows that the rule exists.
        values = {
            "DeveloperName": rule.name.replace(" ", "_"),
            "MasterLabel": rule.name,
            "SobjectType": rule.object,
            "SobjectSubtype": "None",
            "Language": "en_US",
            "IsActive": True,
        }
        self._add("DuplicateRule", values)

    def _add_queue(self, queue: Queue) -> None:
        values = {"Name": queue.name, "DeveloperName": queue.developer_name, "Type": "Queue"}
        queue_id = self._add("Group", values, queue.id)
        for served in queue.objects:
            self._add("QueueSobject", {"QueueId": queue_id, "SobjectType": served})
        for username in queue.members:
            found = self._store.row('select Id from "User" where Username = ?', (username.lower(),))
            if found is None:
                raise OrgFileError(
                    f"queue {queue.developer_name!r} has the member {username!r}, "
                    "who is no [[user]] of this file"
                )
            self._add("GroupMember", {"GroupId": queue_id, "UserOrGroupId": found[0]})

    def _add_record(self, record: Record, owner_id_of: OwnerIdOf, running_user_id: str) -> None:
        sobject = self._schema[record.object]
        values: dict[str, Value] = {}
        for name, given in record.values.items():
            field = sobject.find(name)
            if field is None and (record.object, name) in self._file.hidden_fields:
                continue
            if field is None or not field.stored:
                raise OrgFileError(f"{record.place}.{name} is not a field of {record.object}")
            values[field.name] = _seed_value(record.place, field, given)
        for required in sobject.required_fields:
            if values.get(required.name) is None:
                raise OrgFileError(f"{record.place}.{required.name} is missing")
        if record.owner:
            values["OwnerId"] = owner_id_of(record.owner, f"{record.place}.owner")
        self._add(record.object, _completed(sobject, values, running_user_id))

    def _add(self, object_name: str, given: Mapping[str, Any], record_id: str = "") -> str:
        sobject = self._schema[object_name]
        moment = now()
        full_id = self._given_id(sobject, record_id or str(given.get("Id") or ""))
        audit = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), moment)
        # A checkbox is never null, even if the file does not mention it.
        flags = {f.name: f.default for f in sobject.stored_fields if f.type == "boolean"}
        values: dict[str, Any] = flags | audit | dict(given) | {"Id": full_id}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        parameters: Sequence[Parameter] = [
            int(v) if isinstance(v, bool) else v for v in values.values()
        ]
        self._store.run(f'insert into "{object_name}" ({names}) values ({marks})', parameters)  # noqa: S608
        return full_id

    def _given_id(self, sobject: SObject, given: str) -> str:
        """Return the id of a record: its own from the org file, or the next free one."""
        if not given:
            return self._store.take_id(sobject.prefix)
        full_id = ids.normalised(given)
        if full_id is None or full_id[:3] != sobject.prefix:
            raise OrgFileError(f"{given!r} is not the id of a {sobject.name}")
        if self._store.row(f'select 1 from "{sobject.name}" where Id = ?', (full_id,)) is not None:  # noqa: S608
            raise OrgFileError(f"{given!r} is the id of two records")
        self._store.reserve_id(full_id)
        return full_id


def _all_users(file: OrgFile, org_id: str) -> list[User]:
    """Return the file's users, the running user, and the Chatter user that every org has."""
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
    """Return the file's queues, and the default lead owner's queue if only that names it."""
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
