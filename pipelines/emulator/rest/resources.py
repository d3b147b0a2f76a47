"""The org's versions, the resources of a version, and the limits."""

from __future__ import annotations

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org

NEWEST, OLDEST, OLDEST_SUPPORTED = 68, 31, 41
SEASONS = ("Winter", "Spring", "Summer")
RESOURCES = (
    "composite",
    "jobs",
    "limits",
    "parameterizedSearch",
    "query",
    "queryAll",
    "recent",
    "search",
    "sobjects",
)
LIMITS = {
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DataStorageMB": 1_024,
    "SingleEmail": 5_000,
}


def versions() -> list[dict[str, str]]:
    """Return every version, oldest first; v68.0 is Winter '27."""
    entries = []
    for number in range(OLDEST, NEWEST + 1):
        # Three releases a year; Winter carries the number of the following year.
        since = number - NEWEST
        season, year = SEASONS[since % 3], 27 + (since // 3)
        version = f"{number}.0"
        label = f"{season} '{year % 100:02d}"
        entries.append({"label": label, "url": f"/services/data/v{version}", "version": version})
    return entries


class OrgResources:
    """The resources and limits of one org, and its count of API requests."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def count_request(self) -> str:
        """Count one request and return the Sforce-Limit-Info header; raise ApiError beyond the
        limit.
        """
        with self._org.store.transaction():
            if self._used() >= self.allowed:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            used = self._org.store.count_up("api_requests")
        return f"api-usage={used}/{self.allowed}"

    @property
    def allowed(self) -> int:
        """Return the number of API requests allowed a day."""
        return self._org.file.daily_api_requests

    def _used(self) -> int:
        return int(self._org.store.get("api_requests") or 0)

    def limits(self, _request: ApiRequest) -> ApiResponse:
        """Handle `GET /limits`."""
        limits = {name: {"Max": most, "Remaining": most} for name, most in LIMITS.items()}
        remaining = max(0, self.allowed - self._used())
        return ApiResponse(
            200, {"DailyApiRequests": {"Max": self.allowed, "Remaining": remaining}} | limits
        )

    def recent(self, _request: ApiRequest) -> ApiResponse:
        """Handle `GET /recent`: always empty, because nothing is viewed in a browser here."""
        return ApiResponse(200, [])

    def resources(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /services/data/vXX.X`."""
        resources = {name: f"{request.data}/{name}" for name in RESOURCES}
        identity = f"{request.base}/id/{self._org.id}/{request.user_id}"
        return ApiResponse(200, resources | {"identity": identity})
