"""A local server that answers AWS calls with given answers."""

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


class Calls(list[tuple[str, str]]):
    """The calls: the operation (or its path), and the credentials of each."""

    endpoint = ""


@contextmanager
def answering(answers: Mapping[str, Any], *, status: int = 200) -> Iterator[Calls]:
    """Answer each operation with its answer, others with an empty one. Another status makes each answer an error."""
    calls = Calls()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(self.path)  # AWS's REST services name no operation

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(self.headers.get("X-Amz-Target", "GetCallerIdentity").rpartition(".")[2])

        def answer(self, operation: str) -> None:
            calls.append((operation, self.headers["Authorization"]))
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
    calls.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield calls
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
