"""Logging in: OAuth client credentials, JWT bearer, password; SOAP login while it lasts (§1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlparse
from xml.sax.saxutils import escape

import jwt

from pipelines.emulator.calls import XML_TYPE, Answer, Call
from pipelines.emulator.org import Org
from pipelines.emulator.org_file import App

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
LAST_SOAP_VERSION = 64.0
SOAP_BODY_LIMIT = 10_000


class LoginRefused(Exception):
    """A refusal at the token endpoint: one JSON object, not an array."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class SoapFault(Exception):
    """A refusal of a SOAP login."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Grant:
    """Who got in, through which app, and what the answer shows of it."""

    user_id: str
    app: App
    with_signature: bool


class Logins:
    """The doors of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def token(self, call: Call) -> Answer:
        """`POST /services/oauth2/token`."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        grants = {
            "client_credentials": self._client_credentials,
            JWT_BEARER: self._jwt_bearer,
            "password": self._password,
        }
        try:
            found = grants.get(form.get("grant_type", ""))
            if found is None:
                raise LoginRefused("unsupported_grant_type", "grant type not supported")
            return self._granted(found(form, call), call)
        except LoginRefused as refused:
            value = {"error": refused.error, "error_description": refused.description}
            return Answer(400, value, headers=dict(NO_STORE))

    def _granted(self, grant: Grant, call: Call) -> Answer:
        token = self._org.open_session(grant.user_id)
        # Host and scheme are the request's own, so that any client comes back to this listener.
        identity = f"{call.base}/id/{self._org.id}/{grant.user_id}"
        value: dict[str, object] = {
            "access_token": token,
            "scope": "api id",
            "instance_url": call.base,
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
        return Answer(200, value, headers=dict(NO_STORE))

    def _client_credentials(self, form: dict[str, str], call: Call) -> Grant:
        key, secret = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
        app = self._app(key)
        self._check_secret(app, secret)
        username = app.username or self._org.file.running_user
        user_id = self._org.usernames.get(username)
        if user_id is None or user_id in self._org.owners.inactive:
            raise LoginRefused("invalid_grant", "no client credentials user enabled")
        return Grant(user_id, app, with_signature=True)

    def _jwt_bearer(self, form: dict[str, str], call: Call) -> Grant:
        assertion = form.get("assertion", "")
        app = self._app(_unverified(assertion).get("iss"))
        claims = _verified(assertion, app)
        if not self._audience_is_ours(claims.get("aud"), call.base):
            raise LoginRefused("invalid_grant", "Audience validation failed")
        username = str(claims.get("sub", "")).lower()
        user_id = self._org.usernames.get(username)
        if user_id is None or (app.username and app.username != username):
            raise LoginRefused("invalid_grant", "user hasn't approved this consumer")
        if user_id in self._org.owners.inactive:
            raise LoginRefused("invalid_grant", "inactive user")
        return Grant(user_id, app, with_signature=False)

    def _audience_is_ours(self, audience: object, base: str) -> bool:
        """A sandbox answers to test.salesforce.com, others to login; all to their own site."""
        if not isinstance(audience, str):
            return False
        door = (
            "https://test.salesforce.com"
            if self._org.file.is_sandbox
            else "https://login.salesforce.com"
        )
        host = urlparse(audience).hostname or ""
        return audience in {door, base} or (
            audience.startswith("https://") and host.endswith(".my.salesforce.com")
        )

    def _password(self, form: dict[str, str], _call: Call) -> Grant:
        app = self._app(form.get("client_id"))
        self._check_secret(app, form.get("client_secret", ""))
        if not self._org.behaviour.password_grant:
            raise LoginRefused("invalid_grant", "authentication failure")
        user_id = self._by_password(form.get("username", ""), form.get("password", ""))
        if user_id is None:
            raise LoginRefused("invalid_grant", "authentication failure")
        return Grant(user_id, app, with_signature=True)

    def _by_password(self, username: str, password: str) -> str | None:
        for user in self._org.file.users:
            # The token is simply appended; a user without a password has no such door.
            wanted = user.password + user.security_token
            if user.username == username.lower() and user.password and user.is_active:
                same = hmac.compare_digest(password.encode(), wanted.encode())
                return self._org.usernames[user.username] if same else None
        return None

    def _app(self, key: object) -> App:
        for app in self._org.file.apps:
            if app.consumer_key == key:
                return app
        raise LoginRefused("invalid_client_id", "client identifier invalid")

    def _check_secret(self, app: App, secret: str) -> None:
        same = hmac.compare_digest(app.consumer_secret.encode(), secret.encode())
        if not same or not app.consumer_secret:
            raise LoginRefused("invalid_client", "invalid client credentials")

    def soap(self, call: Call, version: str) -> Answer:
        """`POST /services/Soap/u/VERSION`: the login operation, and no other."""
        try:
            return Answer(200, text=self._soap_login(call, version), content_type=XML_TYPE)
        except SoapFault as fault:
            return Answer(500, text=_fault_xml(fault), content_type=XML_TYPE)

    def _soap_login(self, call: Call, version: str) -> str:
        username, password = _soap_credentials(call.body)
        if float(version) > LAST_SOAP_VERSION:
            message = (
                "The SOAP Login operation is not available in the API version specified "
                f"({version})"
            )
            raise SoapFault("INVALID_OPERATION", message)
        if not self._org.behaviour.soap_login:
            message = (
                "SOAP API login() is disabled by default in this org. "
                "Contact the org administrator to enable SOAP API login()."
            )
            raise SoapFault("INVALID_OPERATION", message)
        user_id = self._by_password(username, password)
        if user_id is None:
            message = "Invalid username, password, security token; or user locked out."
            raise SoapFault("INVALID_LOGIN", message)
        return self._login_xml(call, version, user_id)

    def _login_xml(self, call: Call, version: str, user_id: str) -> str:
        user, org = self._org.user(user_id), self._org
        info = {
            "organizationId": org.id,
            "organizationName": org.file.name,
            "sessionSecondsValid": "7200",
            "userEmail": user["Email"],
            "userFullName": user["Name"],
            "userId": user_id,
            "userName": user["Username"],
            "userType": user["UserType"],
        }
        result = {
            "metadataServerUrl": f"{call.base}/services/Soap/m/{version}/{org.id[:15]}",
            "passwordExpired": "false",
            "sandbox": str(org.file.is_sandbox).lower(),
            "serverUrl": f"{call.base}/services/Soap/u/{version}/{org.id[:15]}",
            "sessionId": org.open_session(user_id),
            "userId": user_id,
        }
        return (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
            ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
            ' xmlns="urn:partner.soap.sforce.com"'
            ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse>'
            f"<result>{_elements(result)}<userInfo>{_elements(info)}</userInfo></result>"
            "</loginResponse></soapenv:Body></soapenv:Envelope>"
        )

    def identity(self, call: Call, user_id: str) -> Answer:
        """`/id/ORG/USER` and `/services/oauth2/userinfo`: who the session belongs to."""
        user = self._org.user(user_id)
        shown = {
            "id": f"{call.base}/id/{self._org.id}/{user_id}",
            "sub": f"{call.base}/id/{self._org.id}/{user_id}",
            "user_id": user_id,
            "organization_id": self._org.id,
            "username": user["Username"],
            "preferred_username": user["Username"],
            "nick_name": user["Username"].partition("@")[0],
            "display_name": user["Name"],
            "name": user["Name"],
            "given_name": user["FirstName"],
            "family_name": user["LastName"],
            "email": user["Email"],
            "email_verified": True,
            "user_type": user["UserType"].upper(),
            "active": bool(user["IsActive"]),
            "urls": {
                "rest": f"{call.base}/services/data/v{{version}}/",
                "query": f"{call.base}/services/data/v{{version}}/query/",
                "sobjects": f"{call.base}/services/data/v{{version}}/sobjects/",
                "partner": f"{call.base}/services/Soap/u/{{version}}/{self._org.id[:15]}",
            },
        }
        return Answer(200, shown)


def _basic(call: Call) -> tuple[str, str] | None:
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise LoginRefused("invalid_client", "invalid client credentials") from None
    return key, secret


def _unverified(assertion: str) -> dict[str, object]:
    try:
        claims: dict[str, object] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    return claims


def _verified(assertion: str, app: App) -> dict[str, object]:
    required = ["exp", "sub", "aud", "iss"]
    try:
        # The audience is judged afterwards: the org has its own words for a wrong one.
        claims: dict[str, object] = jwt.decode(
            assertion,
            app.public_key,
            algorithms=["RS256"],
            options={"verify_aud": False, "require": required},
        )
    except jwt.ExpiredSignatureError:
        raise LoginRefused("invalid_grant", "expired authorization code") from None
    except (jwt.PyJWTError, ValueError):
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    return claims


def _soap_credentials(body: bytes) -> tuple[str, str]:
    malformed = SoapFault("INVALID_TYPE", "the body is not a login request")
    # No login needs a document type, and one could expand without end.
    if len(body) > SOAP_BODY_LIMIT or b"<!" in body:
        raise malformed
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - document types are refused above
    except ElementTree.ParseError:
        raise malformed from None
    texts = {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}
    if "username" not in texts or "password" not in texts:
        raise malformed
    return texts["username"], texts["password"]


def _elements(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _fault_xml(fault: SoapFault) -> str:
    code, message = escape(fault.code), escape(fault.message)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
        ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:sf="urn:fault.partner.soap.sforce.com"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>{code}</faultcode><faultstring>{code}: {message}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault></detail>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
