"""Send what a person has decided about a case of a sanctioned name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from events.compliance import DEFAULT_LIST, ComplianceCaseOpened, SanctionsMatchDecided

Verdict = Literal["not_this_person", "this_person"]


class NotDecidable(OperatorError):
    """There is no such case of a sanctioned name, or it does not name the entry. Check the id of the case."""


@dataclass(frozen=True)
class Decisions:
    """The events to send: one for each entry of a case."""

    events: Sequence[SanctionsMatchDecided]

    @classmethod
    def of(
        cls, connection: Connection, case_id: str, *, entry: int | None, verdict: Verdict, reason: str, decided_by: str
    ) -> "Decisions":
        """A decision about one entry of a case, or about all of them. Raises NotDecidable."""
        opened = _opening(connection, case_id)
        entries = [match.entry for match in opened.matches]
        if entry is not None and entry not in entries:
            msg = f"the case has the entries {', '.join(map(str, entries))}, not {entry}; use one of them with --entry"
            raise NotDecidable(msg)
        now = datetime.now(UTC)
        try:
            return cls(
                [
                    SanctionsMatchDecided(
                        case_id=case_id,
                        counterparty=case_id.rpartition(":")[2],
                        list_name=opened.list_name or DEFAULT_LIST,
                        entry=each,
                        decision=verdict,
                        reason=reason,
                        decided_by=decided_by,
                        decided_at=now,
                    )
                    for each in ([entry] if entry is not None else entries)
                ]
            )
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            msg = f"the decision is not valid: {problems}; nothing was changed"
            raise NotDecidable(msg) from None

    def send(self, connection: Connection) -> list[str]:
        """Send the events. Returns their ids. Raises OperatorError if EventBridge rejects one."""
        ids = []
        for event in self.events:
            (source,) = event.contract.sources
            detail = {"data": json.loads(event.to_json())}
            entry = {"Source": source, "DetailType": event.contract.type, "Detail": detail}
            (outcome,) = send(connection, read_entries(json.dumps(entry)))
            if not outcome.accepted:
                msg = (
                    f"EventBridge rejected the decision about entry {event.entry}: {outcome.error}; repeat the command"
                )
                raise OperatorError(msg)
            ids.append(str(outcome.event_id))
        return ids


def _opening(connection: Connection, case_id: str) -> ComplianceCaseOpened:
    first = next(iter(connection.store.stream(f"case/{case_id}")), None)
    if first is None:
        msg = f"there is no case {case_id} in stage {connection.stage}"
        raise NotDecidable(msg)
    opened = ComplianceCaseOpened.read(first.data, version=first.metadata.version)
    if opened.rule != "sanctioned_name":
        msg = (
            f"case {case_id} has the rule {opened.rule}; only cases of the rule sanctioned_name have matches to decide"
        )
        raise NotDecidable(msg)
    return opened
