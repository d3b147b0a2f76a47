"""Map the paths below a version to the methods that handle them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pipelines.emulator.bulk.api import BulkApi
from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.rest.composite import CompositeApi
from pipelines.emulator.rest.composite_tree import CompositeTree
from pipelines.emulator.rest.describe_api import DescribeApi
from pipelines.emulator.rest.layouts import Layouts
from pipelines.emulator.rest.query_api import QueryApi
from pipelines.emulator.rest.records_api import NOT_FOUND, RecordsApi
from pipelines.emulator.rest.replication import Replication
from pipelines.emulator.rest.resources import OrgResources
from pipelines.emulator.rest.search import SearchApi
from pipelines.emulator.rest.sobject_collections import SObjectCollections

Handler = Callable[..., ApiResponse]
Methods = dict[str, Handler]


@dataclass(frozen=True)
class Resource:
    """A path pattern below the version, and the handler of each HTTP method."""

    pattern: re.Pattern[str]
    handlers: Methods


class Routes:
    """The resources in order; more specific patterns come first."""

    def __init__(self, table: Mapping[str, Methods]) -> None:
        self._resources = [
            Resource(re.compile(path.replace("{}", "([^/]+)")), handlers)
            for path, handlers in table.items()
        ]

    def handle(self, request: ApiRequest, path: str) -> ApiResponse:
        """Return the response of the resource at this path; raise 404, or return 405."""
        for resource in self._resources:
            found = resource.pattern.fullmatch(path)
            if found is None:
                continue
            # A HEAD is handled as a GET; the server drops the body.
            method = "GET" if request.method == "HEAD" else request.method
            handler = resource.handlers.get(method)
            if handler is None:
                return _not_allowed(request.method, resource.handlers)
            return handler(request, *map(unquote, found.groups()))
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)


def _not_allowed(method: str, handlers: Methods) -> ApiResponse:
    allowed = ",".join([*(["HEAD"] if "GET" in handlers else []), *handlers])
    message = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
    error = ApiError(405, "METHOD_NOT_ALLOWED", message)
    return ApiResponse(405, error.errors, headers={"Allow": allowed})


def routes(
    org: Org,
    records: RecordsApi,
    collections: SObjectCollections,
    bulk: BulkApi,
    composite: CompositeApi,
    trees: CompositeTree,
) -> Routes:
    """Return every resource that this org has below a version."""
    return Routes(
        {
            **_resources(org),
            **_searches(org, records),
            **_records(org, records),
            **_composites(collections, composite, trees),
            **_jobs(bulk),
        }
    )


def _resources(org: Org) -> dict[str, Methods]:
    resources, queries = OrgResources(org), QueryApi(org)
    return {
        "": {"GET": resources.resources},
        "/limits": {"GET": resources.limits},
        "/recent": {"GET": resources.recent},
        "/limits/recordCount": {"GET": queries.record_count},
        "/query": {"GET": queries.query},
        "/queryAll": {"GET": queries.query_all},
        "/query(?:All)?/{}": {"GET": queries.query_more},
    }


def _searches(org: Org, records: RecordsApi) -> dict[str, Methods]:
    search = SearchApi(org, records)
    return {
        "/search": {"GET": search.search},
        "/parameterizedSearch": {"GET": search.parameterized, "POST": search.parameterized},
    }


def _records(org: Org, records: RecordsApi) -> dict[str, Methods]:
    describe, layouts = DescribeApi(org, records), Layouts(records)
    changes = Replication(org, records)
    return {
        "/sobjects": {"GET": describe.describe_global},
        "/sobjects/{}": {"GET": describe.describe_brief, "POST": records.create},
        "/sobjects/{}/describe": {"GET": describe.describe},
        "/sobjects/{}/describe/layouts": {"GET": layouts.all},
        "/sobjects/{}/describe/layouts/{}": {"GET": layouts.of_record_type},
        "/sobjects/{}/updated": {"GET": changes.updated},
        "/sobjects/{}/deleted": {"GET": changes.deleted},
        "/sobjects/{}/{}": {"GET": records.read, "PATCH": records.update, "DELETE": records.delete},
        "/sobjects/{}/{}/{}": {
            "GET": records.read_by_key,
            "PATCH": records.upsert,
            "DELETE": records.delete_by_key,
        },
    }


def _composites(
    collections: SObjectCollections, composite: CompositeApi, trees: CompositeTree
) -> dict[str, Methods]:
    return {
        "/composite": {"POST": composite.composite},
        "/composite/batch": {"POST": composite.batch},
        "/composite/tree/{}": {"POST": trees.tree},
        "/composite/sobjects": {
            "POST": collections.create_many,
            "PATCH": collections.update_many,
            "DELETE": collections.delete_many,
        },
        "/composite/sobjects/{}": {"GET": collections.read_many, "POST": collections.read_back},
        "/composite/sobjects/{}/{}": {"PATCH": collections.upsert_many},
    }


def _jobs(bulk: BulkApi) -> dict[str, Methods]:
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
