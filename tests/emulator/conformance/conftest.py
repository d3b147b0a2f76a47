"""Every test of a number runs against the emulator; those marked also against a real org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.emulator.conformance.real_org import PREFIX, SECONDS, RealClient, named
from tests.emulator.plain_http import BASIC_ORG, Client

MARK = "also_real_org"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A second run of the marked tests, where the environment names a real org."""
    if metafunc.definition.get_closest_marker(MARK) and named():
        patient = pytest.param("your_org", marks=pytest.mark.timeout(SECONDS))
        metafunc.parametrize("org", ["emulator", patient], indirect=True)


@pytest.fixture(scope="session")
def real_orgs() -> Iterator[list[RealClient]]:
    """The clients of a real org; what they made is deleted at the end."""
    opened: list[RealClient] = []
    yield opened
    if opened:
        sweeper = RealClient(named()).log_in()
        sweeper.jobs = [job for client in opened for job in client.jobs]
        sweeper.clean_up()


@pytest.fixture
def org(request: pytest.FixtureRequest) -> Client:
    """Return an org: the emulator's with what the mark adds, or the one of the environment."""
    if getattr(request, "param", "emulator") == "your_org":
        return your_org(named(), request.getfixturevalue("real_orgs"))
    mark = request.node.get_closest_marker(MARK)
    text = mark.kwargs.get("emulator_has", "") if mark else ""
    return Client(request.getfixturevalue("running").url).reset(BASIC_ORG + text)


def your_org(settings: Mapping[str, str], opened: list[RealClient]) -> RealClient:
    """Return a client of the org that the environment names; skip without consent to write."""
    if settings.get("consent") != "yes":
        pytest.skip(f"these tests write records: set {PREFIX}CONSENT=yes to allow it")
    opened.append(RealClient(settings).log_in())
    return opened[-1]
