"""What of FHIR R4 our functions use: resources as parts of contracts, typed as far as somebody reads them.

Names are FHIR's own, as in its JSON. All else that a resource holds passes, and stays in the store as it was sent. What
is refused here is refused by FHIR R4 (https://hl7.org/fhir/R4/), but for the limits that say that they are ours.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from daybook.contracts.contract import Part

# https://hl7.org/fhir/R4/datatypes.html#primitive
FhirId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
_Text = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S")]  # the length is ours
_Code = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s]+( [^\s]+)*$")]
_Uri = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^\S+$")]  # the length is ours
# The lengths of a number and of its system are ours: both together, and 4 bytes for each character, are a key, which
# holds 2048 bytes (DynamoDB's quota).
_Number = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]

# Digits are named one by one: \d would be those of all scripts.
_DATE: Final = r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"
_ZONE: Final = r"Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)"
_TIME: Final = rf"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?({_ZONE})"
_DATE_TIME: Final = rf"^[0-9]{{4}}(-[0-9]{{2}}(-[0-9]{{2}}(T{_TIME})?)?)?$"


def _in_the_calendar(text: str) -> str:
    year, month, day = (*text[:10].split("-"), "01", "01")[:3]
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        msg = "no such day"
        raise ValueError(msg) from None
    return text


# A text of a list may be missing, where only an extension says something (https://hl7.org/fhir/R4/json.html#primitive).
_Texts = Annotated[tuple[_Text | None, ...], Field(min_length=1)]

FhirDate = Annotated[str, Field(pattern=_DATE), AfterValidator(_in_the_calendar)]
FhirDateTime = Annotated[str, Field(pattern=_DATE_TIME), AfterValidator(_in_the_calendar)]


class FhirPart(Part):
    """A part of a resource. FHIR's JSON has no null: what is not known is not there."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class Period(FhirPart):
    """From when to when; open where it says nothing."""

    start: FhirDateTime | None = None
    end: FhirDateTime | None = None


class Coding(FhirPart):
    """A code of a system of codes."""

    system: _Uri | None = None
    code: _Code | None = None
    display: _Text | None = None

    @property
    def term(self) -> str | None:
        """System and code as one text; None of one that lacks either, which names nothing for certain."""
        return f"{self.system}|{self.code}" if self.system and self.code else None


class CodeableConcept(FhirPart):
    """One thing, by codes of several systems, or in words alone."""

    coding: tuple[Coding, ...] | None = Field(default=None, min_length=1)
    text: _Text | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Its codes, each with its system."""
        return tuple(coding.term for coding in self.coding or () if coding.term)

    @property
    def codes(self) -> frozenset[str]:
        """Its codes, whatever their systems."""
        return frozenset(coding.code for coding in self.coding or () if coding.code)

    @property
    def words(self) -> str:
        """What people call it; empty if nobody has said so."""
        shown = next((coding.display for coding in self.coding or () if coding.display), None)
        return self.text or shown or ""


class Identifier(FhirPart):
    """A number that people know something by, such as a patient's number or an insurance's."""

    use: Literal["usual", "official", "temp", "secondary", "old"] | None = None
    system: _Uri | None = None
    value: _Number | None = None

    @property
    def term(self) -> str | None:
        """System and value as one text; None of one without a value. Without a system it is a number as such."""
        return f"{self.system or ''}|{self.value}" if self.value else None


class Reference(FhirPart):
    """Which other resource is meant."""

    reference: _Text | None = None
    identifier: Identifier | None = None
    display: _Text | None = None

    def names(self, kind: str, key: str) -> bool:
        """Whether it means that resource, as far as it says so by a path: `Patient/1`, `https://…/Patient/1/_history/2`."""
        if self.reference is None:
            return True
        return self.reference.partition("/_history/")[0].split("/")[-2:] == [kind, key]

    @property
    def key(self) -> str | None:
        """The id at the end of its path."""
        return self.reference.partition("/_history/")[0].rpartition("/")[2] if self.reference else None


class HumanName(FhirPart):
    """One of a person's names."""

    use: Literal["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"] | None = None
    text: _Text | None = None
    family: _Text | None = None
    given: _Texts | None = None


class Address(FhirPart):
    """One of a person's addresses."""

    use: Literal["home", "work", "temp", "old", "billing"] | None = None
    text: _Text | None = None
    line: _Texts | None = None
    city: _Text | None = None
    postalCode: _Text | None = None
    country: _Text | None = None


Gender = Literal["male", "female", "other", "unknown"]


class Patient(FhirPart):
    """Who somebody is."""

    resourceType: Literal["Patient"]
    id: FhirId | None = None
    # How many there may be is ours: all of them are written at once.
    identifier: tuple[Identifier, ...] | None = Field(default=None, min_length=1, max_length=20)
    name: tuple[HumanName, ...] | None = Field(default=None, min_length=1, max_length=20)
    gender: Gender | None = None
    birthDate: FhirDate | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: FhirDateTime | None = None
    address: tuple[Address, ...] | None = Field(default=None, min_length=1, max_length=20)

    @model_validator(mode="after")
    def _dies_once(self) -> "Patient":
        if self.deceasedBoolean is not None and self.deceasedDateTime is not None:
            msg = "only one of deceasedBoolean and deceasedDateTime may be said"
            raise ValueError(msg)
        return self

    @property
    def of(self) -> Reference | None:
        """Whom it is about."""
        return None


class AllergyIntolerance(FhirPart):
    """What somebody does not bear."""

    resourceType: Literal["AllergyIntolerance"]
    id: FhirId | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    criticality: Literal["low", "high", "unable-to-assess"] | None = None
    code: CodeableConcept | None = None
    patient: Reference

    @property
    def of(self) -> Reference | None:
        """Whom it is about."""
        return self.patient

    @property
    def stands(self) -> bool:
        """Whether it is to be minded: it is neither over nor refuted (https://hl7.org/fhir/R4/allergyintolerance.html)."""
        over = self.clinicalStatus.codes if self.clinicalStatus else frozenset()
        refuted = self.verificationStatus.codes if self.verificationStatus else frozenset()
        return not (over & {"inactive", "resolved"} or refuted & {"refuted", "entered-in-error"})


class Ingredient(FhirPart):
    """What a medication is made of, among others."""

    itemCodeableConcept: CodeableConcept | None = None
    itemReference: Reference | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Ingredient":
        if (self.itemCodeableConcept is None) == (self.itemReference is None):
            msg = "exactly one of itemCodeableConcept and itemReference must be said"
            raise ValueError(msg)
        return self


class Medication(FhirPart):
    """A medication that a prescription describes itself."""

    resourceType: Literal["Medication"]
    id: FhirId | None = None
    code: CodeableConcept | None = None
    ingredient: tuple[Ingredient, ...] | None = Field(default=None, min_length=1)

    @property
    def concepts(self) -> tuple[CodeableConcept, ...]:
        """All that it is, or is made of."""
        parts = (ingredient.itemCodeableConcept for ingredient in self.ingredient or ())
        return tuple(concept for concept in (self.code, *parts) if concept)


class OtherResource(FhirPart):
    """A resource that nobody here reads."""

    resourceType: _Code


def _kind_of_contained(value: Any) -> str:
    kind = value.get("resourceType") if isinstance(value, dict) else getattr(value, "resourceType", None)
    return "Medication" if kind == "Medication" else "other"


Contained = Annotated[
    Annotated[Medication, Tag("Medication")] | Annotated[OtherResource, Tag("other")],
    Discriminator(_kind_of_contained),
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
    def _prescribes_one(self) -> "MedicationRequest":
        if (self.medicationCodeableConcept is None) == (self.medicationReference is None):
            msg = "exactly one of medicationCodeableConcept and medicationReference must be said"
            raise ValueError(msg)
        return self

    @property
    def of(self) -> Reference | None:
        """Whom it is for."""
        return self.subject

    @property
    def stands(self) -> bool:
        """Whether it may be given, or may yet be (https://hl7.org/fhir/R4/valueset-medicationrequest-status.html)."""
        return not self.doNotPerform and self.status not in {"cancelled", "completed", "entered-in-error", "stopped"}

    @property
    def concepts(self) -> tuple[CodeableConcept, ...]:
        """All that is prescribed, with what it is made of, as far as it is said here."""
        if self.medicationCodeableConcept:
            return (self.medicationCodeableConcept,)
        meant = self.medicationReference.reference if self.medicationReference else None
        return tuple(
            concept
            for medication in self.contained or ()
            if isinstance(medication, Medication) and f"#{medication.id}" == meant
            for concept in medication.concepts
        )


class Coverage(FhirPart):
    """Who pays."""

    resourceType: Literal["Coverage"]
    id: FhirId | None = None
    status: Literal["active", "cancelled", "draft", "entered-in-error"]
    subscriberId: _Text | None = None
    beneficiary: Reference
    period: Period | None = None
    payor: tuple[Reference, ...] = Field(min_length=1)

    @property
    def of(self) -> Reference | None:
        """Whom it is for."""
        return self.beneficiary


class EncounterLocation(FhirPart):
    """Where somebody is during an encounter."""

    location: Reference
    status: Literal["planned", "active", "reserved", "completed"] | None = None


class Encounter(FhirPart):
    """A stay, or a visit."""

    resourceType: Literal["Encounter"]
    id: FhirId | None = None
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
    def of(self) -> Reference | None:
        """Whom it is about."""
        return self.subject

    @property
    def ward(self) -> str:
        """Where the patient is now, by the last path that says so: `Location/ICU-2` is `ICU-2`; empty if none does."""
        if self.status not in {"arrived", "triaged", "in-progress"}:
            return ""
        now = [each.location.key for each in self.location or () if each.status in {None, "active"}]
        return next((ward for ward in reversed(now) if ward), "")


Resource = Annotated[
    Patient | AllergyIntolerance | MedicationRequest | Coverage | Encounter, Field(discriminator="resourceType")
]
