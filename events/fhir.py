"""The part of FHIR R4 that the functions use: resources as parts of contracts, with the fields that functions read.

Names are those of FHIR's JSON. All other fields of a resource are accepted and stored as they were sent. Nothing is
rejected that FHIR R4 (https://hl7.org/fhir/R4/) allows, except where a comment says that a limit is our own.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from daybook.contracts.contract import Part
from daybook.contracts.values import PlainText, check_visible

# https://hl7.org/fhir/R4/datatypes.html#primitive
FhirId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
_Text = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S")]  # the length is our own limit
_Code = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s]+( [^\s]+)*$")]
_Uri = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^\S+$")]  # the length is our own limit
# The lengths of a number and of its system are our own limits: together they are a key, with up to 4 bytes for each
# character, and a key has at most 2048 bytes (DynamoDB's quota).
# Characters that nobody sees would make another number of the same digits: that limit is our own too.
_Number = Annotated[str, AfterValidator(check_visible), Field(min_length=1, max_length=200, pattern=r"\S")]

# [0-9] and not \d, which matches the digits of all scripts.
_DATE: Final = r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"
_ZONE: Final = r"Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)"
_TIME: Final = rf"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?({_ZONE})"
_DATE_TIME: Final = rf"^[0-9]{{4}}(-[0-9]{{2}}(-[0-9]{{2}}(T{_TIME})?)?)?$"


def _exists(text: str) -> str:
    year, month, day = (*text[:10].split("-"), "01", "01")[:3]
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        msg = "there is no such day in the calendar"
        raise ValueError(msg) from None
    return text


# A name with an override of the direction reads as another name. The limit is our own.
_Name = Annotated[PlainText, Field(min_length=1, max_length=1_000, pattern=r"\S")]
# An item of a list is null if it has only an extension (https://hl7.org/fhir/R4/json.html#primitive).
_Texts = Annotated[tuple[_Text | None, ...], Field(min_length=1)]
_Names = Annotated[tuple[_Name | None, ...], Field(min_length=1)]

FhirDate = Annotated[str, Field(pattern=_DATE), AfterValidator(_exists)]
FhirDateTime = Annotated[str, Field(pattern=_DATE_TIME), AfterValidator(_exists)]


class FhirPart(Part):
    """A part of a resource, with all fields that were sent. FHIR's JSON has no null: an unknown field is absent."""

    model_config = ConfigDict(extra="allow")
    numeric_ids = frozenset({"identifier.value"})  # numbers of patients, visits and insurances

    @model_serializer(mode="wrap")
    def _without_nulls(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class Period(FhirPart):
    """A period. Without a start or an end it is open."""

    start: FhirDateTime | None = None
    end: FhirDateTime | None = None


class Coding(FhirPart):
    """A code of a code system."""

    system: _Uri | None = None
    code: _Code | None = None
    display: _Text | None = None


class CodeableConcept(FhirPart):
    """One concept: its codes in several code systems, or only words."""

    coding: tuple[Coding, ...] | None = Field(default=None, min_length=1)
    text: _Text | None = None

    @property
    def codes(self) -> frozenset[str]:
        """Its codes without their code systems."""
        return frozenset(coding.code for coding in self.coding or () if coding.code)

    @property
    def words(self) -> str:
        """Its name in words. Empty if it has none."""
        shown = next((coding.display for coding in self.coding or () if coding.display), None)
        return self.text or shown or ""


class Identifier(FhirPart):
    """A number by which people know a patient, such as the medical record number."""

    use: Literal["usual", "official", "temp", "secondary", "old"] | None = None
    system: _Uri | None = None
    value: _Number | None = None

    @property
    def term(self) -> str | None:
        """System and value as one text. None if there is no value. The system may be empty."""
        return f"{self.system or ''}|{self.value}" if self.value else None


class Reference(FhirPart):
    """A reference to another resource."""

    reference: _Text | None = None
    identifier: Identifier | None = None
    display: _Text | None = None

    def refers_to(self, kind: str, key: str) -> bool:
        """Whether its path names the resource: `Patient/1`, `https://…/Patient/1/_history/2`. True without a path."""
        if self.reference is None:
            return True
        return self.reference.partition("/_history/")[0].split("/")[-2:] == [kind, key]

    @property
    def key(self) -> str | None:
        """The id at the end of its path. None without a path."""
        return self.reference.partition("/_history/")[0].rpartition("/")[2] if self.reference else None


class HumanName(FhirPart):
    """One of a person's names."""

    use: Literal["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"] | None = None
    text: _Name | None = None
    family: _Name | None = None
    given: _Names | None = None


class Address(FhirPart):
    """One of a person's addresses."""

    use: Literal["home", "work", "temp", "old", "billing"] | None = None
    text: _Text | None = None
    line: _Texts | None = None
    city: _Text | None = None
    postalCode: _Text | None = None
    country: _Text | None = None


Gender = Literal["male", "female", "other", "unknown"]


class PatientLink(FhirPart):
    """A link to another record of the same person."""

    other: Reference
    type: Literal["replaced-by", "replaces", "refer", "seealso"]


class Patient(FhirPart):
    """The demographics of a patient."""

    resourceType: Literal["Patient"]
    id: FhirId | None = None
    # 20 is our own limit: all of them are written in one transaction.
    identifier: tuple[Identifier, ...] | None = Field(default=None, min_length=1, max_length=20)
    name: tuple[HumanName, ...] | None = Field(default=None, min_length=1, max_length=20)
    gender: Gender | None = None
    birthDate: FhirDate | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: FhirDateTime | None = None
    address: tuple[Address, ...] | None = Field(default=None, min_length=1, max_length=20)
    link: tuple[PatientLink, ...] | None = Field(default=None, min_length=1)

    @property
    def replaced_by(self) -> str | None:
        """The id of the record that replaces this one: the link `replaced-by`. None without such a link."""
        return next((link.other.key for link in self.link or () if link.type == "replaced-by"), None)

    @model_validator(mode="after")
    def _has_one_replacement(self) -> "Patient":
        links = [link.other for link in self.link or () if link.type == "replaced-by"]
        if len(links) > 1:
            msg = f"link has {len(links)} links replaced-by: send the one to the record that is used from now on"
            raise ValueError(msg)
        for other in links:
            if other.reference is None or not other.refers_to("Patient", other.key or ""):
                msg = "link.other.reference of a link replaced-by must be Patient/<id>: the id of the other record"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_one_deceased(self) -> "Patient":
        if self.deceasedBoolean is not None and self.deceasedDateTime is not None:
            msg = "deceasedBoolean and deceasedDateTime are both given: give at most one of them"
            raise ValueError(msg)
        return self


class Reaction(FhirPart):
    """An event in which a patient reacted to a substance."""

    substance: CodeableConcept | None = None


class AllergyIntolerance(FhirPart):
    """An allergy or intolerance of a patient."""

    resourceType: Literal["AllergyIntolerance"]
    id: FhirId | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    criticality: Literal["low", "high", "unable-to-assess"] | None = None
    code: CodeableConcept | None = None
    patient: Reference
    reaction: tuple[Reaction, ...] | None = Field(default=None, min_length=1)

    @property
    def patient_reference(self) -> Reference | None:
        """The reference to the patient."""
        return self.patient

    @property
    def substances(self) -> tuple[CodeableConcept, ...]:
        """The substances of its reactions. Each is the one that `code` names, or a more specific one
        (https://hl7.org/fhir/R4/allergyintolerance-definitions.html#AllergyIntolerance.reaction.substance).
        """
        return tuple(reaction.substance for reaction in self.reaction or () if reaction.substance)

    @property
    def is_active(self) -> bool:
        """Whether it has neither ended nor been refuted (https://hl7.org/fhir/R4/allergyintolerance.html)."""
        status = self.clinicalStatus.codes if self.clinicalStatus else frozenset()
        verification = self.verificationStatus.codes if self.verificationStatus else frozenset()
        return not (status & {"inactive", "resolved"} or verification & {"refuted", "entered-in-error"})


Item = CodeableConcept | Reference


class Ingredient(FhirPart):
    """One ingredient of a medication."""

    itemCodeableConcept: CodeableConcept | None = None
    itemReference: Reference | None = None

    @model_validator(mode="after")
    def _has_one_item(self) -> "Ingredient":
        if (self.itemCodeableConcept is None) == (self.itemReference is None):
            msg = "give exactly one of itemCodeableConcept and itemReference"
            raise ValueError(msg)
        return self

    @property
    def item(self) -> Item | None:
        """The ingredient."""
        return self.itemCodeableConcept or self.itemReference


class Medication(FhirPart):
    """A medication inside the prescription that refers to it."""

    resourceType: Literal["Medication"]
    id: FhirId | None = None
    code: CodeableConcept | None = None
    ingredient: tuple[Ingredient, ...] | None = Field(default=None, min_length=1)


class SubstanceIngredient(FhirPart):
    """One ingredient of a substance."""

    substanceCodeableConcept: CodeableConcept | None = None
    substanceReference: Reference | None = None

    @model_validator(mode="after")
    def _has_one_substance(self) -> "SubstanceIngredient":
        if (self.substanceCodeableConcept is None) == (self.substanceReference is None):
            msg = "give exactly one of substanceCodeableConcept and substanceReference"
            raise ValueError(msg)
        return self

    @property
    def item(self) -> Item | None:
        """The ingredient."""
        return self.substanceCodeableConcept or self.substanceReference


class Substance(FhirPart):
    """A substance inside the prescription, to which an ingredient refers."""

    resourceType: Literal["Substance"]
    id: FhirId | None = None
    code: CodeableConcept
    ingredient: tuple[SubstanceIngredient, ...] | None = Field(default=None, min_length=1)


class OtherResource(FhirPart):
    """A resource that no function reads."""

    resourceType: _Code
    id: FhirId | None = None


def _contained_type(value: Any) -> str:
    kind = value.get("resourceType") if isinstance(value, dict) else getattr(value, "resourceType", None)
    return str(kind) if kind in ("Medication", "Substance") else "other"


Contained = Annotated[
    Annotated[Medication, Tag("Medication")]
    | Annotated[Substance, Tag("Substance")]
    | Annotated[OtherResource, Tag("other")],
    Discriminator(_contained_type),
]


class MedicationRequest(FhirPart):
    """A prescription."""

    resourceType: Literal["MedicationRequest"]
    id: FhirId | None = None
    contained: tuple[Contained, ...] | None = Field(default=None, min_length=1)
    status: Literal["active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"]
    intent: _Code
    doNotPerform: bool | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    subject: Reference

    @model_validator(mode="after")
    def _has_one_medication(self) -> "MedicationRequest":
        if (self.medicationCodeableConcept is None) == (self.medicationReference is None):
            msg = "give exactly one of medicationCodeableConcept and medicationReference"
            raise ValueError(msg)
        return self

    @property
    def patient_reference(self) -> Reference | None:
        """The reference to the patient."""
        return self.subject

    @property
    def is_active(self) -> bool:
        """Whether the patient gets it now or may get it later
        (https://hl7.org/fhir/R4/valueset-medicationrequest-status.html).
        """
        return not self.doNotPerform and self.status not in {"cancelled", "completed", "entered-in-error", "stopped"}

    @property
    def concepts(self) -> tuple[CodeableConcept, ...]:
        """The prescribed medication and all its ingredients, as far as the prescription contains them."""
        return tuple(concept for concept, _ in self._contents() if concept)

    @property
    def substances(self) -> tuple[CodeableConcept | None, ...]:
        """The ingredients, or the medication itself if it has none. None for one that the prescription refers to but
        does not contain.
        """
        return tuple(concept for concept, is_whole in self._contents() if is_whole) or (None,)

    def _contents(self) -> Iterator[tuple[CodeableConcept | None, bool]]:
        """The medication and its ingredients, and for each whether it has no further ingredients."""
        contained = {f"#{each.id}": each for each in self.contained or () if isinstance(each, Medication | Substance)}
        items = [self.medicationCodeableConcept or self.medicationReference]
        read = set()
        while items:
            item = items.pop(0)
            if not isinstance(item, Reference):
                yield item, True
            elif item.reference not in read:
                read.add(item.reference)  # several ingredients may refer to one, and one to itself
                found = contained.get(item.reference or "")
                inside = [ingredient.item for ingredient in found.ingredient or ()] if found else []
                yield (found.code or CodeableConcept() if found else None), not inside
                items += inside


class Coverage(FhirPart):
    """Insurance that pays for a patient."""

    resourceType: Literal["Coverage"]
    id: FhirId | None = None
    status: Literal["active", "cancelled", "draft", "entered-in-error"]
    subscriberId: _Text | None = None
    beneficiary: Reference
    period: Period | None = None
    payor: tuple[Reference, ...] = Field(min_length=1)

    @property
    def patient_reference(self) -> Reference | None:
        """The reference to the patient."""
        return self.beneficiary


# The code of a ward (https://hl7.org/fhir/R4/codesystem-location-physical-type.html).
_WARD: Final = "wa"


class Location(FhirPart):
    """A location inside the encounter that refers to it."""

    resourceType: Literal["Location"]
    id: FhirId | None = None
    physicalType: CodeableConcept | None = None
    partOf: Reference | None = None


class EncounterLocation(FhirPart):
    """A place of the patient during an encounter."""

    location: Reference
    status: Literal["planned", "active", "reserved", "completed"] | None = None
    physicalType: CodeableConcept | None = None
    period: Period | None = None

    @property
    def is_now(self) -> bool:
        """Whether the patient is there: neither later nor no longer. A period with an end has ended, unless the status
        says otherwise.
        """
        return self.status == "active" or (self.status is None and not (self.period and self.period.end))

    @property
    def since(self) -> str:
        """The start of the period in UTC, for sorting. Empty if unknown."""
        return _in_utc(self.period.start) if self.period and self.period.start else ""


def _in_utc(text: str) -> str:
    if "T" not in text:
        return text
    # A leap second does not exist in Python.
    moment = datetime.fromisoformat(f"{text[:17]}59{text[19:]}" if text[17:19] == "60" else text)
    return moment.astimezone(UTC).isoformat()


def _contained_location(value: Any) -> str:
    kind = value.get("resourceType") if isinstance(value, dict) else getattr(value, "resourceType", None)
    return "Location" if kind == "Location" else "other"


class Encounter(FhirPart):
    """A stay or a visit of a patient."""

    resourceType: Literal["Encounter"]
    id: FhirId | None = None
    contained: (
        tuple[
            Annotated[
                Annotated[Location, Tag("Location")] | Annotated[OtherResource, Tag("other")],
                Discriminator(_contained_location),
            ],
            ...,
        ]
        | None
    ) = Field(default=None, min_length=1)
    status: Literal[
        "planned",
        "arrived",
        "triaged",
        "in-progress",
        "onleave",
        "finished",
        "cancelled",
        "entered-in-error",
        "unknown",
    ]
    subject: Reference | None = None
    location: tuple[EncounterLocation, ...] | None = Field(default=None, min_length=1)

    @property
    def patient_reference(self) -> Reference | None:
        """The reference to the patient."""
        return self.subject

    @property
    def ward(self) -> str:
        """The patient's ward now: for `Location/ICU-2` it is `ICU-2`. Empty if unknown.

        Of the locations where the patient is now, a ward counts (the physical type `wa`), or the ward of which a room
        or bed is a part. Without any, a location without a physical type counts. Of several, the newest one counts.
        """
        if self.status not in {"arrived", "triaged", "in-progress"}:
            return ""
        now = sorted((each for each in self.location or () if each.is_now), key=lambda each: each.since)
        places = [self._place(each) for each in reversed(now)]
        wards = [key for key, types in places if _WARD in types]
        return next(iter([*wards, *(key for key, types in places if key and not types)]), "")

    def _place(self, at: EncounterLocation) -> tuple[str, frozenset[str]]:
        """The ward of which the location is a part, else the location itself; and its physical types."""
        contained = {each.id: each for each in self.contained or () if isinstance(each, Location)}
        key, stated = at.location.key, at.physicalType
        place: tuple[str, frozenset[str]] | None = None
        visited = set()
        while key and key not in visited:
            visited.add(key)
            location = contained.get(key.removeprefix("#"))
            concept = stated or (location.physicalType if location else None)
            types = concept.codes if concept else frozenset()
            place = place or (key.removeprefix("#"), types)
            if _WARD in types:
                return key.removeprefix("#"), types
            key, stated = (location.partOf.key if location and location.partOf else None), None
        return place or ("", frozenset())


# Resources that no function reads yet, and that refer to their patient by `subject` or `patient`
# (https://hl7.org/fhir/R4/compartmentdefinition-patient.html).
_BY_SUBJECT = (
    "AdverseEvent CarePlan CareTeam ChargeItem ClinicalImpression Communication CommunicationRequest Composition "
    "Condition DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Flag Goal "
    "GuidanceResponse ImagingStudy Invoice List MeasureReport Media MedicationAdministration MedicationDispense "
    "MedicationStatement Observation Procedure QuestionnaireResponse RequestGroup RiskAssessment ServiceRequest "
    "Specimen"
)
_BY_PATIENT = (
    "BodyStructure Claim ClaimResponse Consent CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue "
    "Device EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Immunization ImmunizationEvaluation "
    "ImmunizationRecommendation MolecularSequence NutritionOrder RelatedPerson SupplyDelivery VisionPrescription"
)
BY_SUBJECT: Final = frozenset(_BY_SUBJECT.split())
BY_PATIENT: Final = frozenset(_BY_PATIENT.split())


class StoredResource(FhirPart):
    """A resource of a patient that no function reads yet. It is stored for later readers."""

    resourceType: str
    id: FhirId | None = None
    subject: Reference | None = None
    patient: Reference | None = None

    @property
    def patient_reference(self) -> Reference | None:
        """The reference to the patient."""
        return self.subject if self.resourceType in BY_SUBJECT else self.patient


_READ: Final = ("Patient", "AllergyIntolerance", "MedicationRequest", "Coverage", "Encounter")


def _resource_type(value: Any) -> str | None:
    kind = value.get("resourceType") if isinstance(value, dict) else getattr(value, "resourceType", None)
    if not isinstance(kind, str):
        return None
    return "other" if kind in BY_SUBJECT | BY_PATIENT else kind


Resource = Annotated[
    Annotated[Patient, Tag("Patient")]
    | Annotated[AllergyIntolerance, Tag("AllergyIntolerance")]
    | Annotated[MedicationRequest, Tag("MedicationRequest")]
    | Annotated[Coverage, Tag("Coverage")]
    | Annotated[Encounter, Tag("Encounter")]
    | Annotated[StoredResource, Tag("other")],
    Discriminator(
        _resource_type,
        custom_error_type="resource_type",
        custom_error_message=f"resourceType must be one of {', '.join(_READ)}, or another type of FHIR R4 that has a "
        "subject or a patient, such as Observation",
    ),
]


# One transaction emits an event for each of them (100 writes, DynamoDB's quota).
MAX_BUNDLE_ENTRIES: Final = 90


class BundleEntry(FhirPart):
    """One resource of a bundle. Other entries of the bundle refer to it by `fullUrl` or by its type and id."""

    fullUrl: _Uri | None = None
    resource: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type of the resource."""
        return str(self.resource.get("resourceType"))

    @property
    def path(self) -> str | None:
        """The type and id of the resource: `Condition/c1`. None without an id."""
        return f"{self.kind}/{self.resource['id']}" if isinstance(self.resource.get("id"), str) else None

    @property
    def names(self) -> set[str]:
        """The references that mean this entry."""
        return {name for name in (self.fullUrl, self.path) if name}


class Bundle(FhirPart):
    """Resources that were sent together."""

    resourceType: Literal["Bundle"]
    type: Literal["document", "message", "transaction", "batch", "searchset", "collection"]
    entry: tuple[BundleEntry, ...] = Field(min_length=1, max_length=MAX_BUNDLE_ENTRIES)

    def resources(self, patient_id: str) -> dict[int, dict[str, Any]]:
        """The resources that are a patient's, by the number of their entry, with resolved references.

        A reference to an entry with a Patient becomes `Patient/<patient_id>`. Medications and locations are no
        patient's: they become parts (`contained`) of the resources that refer to them. A reference to any other entry
        becomes its type and id. Resources of other types, such as Practitioner, are left out.
        """
        entries = {name: entry for entry in self.entry for name in entry.names}
        return {
            number: _Resolution(entries, patient_id).resolved(entry.resource)
            for number, entry in enumerate(self.entry)
            if entry.kind in {*_READ, *BY_SUBJECT, *BY_PATIENT}
        }


class _Resolution:
    """The references of one resource of a bundle, and the resources that become parts of it."""

    def __init__(self, entries: Mapping[str, BundleEntry], patient_id: str) -> None:
        self._entries = entries
        self._patient_id = patient_id
        self._contained: dict[str, dict[str, Any]] = {}

    def resolved(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The resource with resolved references, and with the resources that become parts of it."""
        found: dict[str, Any] = self._resolve(resource)
        if not self._contained:
            return found
        sent = found.get("contained")
        return {**found, "contained": [*(sent if isinstance(sent, list) else []), *self._contained.values()]}

    def _resolve(self, value: Any) -> Any:
        match value:
            case {"reference": str(name)} if entry := self._entries.get(name):
                return {**value, "reference": self._reference(entry, name)}
            case dict():
                return {key: self._resolve(each) for key, each in value.items()}
            case list():
                return [self._resolve(each) for each in value]
            case _:
                return value

    def _reference(self, entry: BundleEntry, name: str) -> str:
        if entry.kind == "Patient":
            return f"Patient/{self._patient_id}"
        if entry.kind not in {"Medication", "Location"}:
            return entry.path or name
        key = entry.resource.get("id") or name.rpartition(":")[2]
        if key not in self._contained:
            self._contained[key] = {}  # known before its own references are resolved: they may refer back to it
            self._contained[key] = {**self._resolve(entry.resource), "id": key}
        return f"#{key}"
