"""Which path below a version is whose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pipelines.emulator.bulk.api import Bulk
from pipelines.emulator.messages import Answer, ApiError, Call
from pipelines.emulator.org.org import Org
from pipelines.emulator.rest.composite import Composite
from pipelines.emulator.rest.composite_tree import Trees
from pipelines.emulator.rest.layouts import Layouts
from pipelines.emulator.rest.records_api import NOT_FOUND, Rest
from pipelines.emulator.rest.replication import Replication
from pipelines.emulator.rest.resources import About
from pipelines.emulator.rest.search import Searching
from pipelines.emulator.rest.sobject_collections import Collections

Handler = Callable[..., Answer]
Methods = dict[str, Handler]


@dataclass(frozen=True)
class Resource:
    """A path below the version, and what answers each method."""

    pattern: re.Pattern[str]
    handlers: Methods


class Routes:
    """The resources, the more particular first."""

    def __init__(self, table: Mapping[str, Methods]) -> None:
        self._resources = [
            Resource(re.compile(path.replace("{}", "([^/]+)")), handlers)
            for path, handlers in table.items()
        ]

    def answer(self, call: Call, path: str) -> Answer:
        """The answer of the resource at this path, or the org's 404, 405 and 415."""
        for resource in self._resources:
            found = resource.pattern.fullmatch(path)
            if found is None:
                continue
            # A HEAD is a GET whose body stays at home; the server drops it.
            method = "GET" if call.method == "HEAD" else call.method
            handler = resource.handlers.get(method)
            if handler is None:
                return _not_allowed(call.method, resource.handlers)
            return handler(call, *map(unquote, found.groups()))
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)


def _not_allowed(method: str, handlers: Methods) -> Answer:
    allowed = ",".join([*(["HEAD"] if "GET" in handlers else []), *handlers])
    message = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
    error = ApiError(405, "METHOD_NOT_ALLOWED", message)
    return Answer(405, error.errors, headers={"Allow": allowed})


def routes(
    org: Org, rest: Rest, many: Collections, bulk: Bulk, composite: Composite, trees: Trees
) -> Routes:
    """Every resource this org has."""
    about = About(org)
    return Routes(
        {
            "": {"GET": about.resources},
            "/limits": {"GET": about.limits},
            "/recent": {"GET": about.recent},
            "/limits/recordCount": {"GET": rest.record_count},
            **_records(org, rest),
            **_composites(many, composite, trees),
            **_jobs(bulk),
        }
    )


def _records(org: Org, rest: Rest) -> dict[str, Methods]:
    layouts, changes, searching = Layouts(rest), Replication(org, rest), Searching(org, rest)
    return {
        "/search": {"GET": searching.search},
        "/parameterizedSearch": {
            "GET": searching.parameterized,
            "POST": searching.parameterized,
        },
        "/query": {"GET": rest.query},
        "/queryAll": {"GET": rest.query_all},
        "/query(?:All)?/{}": {"GET": rest.query_more},
        "/sobjects": {"GET": rest.describe_global},
        "/sobjects/{}": {"GET": rest.describe_brief, "POST": rest.create},
        "/sobjects/{}/describe": {"GET": rest.describe},
        "/sobjects/{}/describe/layouts": {"GET": layouts.all},
        "/sobjects/{}/describe/layouts/{}": {"GET": layouts.of_record_type},
        "/sobjects/{}/updated": {"GET": changes.updated},
        "/sobjects/{}/deleted": {"GET": changes.deleted},
        "/sobjects/{}/{}": {"GET": rest.read, "PATCH": rest.update, "DELETE": rest.delete},
        "/sobjects/{}/{}/{}": {
            "GET": rest.read_by_key,
            "PATCH": rest.upsert,
            "DELETE": rest.delete_by_key,
        },
    }


def _composites(many: Collections, composite: Composite, trees: Trees) -> dict[str, Methods]:
    return {
        "/composite": {"POST": composite.composite},
        "/composite/batch": {"POST": composite.batch},
        "/composite/tree/{}": {"POST": trees.tree},
        "/composite/sobjects": {
            "POST": many.create_many,
            "PATCH": many.update_many,
            "DELETE": many.delete_many,
        },
        "/composite/sobjects/{}": {"GET": many.read_many, "POST": many.read_back},
        "/composite/sobjects/{}/{}": {"PATCH": many.upsert_many},
    }


def _jobs(bulk: Bulk) -> dict[str, Methods]:
    return {
        "/jobs/ingest": {"GET": bulk.list_ingest, "POST": bulk.create_ingest},
        "/jobs/ingest/{}": {
            "GET": bulk.show_ingest,
            "PATCH": bulk.change_ingest,
            "DELETE": bulk.delete_ingest,
        },
        "/jobs/ingest/{}/batches": {"PUT": bulk.upload},
        "/jobs/ingest/{}/{}": {"GET": bulk.results},
        "/jobs/query": {"GET": bulk.list_query, "POST": bulk.create_query},
        "/jobs/query/{}": {
            "GET": bulk.show_query,
            "PATCH": bulk.change_query,
            "DELETE": bulk.delete_query,
        },
        "/jobs/query/{}/results": {"GET": bulk.query_results},
        "/jobs/query/{}/resultPages": {"GET": bulk.query_result_pages},
    }
