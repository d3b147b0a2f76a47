"""The partner and enterprise SOAP endpoints, as far as clients need them for a session.

`login`, `logout`, `getUserInfo` and `getServerTimestamp` are served; every other operation is a
fault that names it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from pipelines.emulator.auth.login import Logins
from pipelines.emulator.messages import XML_TYPE, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.sessions import Session
from pipelines.emulator.org.values import now

LAST_LOGIN_VERSION = 64.0
LOGIN_LIMIT = 10_000
PORTS = {"u": "partner", "c": "enterprise"}


class SoapFault(Exception):
    """A SOAP error. The fault code of a login has no prefix."""

    def __init__(self, code: str, message: str, *, at_login: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at_login = at_login


@dataclass(frozen=True)
class SoapRequest:
    """A SOAP request: its endpoint, version, operation and the texts of its elements."""

    request: ApiRequest
    port: str
    version: str
    operation: str
    texts: Mapping[str, str]


class Soap:
    """The SOAP endpoints of one org."""

    def __init__(self, org: Org, logins: Logins) -> None:
        self._org = org
        self._logins = logins
        self._operations: dict[str, Callable[[SoapRequest], str]] = {
            "login": self._login,
            "logout": self._logout,
            "getUserInfo": self._user_info,
            "getServerTimestamp": self._timestamp,
        }

    def handle(self, request: ApiRequest, port: str, version: str) -> ApiResponse:
        """Handle `POST /services/Soap/u/VERSION` and `/c/VERSION`."""
        try:
            message = _read_request(request, port, version)
            operation = self._operations.get(message.operation)
            if operation is None:
                served = ", ".join(self._operations)
                raise SoapFault(
                    "INVALID_OPERATION",
                    f"No operation available for request {message.operation}: over SOAP the org "
                    f"emulator serves {served}; use REST or Bulk",
                )
            name = f"{message.operation}Response"
            text = _envelope(port, f"<{name}>{operation(message)}</{name}>")
            return ApiResponse(200, text=text, content_type=XML_TYPE)
        except SoapFault as fault:
            return ApiResponse(500, text=_fault_xml(fault, port), content_type=XML_TYPE)

    def _login(self, message: SoapRequest) -> str:
        if float(message.version) > LAST_LOGIN_VERSION:
            text = (
                "The SOAP Login operation is not available in the API version specified "
                f"({message.version})"
            )
            raise SoapFault("INVALID_OPERATION", text, at_login=True)
        if not self._org.behaviour.soap_login:
            text = (
                "SOAP API login() is disabled by default in this org. "
                "Contact the org administrator to enable SOAP API login()."
            )
            raise SoapFault("INVALID_OPERATION", text, at_login=True)
        user_id = self._logins.by_password(message.texts["username"], message.texts["password"])
        if user_id is None:
            text = "Invalid username, password, security token; or user locked out."
            raise SoapFault("INVALID_LOGIN", text, at_login=True)
        return self._login_result(message, user_id)

    def _login_result(self, message: SoapRequest, user_id: str) -> str:
        base, org = f"{message.request.base}/services/Soap", self._org
        result = {
            "metadataServerUrl": f"{base}/m/{message.version}/{org.id[:15]}",
            "passwordExpired": "false",
            "sandbox": str(org.file.is_sandbox).lower(),
            "serverUrl": f"{base}/{message.port}/{message.version}/{org.id[:15]}",
            "sessionId": org.sessions.open(user_id),
            "userId": user_id,
        }
        info = _elements(self._user_info_fields(user_id))
        return f"<result>{_elements(result)}<userInfo>{info}</userInfo></result>"

    def _user_info_fields(self, user_id: str) -> dict[str, str]:
        user, org = self._org.user(user_id), self._org
        return {
            "currencySymbol": "€",
            "organizationId": org.id,
            "organizationMultiCurrency": "false",
            "organizationName": org.file.name,
            "profileId": "",
            "roleId": "",
            "sessionSecondsValid": str(int(org.sessions.seconds)),
            "userDefaultCurrencyIsoCode": "",
            "userEmail": user["Email"],
            "userFullName": user["Name"],
            "userId": user_id,
            "userLanguage": "en_US",
            "userLocale": "en_US",
            "userName": user["Username"],
            "userTimeZone": "GMT",
            "userType": user["UserType"],
            "userUiSkin": "Theme3",
        }

    def _logout(self, message: SoapRequest) -> str:
        self._org.sessions.end(self._session(message).token)
        return ""

    def _user_info(self, message: SoapRequest) -> str:
        info = _elements(self._user_info_fields(self._session(message).user_id))
        return f"<result>{info}</result>"

    def _timestamp(self, message: SoapRequest) -> str:
        self._session(message)
        return f"<result><timestamp>{now()}</timestamp></result>"

    def _session(self, message: SoapRequest) -> Session:
        found = self._org.sessions.use(message.texts.get("sessionId", "").strip())
        if found is None:
            text = "Invalid Session ID found in SessionHeader: Illegal Session"
            raise SoapFault("INVALID_SESSION_ID", text)
        return found


def _read_request(request: ApiRequest, port: str, version: str) -> SoapRequest:
    malformed = SoapFault("INVALID_TYPE", "the body is not a SOAP request", at_login=True)
    try:
        text = request.body.decode()
        # No request needs a document type, and one could expand without end.
        if "<!DOCTYPE" in text:
            raise malformed
        root = ElementTree.fromstring(text)  # noqa: S314 - document types are rejected above
    except (UnicodeDecodeError, ElementTree.ParseError):
        raise malformed from None
    bodies = [part for part in root if _name(part) == "Body"]
    if not bodies or not len(bodies[0]):
        raise malformed
    operation = _name(bodies[0][0])
    texts = {_name(element): element.text or "" for element in root.iter()}
    is_login = operation == "login"
    if is_login and (
        len(request.body) > LOGIN_LIMIT or not {"username", "password"} <= texts.keys()
    ):
        raise malformed
    return SoapRequest(request, port, version, operation, texts)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _elements(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _envelope(port: str, body: str) -> str:
    kind = PORTS[port]
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
        ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        f' xmlns="urn:{kind}.soap.sforce.com" xmlns:sf="urn:fault.{kind}.soap.sforce.com"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )


def _fault_xml(fault: SoapFault, port: str) -> str:
    code, message = escape(fault.code), escape(fault.message)
    # Clients recognise an expired session by the prefixed fault code; a login fault has no prefix.
    kind, prefix = ("LoginFault", "") if fault.at_login else ("UnexpectedErrorFault", "sf:")
    return _envelope(
        port,
        f"<soapenv:Fault><faultcode>{prefix}{code}</faultcode>"
        f"<faultstring>{code}: {message}</faultstring><detail>"
        f'<sf:{kind} xsi:type="sf:{kind}"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:{kind}></detail>"
        "</soapenv:Fault>",
    )
