"""Logging in: every way in, and for every refusal the setting to mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from pipelines.errors import ConfigurationError, OrgLimitError, OrgUnavailableError, SyncError
from pipelines.salesforce.session import Credentials, Org, log_in
from tests.salesforce.servers import (
    ABOUT,
    CREDENTIALS,
    MARKETING_ORG,
    QUERY,
    TOKEN,
    VERSION,
    Emulator,
    Script,
    let_in,
)

PASSWORD = Credentials(
    login="password",
    domain="login",
    username="loader@acme.example",
    password=SecretStr("canary-<password>"),
    security_token=SecretStr("canary&token"),
)
SOAP_VERSION = "64.0"
SOAP = "POST /services/Soap/u/64.0"
TOKEN_LOGIN = Credentials(
    login="access_token",
    access_token=SecretStr("canary-access-token"),
    instance_url="https://acme.my.salesforce.com",
)


def request_session(
    script: Script, credentials: Credentials = CREDENTIALS, version: str = VERSION
) -> Org:
    return log_in(credentials, api_version=version, emulator_url=script.url)


@pytest.fixture(scope="module")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key only its owner can read, and its public half."""
    folder = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(_pem(key))
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


# --- Ways in


def test_client_credentials_log_in_and_the_org_is_known(org: Org) -> None:
    assert org.org_id.startswith("00D")
    assert (org.org_name, org.is_sandbox) == ("Acme", True)
    assert org.user_id.startswith("005")
    assert len(org.org_id) == len(org.user_id) == 18


def test_a_signed_assertion_logs_in(emulator: Emulator, key_files: tuple[Path, Path]) -> None:
    private, public = key_files
    app = '[[app]]\nconsumer_key = "jwt-key"\nusername = "loader@acme.example"\n'
    emulator.reset(f'{MARKETING_ORG}\n{app}public_key_file = "{public}"\n')
    sandbox = Credentials(
        login="jwt",
        domain="acme--uat.sandbox.my",
        consumer_key="jwt-key",
        username="loader@acme.example",
        private_key_file=str(private),
    )
    with log_in(sandbox, api_version=VERSION, emulator_url=emulator.url) as org:
        assert org.org_name == "Acme"
    with pytest.raises(ConfigurationError, match=r"salesforce\.domain"):
        log_in(replace(sandbox, domain="acme.my"), api_version=VERSION, emulator_url=emulator.url)


@pytest.mark.parametrize(
    ("domain", "audience"),
    [
        ("acme.my", "login"),
        ("acme--uat.sandbox.my", "test"),
        ("acme--x.scratch.my", "test"),
        ("test", "test"),
        ("login", "login"),
    ],
)
def test_the_assertion_is_made_out_to_the_kind_of_org(
    script: Script, key_files: tuple[Path, Path], domain: str, audience: str
) -> None:
    let_in(script)
    credentials = Credentials(
        login="jwt",
        domain=domain,
        consumer_key="k",
        username="u",
        private_key_file=str(key_files[0]),
    )
    with request_session(script, credentials):
        assertion = script.seen[0].body.decode().partition("assertion=")[2]
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert claims["aud"] == f"https://{audience}.salesforce.com"


def test_an_access_token_needs_no_login(script: Script) -> None:
    script.say(QUERY, 200, ABOUT)
    with request_session(script, TOKEN_LOGIN):
        assert script.paths() == [QUERY]
    assert script.seen[0].headers["Authorization"] == "Bearer canary-access-token"


def test_an_access_token_of_the_emulator_needs_no_instance(script: Script) -> None:
    script.say(QUERY, 200, ABOUT)
    with request_session(script, replace(TOKEN_LOGIN, instance_url="")) as org:
        assert org.org_name == "Acme"


def test_a_password_and_token_log_in(emulator: Emulator) -> None:
    name, secret = 'username = "loader@acme.example"', 'password = "canary-<password>"'
    emulator.reset(
        MARKETING_ORG.replace(name, f'{name}\n{secret}\nsecurity_token = "canary&token"', 1)
        + "[behaviour]\nsoap_login = true\n"
    )
    with log_in(PASSWORD, api_version=SOAP_VERSION, emulator_url=emulator.url) as org:
        assert org.org_name == "Acme"


def test_a_password_is_sent_as_xml_wants_it(script: Script) -> None:
    script.say(
        SOAP,
        200,
        _envelope("<sessionId>s</sessionId><serverUrl>https://a.my.salesforce.com/x</serverUrl>"),
    )
    script.say(f"GET /services/data/v{SOAP_VERSION}/query", 200, ABOUT)
    with request_session(script, PASSWORD, SOAP_VERSION) as org:
        assert org.org_name == "Acme"
    assert b"canary-&lt;password&gt;canary&amp;token<" in script.seen[0].body


def _envelope(inside: str) -> bytes:
    return f'<Envelope xmlns:sf="urn:fault">{inside}</Envelope>'.encode()


# --- Refusals


def test_a_wrong_secret_is_named_and_not_shown(emulator: Emulator) -> None:
    wrong = replace(CREDENTIALS, consumer_secret=SecretStr("canary-wrong"))
    with pytest.raises(ConfigurationError, match=r"salesforce\.consumer_secret") as caught:
        log_in(wrong, api_version=VERSION, emulator_url=emulator.url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "description", "words"),
    [
        ("invalid_client_id", "client identifier invalid", "consumer_key is not known"),
        ("invalid_client", "invalid client credentials", "do not belong together"),
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorized"),
        ("invalid_grant", "Audience validation failed", r"salesforce\.domain names"),
        ("invalid_grant", "no client credentials user enabled", "Run As user"),
        ("invalid_grant", "authentication failure", r"check salesforce\.consumer_key"),
        ("invalid_grant", None, r"check salesforce\.consumer_key"),
    ],
)
def test_each_rejected_login_names_its_remedy(
    script: Script, error: str, description: str | None, words: str
) -> None:
    script.say(TOKEN, 400, {"error": error, "error_description": description})
    with pytest.raises(ConfigurationError, match=words):
        request_session(script)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, [{"errorCode": "X", "message": "simple-salesforce: AttributeError"}]),
        (500, b"<html>"),
        (502, {"error": "unknown"}),
        (504, b""),
        (400, {"error": "unknown_error", "error_description": "retry your request"}),
    ],
)
def test_a_fault_at_login_is_not_taken_for_a_wrong_secret(
    script: Script, status: int, body: object
) -> None:
    script.say(TOKEN, status, body)
    with pytest.raises(OrgUnavailableError):
        request_session(script)
    assert script.paths() == [TOKEN]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b""),
        (503, [{"errorCode": "SERVER_UNAVAILABLE"}]),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]),
    ],
)
def test_too_many_logins_are_a_transient_error(script: Script, status: int, body: object) -> None:
    script.say(TOKEN, status, body)
    with pytest.raises(OrgLimitError):
        request_session(script)


@pytest.mark.parametrize("body", [b"<html>", b'"text"', {"access_token": "t"}, {}, b""])
def test_a_response_unlike_a_login_is_a_wrong_domain(script: Script, body: object) -> None:
    script.say(TOKEN, 200, body)
    with pytest.raises(ConfigurationError, match=r"salesforce\.domain"):
        request_session(script)


def test_a_host_without_a_server_is_unavailable() -> None:
    with pytest.raises(OrgUnavailableError, match="does not answer"):
        log_in(CREDENTIALS, api_version=VERSION, emulator_url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("status", "inside", "kind", "words"),
    [
        (500, "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>", ConfigurationError, "password"),
        (500, "<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>", ConfigurationError, "SOAP"),
        (500, "<sf:exceptionCode>SERVER_UNAVAILABLE</sf:exceptionCode>", OrgLimitError, "limit"),
        (500, "nothing", OrgUnavailableError, "error of its own"),
        (
            400,
            "<sf:exceptionCode>NEW_CODE</sf:exceptionCode>",
            ConfigurationError,
            "security_token",
        ),
        (200, "<sessionId>s</sessionId>", ConfigurationError, "domain"),
        (200, "<sessionId>&</sessionId><serverUrl>u</serverUrl>", OrgUnavailableError, "XML"),
    ],
)
def test_a_rejected_password_names_its_remedy(
    script: Script, status: int, inside: str, kind: type[SyncError], words: str
) -> None:
    script.say(SOAP, status, _envelope(inside))
    with pytest.raises(kind, match=words) as caught:
        request_session(script, PASSWORD, SOAP_VERSION)
    assert "canary" not in str(caught.value)


def test_an_expired_access_token_is_a_configuration_error(script: Script) -> None:
    script.say(QUERY, 401, [{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
    with pytest.raises(ConfigurationError, match=r"salesforce\.access_token"):
        request_session(script, TOKEN_LOGIN)


@pytest.mark.parametrize(("status", "code"), [(404, "NOT_FOUND"), (410, "GONE"), (410, "")])
def test_a_version_the_org_does_not_serve_is_named(script: Script, status: int, code: str) -> None:
    script.say(QUERY, status, [{"errorCode": code, "message": "?"}])
    with pytest.raises(ConfigurationError, match=r"salesforce\.api_version"):
        request_session(script, TOKEN_LOGIN)


def test_an_org_that_rejects_the_first_query_says_why(script: Script) -> None:
    script.say(QUERY, 403, [{"errorCode": "API_CURRENTLY_DISABLED", "message": "?"}])
    with pytest.raises(SyncError, match="API Enabled"):
        request_session(script, TOKEN_LOGIN)


# --- Settings seen to be wrong before anything is sent


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"consumer_key": ""}, r"salesforce\.consumer_key is needed"),
        ({"consumer_secret": SecretStr("")}, r"salesforce\.consumer_secret is needed"),
        ({"domain": "login"}, "My Domain"),
        ({"domain": "evil.example/"}, "the part before"),
        ({"domain": "acme.my.salesforce.com"}, "the part before"),
        ({"login": "password", "username": "u", "password": SecretStr("p")}, "64.0 or below"),
        ({"login": "access_token"}, r"salesforce\.access_token is needed"),
    ],
)
def test_a_wrong_setting_is_named(script: Script, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        request_session(script, replace(CREDENTIALS, **changes))  # type: ignore[arg-type]  # a table
    assert script.seen == []


@pytest.mark.parametrize("version", ["v67.0", "67", "67.1", ""])
def test_a_version_in_another_form_is_an_error(script: Script, version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"67\.0"):
        request_session(script, version=version)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://example.org:80", "http://u:p@127.0.0.1:1", "127.0.0.1"]
)
def test_an_emulator_on_another_machine_is_an_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"salesforce\.emulator_url"):
        log_in(CREDENTIALS, api_version=VERSION, emulator_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://salesforce.com.evil.example",
        "https://evilsalesforce.com",
        "https://x@a.my.salesforce.com",
    ],
)
def test_no_token_goes_to_a_host_that_is_not_salesforce(script: Script, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\.salesforce\.com or \.force\.com"):
        request_session(script, replace(TOKEN_LOGIN, instance_url=url))
    assert script.seen == []


@pytest.mark.parametrize("url", ["", "acme.my.salesforce.com", "ftp://a.my.salesforce.com"])
def test_an_access_token_needs_the_address_of_its_org(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"salesforce\.instance_url is needed"):
        log_in(replace(TOKEN_LOGIN, instance_url=url), api_version=VERSION)


def test_a_private_key_that_others_can_read_is_an_error(
    script: Script, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "private.pem"
    copy.write_bytes(key_files[0].read_bytes())
    copy.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        request_session(script, _jwt(copy))


def _write_nothing(file: Path) -> None:
    assert not file.exists()


def _write_elliptic_key(file: Path) -> None:
    file.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_write_nothing, "cannot be read"),
        (lambda file: file.write_text("canary"), "no RSA private key"),
        (lambda file: file.write_text("ключ"), "no RSA private key"),
        (_write_elliptic_key, "no RSA private key"),
    ],
)
def test_a_file_without_a_private_key_is_an_error(
    script: Script, tmp_path: Path, write: Callable[[Path], None], words: str
) -> None:
    file = tmp_path / "private.pem"
    write(file)
    if file.exists():
        file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=words):
        request_session(script, _jwt(file))


def _jwt(file: Path) -> Credentials:
    return Credentials(login="jwt", consumer_key="k", username="u", private_key_file=str(file))


def test_credentials_never_show_their_secrets() -> None:
    assert "canary" not in repr([CREDENTIALS, PASSWORD, TOKEN_LOGIN])
