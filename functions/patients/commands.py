"""`daybook patient`: the facts of a patient in three systems."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, console, fail, note, say, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import table
from daybook.operate.errors import OperatorError
from daybook.operate.masking import HIDDEN
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.operate.terminal import daybook, json_text
from functions.patients import lookup
from functions.patients.queries import SYSTEMS, Patient, Patients

EXAMPLES = """
**Examples**

- `daybook patient b7c1f0de`
- `daybook patient --name Lovelace --born 1815-12-10`
- `daybook patient --number 4711 --reveal --stage prod`
- `daybook patient b7c1f0de --reconcile --apply`
"""

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def patient(
    patient_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The id of the record. Without it, search with --name, --born or --number."),
    ] = None,
    *,
    stage: Stage = "dev",
    name: Annotated[
        str | None, typer.Option(help="Search by words of the name. Accents, case and apostrophes are ignored.")
    ] = None,
    born: Annotated[
        str | None, typer.Option(metavar="DAY", help="Search by the birth date, as exact as it is known.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="Search by a number of the patient.")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the values too. They are personal data.")] = False,
    reconcile: Annotated[
        bool,
        typer.Option("--reconcile", help="Compare the systems with the event store, and correct them. Needs --apply."),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the facts of a patient in the index, the pharmacy and billing, and whether the systems agree.

    For each fact you see its revision, and its value with `--reveal`. Records that were merged are shown
    together. If a search by name, birth date or number finds several patients, their ids are listed.

    Below the facts you see each prescription that conflicts with an allergy of the person, and each one that is
    unchecked: it could not be compared with an allergy, for the reason that is shown.

    `--reconcile` sends ReconciliationRequested. A row that differs from the event store is then corrected, and reported
    with a RecordDivergenceFound event. With `--json`, one object a line.

    Exit code 1: no patient was found, or the systems differ.
    """
    with connected(stage) as connection:
        patients = Patients.of(connection)
        found = [patient_id] if patient_id else patients.find(_terms(name, born, number))
        if len(found) > 1:
            for each in found:
                answer({"patient_id": each}, each, as_json=as_json)
            return
        records = _of_one_person(patients, found)
        if not records:
            fail("no such patient was found", exit_code=1)
        if reconcile:
            _reconcile(connection, records, stage, apply=apply)
            return
        for record in records:
            if as_json:
                say_json(record.as_data(reveal=reveal))
            else:
                _show(record, reveal=reveal)
        if different := [record.patient_id for record in records if record.differences]:
            reconciliation = daybook("patient", different[0], reconcile=True, stage=stage)
            note(f"The systems differ. To correct them: {reconciliation}")
            raise typer.Exit(1)


def _terms(name: str | None, born: str | None, number: str | None) -> list[str]:
    terms = [lookup.name_term(word) for word in lookup.words(name or "")]
    terms += [lookup.birth_date_term(born)] if born else []
    terms += [lookup.number_term(number)] if number else []
    if not terms:
        msg = "no patient was given: give an id, or --name, --born or --number"
        raise OperatorError(msg)
    return terms


def _of_one_person(patients: Patients, found: Sequence[str]) -> list[Patient]:
    """The found record, and the records that it was merged with."""
    records: dict[str, Patient] = {}
    unread = list(found)
    while unread:
        record = patients.patient(unread.pop())
        if record.rows:
            records[record.patient_id] = record
            unread += [other for other in record.related if other not in records]
    return list(records.values())


def _reconcile(connection: Connection, records: Sequence[Patient], stage: str, *, apply: bool) -> None:
    ids = ", ".join(record.patient_id for record in records)
    if not apply:
        say(f"Would request the reconciliation of {ids} with the event store. To do it, repeat with --apply.")
        return
    entries = [
        {
            "Source": "hospital.operations",
            "DetailType": "ReconciliationRequested",
            "Detail": {"data": {"patient_id": record.patient_id}},
        }
        for record in records
    ]
    for outcome in send(connection, read_entries(json.dumps(entries))):
        if not outcome.accepted:
            fail(f"EventBridge rejected ReconciliationRequested: {outcome.error}")
    differences = daybook("events", type="RecordDivergenceFound", since="5m", stage=stage)
    say(f"Requested for {ids}. Differences: {differences}")


def _show(record: Patient, *, reveal: bool) -> None:
    rows = []
    for name in record.names:
        facts = record.facts(name)
        cells = [
            f"{_text(facts[system].value) if reveal else HIDDEN}  r{facts[system].revision}" if system in facts else ""
            for system in SYSTEMS
        ]
        rows.append((name, *cells, "differs" if name in record.differences else ""))
    console().print(table(f"Patient {record.patient_id}", ("fact", *SYSTEMS, ""), rows))
    if record.related:
        say(f"other records of this person: {', '.join(record.related)}")
    for conflict in record.conflicts:
        prescription, _, allergy = conflict.partition(" ")
        say(f"prescription {prescription} conflicts with allergy {allergy}")
    for each in record.unchecked:
        say(f"unchecked: prescription {each}")


def _text(value: object) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json_text(value)
