"""The script a data engineer would write in an afternoon, and run every night.

Right on a good day: who is in `loaded_persons` is not sent again, who has no company or last name
or a broken e-mail is left out, so is a second person with one e-mail and one whose e-mail
Salesforce knows; the rest goes by simple-salesforce's own bulk call and the answers are written
down. A crash between the load and the last line makes every lead twice; nothing is said about why
somebody was left out, and nobody gets an owner. It spares itself simple-salesforce's sleep of 5 s a
job, and the org takes line feeds within cells: in one that does not, its whole job fails.
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


class ToTheOrg(HTTPAdapter):
    """simple-salesforce knows only https://*.salesforce.com: here that is the org under test."""

    def __init__(self, org_url: str) -> None:
        super().__init__()
        self._there = urlsplit(org_url)
        self.call_count = 0

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        self.call_count += 1
        there = {"scheme": self._there.scheme, "netloc": self._there.netloc}
        request.url = urlsplit(str(request.url))._replace(**there).geturl()
        return super().send(request, *args, **kwargs)


def main() -> None:
    """Run the script once."""
    task, watch = task_of_this_process(), Stopwatch()
    adapter = ToTheOrg(task.org_url)
    engine = sqlalchemy.create_engine(task.warehouse_url.replace("sql://", "sql+psycopg://"))
    with watch.measure("read"):
        persons = pd.read_sql("select * from persons", engine)
        if sqlalchemy.inspect(engine).has_table("loaded_persons"):
            loaded = pd.read_sql("select person_id from loaded_persons", engine)
            persons = persons[~persons["person_id"].isin(loaded["person_id"])]
    with watch.measure("log in, look up"):
        salesforce = log_in(adapter)
        known = salesforce.query_all("SELECT Email FROM Lead WHERE Email != null")["records"]
    with watch.measure("judge"):
        records = as_records(persons, {lead["Email"].lower() for lead in known})
    with watch.measure("send"):
        jobs = salesforce.bulk2.Lead.insert(records=records, batch_size=BATCH_SIZE, wait=WAIT)
    with watch.measure("fetch results"):
        answers = pd.concat([fetch(salesforce, job["job_id"]) for job in jobs])
    with watch.measure("write"):
        answers.to_sql("loaded_persons", engine, index=False, if_exists="append")
    watch.tell(api_call_count=adapter.call_count, created_count=int(answers["lead_id"].count()))


def log_in(adapter: ToTheOrg) -> Any:
    """A session by client credentials, as the manual says."""
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
    """Who is to be sent, as simple-salesforce wants them."""
    email = persons["email"].str.strip().str.lower()
    is_good = persons["last_name"].notna() & persons["company"].notna()
    is_good &= email.str.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", na=True)
    is_good &= ~email.isin(known)
    good = persons[is_good]
    good = good[~email[is_good].duplicated() | email[is_good].isna()]
    leads = good[list(FIELDS)].rename(columns=FIELDS).astype(object)
    return list(leads.where(leads.notna(), None).to_dict("records"))


def fetch(salesforce: Any, job_id: str) -> pd.DataFrame:
    """Who got which lead, and who did not."""
    lead = salesforce.bulk2.Lead
    done = pd.read_csv(io.StringIO(lead.get_successful_records(job_id)), dtype="str")
    failed = pd.read_csv(io.StringIO(lead.get_failed_records(job_id)), dtype="str")
    wanted = {"Person_Id__c": "person_id", "sf__Id": "lead_id", "sf__Error": "error"}
    return pd.concat([done, failed]).reindex(columns=list(wanted)).rename(columns=wanted)


if __name__ == "__main__":
    main()
