"""What a run stands on: a warehouse and an org that answer, and settings that fit both.

Everything that can be found wrong before a person is read is found here, one probe a line. `check`
shows every line; a run stops at the first that fails. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pipelines.errors import ConfigurationError, OrgRejectedError, SyncError
from pipelines.rules import match_decisions, owner_choices, owner_strategies
from pipelines.rules.lead_fields import LeadField
from pipelines.rules.owner_strategies import OwnerDirectory, RejectedStrategy, ResolvedStrategy
from pipelines.run.connections import log_in_to, open_store
from pipelines.salesforce import lookups
from pipelines.salesforce.session import Org
from pipelines.settings import Settings
from pipelines.steps import unknown_jobs
from pipelines.steps.match import Matcher
from pipelines.warehouse import ledger, migrations
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.new_persons import binary_id_type, persons_columns

REQUIRED_FIELDS = ("LastName", "Company")
LOW_API_CALLS = 500


class OwnerLookup:
    """Resolves owner strategies against the org, each text once."""

    def __init__(self, org: Org, without_active_rule: Literal["stop", "running_user"]) -> None:
        self._org = org
        self._without_active_rule = without_active_rule
        # Read now: a login that may not see them must fail before the run reads a person.
        self._lists = {name: read(org) for name, read in lookups.OWNER_LISTS.items()}
        self._resolved: dict[str, ResolvedStrategy | RejectedStrategy] = {}

    def resolve(self, texts: Iterable[str]) -> Mapping[str, ResolvedStrategy | RejectedStrategy]:
        """Return every text asked for so far with what it means in the org, or why it is rejected.

        Sends queries only for names that are new.
        """
        wanted = sorted(set(texts) - self._resolved.keys())
        names = owner_strategies.names_to_search(wanted)
        found = {
            name: search(self._org, names.get(name, []))
            for name, search in lookups.OWNER_SEARCHES.items()
        }
        directory = OwnerDirectory({**self._lists, **found}, self._without_active_rule)
        for text in wanted:
            self._resolved[text] = owner_strategies.resolve(text, directory)
        return self._resolved


@dataclass
class Ground:
    """What the probes found, filled from top to bottom."""

    settings: Settings
    warehouse: Warehouse
    owner: str | None  # the default owner strategy of this run alone
    org: Org
    columns: dict[str, str]
    lead_fields: dict[str, LeadField]
    person_id_length: int | None
    owner_lookup: OwnerLookup
    default_strategy: owner_strategies.Strategy
    choices: tuple[owner_choices.Choice, ...]
    default_lead_owner_id: str | None
    described: dict[str, lookups.DescribedField]
    person_id_field: str  # the unique external id on Lead, or "" for an org without one
    matcher: Matcher  # how known records are looked up; runs alone have one
    unknown_jobs: unknown_jobs.UnknownJobs  # of our login, and unknown to the ledger
    accept_unknown_jobs: bool  # whether a human has said that stray jobs be taken as known

    @property
    def matching(self) -> match_decisions.MatchingOptions:
        """The options of the decision table."""
        how = {"lookup", "refresh_minutes"}
        return match_decisions.MatchingOptions(**self.settings.matching.model_dump(exclude=how))


PreflightCheck = Callable[[Ground], str]


def new_ground(
    settings: Settings,
    warehouse: Warehouse,
    owner: str | None = None,
    *,
    accept_unknown_jobs: bool = False,
) -> Ground:
    """A ground on which nothing has been looked at yet."""
    ground = Ground.__new__(Ground)
    ground.settings, ground.warehouse, ground.owner = settings, warehouse, owner
    ground.unknown_jobs, ground.accept_unknown_jobs = (
        unknown_jobs.UnknownJobs(),
        accept_unknown_jobs,
    )
    return ground


def find_columns(ground: Ground) -> str:
    """persons table: the columns the fields ask for are there"""
    there = persons_columns(ground.warehouse)
    settings, table = ground.settings, ground.settings.warehouse.persons
    wanted = {"person_id": "person_id"}
    for field, column in settings.columns.items():
        if field in REQUIRED_FIELDS or field in settings.explicit_fields:
            wanted[f"fields.{field}"] = column
    wrong = [
        f"{table} has no column {column}, which {path} needs"
        for path, column in wanted.items()
        if column not in there
    ]
    if wrong:
        names = ", ".join(sorted(there))
        raise ConfigurationError(
            f"{'; '.join(wrong)}: mend [fields] or the table, which has {names}"
        )
    if binary := binary_id_type(ground.warehouse):
        raise ConfigurationError(
            f"person_id of {table} holds bytes ({binary}), and an id must be text or a number: "
            "name a view that casts it in warehouse.persons"
        )
    for field in REQUIRED_FIELDS:
        if field not in settings.columns:
            raise ConfigurationError(f"fields.{field} is switched off, but Salesforce requires it")
    ground.columns = {
        field: column for field, column in settings.columns.items() if column in there
    }
    return f"{table} has columns for {len(ground.columns)} fields"


def find_right_to_write(ground: Ground) -> str:
    """results: this login may write them"""
    migrations.try_writing(ground.warehouse)
    return f"may be written ({len(migrations.pending(ground.warehouse))} migrations to come)"


def reach_org(ground: Ground) -> str:
    """login: the org lets us in"""
    ground.org = log_in_to(ground.settings.salesforce)
    kind = "sandbox" if ground.org.is_sandbox else "production"
    return f"{ground.org.org_name} ({kind}, {ground.org.org_id})"


def find_lead_fields(ground: Ground) -> str:
    """Lead fields: there and writable"""
    ground.described = described = lookups.describe(ground.org, "Lead")
    by_lower = {name.lower(): field for name, field in described.items()}
    columns: dict[str, str] = {}
    for name, column in ground.columns.items():
        field = by_lower.get(name.lower())
        if field is None or not field.createable:
            raise ConfigurationError(
                f"Lead field {name} cannot be written by this login: grant it in its permission "
                f'set, or leave the field out with fields.{name} = ""'
            )
        columns[field.name] = column
    ground.columns = columns
    ground.lead_fields = {field.name: _as_lead_field(field) for field in described.values()}
    _require_nothing_more(described, columns)
    return f"{len(columns)} can be written"


def _as_lead_field(field: lookups.DescribedField) -> LeadField:
    return LeadField(
        name=field.name,
        label=field.label,
        type=field.type,
        length=field.length or None,
        digits=field.digits or None,
        precision=field.precision or None,
        scale=field.scale,
        restricted_values=field.picklist_values if field.restricted_picklist else None,
    )


def _require_nothing_more(
    described: Mapping[str, lookups.DescribedField], columns: Mapping[str, str]
) -> None:
    for field in described.values():
        must = field.createable and not field.nillable and not field.defaulted_on_create
        if must and field.type != "boolean" and field.name not in columns:
            raise ConfigurationError(
                f"the org requires Lead field {field.name}: map a column to it in [fields]"
            )


def find_person_id_field(ground: Ground) -> str:
    """person-id field: unique and an external id"""
    name = ground.settings.salesforce.person_id_field
    ground.person_id_field, ground.person_id_length = "", None
    if not name:
        return "none: the ledger stands alone (delivery is slower and may end in held persons)"
    fields = ground.described.values()
    field = next((one for one in fields if one.name.lower() == name.lower()), None)
    remedy = (
        "create it as Text(64), External ID, Unique, case sensitive and let this login edit it, "
        'or set salesforce.person_id_field = "" to run without'
    )
    if field is None or not field.createable:
        raise ConfigurationError(f"Lead field {name} is not there for this login: {remedy}")
    if not (field.unique and field.external_id):
        raise ConfigurationError(f"Lead field {name} is not a unique external id: {remedy}")
    ground.person_id_field, ground.person_id_length = field.name, field.length
    return f"{field.name} is a unique external id"


def recognise_org(ground: Ground) -> str:
    """ledger: belongs to this org"""
    if not migrations.has_ledger(ground.warehouse):
        return "not made yet: the first run makes it this org's"
    ledger.require_own_org(ground.warehouse, ground.org.org_id, ground.org.org_name)
    return "belongs to this org or to none yet"


def find_unknown_jobs(ground: Ground) -> str:
    """jobs: none has made leads that the ledger does not know of"""
    is_shared = ground.settings.salesforce.dedicated_user is False
    if is_shared:
        return "not looked at: other tools use this login"
    ground.unknown_jobs = found = unknown_jobs.find(ground.org, ground.warehouse)
    # With the field a person who was made is refused by Salesforce itself, and then asked for.
    if not ground.person_id_field and not ground.accept_unknown_jobs:
        unknown_jobs.require_none(found)
    return f"{len(found.effective)} that the ledger does not know, {len(found.open)} left open"


def find_owners(ground: Ground) -> str:
    """owners: every strategy of the settings leads to an active owner"""
    settings = ground.settings.owners
    place = "--owner" if ground.owner else "owners.default"
    ground.default_strategy = _parse_strategy(place, ground.owner or settings.default)
    try:
        ground.choices = owner_choices.parse_choices(list(settings.choice))
    except (owner_choices.ChoiceMalformedError, owner_strategies.StrategyMalformedError) as error:
        raise ConfigurationError(f"owners.choice: {error}") from None
    ground.owner_lookup = OwnerLookup(ground.org, settings.without_active_rule)
    named = {place: str(ground.default_strategy)}
    for number, choice in enumerate(ground.choices, start=1):
        named[f"owners.choice {number}"] = str(choice.assign_to)
    if settings.default_lead_owner:
        place = "owners.default_lead_owner"
        named[place] = str(_parse_strategy(place, settings.default_lead_owner))
    found = ground.owner_lookup.resolve(named.values())
    wrong = [
        f"{place} = {text}: {answer.message}"
        for place, text in named.items()
        if isinstance(answer := found[text], RejectedStrategy)
    ]
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    ground.default_lead_owner_id = _default_lead_owner_id(
        found.get(named.get("owners.default_lead_owner", ""))
    )
    return f"{len(set(named.values()))} strategies lead to an owner"


def _default_lead_owner_id(answer: ResolvedStrategy | RejectedStrategy | None) -> str | None:
    if answer is None:
        return None
    if isinstance(answer, RejectedStrategy) or answer.owner is None:
        raise ConfigurationError("owners.default_lead_owner must be a user: or a queue:")
    return answer.owner.owner_id


def find_choice_columns(ground: Ground) -> str:
    """choices: the columns they ask for are there"""
    there = persons_columns(ground.warehouse)
    for number, choice in enumerate(ground.choices, start=1):
        for column in choice.when:
            if column not in there:
                raise ConfigurationError(
                    f"owners.choice {number} asks for column {column}, which "
                    f"{ground.settings.warehouse.persons} does not have: mend its `when`"
                )
    return f"{len(ground.choices)}, all their columns are there"


def _parse_strategy(place: str, text: str) -> owner_strategies.Strategy:
    try:
        return owner_strategies.parse_strategy(text)
    except owner_strategies.StrategyMalformedError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def find_matching(ground: Ground) -> str:
    """matching: leads and contacts can be looked up by e-mail"""
    lookups.find_known(
        ground.org, emails=["nobody@example.invalid"], person_ids=[], person_id_field=""
    )
    return "Lead and Contact can be searched"


def find_limits(ground: Ground) -> str:
    """limits: API calls left today"""
    try:
        limits = lookups.limits(ground.org)
    except OrgRejectedError:
        # GET /limits needs View Setup and Configuration, which a loading login need not have.
        return "not told to this login"
    most, left = limits["DailyApiRequests"]
    if left < LOW_API_CALLS:
        raise ConfigurationError(f"only {left} of {most} API calls are left today: run tomorrow")
    return f"{left} of {most} API calls left today"


# What a run needs, in order; what only `check` looks at comes after.
RUN_CHECKS: tuple[PreflightCheck, ...] = (
    find_columns,
    reach_org,
    recognise_org,
    find_lead_fields,
    find_person_id_field,
    find_unknown_jobs,
    find_owners,
    find_choice_columns,
)
# What one more worker of a run needs: the same ground, and strays are the run's own business.
WORKER_CHECKS: tuple[PreflightCheck, ...] = tuple(
    probe for probe in RUN_CHECKS if probe is not find_unknown_jobs
)
# What a human's word on a held person needs.
RESOLVE_CHECKS: tuple[PreflightCheck, ...] = RUN_CHECKS[
    : RUN_CHECKS.index(find_person_id_field) + 1
]
ALL_CHECKS: tuple[PreflightCheck, ...] = (
    *RUN_CHECKS,
    find_right_to_write,
    find_matching,
    find_limits,
)
NEEDS: Mapping[PreflightCheck, frozenset[PreflightCheck]] = {
    find_lead_fields: frozenset({find_columns, reach_org}),
    find_person_id_field: frozenset({find_lead_fields}),
    find_owners: frozenset({reach_org}),
    find_choice_columns: frozenset({find_columns, find_owners}),
    recognise_org: frozenset({reach_org}),
    find_unknown_jobs: frozenset({recognise_org, find_person_id_field}),
    find_matching: frozenset({reach_org}),
    find_limits: frozenset({reach_org}),
}
OF_WAREHOUSE = frozenset({find_columns, find_right_to_write, recognise_org, find_unknown_jobs})


@dataclass(frozen=True)
class CheckResult:
    """One line of `check`: what was looked at, what was seen, and whether a run could start."""

    subject: str
    is_good: bool
    words: str
    exit_code: int


def check(settings: Settings) -> list[CheckResult]:
    """Look at everything, write nothing, and tell all that is wrong at once."""
    try:
        with open_store(settings) as warehouse:
            good = CheckResult("warehouse", is_good=True, words="answers", exit_code=0)
            return [good, *_probe_all(new_ground(settings, warehouse), frozenset())]
    except SyncError as error:
        bad = CheckResult("warehouse", is_good=False, words=str(error), exit_code=error.exit_code)
        ground = Ground.__new__(Ground)
        ground.settings, ground.owner = settings, None
        return [bad, *_probe_all(ground, OF_WAREHOUSE)]


def _probe_all(ground: Ground, blocked: frozenset[PreflightCheck]) -> list[CheckResult]:
    """Every probe but the blocked ones and those that stand on one that failed."""
    found: list[CheckResult] = []
    failed = set(blocked)
    for probe in ALL_CHECKS:
        if probe in failed or NEEDS.get(probe, frozenset()) & failed:
            failed.add(probe)
            continue
        finding = _probe(probe, ground)
        found.append(finding)
        if not finding.is_good:
            failed.add(probe)
    return found


def subject_of(probe: PreflightCheck) -> str:
    """Return what a probe looks at, as its line begins."""
    return (probe.__doc__ or "").partition(":")[0]


def _probe(probe: PreflightCheck, ground: Ground) -> CheckResult:
    subject = subject_of(probe)
    try:
        return CheckResult(subject, is_good=True, words=probe(ground), exit_code=0)
    except SyncError as error:
        return CheckResult(subject, is_good=False, words=str(error), exit_code=error.exit_code)
