"""A small terminology server for local runs, with the operations $translate and $subsumes of FHIR R4.

    with TerminologyServer() as server:
        urlopen(f"{server.url}/ConceptMap/$translate?system=http://snomed.info/sct&code=91936005")

It knows a few codes of penicillins and ibuprofen, and answers 404 about all others, as HAPI FHIR does.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from daybook.local.browsers import NoBrowsers

_ATC: Final = "http://www.whocc.no/atc"
_SNOMED_CT: Final = "http://snomed.info/sct"
_RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"

# SNOMED CT: https://browser.ihtsdotools.org. RxNorm, with its ATC codes: https://mor.nlm.nih.gov/RxNav.
# ATC: https://atcddd.fhi.no/atc_ddd_index.
TRANSLATIONS: Final[Mapping[tuple[str, str], str]] = {
    (_SNOMED_CT, "91936005"): "J01C",  # allergy to penicillin: the group of penicillins
    (_SNOMED_CT, "294505008"): "J01CA04",  # allergy to amoxicillin
    (_SNOMED_CT, "372687004"): "J01CA04",  # amoxicillin (substance)
    (_SNOMED_CT, "387207008"): "M01AE01",  # ibuprofen (substance)
    (_RXNORM, "723"): "J01CA04",  # amoxicillin
    (_RXNORM, "308182"): "J01CA04",  # amoxicillin 250 mg, oral capsule
    (_RXNORM, "5640"): "M01AE01",  # ibuprofen
    (_RXNORM, "310965"): "M01AE01",  # ibuprofen 200 mg, oral tablet
}
# A code of SNOMED CT, and the codes that it includes.
SUBSUMED: Final[Mapping[str, frozenset[str]]] = {"91936005": frozenset({"294505008"})}


class TerminologyServer:
    """The server, on a free port of this machine, while it is entered. `requests` are the URLs of all requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = HTTPStatus.OK  # any other is the answer to all requests: an outage
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/fhir"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, values: Mapping[str, str]) -> dict[str, Any] | None:
        """The resource that answers a request; None if the server does not know the operation or the code."""
        system = values.get("system", "")
        if path == "/fhir/ConceptMap/$translate":
            code = TRANSLATIONS.get((system, values.get("code", "")))
            return _translated(code) if code and values.get("targetsystem") == _ATC else None
        if path == "/fhir/CodeSystem/$subsumes" and system == _SNOMED_CT:
            return _parameters({"name": "outcome", "valueCode": _outcome(values["codeA"], values["codeB"])})
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(NoBrowsers):
            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                server.requests.append(self.path)
                url = urlsplit(self.path)
                resource = server.answer(url.path, dict(parse_qsl(url.query)))
                known = HTTPStatus.OK if resource else HTTPStatus.NOT_FOUND
                self._respond(known if server.status is HTTPStatus.OK else server.status, resource or _UNKNOWN)

            def _respond(self, status: HTTPStatus, resource: Mapping[str, Any]) -> None:
                body = json.dumps(resource).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, *_: object) -> None:
                """Log nothing: a request has a code of a patient."""

        return Handler


def _translated(code: str) -> dict[str, Any]:
    concept = {"name": "concept", "valueCoding": {"system": _ATC, "code": code}}
    match = {"name": "match", "part": [{"name": "equivalence", "valueCode": "equivalent"}, concept]}
    return _parameters({"name": "result", "valueBoolean": True}, match)


def _outcome(code: str, other: str) -> str:
    if other in SUBSUMED.get(code, ()):
        return "subsumes"
    return "subsumed-by" if code in SUBSUMED.get(other, ()) else "not-subsumed"


def _parameters(*parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parameters)}


_UNKNOWN: Final = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found"}],
}
