"""What a user writes into the settings file and the environment, and the errors they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.errors import ConfigurationError
from pipelines.settings import DEFAULT_FIELDS, Settings, load_settings
from tests.cli.conftest import as_toml

URL = {"url": "sqlite:////data/warehouse.db"}

# Every setting there is, with a value that is not its default.
EVERY: list[tuple[str, Any]] = [
    ("warehouse.url", "postgresql://loader@db.example.com/warehouse"),
    ("warehouse.persons", "marketing.persons"),
    ("warehouse.results_schema", "results"),
    ("salesforce.login", "jwt"),
    ("salesforce.domain", "acme.my"),
    ("salesforce.consumer_key", "3MVG9"),
    ("salesforce.consumer_secret", "s1"),
    ("salesforce.username", "loader@acme.example"),
    ("salesforce.password", "s2"),
    ("salesforce.security_token", "s3"),
    ("salesforce.private_key_file", "/keys/private.pem"),
    ("salesforce.access_token", "s4"),
    ("salesforce.instance_url", "https://acme.my.salesforce.com"),
    ("salesforce.api_version", "66.0"),
    ("salesforce.emulator_url", "http://127.0.0.1:8642"),
    ("salesforce.person_id_field", "External__c"),
    ("salesforce.dedicated_user", True),
    ("owners.default", "queue:Inbound"),
    ("owners.choice", [{"when": {"country": ["DE"]}, "assign_to": "queue:Inbound"}]),
    ("owners.without_active_rule", "running_user"),
    ("owners.default_lead_owner", "queue:Unassigned"),
    ("matching.existing_lead", "update"),
    ("matching.existing_contact", "update"),
    ("matching.contact_with_queue", "report"),
    ("matching.deleted", "report"),
    ("matching.lookup", "snapshot"),
    ("matching.refresh_minutes", 2.5),
    ("run.allowed_reject_share", 0.5),
    ("run.slice_size", 500),
    ("run.batch_size", 400),
    ("run.batch_size_without_field", 300),
    ("run.open_batches", 3),
    ("run.lease_seconds", 60.5),
    ("run.poll_seconds", 0.1),
    ("run.start_timeout_seconds", 7.5),
    ("run.retry_timeout_seconds", 30.5),
    ("run.deadline_minutes", 90.5),
    ("run.progress_seconds", 12.5),
    ("run.on_many_rejected", "warn"),
    ("run.workers", 4),
    ("run.task_runner", "dask"),
    ("run.dask_address", "tls://scheduler.example.com:8786"),
]
SECRETS = ("consumer_secret", "password", "security_token", "access_token")


def write(folder: Path, **groups: Any) -> Path:
    file = folder / "person-sync.toml"
    tables = {**groups, "warehouse": {**URL, **groups.get("warehouse", {})}}
    file.write_text(as_toml(tables), encoding="utf-8")
    return file


def wrong(file: Path | None, environment: dict[str, str] | None = None) -> str:
    """Return the error that the user reads."""
    with pytest.raises(ConfigurationError) as reported:
        load_settings(file, environment or {})
    return str(reported.value)


def value_of(settings: Settings, path: str) -> Any:
    group, _, name = path.partition(".")
    value = getattr(getattr(settings, group), name)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return list(value) if isinstance(value, tuple) else value


# --- Read


def test_no_setting_is_missing_from_this_list() -> None:
    groups = {n: f.annotation for n, f in Settings.model_fields.items()}
    tables = {n: a for n, a in groups.items() if n not in ("fields", "defaults")}
    there = {f"{group}.{name}" for group, a in tables.items() for name in a.model_fields}  # type: ignore[union-attr]
    assert there == {path for path, _ in EVERY}


@pytest.mark.parametrize(("path", "value"), EVERY, ids=[path for path, _ in EVERY])
def test_a_setting_is_read_from_the_file(path: str, value: Any, tmp_path: Path) -> None:
    group, _, name = path.partition(".")
    file = write(tmp_path, **{group: {name: value}})
    assert value_of(load_settings(file, {}), path) == value


@pytest.mark.parametrize(("path", "value"), EVERY, ids=[path for path, _ in EVERY])
def test_the_environment_beats_the_file(path: str, value: Any, tmp_path: Path) -> None:
    variable = "PERSON_SYNC_" + path.upper().replace(".", "__")
    text = json.dumps(value) if isinstance(value, list) else str(value)
    assert value_of(load_settings(write(tmp_path), {variable: text}), path) == value


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {"PERSON_SYNC_WAREHOUSE__URL": URL["url"]})
    assert settings.warehouse.url.get_secret_value() == URL["url"]
    assert settings.owners.default == "rules"


def test_a_field_from_the_environment_keeps_the_spelling_of_the_contract(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path), {"PERSON_SYNC_FIELDS__LASTNAME": "surname"})
    assert settings.columns["LastName"] == "surname"
    assert "LASTNAME" not in settings.columns


def test_a_custom_field_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path), {"PERSON_SYNC_FIELDS__Shoe_Size__c": "shoes"})
    assert settings.columns["Shoe_Size__c"] == "shoes"


def test_a_default_from_the_environment_beats_the_files(tmp_path: Path) -> None:
    file = write(tmp_path, defaults={"Company": "[none]"})
    settings = load_settings(file, {"PERSON_SYNC_DEFAULTS__COMPANY": "[not provided]"})
    assert settings.defaults == {"Company": "[not provided]"}


def test_fields_not_named_keep_their_columns_and_a_blank_leaves_one_out(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, fields={"Email": "mail", "Title": ""}), {})
    expected = {**DEFAULT_FIELDS, "Email": "mail"}
    del expected["Title"]
    assert settings.columns == expected
    assert settings.explicit_fields == {"Email"}


# --- Where the file is


def test_the_file_of_the_option_beats_that_of_the_variable(tmp_path: Path) -> None:
    file = write(tmp_path, owners={"default": "user:me"})
    environment = {"PERSON_SYNC_CONFIG": str(tmp_path / "other.toml")}
    assert load_settings(file, environment).owners.default == "user:me"


def test_the_variable_names_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, owners={"default": "user:me"})
    assert load_settings(None, {"PERSON_SYNC_CONFIG": str(file)}).owners.default == "user:me"


def test_the_file_of_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, owners={"default": "user:me"})
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}).owners.default == "user:me"


def test_a_file_that_is_not_there_is_named_with_both_ways_to_name_it(tmp_path: Path) -> None:
    reported = wrong(tmp_path / "absent.toml")
    for words in ("absent.toml", "is not there", "--config", "PERSON_SYNC_CONFIG"):
        assert words in reported


def test_without_a_file_and_without_a_url_the_three_ways_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reported = wrong(None)
    for words in ("warehouse.url", "--config", "person-sync.toml", "PERSON_SYNC_WAREHOUSE__URL"):
        assert words in reported


@pytest.mark.parametrize("content", [b"[warehouse\nurl = 3", b"url == 3", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml_is_named_with_what_is_wrong(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    file.write_bytes(content)
    assert f"settings file {file} is not valid TOML: " in wrong(file)


def test_a_relative_sqlite_file_is_beside_the_settings_file(tmp_path: Path) -> None:
    file = write(tmp_path, warehouse={"url": "sqlite:///warehouse.db"})
    url = load_settings(file, {}).warehouse.url.get_secret_value()
    assert url == f"sqlite:///{tmp_path}/warehouse.db"


def test_a_relative_sqlite_file_with_a_driver_is_beside_the_settings_file(tmp_path: Path) -> None:
    file = write(tmp_path, warehouse={"url": "sqlite+pysqlite:///warehouse.db"})
    url = load_settings(file, {}).warehouse.url.get_secret_value()
    assert url == f"sqlite+pysqlite:///{tmp_path}/warehouse.db"


@pytest.mark.parametrize("url", ["sqlite:////data/w.db", "sqlite:///:memory:", "sqlite:///"])
def test_other_sqlite_addresses_stay_as_they_are(url: str, tmp_path: Path) -> None:
    file = write(tmp_path, warehouse={"url": url})
    assert load_settings(file, {}).warehouse.url.get_secret_value() == url


def test_a_relative_key_file_is_beside_the_settings_file(tmp_path: Path) -> None:
    file = write(tmp_path, salesforce={"private_key_file": "keys/private.pem"})
    assert load_settings(file, {}).salesforce.private_key_file == f"{tmp_path}/keys/private.pem"


# --- Wrong

WRONG: list[tuple[str, Any]] = [
    ("salesforce.login", "magic"),
    ("salesforce.api_version", "sixty"),
    ("salesforce.person_id_field", "Person Id; drop"),
    ("owners.without_active_rule", "guess"),
    ("owners.choice", "queue:Inbound"),
    ("matching.existing_lead", "delete"),
    ("matching.existing_contact", "delete"),
    ("matching.contact_with_queue", "maybe"),
    ("matching.deleted", "undelete"),
    ("run.allowed_reject_share", 2),
    ("run.slice_size", 0),
    ("run.batch_size", 1_000_000),
    ("run.batch_size_without_field", 0),
    ("run.open_batches", 51),
    ("run.lease_seconds", 0),
    ("run.poll_seconds", 0),
    ("run.start_timeout_seconds", -1),
    ("run.retry_timeout_seconds", -1),
    ("run.deadline_minutes", "soon"),
    ("run.progress_seconds", 0),
    ("run.on_many_rejected", "maybe"),
    ("fields.Email", 3),
    ("defaults.Company", 3),
    ("warehouse.persons", 3),
    ("salesforce.consumer_secret", 3),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[path for path, _ in WRONG])
def test_a_wrong_setting_is_named_by_its_path_and_its_variable(
    path: str, value: Any, tmp_path: Path
) -> None:
    group, _, name = path.partition(".")
    reported = wrong(write(tmp_path, **{group: {name: value}}))
    assert f"  {path}: " in reported
    assert "PERSON_SYNC_" + path.upper().replace(".", "__") in reported


UNKNOWN = [
    ("salesforce", "consumer_kye", "consumer_key"),
    ("salesforce", "user_name", "username"),
    ("matching", "exiting_lead", "existing_lead"),
    ("run", "slice_sise", "slice_size"),
    ("warehouse", "person", "persons"),
]


@pytest.mark.parametrize(("group", "name", "meant"), UNKNOWN)
def test_an_unknown_name_suggests_the_near_one(
    group: str, name: str, meant: str, tmp_path: Path
) -> None:
    reported = wrong(write(tmp_path, **{group: {name: "x"}}))
    assert f"{group}.{name} is no setting, perhaps {meant} is meant: remove it" in reported


def test_an_unknown_group_suggests_the_near_one(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path, salesforc={"domain": "acme.my"}))
    assert "salesforc is no setting, perhaps salesforce is meant" in reported


def test_an_unknown_name_like_no_other_suggests_nothing(tmp_path: Path) -> None:
    assert "run.zzz is no setting: remove it" in wrong(write(tmp_path, run={"zzz": 1}))


def test_an_unknown_variable_suggests_the_near_one(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path), {"PERSON_SYNC_MATCHING__DELETD": "report"})
    assert "matching.deletd is no setting, perhaps deleted is meant" in reported


def test_several_wrong_at_once_are_all_reported(tmp_path: Path) -> None:
    file = write(tmp_path, run={"slice_size": 0, "poll_seconds": "x"}, matching={"deletd": "x"})
    reported = wrong(file, {"PERSON_SYNC_SALESFORCE__LOGIN": "magic"})
    for path in ("run.slice_size", "run.poll_seconds", "matching.deletd", "salesforce.login"):
        assert f"  {path}" in reported
    assert str(file) in reported


@pytest.mark.parametrize("text", ["warehouse = 3", 'warehouse = "sqlite:///url.db"', "run = 3"])
def test_a_value_where_a_table_belongs_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    file.write_text(text, encoding="utf-8")
    environment = {} if "warehouse" in text else {"PERSON_SYNC_WAREHOUSE__URL": URL["url"]}
    assert text.partition(" ")[0] in wrong(file, environment)


def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    lines = ["# ours", "[warehouse]", f'url = "{URL["url"]}"', "", "[run]", "slice_size = 0"]
    file.write_text("\n".join([*lines, "[[owners.choice]]", 'when = "DE"', "zzz = 1"]), "utf-8")
    reported = wrong(file, {"PERSON_SYNC_MATCHING__DELETD": "x"}).splitlines()
    assert reported[0] == f"settings in {file} are wrong:"
    variable = "(correct it: line 6, or set PERSON_SYNC_RUN__SLICE_SIZE)"
    unknown = "matching.deletd is no setting, perhaps deleted is meant: remove it"
    assert f"  {unknown} (variable PERSON_SYNC_MATCHING__DELETD)" in reported
    assert any(
        line.startswith("  run.slice_size: ") and line.endswith(variable) for line in reported
    )


def test_a_mistake_in_a_variable_is_named_with_the_variable_alone(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path), {"PERSON_SYNC_RUN__WORKERS": "many"})
    assert reported.endswith("(correct it: variable PERSON_SYNC_RUN__WORKERS)")


def test_owner_choices_that_are_no_json_are_named_with_an_example(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path), {"PERSON_SYNC_OWNERS__CHOICE": "queue:Inbound"})
    assert 'owners.choice: must be JSON, such as [{"when": {}, "assign_to": "rules"}]' in reported


def test_an_unknown_group_of_a_variable_is_an_error(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path), {"PERSON_SYNC_SALESFORC__DOMAIN": "acme.my"})
    assert "salesforc is no setting, perhaps salesforce is meant" in reported


def test_a_variable_hides_no_value_where_a_table_belongs(tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    file.write_text(f'run = 3\n[warehouse]\nurl = "{URL["url"]}"', encoding="utf-8")
    assert "  run: " in wrong(file, {"PERSON_SYNC_RUN__WORKERS": "2"})


def test_a_missing_address_is_reported_together_with_the_other_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    file.write_text("[run]\nslice_size = 0", encoding="utf-8")
    reported = wrong(file)
    assert "  warehouse.url is not set: " in reported
    assert "  run.slice_size: " in reported


def test_a_default_of_digits_from_a_variable_stays_a_text(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path), {"PERSON_SYNC_DEFAULTS__COMPANY": "007"})
    assert settings.defaults == {"Company": "007"}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order mark"])
def test_a_file_of_any_editor_is_read(mark: bytes, line_end: str, tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    text = line_end.join(["[warehouse]", f'url = "{URL["url"]}"', "[run]", "workers = 3", ""])
    file.write_bytes(mark + text.encode())
    assert load_settings(file, {}).run.workers == 3


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.owners.default = "user:me"


# --- Blocks


def test_a_block_is_asked_for_by_its_name(tmp_path: Path) -> None:
    file = write(tmp_path, salesforce={"consumer_secret": "block:org-secret"})
    settings = load_settings(file, {}, {"org-secret": "s1"}.__getitem__)
    assert settings.salesforce.consumer_secret.get_secret_value() == "s1"


def test_a_block_may_be_named_by_the_environment(tmp_path: Path) -> None:
    environment = {"PERSON_SYNC_WAREHOUSE__URL": "block:warehouse"}
    settings = load_settings(write(tmp_path), environment, lambda name: f"postgresql://{name}/x")
    assert settings.warehouse.url.get_secret_value() == "postgresql://warehouse/x"


def test_a_block_that_cannot_be_read_is_named_by_its_path(tmp_path: Path) -> None:
    reported = wrong(write(tmp_path, salesforce={"consumer_secret": "block:org-secret"}))
    assert "salesforce.consumer_secret" in reported
    assert "set it in the environment instead" in reported


# --- Secrets

CANARIES = {name: f"canary-{name}" for name in SECRETS}


def with_canaries(folder: Path, **groups: Any) -> Path:
    url = {"url": "postgresql://loader:canary-url@db.example.com/warehouse"}
    return write(folder, **{"warehouse": url, "salesforce": dict(CANARIES), **groups})


@pytest.mark.parametrize("shown", [repr, str, lambda one: one.fingerprint(), lambda one: f"{one}"])
def test_no_secret_shows(shown: Any, tmp_path: Path) -> None:
    settings = load_settings(with_canaries(tmp_path), {})
    assert "canary" not in shown(settings)
    assert "canary" not in shown(settings) + repr(settings.salesforce) + repr(settings.warehouse)


def test_the_fingerprint_is_the_same_for_another_secret_only(tmp_path: Path) -> None:
    first = load_settings(with_canaries(tmp_path), {})
    secret = load_settings(with_canaries(tmp_path), {"PERSON_SYNC_SALESFORCE__PASSWORD": "other"})
    other = load_settings(with_canaries(tmp_path), {"PERSON_SYNC_OWNERS__DEFAULT": "user:me"})
    assert first.fingerprint() == secret.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    "groups",
    [
        {"run": {"slice_size": "canary-number"}},
        {"warehouse": {"url": ["canary-url"]}},
        {"salesforce": {"password": ["canary-password"]}},
        {"salesforce": {**CANARIES, "login": "canary-login"}},
        {"salesforce": {**CANARIES, "pasword": "canary-password"}},
    ],
)
def test_no_secret_is_in_what_a_user_reads(groups: dict[str, Any], tmp_path: Path) -> None:
    assert "canary" not in wrong(with_canaries(tmp_path, **groups))


def test_no_secret_of_a_broken_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "person-sync.toml"
    file.write_text('[salesforce]\npassword = "canary-password\nx = 3', encoding="utf-8")
    assert "canary" not in wrong(file)


def test_a_run_has_a_deadline_below_a_day(tmp_path: Path) -> None:
    # One job that never ends would queue every later night behind it.
    assert 0 < load_settings(write(tmp_path), {}).run.deadline_minutes < 24 * 60
