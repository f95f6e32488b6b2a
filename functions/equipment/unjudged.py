"""Report readings that nobody judges, and readings that are rounded, once for each device and code."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from daybook.consumers.work import Work
from daybook.contracts.contract import Part
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.equipment import (
    EquipmentStatusReported,
    ReadingNotJudged,
    ReadingRounded,
    UnjudgedReason,
)
from events.vitals import rounded_to_places
from functions.equipment.interpretation import Measured, NotJudged

# Events of one report, so that they fit into one transaction with its alarms. Later reports emit the others.
MAX_EVENTS: Final = 30
# Codes in one row. No device has so many: beyond it the codes are noise.
MAX_CODES: Final = 200


class Unjudged(Part):
    """Why a code is not judged, or was not judged. `now`: whether the last reading of the code was not judged."""

    reason: UnjudgedReason
    since: UtcTime
    now: bool = True


class UnjudgedReadings(State, table="unjudged", key="device_id"):
    """The codes of one device that were reported as not judged or as rounded."""

    device_id: str
    not_judged: dict[str, Unjudged] = {}
    rounded: dict[str, UtcTime] = {}

    @property
    def lines(self) -> list[str]:
        """The codes that are not judged now, each with the reason."""
        return [f"{code}: {each.reason.replace('_', ' ')}" for code, each in self.not_judged.items() if each.now]


def report_unjudged(
    work: Work, report: EquipmentStatusReported, not_judged: Mapping[str, NotJudged], measured: Iterable[Measured]
) -> None:
    """Emit an event for each code that was not reported before. `not_judged` are by code."""
    row = work.read(UnjudgedReadings, report.device_id)
    device = {"device_id": report.device_id, "type": report.type, "ward": report.ward}
    known, rounded = dict(row.not_judged), dict(row.rounded)
    at, events = report.measured_at, 0
    for each in measured:
        before = known.get(each.code)
        if before and before.now and each.code not in not_judged:
            known[each.code] = Unjudged(reason=before.reason, since=before.since, now=False)
        if each.rounded and _is_new(each.code, rounded, events):
            events += 1
            rounded[each.code] = at
            work.emit(ReadingRounded(**device, code=each.code, value=each.value))
    for code, unjudged in not_judged.items():
        if before := known.get(code):
            known[code] = _again(before, unjudged.reason, at)
        elif _is_new(code, known, events):
            events += 1
            known[code] = Unjudged(reason=unjudged.reason, since=at)
            work.emit(_event(device, unjudged))
    if (known, rounded) != (row.not_judged, row.rounded):
        work.save(row.evolve(not_judged=known, rounded=rounded))


def _is_new(code: str, known: Mapping[str, object], events: int) -> bool:
    return code not in known and len(known) < MAX_CODES and events < MAX_EVENTS


def _again(before: Unjudged, reason: UnjudgedReason, at: datetime) -> Unjudged:
    return before if before.now and before.reason == reason else Unjudged(reason=reason, since=at)


def _event(device: Mapping[str, str], unjudged: NotJudged) -> ReadingNotJudged:
    reading = unjudged.reading
    return ReadingNotJudged(
        **device,
        code=reading.code,
        name=unjudged.name,
        unit=reading.unit,
        value=None if reading.value is None else rounded_to_places(reading.value),
        reason=unjudged.reason,
        expected=unjudged.expected,
    )
