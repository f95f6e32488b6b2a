"""E-mails and pages: none is sent twice, each that has an event exists, and none exists without a request.

If the outcome of a call is unknown, the event that requested it is dead, so that a person can check. The message may
then have been sent once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.checker.orders import COMMITTED
from chaos.checker.snapshot import Email, Event, Page, Snapshot
from chaos.checker.violation import Invariant, Violation

# The event that requests each kind of e-mail, and its subjects, with the order's id between the two parts.
_REQUESTED_BY = {
    "confirmed": "OrderConfirmed",
    "cancelled": "OrderCancelled",
    "fulfilled": "OrderFulfilled",
    "refunded": "PaymentRefunded",
}
_SUBJECTS = {
    ("Your order ", " is confirmed"): "confirmed",
    ("Your order ", " is cancelled"): "cancelled",
    ("Your order ", " is on its way"): "fulfilled",
    ("Refund for your order ", ""): "refunded",
    ("Ihre Bestellung ", " ist bestätigt"): "confirmed",
    ("Ihre Bestellung ", " ist storniert"): "cancelled",
    ("Ihre Bestellung ", " ist unterwegs"): "fulfilled",
    ("Rückzahlung zu Ihrer Bestellung ", ""): "refunded",
}
_ALARM = re.compile(r"^Alarm (\S+)$", re.MULTILINE)
_LEVEL = re.compile(r"^Level (\d+):", re.MULTILINE)

About = tuple[str, str]  # an order and a key of _REQUESTED_BY; or an alarm and a level


@dataclass(frozen=True, slots=True)
class _Message:
    """An e-mail or a page that an event has requested."""

    name: str
    about: About
    request: Event
    consumer: str
    idempotency_key: str


def _emails(snapshot: Snapshot) -> Iterator[Violation]:
    requested = list(_requested_emails(snapshot))
    found: dict[About, list[Email]] = defaultdict(list)
    for place, email in enumerate(snapshot.emails, 1):
        about = _about(email)
        found[about or ("", "")].append(email)
        if about is None:
            yield Violation(f"e-mail {place} of the mailbox has an unknown subject")
    outcomes = list(snapshot.events("EmailSent", "EmailRefused"))
    results = Counter(event.data["email_id"] for event in outcomes)
    for email in sorted(email for email, times in results.items() if times > 1):
        yield Violation(f"there is more than one result of e-mail {email}")
    for email in sorted(results.keys() - {message.name for message in requested}):
        yield Violation(f"there is a result of e-mail {email}, which no event requested")
    ends = {event.data["email_id"]: event.type == "EmailSent" for event in outcomes}
    yield from _compare(
        snapshot, "e-mail", requested, ends, {about: len(emails) for about, emails in found.items() if about[0]}
    )
    yield from _no_copies(requested, found)
    yield from _addressed(snapshot, found)


def _requested_emails(snapshot: Snapshot) -> Iterator[_Message]:
    for kind, event_type in _REQUESTED_BY.items():
        for event in snapshot.events(event_type):
            order, refund = event.data["order_id"], event.data.get("refund_id")
            name, idempotency_key = f"{order}.{kind}", f"email/{order}/{kind}"
            if refund:
                name, idempotency_key = f"{name}:{refund}", f"{idempotency_key}/{refund}"
            yield _Message(name, (order, kind), event, f"mail-{kind}", idempotency_key)


def _about(email: Email) -> About | None:
    """The order and the kind of an e-mail."""
    for (before, behind), kind in _SUBJECTS.items():
        order = email.subject.removeprefix(before).removesuffix(behind)
        if email.subject == f"{before}{order}{behind}":
            return order, kind
    return None


def _no_copies(requested: Sequence[_Message], found: dict[About, list[Email]]) -> Iterator[Violation]:
    """Two e-mails are the same only if two refunds are."""
    wordings: dict[About, Counter[str]] = defaultdict(Counter)
    for message in requested:
        data = message.request.data
        wordings[message.about][f"{data['amount']} {data['reason']}" if "refund_id" in data else ""] += 1
    for about, emails in sorted(found.items()):
        several = Counter((email.to, email.subject, email.text) for email in emails)
        if max(several.values()) > max(wordings[about].values(), default=1):
            yield Violation(f"the e-mail that order {about[0]} is {about[1]} was sent to one address more than once")


def _addressed(snapshot: Snapshot, found: dict[About, list[Email]]) -> Iterator[Violation]:
    """Each e-mail is sent to its customer."""
    address = {event.data["order_id"]: event.data["customer"]["email"] for event in snapshot.events("OrderPlaced")}
    for (order, kind), emails in sorted(found.items()):
        if order and any(email.to != (address.get(order),) for email in emails):
            yield Violation(f"an e-mail that order {order} is {kind} was not sent to its customer")


def _pages(snapshot: Snapshot) -> Iterator[Violation]:
    requested = list(_requested_pages(snapshot))
    found: Counter[About] = Counter()
    for place, page in enumerate(snapshot.pages, 1):
        about = _about_alarm(page)
        if about is None:
            yield Violation(f"page {place} has no alarm id, or different levels in its text and attributes")
        else:
            found[about] += 1
    paged = Counter((event.data["alarm_id"], str(event.data["level"])) for event in snapshot.events("StaffPaged"))
    for alarm, level in sorted(about for about, times in paged.items() if times > 1):
        yield Violation(f"there is more than one StaffPaged for alarm {alarm} at level {level}")
    for alarm, level in sorted(paged.keys() - {message.about for message in requested}):
        yield Violation(f"there is StaffPaged for alarm {alarm} at level {level}, which no event requested")
    yield from _compare(snapshot, "page", requested, {_page_name(about): True for about in paged}, found)


def _requested_pages(snapshot: Snapshot) -> Iterator[_Message]:
    for event in snapshot.events("EquipmentAlarmRaised", "EquipmentAlarmEscalated"):
        alarm, level = event.data["alarm_id"], event.data.get("level")
        about = alarm, str(level or 1)
        idempotency_key = f"page/{alarm}/{level}" if level else f"page/{alarm}"
        consumer = "page-escalation" if level else "page-staff"
        yield _Message(_page_name(about), about, event, consumer, idempotency_key)


def _page_name(about: About) -> str:
    alarm, level = about
    return f"{alarm} at level {level}"


def _about_alarm(page: Page) -> About | None:
    """The alarm and the level of a page; None if its text and attributes differ."""
    alarm, level = _ALARM.search(page.text), _LEVEL.search(page.text)
    level_in_text = int(level[1]) if level else 1
    return (alarm[1], str(level_in_text)) if alarm and level_in_text == page.level else None


def _compare(
    snapshot: Snapshot, what: str, requested: Sequence[_Message], ends: dict[str, bool], found: dict[About, int]
) -> Iterator[Violation]:
    """Compare sent messages with events. `ends` says whether each message with a result was sent."""
    least: Counter[About] = Counter()
    most: Counter[About] = Counter()
    for message in requested:
        if message.name in ends:
            least[message.about] += ends[message.name]
            most[message.about] += ends[message.name]
        elif snapshot.state(message.request.id, message.consumer) == COMMITTED:
            yield Violation(f"event {message.request.id} is committed, but there is no result of {what} {message.name}")
        else:
            most[message.about] += _outcome_unknown(snapshot, message)
    for about in sorted({*least, *most, *found}):
        is_there, name = found.get(about, 0), f"{what} {' '.join(about)}"
        if is_there < least[about]:
            yield Violation(f"{name} was sent {is_there} times; expected at least {least[about]}")
        if is_there > most[about]:
            yield Violation(f"{name} was sent {is_there} times; expected at most {most[about]}")


def _outcome_unknown(snapshot: Snapshot, message: _Message) -> bool:
    """Whether the message may have been sent, and an operator was informed or has decided."""
    row = snapshot.statuses.get((message.request.id, message.consumer), {})
    attempt = snapshot.other_rows.get((f"effect#{message.idempotency_key}", message.consumer), {})
    # If the process died for good during the call, the dead letter says so, and the effect record is open for it.
    begun = (attempt.get("state"), attempt.get("cause")) == ("open", message.request.id)
    outcome_unknown = row.get("error") == "OutcomeUnknown" or begun
    return row.get("state") == "discarded" or (row.get("state") == "dead" and outcome_unknown)


EMAILS = Invariant("no e-mail is sent twice", _emails)
PAGES = Invariant("no page is sent twice", _pages)
