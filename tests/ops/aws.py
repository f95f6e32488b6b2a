"""An AWS on this machine that gives one answer to every call, whatever is asked of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class Asked(list[tuple[str, str]]):
    """What was asked: the operation (its path, if that is all it has), and the credentials it was asked with."""

    endpoint = ""


@contextmanager
def answering(answers: Mapping[str, Any], *, status: int = 200) -> Iterator[Asked]:
    """Answer each operation as told, others with nothing. With another status: with that error."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(self.path)  # AWS's REST services name no operation

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(self.headers.get("X-Amz-Target", "GetCallerIdentity").rpartition(".")[2])

        def answer(self, operation: str) -> None:
            asked.append((operation, self.headers["Authorization"]))
            body = json.dumps(answers.get(operation, answers.get("*", {}))).encode()
            if operation == "GetCallerIdentity":
                body = _IDENTITY.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
