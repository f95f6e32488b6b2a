"""Ask the terminology server about a code: its ATC codes, or whether it includes another code.

The server is any with the operations $translate and $subsumes of FHIR R4. It only reads, so a call whose answer was
lost is repeated.
"""

import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.runtime.settings import settings
from events.patients import TerminologyAnswered, TerminologyAsked, TerminologyQuestion
from functions.patients.code_systems import ATC, is_atc

# The target has the same meaning as the code, or a wider one
# (https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html).
_SAME_OR_WIDER: Final = frozenset({"equal", "equivalent", "wider", "subsumes"})
# https://hl7.org/fhir/R4/valueset-concept-subsumption-outcome.html
_INCLUDES: Final = frozenset({"equivalent", "subsumes"})
# The server does not know the code, its system or a map to ATC.
_UNKNOWN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
_LONGEST: Final = 1_000_000  # bytes of an answer
_MOST: Final = 20  # ATC codes of one answer


@effect(
    TerminologyAsked,
    idempotency_key="terminology/{patient_id}/{question_id}",
    emits=(TerminologyAnswered,),
    can_query=True,
)
def handler(asked: TerminologyAsked, record: EffectRecord) -> TerminologyAnswered:
    with record.preparing():
        server, timeout = settings().option("terminology-server"), settings().call_timeout
    question = asked.question
    answer = _get(f"{server}/{_operation(question)}", timeout)
    return TerminologyAnswered(
        patient_id=asked.patient_id,
        question=question,
        atc=() if question.member else _atc(answer),
        includes=any(part.get("valueCode") in _INCLUDES for part in _parts(answer, "outcome")),
    )


def _operation(question: TerminologyQuestion) -> str:
    if question.member is None:  # https://hl7.org/fhir/R4/conceptmap-operation-translate.html
        values = {"system": question.system, "code": question.code, "targetsystem": ATC}
        return f"ConceptMap/$translate?{urlencode(values)}"
    # https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
    values = {"system": question.system, "codeA": question.code, "codeB": question.member}
    return f"CodeSystem/$subsumes?{urlencode(values)}"


def _get(url: str, timeout: float) -> Any:
    """The answer's JSON; an empty object if the server knows nothing. Raises NotPerformed, without the URL: it has a
    code of the patient.
    """
    parts = urlsplit(url)
    connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Accept": "application/fhir+json"})
        response = connection.getresponse()
        if response.status in _UNKNOWN:
            return {}
        if response.status != HTTPStatus.OK:
            msg = f"the terminology server answered with the HTTP status {response.status}"
            raise NotPerformed(msg)
        return json.loads(response.read(_LONGEST))
    except (OSError, HTTPException) as error:
        msg = f"no answer from the terminology server: {type(error).__name__}"
        raise NotPerformed(msg) from error
    except ValueError as error:
        msg = "the terminology server did not answer with JSON; check the stage's option terminology_server"
        raise NotPerformed(msg) from error
    finally:
        connection.close()


def _atc(answer: Any) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for match in _parts(answer, "match"):
        parts = {part.get("name"): part for part in match.get("part", ())}
        code = parts.get("concept", {}).get("valueCoding", {}).get("code", "")
        if parts.get("equivalence", {}).get("valueCode") in _SAME_OR_WIDER and is_atc(code):
            found[code] = None
    return tuple(found)[:_MOST]


def _parts(answer: Any, name: str) -> list[dict[str, Any]]:
    """The parameters with this name in FHIR's Parameters."""
    return [each for each in answer.get("parameter", ()) if each.get("name") == name]
