"""Identity URLs, userinfo, token introspection and token revocation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.emulator.auth.login import (
    NO_STORE,
    LoginError,
    Logins,
    oauth_error_response,
    oauth_parameters,
)
from pipelines.emulator.messages import ApiRequest, ApiResponse, bearer
from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org

IDENTITY = re.compile(r"/id/(\w{15,18})/(\w{15,18})")
TEXT = "text/plain;charset=UTF-8"
# The resource URLs of an identity response; a client fills in the version.
RESOURCES = {
    "enterprise": "/services/Soap/c/{version}/{org}",
    "metadata": "/services/Soap/m/{version}/{org}",
    "partner": "/services/Soap/u/{version}/{org}",
    "query": "/services/data/v{version}/query/",
    "recent": "/services/data/v{version}/recent/",
    "rest": "/services/data/v{version}/",
    "search": "/services/data/v{version}/search/",
    "sobjects": "/services/data/v{version}/sobjects/",
}


class Identities:
    """The resources that describe a session's user, or end the session."""

    def __init__(self, org: Org, logins: Logins, newest: str) -> None:
        self._org = org
        self._logins = logins
        self._newest = newest

    def identity(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /id/ORG/USER`. Errors are one word of text, with the statuses that clients
        know.
        """
        found = IDENTITY.fullmatch(request.path)
        session = self._org.sessions.use(_token(request))
        if session is None:
            return _text_response(
                403, "Bad_OAuth_Token" if _token(request) else "Missing_OAuth_Token"
            )
        if found is None or ids.normalised(found[1]) != self._org.id:
            return _text_response(403, "Wrong_Org")
        if ids.normalised(found[2]) != session.user_id:
            return _text_response(404, "Bad_Id")
        return ApiResponse(200, self._identity_fields(request, session.user_id))

    def userinfo(self, request: ApiRequest) -> ApiResponse:
        """Handle `/services/oauth2/userinfo`: the identity with OpenID Connect's names."""
        session = self._org.sessions.use(_token(request))
        if session is None:
            return _text_response(
                403, "Bad_OAuth_Token" if _token(request) else "Missing_OAuth_Token"
            )
        identity_fields = self._identity_fields(request, session.user_id)
        user = self._org.user(session.user_id)
        names = {"given_name": user["FirstName"], "family_name": user["LastName"]}
        return ApiResponse(
            200,
            identity_fields
            | names
            | {"name": identity_fields["display_name"], "sub": identity_fields["id"]},
        )

    def _identity_fields(self, request: ApiRequest, user_id: str) -> dict[str, object]:
        user, org = self._org.user(user_id), self._org
        version = request.query.get("version", "")
        resource_version = {"latest": self._newest}.get(version, version) or "{version}"
        urls = {
            name: request.base
            + path.replace("{org}", org.id[:15]).replace("{version}", resource_version)
            for name, path in RESOURCES.items()
        }
        profile = f"{request.base}/{user_id}"
        return {
            "id": f"{request.base}/id/{org.id}/{user_id}",
            "asserted_user": True,
            "user_id": user_id,
            "organization_id": org.id,
            "username": user["Username"],
            "preferred_username": user["Username"],
            "nick_name": user["Username"].partition("@")[0],
            "nickname": user["Username"].partition("@")[0],
            "display_name": user["Name"],
            "first_name": user["FirstName"],
            "last_name": user["LastName"],
            "email": user["Email"],
            "email_verified": True,
            "user_type": user["UserType"].upper(),
            "active": bool(user["IsActive"]),
            "is_app_installed": True,
            "language": "en_US",
            "locale": "en_US",
            "timezone": "GMT",
            "zoneinfo": "GMT",
            "urls": urls | {"profile": profile},
        }

    def introspect(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /services/oauth2/introspect`. Introspection does not prolong the session."""
        form = oauth_parameters(request)
        try:
            self._logins.client(form, request)
        except LoginError as error:
            return oauth_error_response(error)
        session = self._org.sessions.find(form.get("token", ""))
        if session is None:
            return ApiResponse(200, {"active": False}, headers=dict(NO_STORE))
        user = self._org.user(session.user_id)
        value: Mapping[str, object] = {
            "active": True,
            "scope": "api id",
            "client_id": session.consumer_key,
            "username": user["Username"],
            "sub": f"{request.base}/id/{self._org.id}/{session.user_id}",
            "token_type": "access_token",
            "iat": int(session.opened_at),
            "nbf": int(session.opened_at),
            "exp": int(session.used_at + self._org.sessions.seconds),
        }
        return ApiResponse(200, value, headers=dict(NO_STORE))

    def revoke(self, request: ApiRequest) -> ApiResponse:
        """Handle `/services/oauth2/revoke`: end the session immediately."""
        if self._org.sessions.end(oauth_parameters(request).get("token", "")):
            return ApiResponse(200, headers=dict(NO_STORE))
        return oauth_error_response(LoginError("invalid_token", "invalid token"))


def _token(request: ApiRequest) -> str:
    """Return the token of the header, or of the form or URL, where OpenID Connect allows it."""
    return bearer(request) or oauth_parameters(request).get(
        "access_token", request.query.get("oauth_token", "")
    )


def _text_response(status: int, text: str) -> ApiResponse:
    return ApiResponse(status, text=text, content_type=TEXT)
