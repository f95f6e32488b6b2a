"""Refuses requests of browsers, so that no web page can use what a local run starts.

The local cloud and the external systems accept any credentials, and run the code of each caller. They listen on the
loopback only, but a page of any website can make the developer's browser send requests there. Programs send none of the
headers that `refusal` looks for; a page can neither remove nor change them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_THIS_MACHINE = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]+)?")

# Browsers add `Origin` to each POST, and to each request whose answer a script may read: https://fetch.spec.whatwg.org.
# They add `Sec-Fetch-Site` to each request to the loopback, also to images and links: https://www.w3.org/TR/fetch-metadata.
_OF_BROWSERS = ("origin", "sec-fetch-site", "referer")

_POLICY_VIOLATION = 1008  # the code with which a WebSocket is closed: RFC 6455, section 7.4.1


def refusal(headers: Iterable[tuple[str, str]]) -> str | None:
    """Why a request with these headers is refused: a browser has sent it, or it is for another host. None otherwise.

    A page whose host name resolves to 127.0.0.1 (DNS rebinding) names its own host.
    """
    given = [(name.lower(), value) for name, value in headers]
    hosts = [value for name, value in given if name == "host"]
    if len(hosts) != 1 or not _THIS_MACHINE.fullmatch(hosts[0]):
        return "The local run answers only requests for the host 127.0.0.1 or localhost."
    if found := [name for name, _ in given if name in _OF_BROWSERS]:
        return f"The local run answers no browser, and this request has the header {found[0]}."
    return None


def without_browsers(application: Application) -> Application:
    """The ASGI application, behind the check of each request and each WebSocket."""

    async def checked(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope.get("headers", ())]
        why = None if scope["type"] == "lifespan" else refusal(headers)
        if why is None:
            await application(scope, receive, send)
        elif scope["type"] == "http":
            types = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": HTTPStatus.FORBIDDEN.value, "headers": types})
            await send({"type": "http.response.body", "body": why.encode()})
        else:
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    return checked


class NoBrowsers(BaseHTTPRequestHandler):
    """A handler of the standard library's HTTP server that answers 403 to browsers."""

    def parse_request(self) -> bool:
        """Whether the request is to be answered. False after an error was sent."""
        if not super().parse_request():
            return False
        why = refusal(self.headers.items())
        if why is not None:
            self.send_error(HTTPStatus.FORBIDDEN, explain=why)
        return why is None
