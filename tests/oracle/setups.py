"""The settings that are compared, in the form of the reference and in that of the product."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.oracle.expected import Settings
from tests.oracle.persons import FIELDS

CHOICES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"country": ["GB", "IT"], "industry": "Media"}, "user:ada@acme.example"),
    ({"employee_count": {"ge": 1000}}, "queue:Big_Deals"),
    ({"city": {"is_blank": True}, "company": {"contains": "9"}}, "rule:Fair"),
)


@dataclass(frozen=True)
class Setup:
    """The settings of a run and its org."""

    name: str
    has_field: bool = True
    default: str = "rules"
    matching: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    lookup: str = "soql"
    workers: int = 1
    # Smaller than the persons of a test, so that one slice knows what an earlier one has done.
    slice_size: int = 600

    @property
    def reference(self) -> Settings:
        """The settings of the reference."""
        return Settings(FIELDS, self.default, CHOICES, self.defaults, **self.matching)

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings of the product, by group."""
        choices = [{"when": when, "assign_to": strategy} for when, strategy in CHOICES]
        return {
            "salesforce": {"person_id_field": "Person_Id__c" if self.has_field else ""},
            "fields": {k: v for k, v in FIELDS.items() if k.endswith("__c")},
            "owners": {"default": self.default, "choice": choices},
            "matching": {**self.matching, "lookup": self.lookup},
            "run": {"poll_seconds": 0.05, "slice_size": self.slice_size},
            "defaults": self.defaults,
        }


ALL_UPDATED = {"existing_lead": "update", "existing_contact": "update"}
ONLY_REPORTED = {"contact_with_queue": "report", "deleted": "report"}
SETUPS = [
    Setup("default settings"),
    Setup("all updated", matching=ALL_UPDATED),
    Setup("reported, to a queue", default="queue:Inbound", matching=ONLY_REPORTED),
    Setup("to a user", default="user:ada@acme.example", matching=ALL_UPDATED | ONLY_REPORTED),
    Setup("a default company", defaults={"Company": "[not provided]"}),
    Setup("without the field", has_field=False),
    Setup("by a snapshot", matching=ALL_UPDATED, lookup="snapshot"),
    Setup("by a snapshot, without the field", has_field=False, lookup="snapshot"),
    Setup("three workers", workers=3, slice_size=200),
]
