"""What the org says of itself: its versions, the resources of one, and its limits (§2, §6.6)."""

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
    """Every version on offer, oldest first; v68.0 is Winter '27 (§2)."""
    entries = []
    for number in range(OLDEST, NEWEST + 1):
        # Three releases a year; Winter carries the number of the year to come.
        since = number - NEWEST
        season, year = SEASONS[since % 3], 27 + (since // 3)
        version = f"{number}.0"
        label = f"{season} '{year % 100:02d}"
        entries.append({"label": label, "url": f"/services/data/v{version}", "version": version})
    return entries


class OrgResources:
    """One org's limits and resources; its API requests are counted here, one by one."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def count_request(self) -> str:
        """One more, refused beyond the day's limit; the header that tells how many."""
        with self._org.store.transaction():
            if self._used() >= self.allowed:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            used = self._org.store.count_up("api_requests")
        return f"api-usage={used}/{self.allowed}"

    @property
    def allowed(self) -> int:
        """How many a day."""
        return self._org.file.daily_api_requests

    def _used(self) -> int:
        return int(self._org.store.get("api_requests") or 0)

    def limits(self, _request: ApiRequest) -> ApiResponse:
        """`GET /limits`."""
        limits = {name: {"Max": most, "Remaining": most} for name, most in LIMITS.items()}
        remaining = max(0, self.allowed - self._used())
        return ApiResponse(
            200, {"DailyApiRequests": {"Max": self.allowed, "Remaining": remaining}} | limits
        )

    def recent(self, _request: ApiRequest) -> ApiResponse:
        """`GET /recent`: what a user looked at in the browser, which this org does not have."""
        return ApiResponse(200, [])

    def resources(self, request: ApiRequest) -> ApiResponse:
        """`GET /services/data/vXX.X`."""
        resources = {name: f"{request.data}/{name}" for name in RESOURCES}
        identity = f"{request.base}/id/{self._org.id}/{request.user_id}"
        return ApiResponse(200, resources | {"identity": identity})
