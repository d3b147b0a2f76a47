"""Where secrets go: to Salesforce, whatever the settings or a login's answer name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from pipelines.errors import ConfigurationError, OrgRejectedError, OrgUnavailableError
from pipelines.salesforce.hosts import Target, target_of
from pipelines.salesforce.session import Credentials, log_in
from pipelines.salesforce.transport import Relogin, Transport
from tests.salesforce.outside import Outside
from tests.salesforce.servers import ABOUT, CREDENTIALS, QUERY, TOKEN, VERSION, Script, let_in

OWN = "acme.my.salesforce.com"
SOAP_VERSION = "64.0"
SOAP = f"POST /services/Soap/u/{SOAP_VERSION}"
GIVEN_TOKEN = Credentials(
    login="access_token", access_token=SecretStr("canary-token"), instance_url=f"https://{OWN}"
)
SECRETS = ("canary", "Y2FuYXJ5")  # as it is, and in base64

# What stands between https:// and the end. Each reads as Salesforce's own to somebody.
FOREIGN = [
    r"evil.example\.salesforce.com",
    r"evil.example\@acme.my.salesforce.com",
    r"evil.example:443\.salesforce.com",
    "evil.example#.salesforce.com",
    "evil.example?.salesforce.com",
    "evil.example/.salesforce.com",
    "evil.example%2f.salesforce.com",
    "evil.example%5c.salesforce.com",
    "evil%2eexample",
    "acme.my.salesforce.com@evil.example",
    "user:secret@acme.my.salesforce.com",
    "evil.example\t.salesforce.com",
    "evil.example\n.salesforce.com",
    " evil.example .salesforce.com",
    "evil.example\x00.salesforce.com",
    "salesforce.com.evil.example",
    "evilsalesforce.com",
    "salesforce.com",
    ".salesforce.com",
    "acme..salesforce.com",
    "acme.my.salesforce.com.",
    "-.salesforce.com",
    "evil.example\uff0f.salesforce.com",  # full-width slash
    "evil.example\uff20acme.my.salesforce.com",  # full-width at
    "acme\uff0emy\uff0esalesforce\uff0ecom",  # full-width dots
    "acme.my.\u017falesforce.com",  # long s, which ignoring case takes for an s
    "acme.my.sa\u217cesforce.com",  # a Roman numeral fifty
    "b\u00fccher.salesforce.com",
    "acme.my.salesforce.com:8443",
    "acme.my.salesforce.com:80",
    "acme.my.salesforce.com:",
    "acme.my.salesforce.com:443:443",
    "acme.my.salesforce.com:443@evil.example",
    "[::1]",
    "[::1].salesforce.com",
    "[::ffff:127.0.0.1]:443",
    "127.0.0.1",
    "localhost",
    "localhost:443",
    "0x7f000001",
    "acme.my.salesforce.com/evil.example",
    "acme.my.salesforce.com/..//evil.example/",
    "",
]


@pytest.fixture(scope="module")
def outside_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with Outside(tmp_path_factory.mktemp("outside")).running() as outside:
        yield outside


@pytest.fixture
def outside(outside_of_module: Outside, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """Every host of the world, as this process finds it; nothing heard yet."""
    outside_of_module.script.forget()
    outside_of_module.reached.clear()
    for name, value in outside_of_module.environment().items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.lower(), raising=False)
    return outside_of_module


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "private.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    file.chmod(0o600)
    return file


def all_causes(error: BaseException | None) -> str:
    """The texts of an error and of all that ride along with it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def require_nothing_lost(outside: Outside, error: BaseException) -> None:
    assert [host for host in outside.reached if host != f"{OWN}:443"] == []
    assert not [secret for secret in SECRETS if secret in all_causes(error)]


# --- A host of the settings


@pytest.mark.parametrize(
    "url",
    [f"https://{OWN}", f"https://{OWN}/", f"https://{OWN}:443", "https://ACME.My.Salesforce.COM"],
)
def test_a_token_goes_to_the_org_of_the_settings(outside: Outside, url: str) -> None:
    outside.script.say(QUERY, 200, ABOUT)
    with log_in(replace(GIVEN_TOKEN, instance_url=url), api_version=VERSION) as org:
        assert org.org_name == "Acme"
    assert outside.reached == [f"{OWN}:443"]
    assert {token for _, token in outside.authorized()} == {"Bearer canary-token"}


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", FOREIGN)
def test_no_token_goes_to_another_host_of_the_settings(
    outside: Outside, scheme: str, host: str
) -> None:
    outside.script.say(QUERY, 200, ABOUT)
    given = replace(GIVEN_TOKEN, instance_url=f"{scheme}://{host}")
    with pytest.raises(ConfigurationError, match=r"salesforce\.instance_url") as caught:
        log_in(given, api_version=VERSION)
    require_nothing_lost(outside, caught.value)
    assert outside.authorized() == set()


@pytest.mark.parametrize("host", FOREIGN)
def test_no_token_leaves_the_emulator(script: Script, host: str) -> None:
    let_in(script)
    given = replace(GIVEN_TOKEN, instance_url=f"https://{host}")
    if host in ("localhost", "localhost:443", "127.0.0.1", "[::1]"):
        log_in(given, api_version=VERSION, emulator_url=script.url).close()
        return
    with pytest.raises(ConfigurationError, match=r"salesforce\.instance_url"):
        log_in(given, api_version=VERSION, emulator_url=script.url)
    assert script.seen == []


def test_a_token_is_sent_by_https_only(outside: Outside) -> None:
    with pytest.raises(
        ConfigurationError, match=r"salesforce\.instance_url must be https"
    ) as caught:
        log_in(replace(GIVEN_TOKEN, instance_url=f"http://{OWN}"), api_version=VERSION)
    require_nothing_lost(outside, caught.value)


@pytest.mark.parametrize(
    "domain", ["a..b", "evil.example/", r"evil.example\\", "evil.example#", "a\nb"]
)
def test_a_login_goes_to_a_domain_under_salesforce(outside: Outside, domain: str) -> None:
    with pytest.raises(ConfigurationError, match=r"salesforce\.domain"):
        log_in(replace(CREDENTIALS, domain=domain), api_version=VERSION)
    assert outside.reached == []


# --- A host of a login's answer


def answer_with(script: Script, token: str, address: str) -> None:
    """Let every kind of login in with this token, to this org."""
    script.say(TOKEN, 200, {"access_token": token, "instance_url": address})
    # XML takes no control characters; they arrive as what a careless parser leaves of them.
    cells = [text.replace("&", "&amp;").replace("<", "&lt;") for text in (token, f"{address}/x")]
    inside = f"<sessionId>{cells[0]}</sessionId><serverUrl>{cells[1]}</serverUrl>"
    script.say(SOAP, 200, f"<Envelope>{inside}</Envelope>".encode())
    for version in (VERSION, SOAP_VERSION):
        script.say(f"GET /services/data/v{version}/query", 200, ABOUT)


def credentials_of(kind: str, key_file: Path) -> tuple[Credentials, str]:
    if kind == "jwt":
        return (
            Credentials(
                login="jwt",
                domain="acme.my",
                consumer_key="k",
                username="u",
                private_key_file=str(key_file),
            ),
            VERSION,
        )
    if kind == "password":
        return (
            Credentials(
                login="password", domain="acme.my", username="u", password=SecretStr("canary-pw")
            ),
            SOAP_VERSION,
        )
    return CREDENTIALS, VERSION


KINDS = ["client_credentials", "jwt", "password"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_goes_to_the_org_that_the_login_names(
    outside: Outside, key_file: Path, kind: str
) -> None:
    answer_with(outside.script, "canary-token", "https://other.my.salesforce.com")
    credentials, version = credentials_of(kind, key_file)
    with log_in(credentials, api_version=version) as org:
        assert org.org_name == "Acme"
    assert outside.reached == [f"{OWN}:443", "other.my.salesforce.com:443"]
    assert ("other.my.salesforce.com", "Bearer canary-token") in outside.authorized()


# A SOAP answer names an address with a path, of which the host is used; no XML holds a NUL.
ANSWERS = [(kind, host) for kind in KINDS[:2] for host in FOREIGN] + [
    ("password", host)
    for host in FOREIGN
    if "\x00" not in host and not host.startswith("acme.my.salesforce.com/")
]


@pytest.mark.parametrize(("kind", "host"), ANSWERS)
def test_no_token_goes_to_another_host_of_a_login_response(
    outside: Outside, key_file: Path, kind: str, host: str
) -> None:
    answer_with(outside.script, "canary-token", f"https://{host}")
    credentials, version = credentials_of(kind, key_file)
    with pytest.raises(OrgRejectedError, match="the login's response names a host") as caught:
        log_in(credentials, api_version=version)
    assert caught.value.exit_code == 4
    require_nothing_lost(outside, caught.value)
    assert "canary-token" not in str(outside.authorized())


def test_the_emulator_may_name_this_machine(script: Script) -> None:
    script.say(TOKEN, 200, {"access_token": "t", "instance_url": script.url})
    script.say(QUERY, 200, ABOUT)
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url) as org:
        assert org.org_name == "Acme"


# --- Tokens that no header can hold

BROKEN_TOKENS = [
    "canary\nX-Other: 1",
    "canary\r\n",
    "\ncanary",
    "canary token",
    "canary\x00",
    "canary€",
    "canary\u0130",
    "canary\x7f",
]


@pytest.mark.parametrize("token", [*BROKEN_TOKENS, " "])
def test_a_broken_token_of_the_settings_is_an_error_and_not_shown(
    outside: Outside, token: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"salesforce\.access_token") as caught:
        log_in(replace(GIVEN_TOKEN, access_token=SecretStr(token)), api_version=VERSION)
    assert outside.reached == []
    assert "canary" not in all_causes(caught.value)


@pytest.mark.parametrize("kind", ["client_credentials", "jwt"])
@pytest.mark.parametrize("token", [*BROKEN_TOKENS, ""])
def test_a_broken_token_of_a_login_response_is_an_error_and_not_shown(
    outside: Outside, key_file: Path, kind: str, token: str
) -> None:
    answer_with(outside.script, token, f"https://{OWN}")
    credentials, version = credentials_of(kind, key_file)
    with pytest.raises(OrgRejectedError, match="the login's response holds a token") as caught:
        log_in(credentials, api_version=version)
    assert "canary" not in all_causes(caught.value)
    assert [one.path for one in outside.script.seen] == ["/services/oauth2/token"]


@pytest.mark.parametrize("token", ["canary\nX-Other: 1", "canary token", "canary€"])
def test_a_broken_token_of_a_soap_response_is_an_error_and_not_shown(
    outside: Outside, key_file: Path, token: str
) -> None:
    answer_with(outside.script, token, f"https://{OWN}")
    credentials, version = credentials_of("password", key_file)
    with pytest.raises(OrgRejectedError, match="the login's response holds a token") as caught:
        log_in(credentials, api_version=version)
    assert "canary" not in all_causes(caught.value)


def test_a_broken_token_of_a_later_login_is_an_error(script: Script) -> None:
    let_in(script, "good", "canary\nX-Other: 1")
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url) as org:
        script.say(
            f"GET /services/data/v{VERSION}/things", 401, [{"errorCode": "INVALID_SESSION_ID"}]
        )
        with pytest.raises(OrgRejectedError, match="the login's response holds a token") as caught:
            org.get_json("things")
    assert "canary" not in all_causes(caught.value)


# --- The request that is really sent


@pytest.mark.parametrize(
    "url",
    [
        r"https://evil.example\.salesforce.com/services/data",
        "https://evil.example/services/data",
        "https://localhost/services/data",
        "https://acme.my.salesforce.com:8443/services/data",
        "https://acme.my.salesforce.com@evil.example/services/data",
    ],
)
def test_the_transport_sends_nothing_outside_for_any_caller(outside: Outside, url: str) -> None:
    transport = Transport((5, 5))
    session = transport.new_session()
    session.auth = Relogin(SecretStr("canary-token"))
    with pytest.raises(OrgRejectedError, match="FOREIGN_HOST") as caught:
        session.get(url)
    assert outside.reached == []
    assert transport.call_count == 0
    assert "canary" not in all_causes(caught.value)
    transport.close()


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/services/data",
        "//evil.example/services/data",
        r"\\evil.example\services",
        "/../../evil.example",
        "@evil.example/x",
        ".evil.example/x",
        ":443@evil.example/x",
        "/\\evil.example/x",
        "\n//evil.example",
    ],
)
def test_an_address_that_the_org_names_stays_in_the_org(outside: Outside, path: str) -> None:
    outside.script.say(QUERY, 200, {**ABOUT, "done": False, "nextRecordsUrl": path})
    with log_in(GIVEN_TOKEN, api_version=VERSION) as org, pytest.raises(OrgRejectedError):
        org.get_json(org.get_json("query")["nextRecordsUrl"])
    assert set(outside.reached) == {f"{OWN}:443"}
    assert {host for host, _ in outside.authorized()} == {OWN}


def test_no_redirect_is_followed_outside(outside: Outside) -> None:
    outside.script.say(QUERY, 302, Location="https://evil.example/services")
    with pytest.raises(ConfigurationError, match="redirect"):
        log_in(GIVEN_TOKEN, api_version=VERSION)
    assert set(outside.reached) == {f"{OWN}:443"}


def test_a_server_without_a_trusted_certificate_gets_nothing(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(OrgUnavailableError, match="certificate"):
        log_in(GIVEN_TOKEN, api_version=VERSION)
    assert set(outside.reached) == {f"{OWN}:443"}
    assert outside.script.seen == []


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://acme.my.salesforce.com/x?y", ("https", "acme.my.salesforce.com", 443)),
        ("http://127.0.0.1:8642", ("http", "127.0.0.1", 8642)),
        ("http://[::1]:8642/x", ("http", "::1", 8642)),
        ("https://ACME.my.salesforce.com:443", ("https", "acme.my.salesforce.com", 443)),
        (r"https://evil.example\.salesforce.com", None),
        ("https://user@acme.my.salesforce.com", None),
        ("https://@acme.my.salesforce.com", None),
        ("ftp://acme.my.salesforce.com", None),
        ("https://acme.my.salesforce.com:port", None),
        ("https://[::1", None),
        ("https://", None),
        ("", None),
    ],
)
def test_the_target_of_a_url_is_returned_only_if_certain(
    url: str, target: tuple[str, str, int] | None
) -> None:
    assert target_of(url) == (Target(*target) if target else None)
