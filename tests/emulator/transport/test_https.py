"""The emulator over https: what `--tls` promises, with verification on."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import requests
from simple_salesforce.api import Salesforce

from tests.emulator.conftest import ROOT, Process
from tests.emulator.plain_http import BASIC_ORG, Client


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls") / "emulator.pem"


@pytest.fixture(scope="module")
def listening(pem: Path) -> Iterator[Process]:
    process = Process("--port", "0", "--idle-stop", "300", "--tls-certificate", str(pem))
    yield process
    assert process.stop() == 0


@pytest.fixture
def secure(listening: Process, pem: Path) -> Client:
    made = Client(listening.url)
    made.http.verify = str(pem)
    assert made.control("POST", "reset", data=BASIC_ORG.encode()).status_code == 200
    return made


@pytest.fixture
def token(secure: Client) -> Any:
    form = {
        "grant_type": "client_credentials",
        "client_id": "key",
        "client_secret": "secret",
    }
    response = secure.http.post(f"{secure.url}/services/oauth2/token", data=form, timeout=30)
    secure.http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    return response.json()


def test_the_first_line_has_https(listening: Process) -> None:
    assert listening.line.startswith("org emulator on https://127.0.0.1:")


def test_a_client_that_was_given_the_certificate_is_served(
    secure: Client, token: dict[str, str]
) -> None:
    assert secure.lead(LastName="Hopper")
    assert secure.rows("SELECT LastName FROM Lead") == [{"LastName": "Hopper"}]


def test_a_client_without_the_certificate_does_not_connect(listening: Process) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{listening.url}/services/data", timeout=30)


def test_it_is_trusted_as_localhost_and_by_strict_verification(
    listening: Process, pem: Path
) -> None:
    strict = ssl.create_default_context(cafile=str(pem))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    url = listening.url.replace("127.0.0.1", "localhost")
    with urlopen(f"{url}/services/data", context=strict, timeout=30) as response:  # noqa: S310
        assert response.status == 200


def test_every_address_it_hands_out_is_https(secure: Client, token: dict[str, str]) -> None:
    assert token["instance_url"] == secure.url
    assert token["id"].startswith(f"{secure.url}/id/00D")
    shown = secure.http.get(token["id"], timeout=30).json()
    assert shown["urls"]["rest"].startswith(secure.url)
    assert secure.call("GET", "").json()["identity"].startswith(secure.url)


def test_simple_salesforce_drives_it_without_an_adapter(
    secure: Client, token: dict[str, str]
) -> None:
    session = requests.Session()
    session.trust_env, session.verify = False, secure.http.verify
    org: Any = Salesforce(
        instance_url=secure.url, session_id=token["access_token"], session=session, version="60.0"
    )
    made = org.Lead.create({"LastName": "L", "Company": "C"})
    assert org.Lead.get(made["id"])["LastName"] == "L"
    done = org.bulk2.Lead.insert(records=[{"LastName": "B", "Company": "C"}], wait=0.1)
    assert done[0]["numberRecordsFailed"] == 0
    assert org.query("SELECT COUNT() FROM Lead")["totalSize"] == 2


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("drop_before", requests.exceptions.ConnectionError),
        ("drop_after", requests.exceptions.ConnectionError),
        ("truncate", requests.exceptions.ChunkedEncodingError),
    ],
)
def test_a_fault_breaks_an_https_response_as_it_breaks_a_plain_one(
    secure: Client,
    token: dict[str, str],
    fault: str,
    broken: type[requests.RequestException],
) -> None:
    secure.faults({"match": "POST /sobjects/Lead", "fault": fault})
    with pytest.raises(broken):
        secure.create(LastName="L", Company="C")
    assert len(secure.rows("SELECT Id FROM Lead")) == (0 if fault == "drop_before" else 1)


def test_a_slow_response_is_slow_over_https_too(secure: Client, token: dict[str, str]) -> None:
    secure.faults({"match": "GET /limits", "fault": "slow:0.3"})
    started = time.monotonic()
    assert secure.call("GET", "/limits").status_code == 200
    assert time.monotonic() - started >= 0.3


def test_a_large_upload_and_its_response_pass_through_https(
    secure: Client, token: dict[str, str]
) -> None:
    rows = "".join(f"Name {n},{'c' * 200}\n" for n in range(20_000))
    assert secure.load("LastName,Company\n" + rows).info["numberRecordsProcessed"] == 20_000


def test_plain_http_to_the_https_port_fails(listening: Process) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(listening.url.replace("https:", "http:") + "/services/data", timeout=30)


def test_without_a_file_the_path_of_the_certificate_is_on_stderr() -> None:
    process = Process("--port", "0", "--tls")
    assert process.popen.stdout is not None
    assert process.popen.stderr is not None
    line = process.popen.stderr.readline().strip()
    path = Path(line.rpartition(" certificate ")[2])
    assert requests.get(f"{process.url}/services/data", verify=str(path), timeout=30).ok
    os.kill(process.popen.pid, 15)
    assert process.popen.wait(10) == 0
    assert process.popen.stdout.read() == ""
    assert not path.exists()
    assert process.stop() == 0


def test_a_certificate_that_cannot_be_written_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("person-sync")), "emulator", "--port", "0"]
    command += ["--tls-certificate", str(tmp_path / "missing" / "x.pem")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the certificate cannot be written" in ended.stderr
