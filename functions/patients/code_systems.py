"""Code systems of drugs and substances. A system has one name here, whichever of its names a source uses."""

import re
from typing import Final

from events.fhir import CodeableConcept, Coding

ATC: Final = "http://www.whocc.no/atc"
SNOMED_CT: Final = "http://snomed.info/sct"
ABSENT: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"

# URIs and OIDs of the international systems: https://terminology.hl7.org/external_terminologies.html, and for ATC
# https://terminology.hl7.org/CodeSystem-v3-WC.html. National editions of ATC have the same codes.
_OTHER_NAMES: Final = {
    ATC: (
        "urn:oid:2.16.840.1.113883.6.73",
        "http://fhir.de/CodeSystem/bfarm/atc",  # https://simplifier.net/basisprofil-de-r4
        "http://fhir.de/CodeSystem/dimdi/atc",  # its name before 2020, when DIMDI became a part of BfArM
        "urn:oid:2.16.578.1.12.4.1.1.7180",  # Norway: https://volven.no
        "urn:oid:1.2.246.537.6.32",  # Finland: https://koodistopalvelu.kanta.fi
        "urn:oid:1.2.246.537.6.32.2007",
    ),
    SNOMED_CT: ("urn:oid:2.16.840.1.113883.6.96",),
    "http://www.nlm.nih.gov/research/umls/rxnorm": ("urn:oid:2.16.840.1.113883.6.88",),
    "http://fdasis.nlm.nih.gov": ("urn:oid:2.16.840.1.113883.4.9",),  # UNII
    "http://hl7.org/fhir/sid/ndc": ("urn:oid:2.16.840.1.113883.6.69",),
    "http://hl7.org/fhir/sid/cvx": ("urn:oid:2.16.840.1.113883.12.292",),
    "http://va.gov/terminology/medrt": ("urn:oid:2.16.840.1.113883.6.345",),
    ABSENT: ("urn:oid:2.16.840.1.113883.5.1150.1",),
}
_BY_NAME: Final = {name.lower(): system for system, others in _OTHER_NAMES.items() for name in (system, *others)}
_OID: Final = re.compile(r"[0-2](\.[0-9]+)+")

# Five levels: J, J01, J01C, J01CA, J01CA04 (https://atcddd.fhi.no/atc/structure_and_principles/).
_ATC_CODE: Final = re.compile(r"[A-Z]([0-9]{2}([A-Z]([A-Z]([0-9]{2})?)?)?)?")

# Statements that there is no allergy: `No known allergy` of SNOMED CT with its children, and its inactive predecessor
# (https://hl7.org/fhir/R4/valueset-allergyintolerance-code.html), and the codes of the International Patient Summary
# (https://hl7.org/fhir/uv/ips/CodeSystem-absent-unknown-uv-ips.html).
_NO_ALLERGY: Final = frozenset(
    f"{system}|{code}"
    for system, codes in {
        SNOMED_CT: ("716186003", "409137002", "428607008", "429625007", "160244002"),
        ABSENT: (
            "no-known-allergies",
            "no-known-medication-allergies",
            "no-known-environmental-allergies",
            "no-known-food-allergies",
        ),
    }.items()
    for code in codes
)


def canonical(system: str) -> str:
    """The name of a code system in this module: of its URI, its OID or the URI of a national edition. Any other system
    keeps its name.
    """
    name = system.partition("|")[0].rstrip("/").lower().replace("https://", "http://", 1)
    if _OID.fullmatch(name):
        name = f"urn:oid:{name}"
    if name.startswith(f"{SNOMED_CT}/"):  # an edition or a version: https://hl7.org/fhir/R4/snomedct.html
        return SNOMED_CT
    return _BY_NAME.get(name) or (name if name.startswith("urn:oid:") else system)


def terms(concept: CodeableConcept) -> tuple[str, ...]:
    """The codes of a concept as `<system>|<code>`. A code without a system is left out, because it is ambiguous."""
    return tuple(dict.fromkeys(term for coding in concept.coding or () if (term := _term(coding))))


def is_atc(code: str) -> bool:
    """Whether it is an ATC code of one of the five levels."""
    return _ATC_CODE.fullmatch(code) is not None


def says_no_allergy(concept: CodeableConcept) -> bool:
    """Whether it says that no allergy is known, so that it names no substance."""
    return not _NO_ALLERGY.isdisjoint(terms(concept))


def _term(coding: Coding) -> str | None:
    if not (coding.system and coding.code):
        return None
    system = canonical(coding.system)
    # Some sources write ATC codes as the printed index does: `J01C A04`.
    code = coding.code.replace(" ", "").upper() if system == ATC else coding.code
    return f"{system}|{code}"
