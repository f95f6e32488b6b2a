"""`daybook patient`: what three systems say of somebody."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.connection import Connection
from daybook.operate.drawing import plain, table
from daybook.operate.errors import OperatorError
from daybook.operate.masking import HIDDEN
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
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
        str | None, typer.Argument(metavar="ID", help="The record's id; or say by what to look for it.")
    ] = None,
    *,
    stage: Stage = "dev",
    name: Annotated[str | None, typer.Option(help="Words of the name, without regard to accents and case.")] = None,
    born: Annotated[str | None, typer.Option(metavar="DAY", help="The birth date, as far as it is known.")] = None,
    number: Annotated[str | None, typer.Option(help="A number that the patient is known by.")] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what is known, too. It is about a person: mind who looks on.")
    ] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Have the systems held against the store, and mended. Needs --apply.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """See what the index, the pharmacy and billing know of a patient, fact by fact, and whether they agree.

    Of each fact you see the revision of the source that it comes from; what it is only with `--reveal`. Records that
    were merged are shown with each other. Looked for by name, birth date or number, several may be found: then their
    ids are listed.

    `--reconcile` asks for what diverged from the store to be found and mended; what was found is an event,
    RecordDivergenceFound. With `--json`, one object a line.

    Exit code 1: nobody was found, or the systems differ.
    """
    with connected(stage) as connection:
        patients = Patients.of(connection)
        found = [patient_id] if patient_id else patients.find(_terms(name, born, number))
        if len(found) > 1:
            for each in found:
                typer.echo(json.dumps({"patient_id": each}) if as_json else plain(each))
            return
        records = _of_one_person(patients, found)
        if not records:
            fail("no such patient is known here", exit_code=1)
        if reconcile:
            _reconcile(connection, records, stage, apply=apply)
            return
        for record in records:
            if as_json:
                typer.echo(json.dumps(record.as_data(reveal=reveal), ensure_ascii=False))
            else:
                _show(record, reveal=reveal)
        if different := [record.patient_id for record in records if record.differences]:
            note(f"The systems differ; `daybook patient {different[0]} --reconcile --stage {stage}` has them mended")
            raise typer.Exit(1)


def _terms(name: str | None, born: str | None, number: str | None) -> list[str]:
    terms = [lookup.named(word) for word in lookup.words(name or "")]
    terms += [lookup.born(born)] if born else []
    terms += [lookup.numbered(number)] if number else []
    if not terms:
        msg = "say which patient: an id, or --name, --born, --number"
        raise OperatorError(msg)
    return terms


def _of_one_person(patients: Patients, found: Sequence[str]) -> list[Patient]:
    """The record, and those that it was merged with."""
    records: dict[str, Patient] = {}
    waiting = list(found)
    while waiting:
        record = patients.patient(waiting.pop())
        if record.rows:
            records[record.patient_id] = record
            waiting += [other for other in record.related if other not in records]
    return list(records.values())


def _reconcile(connection: Connection, records: Sequence[Patient], stage: str, *, apply: bool) -> None:
    ids = ", ".join(plain(record.patient_id) for record in records)
    if not apply:
        typer.echo(f"Would ask for {ids} to be held against the store, and mended. To do it, repeat with --apply.")
        return
    entries = [
        {"Source": "hospital.operations", "DetailType": "ReconciliationAsked", "Detail": {"data": {"patient_id": each}}}
        for each in (record.patient_id for record in records)
    ]
    for outcome in send(connection, read_entries(json.dumps(entries))):
        if not outcome.taken:
            fail(f"EventBridge did not take it: {outcome.error}")
    typer.echo(
        f"Asked for {ids}. What is found: daybook events --type RecordDivergenceFound --since 5m --stage {stage}"
    )


def _show(record: Patient, *, reveal: bool) -> None:
    rows = []
    for name in record.names:
        known = record.known(name)
        cells = [
            f"{_text(known[system].value) if reveal else HIDDEN}  r{known[system].revision}" if system in known else ""
            for system in SYSTEMS
        ]
        rows.append((plain(name), *cells, "differs" if name in record.differences else ""))
    console().print(table(f"Patient {plain(record.patient_id)}", ("what", *SYSTEMS, ""), rows))
    if record.related:
        typer.echo(f"the same person: {', '.join(map(plain, record.related))}")
    for conflict in record.conflicts:
        prescription, _, allergy = conflict.partition(" ")
        typer.echo(f"prescription {plain(prescription)} meets the allergy {plain(allergy)}")
    for prescription in record.unchecked:
        typer.echo(f"prescription {plain(prescription)} has no code, and so was held against no allergy")


def _text(value: object) -> str:
    if value is None:
        return "no longer"
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
