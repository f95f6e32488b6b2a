"""The HTTP server, on the loopback."""

from __future__ import annotations

import json
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daybook.local.browsers import NoBrowsers
from daybook.local.provider.server import control, form
from daybook.local.provider.server.api import Api, Request

if TYPE_CHECKING:
    from daybook.local.provider.server.refusal import Answer

HOST = "127.0.0.1"


class Service(ThreadingHTTPServer):
    """Stripe's API and, below `control.PREFIX`, the stand-in's own API, on this port or a free one for 0."""

    daemon_threads = True
    allow_reuse_port = False  # a taken port is an error
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        self.api = Api()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, unlike the standard library's HTTP server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])


class _Handler(NoBrowsers):
    server: Service
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send an answer in one piece

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        self._serve()

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        url = urlsplit(self.path)
        if url.path.startswith(control.PREFIX):
            params = json.loads(body) if body else None
            self._send(control.answer(self.server.api, self.command, url.path, params))
            return
        request = Request(
            method=self.command,
            path=url.path,
            form=form.decode("&".join(each for each in (url.query, body) if each)),
            authorization=self.headers.get("Authorization"),
            idempotency_key=self.headers.get("Idempotency-Key"),
        )
        answer = self.server.api.answer(request)
        if answer:
            self._send(answer)
        else:
            self.log_message("%s dropped", self.requestline)
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
