"""The OAuth token endpoint: client credentials, JWT bearer and password."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlparse

from pipelines.emulator.messages import ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.org_config import App

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class LoginError(Exception):
    """An error of the token endpoint: its body is one JSON object, not an array."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class Grant:
    """A successful login: the user, the app, and whether the response is signed."""

    user_id: str
    app: App
    with_signature: bool


class Logins:
    """The token endpoint of one org, and its checks of apps and passwords."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def token(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /services/oauth2/token`."""
        form = oauth_parameters(request)
        grants = {
            "client_credentials": self._client_credentials,
            JWT_BEARER: self._jwt_bearer,
            "password": self._password,
        }
        try:
            if request.method != "POST":
                raise LoginError("invalid_request", "must use HTTP POST")
            grant_of = grants.get(form.get("grant_type", ""))
            if grant_of is None:
                raise LoginError("unsupported_grant_type", "grant type not supported")
            return self._grant_response(grant_of(form, request), request)
        except LoginError as error:
            return oauth_error_response(error)

    def _grant_response(self, grant: Grant, request: ApiRequest) -> ApiResponse:
        token = self._org.sessions.open(grant.user_id, grant.app.consumer_key)
        # Host and scheme are the request's own, so that every client returns to this listener.
        identity = f"{request.base}/id/{self._org.id}/{grant.user_id}"
        value: dict[str, object] = {
            "access_token": token,
            "scope": "api id",
            "instance_url": request.base,
            "id": identity,
            "token_type": "Bearer",
        }
        if grant.with_signature:
            issued_at = str(int(time.time() * 1000))
            digest = hmac.new(
                grant.app.consumer_secret.encode(), (identity + issued_at).encode(), hashlib.sha256
            ).digest()
            value |= {
                "issued_at": issued_at,
                "signature": base64.b64encode(digest).decode(),
                "api_instance_url": "https://api.salesforce.com",
            }
        return ApiResponse(200, value, headers=dict(NO_STORE))

    def _client_credentials(self, form: dict[str, str], request: ApiRequest) -> Grant:
        app = self.client(form, request)
        username = app.username or self._org.file.running_user
        user_id = self._org.usernames.get(username)
        if user_id is None or user_id in self._org.owners.inactive:
            raise LoginError("invalid_grant", "no client credentials user enabled")
        return Grant(user_id, app, with_signature=True)

    def _jwt_bearer(self, form: dict[str, str], request: ApiRequest) -> Grant:
        assertion = form.get("assertion", "")
        app = self._app(_unverified_claims(assertion).get("iss"))
        claims = _verified_claims(assertion, app)
        if not self._is_accepted_audience(claims.get("aud"), request.base):
            raise LoginError("invalid_grant", "Audience validation failed")
        username = str(claims.get("sub", "")).lower()
        user_id = self._org.usernames.get(username)
        if user_id is None or (app.username and app.username != username):
            raise LoginError("invalid_grant", "user hasn't approved this consumer")
        if user_id in self._org.owners.inactive:
            raise LoginError("invalid_grant", "inactive user")
        return Grant(user_id, app, with_signature=False)

    def _is_accepted_audience(self, audience: object, base: str) -> bool:
        """Accept test.salesforce.com for a sandbox, login.salesforce.com otherwise, and any My
        Domain.
        """
        if not isinstance(audience, str):
            return False
        login_url = (
            "https://test.salesforce.com"
            if self._org.file.is_sandbox
            else "https://login.salesforce.com"
        )
        host = urlparse(audience).hostname or ""
        return audience in {login_url, base} or (
            audience.startswith("https://") and host.endswith(".my.salesforce.com")
        )

    def _password(self, form: dict[str, str], request: ApiRequest) -> Grant:
        app = self.client(form, request)
        if not self._org.behaviour.password_grant:
            raise LoginError("invalid_grant", "authentication failure")
        user_id = self.by_password(form.get("username", ""), form.get("password", ""))
        if user_id is None:
            raise LoginError("invalid_grant", "authentication failure")
        return Grant(user_id, app, with_signature=True)

    def by_password(self, username: str, password: str) -> str | None:
        """Return the active user with this name, password and security token, or None."""
        for user in self._org.file.users:
            # The token is appended to the password. A user without a password cannot log in here.
            expected = user.password + user.security_token
            if user.username == username.lower() and user.password and user.is_active:
                is_same = hmac.compare_digest(password.encode(), expected.encode())
                return self._org.usernames[user.username] if is_same else None
        return None

    def client(self, form: dict[str, str], request: ApiRequest) -> App:
        """Return the app whose key and secret the request has, in the form or as HTTP Basic."""
        key, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        app = self._app(key)
        self._check_secret(app, secret)
        return app

    def _app(self, key: object) -> App:
        for app in self._org.file.apps:
            if app.consumer_key == key:
                return app
        raise LoginError("invalid_client_id", "client identifier invalid")

    def _check_secret(self, app: App, secret: str) -> None:
        is_same = hmac.compare_digest(app.consumer_secret.encode(), secret.encode())
        if not is_same or not app.consumer_secret:
            raise LoginError("invalid_client", "invalid client credentials")


def oauth_parameters(request: ApiRequest) -> dict[str, str]:
    """Return the parameters of an OAuth request, from its form and its URL."""
    form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(request.query) | dict(form)


def oauth_error_response(error: LoginError) -> ApiResponse:
    """Return a LoginError as OAuth writes it: one object that must not be cached."""
    value = {"error": error.error, "error_description": error.description}
    return ApiResponse(400, value, headers=dict(NO_STORE))


def _basic(request: ApiRequest) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise LoginError("invalid_client", "invalid client credentials") from None
    return key, secret


def _unverified_claims(assertion: str) -> dict[str, object]:
    # Imported late, here and below: it loads cryptography, and few emulators ever see a JWT.
    import jwt

    try:
        claims: dict[str, object] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise LoginError("invalid_grant", "invalid assertion") from None
    return claims


def _verified_claims(assertion: str, app: App) -> dict[str, object]:
    import jwt

    required = ["exp", "sub", "aud", "iss"]
    try:
        # The audience is checked later, because the org has its own message for a wrong one.
        claims: dict[str, object] = jwt.decode(
            assertion,
            app.public_key,
            algorithms=["RS256"],
            options={"verify_aud": False, "require": required},
        )
    except jwt.ExpiredSignatureError:
        raise LoginError("invalid_grant", "expired authorization code") from None
    except (jwt.PyJWTError, ValueError):
        raise LoginError("invalid_grant", "invalid assertion") from None
    return claims
