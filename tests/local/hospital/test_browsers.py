"""A web page in the developer's browser cannot use the terminology server of the samples."""

from collections.abc import Mapping

from samples.hospital.terminology_server import TerminologyServer
from tests.local.test_browsers import pages, requested


@pages
def test_a_page_cannot_use_the_terminology_server(headers: Mapping[str, str]) -> None:
    path = "/fhir/CodeSystem/$subsumes?system=http://snomed.info/sct&codeA=91936005&codeB=294505008"
    with TerminologyServer() as server:
        assert requested(server.url, "GET", path, {})[0] == 200
        answered = len(server.requests)

        assert requested(server.url, "GET", path, headers)[0] == 403
        assert len(server.requests) == answered
