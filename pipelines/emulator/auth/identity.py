"""Whose session it is, and its end: identity URLs, userinfo, introspection and revocation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.emulator.auth.login import NO_STORE, LoginRefused, Logins, form_of, oauth_refusal
from pipelines.emulator.messages import Answer, Call, bearer
from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org

IDENTITY = re.compile(r"/id/(\w{15,18})/(\w{15,18})")
TEXT = "text/plain;charset=UTF-8"
# What the versions that an identity names are called in its URLs, for a client to fill in.
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
    """Who is behind a token."""

    def __init__(self, org: Org, logins: Logins, newest: str) -> None:
        self._org = org
        self._logins = logins
        self._newest = newest

    def identity(self, call: Call) -> Answer:
        """`GET /id/ORG/USER`: refusals are one word of text, with the statuses clients know."""
        found = IDENTITY.fullmatch(call.path)
        session = self._org.sessions.use(_token(call))
        if session is None:
            return _word(403, "Bad_OAuth_Token" if _token(call) else "Missing_OAuth_Token")
        if found is None or ids.normalised(found[1]) != self._org.id:
            return _word(403, "Wrong_Org")
        if ids.normalised(found[2]) != session.user_id:
            return _word(404, "Bad_Id")
        return Answer(200, self._shown(call, session.user_id))

    def userinfo(self, call: Call) -> Answer:
        """`/services/oauth2/userinfo`: the same, in OpenID Connect's words."""
        session = self._org.sessions.use(_token(call))
        if session is None:
            return _word(403, "Bad_OAuth_Token" if _token(call) else "Missing_OAuth_Token")
        shown = self._shown(call, session.user_id)
        user = self._org.user(session.user_id)
        names = {"given_name": user["FirstName"], "family_name": user["LastName"]}
        return Answer(200, shown | names | {"name": shown["display_name"], "sub": shown["id"]})

    def _shown(self, call: Call, user_id: str) -> dict[str, object]:
        user, org = self._org.user(user_id), self._org
        version = call.query.get("version", "")
        named = {"latest": self._newest}.get(version, version) or "{version}"
        urls = {
            name: call.base + path.replace("{org}", org.id[:15]).replace("{version}", named)
            for name, path in RESOURCES.items()
        }
        profile = f"{call.base}/{user_id}"
        return {
            "id": f"{call.base}/id/{org.id}/{user_id}",
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

    def introspect(self, call: Call) -> Answer:
        """`POST /services/oauth2/introspect`: an app asks about a token. Asking is no use of it."""
        form = form_of(call)
        try:
            self._logins.client(form, call)
        except LoginRefused as refused:
            return oauth_refusal(refused)
        session = self._org.sessions.find(form.get("token", ""))
        if session is None:
            return Answer(200, {"active": False}, headers=dict(NO_STORE))
        user = self._org.user(session.user_id)
        value: Mapping[str, object] = {
            "active": True,
            "scope": "api id",
            "client_id": session.consumer_key,
            "username": user["Username"],
            "sub": f"{call.base}/id/{self._org.id}/{session.user_id}",
            "token_type": "access_token",
            "iat": int(session.opened_at),
            "nbf": int(session.opened_at),
            "exp": int(session.used_at + self._org.sessions.seconds),
        }
        return Answer(200, value, headers=dict(NO_STORE))

    def revoke(self, call: Call) -> Answer:
        """`/services/oauth2/revoke`: the session is over at once."""
        if self._org.sessions.end(form_of(call).get("token", "")):
            return Answer(200, headers=dict(NO_STORE))
        return oauth_refusal(LoginRefused("invalid_token", "invalid token"))


def _token(call: Call) -> str:
    """Of the header, or of the form and the URL, where OpenID Connect allows it too."""
    return bearer(call) or form_of(call).get("access_token", call.query.get("oauth_token", ""))


def _word(status: int, word: str) -> Answer:
    return Answer(status, text=word, content_type=TEXT)
