"""The naive script: what a data engineer would write in an afternoon, and run every night.

It is correct as long as nothing fails. It leaves out the persons in `loaded_persons`, those without
a company or last name, and those with a malformed e-mail. It also leaves out a second person with
one e-mail, and persons whose e-mail Salesforce knows. The rest it sends by simple-salesforce's bulk
call, and it records the results.

A crash between the load and the last line creates every lead twice. It reports no reasons, and
assigns no owners. It skips simple-salesforce's sleep of 5 s per job. The org here allows line feeds
in cells; in other orgs its whole job would fail.
"""

from __future__ import annotations

import io
from collections.abc import Hashable
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import requests
import sqlalchemy
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.stores import FIELDS
from tests.benchmarks.task import task_of_this_process

BATCH_SIZE = 100_000  # simple-salesforce's own choice is above what Salesforce takes
WAIT = 0.05


class OrgAdapter(HTTPAdapter):
    """Sends requests to the org: simple-salesforce knows only https://*.salesforce.com."""

    def __init__(self, org_url: str) -> None:
        super().__init__()
        self._org_url = urlsplit(org_url)
        self.call_count = 0

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        self.call_count += 1
        changes = {"scheme": self._org_url.scheme, "netloc": self._org_url.netloc}
        request.url = urlsplit(str(request.url))._replace(**changes).geturl()
        return super().send(request, *args, **kwargs)


def main() -> None:
    """Run the script once."""
    task, watch = task_of_this_process(), Stopwatch()
    adapter = OrgAdapter(task.org_url)
    engine = sqlalchemy.create_engine(task.warehouse_url.replace("sql://", "sql+psycopg://"))
    with watch.measure("read"):
        persons = pd.read_sql("select * from persons", engine)
        if sqlalchemy.inspect(engine).has_table("loaded_persons"):
            loaded = pd.read_sql("select person_id from loaded_persons", engine)
            persons = persons[~persons["person_id"].isin(loaded["person_id"])]
    with watch.measure("log in, look up"):
        salesforce = log_in(adapter)
        known = salesforce.query_all("SELECT Email FROM Lead WHERE Email != null")["records"]
    with watch.measure("validate, deduplicate"):
        records = as_records(persons, {lead["Email"].lower() for lead in known})
    with watch.measure("send"):
        jobs = salesforce.bulk2.Lead.insert(records=records, batch_size=BATCH_SIZE, wait=WAIT)
    with watch.measure("read results"):
        results = pd.concat([read_results(salesforce, job["job_id"]) for job in jobs])
    with watch.measure("write"):
        results.to_sql("loaded_persons", engine, index=False, if_exists="append")
    created_count = int(results["lead_id"].count())
    watch.print_report(api_call_count=adapter.call_count, created_count=created_count)


def log_in(adapter: OrgAdapter) -> Any:
    """Return a client that has logged in by client credentials."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", adapter)
    return Salesforce(
        domain="acme.my",
        consumer_key="bench-key",
        consumer_secret="bench-secret",
        session=session,
        version="67.0",
    )


def as_records(persons: pd.DataFrame, known: set[str]) -> list[dict[Hashable, Any]]:
    """Return the records to send, as simple-salesforce takes them."""
    email = persons["email"].str.strip().str.lower()
    is_sent = persons["last_name"].notna() & persons["company"].notna()
    is_sent &= email.str.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", na=True)
    is_sent &= ~email.isin(known)
    sent = persons[is_sent]
    sent = sent[~email[is_sent].duplicated() | email[is_sent].isna()]
    leads = sent[list(FIELDS)].rename(columns=FIELDS).astype(object)
    return list(leads.where(leads.notna(), None).to_dict("records"))


def read_results(salesforce: Any, job_id: str) -> pd.DataFrame:
    """Return the lead or the error of each person in a job."""
    lead = salesforce.bulk2.Lead
    successful = pd.read_csv(io.StringIO(lead.get_successful_records(job_id)), dtype="str")
    failed = pd.read_csv(io.StringIO(lead.get_failed_records(job_id)), dtype="str")
    columns = {"Person_Id__c": "person_id", "sf__Id": "lead_id", "sf__Error": "error"}
    return pd.concat([successful, failed]).reindex(columns=list(columns)).rename(columns=columns)


if __name__ == "__main__":
    main()
