"""No letter and no page is sent twice, each that events tell of is there, and none that nobody knows of.

Of one whose outcome is unknown, the event that asks for it is dead, for a person to find out: it may have been sent,
once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.checker.breach import Breach, Invariant
from chaos.checker.orders import COMMITTED
from chaos.checker.world import Event, Mail, Page, World

# By what a letter is about: the event that asks for it, and the subjects, with the order's number between.
_ASKED_BY = {
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

About = tuple[str, str]  # an order and a key of _ASKED_BY; or an alarm and a level


@dataclass(frozen=True, slots=True)
class _Message:
    """A letter or a page that somebody has asked for."""

    name: str
    about: About
    asked: Event
    consumer: str
    purpose: str


def _letters(world: World) -> Iterator[Breach]:
    asked = list(_asked_letters(world))
    there: dict[About, list[Mail]] = defaultdict(list)
    for place, mail in enumerate(world.mails, 1):
        about = _about(mail)
        there[about or ("", "")].append(mail)
        if about is None:
            yield Breach(f"mail {place} of the mailbox has none of the shop's subjects")
    outcomes = list(world.events("EmailSent", "EmailRefused"))
    told = Counter(event.data["letter_id"] for event in outcomes)
    for letter in sorted(letter for letter, times in told.items() if times > 1):
        yield Breach(f"it is told more than once what became of letter {letter}")
    for letter in sorted(told.keys() - {message.name for message in asked}):
        yield Breach(f"it is told what became of letter {letter}, which nobody has asked for")
    ends = {event.data["letter_id"]: event.type == "EmailSent" for event in outcomes}
    yield from _compare(world, "letter", asked, ends, {about: len(mails) for about, mails in there.items() if about[0]})
    yield from _alike(asked, there)
    yield from _addressed(world, there)


def _asked_letters(world: World) -> Iterator[_Message]:
    for kind, event_type in _ASKED_BY.items():
        for event in world.events(event_type):
            order, refund = event.data["order_id"], event.data.get("refund_id")
            name, purpose = f"{order}.{kind}", f"letter/{order}/{kind}"
            if refund:
                name, purpose = f"{name}:{refund}", f"{purpose}/{refund}"
            yield _Message(name, (order, kind), event, f"mail-{kind}", purpose)


def _about(mail: Mail) -> About | None:
    """Which order a mail is about, and what it tells of it."""
    for (before, behind), kind in _SUBJECTS.items():
        order = mail.subject.removeprefix(before).removesuffix(behind)
        if mail.subject == f"{before}{order}{behind}":
            return order, kind
    return None


def _alike(asked: Sequence[_Message], there: dict[About, list[Mail]]) -> Iterator[Breach]:
    """Two mails are alike only where two refunds are."""
    wordings: dict[About, Counter[str]] = defaultdict(Counter)
    for message in asked:
        told = message.asked.data
        wordings[message.about][f"{told['amount']} {told['because']}" if "refund_id" in told else ""] += 1
    for about, mails in sorted(there.items()):
        several = Counter((mail.to, mail.subject, mail.text) for mail in mails)
        if max(several.values()) > max(wordings[about].values(), default=1):
            yield Breach(f"the mail that order {about[0]} is {about[1]} was sent to one address more than once")


def _addressed(world: World, there: dict[About, list[Mail]]) -> Iterator[Breach]:
    """Each mail is in its customer's mailbox."""
    address = {event.data["order_id"]: event.data["customer"]["email"] for event in world.events("OrderPlaced")}
    for (order, kind), mails in sorted(there.items()):
        if order and any(mail.to != (address.get(order),) for mail in mails):
            yield Breach(f"a mail that order {order} is {kind} went to somebody else than its customer")


def _pages(world: World) -> Iterator[Breach]:
    asked = list(_asked_pages(world))
    there: Counter[About] = Counter()
    for place, page in enumerate(world.pages, 1):
        about = _about_alarm(page)
        if about is None:
            yield Breach(f"page {place} names no alarm, or another level in its text than in its attributes")
        else:
            there[about] += 1
    told = Counter((event.data["alarm_id"], str(event.data["level"])) for event in world.events("StaffPaged"))
    for alarm, level in sorted(about for about, times in told.items() if times > 1):
        yield Breach(f"it is told more than once that somebody was paged about alarm {alarm} at level {level}")
    for alarm, level in sorted(told.keys() - {message.about for message in asked}):
        yield Breach(f"it is told that somebody was paged about alarm {alarm} at level {level}, which nobody asked for")
    yield from _compare(world, "page", asked, {_page_name(about): True for about in told}, there)


def _asked_pages(world: World) -> Iterator[_Message]:
    for event in world.events("EquipmentAlarmRaised", "EquipmentAlarmEscalated"):
        alarm, level = event.data["alarm_id"], event.data.get("level")
        about = alarm, str(level or 1)
        purpose = f"page/{alarm}/{level}" if level else f"page/{alarm}"
        consumer = "page-escalation" if level else "page-staff"
        yield _Message(_page_name(about), about, event, consumer, purpose)


def _page_name(about: About) -> str:
    alarm, level = about
    return f"{alarm} at level {level}"


def _about_alarm(page: Page) -> About | None:
    """Which alarm a page is about, and at which level; None if the page itself is at odds with that."""
    alarm, level = _ALARM.search(page.text), _LEVEL.search(page.text)
    told = int(level[1]) if level else 1
    return (alarm[1], str(told)) if alarm and told == page.level else None


def _compare(
    world: World, what: str, asked: Sequence[_Message], ends: dict[str, bool], there: dict[About, int]
) -> Iterator[Breach]:
    """As many are there as events tell of. `ends` says of each message whose end is told whether it was sent."""
    least: Counter[About] = Counter()
    most: Counter[About] = Counter()
    for message in asked:
        if message.name in ends:
            least[message.about] += ends[message.name]
            most[message.about] += ends[message.name]
        elif world.state(message.asked.id, message.consumer) == COMMITTED:
            yield Breach(f"event {message.asked.id} is committed, and what became of {what} {message.name} is not told")
        else:
            most[message.about] += _nobody_knows(world, message)
    for about in sorted({*least, *most, *there}):
        is_there, name = there.get(about, 0), f"{what} {' '.join(about)}"
        if is_there < least[about]:
            yield Breach(f"{name} was sent {least[about]} times by the events, and is there {is_there} times")
        if is_there > most[about]:
            yield Breach(f"{name} is there {is_there} times, and may be {most[about]} times at the most")


def _nobody_knows(world: World, message: _Message) -> bool:
    """Whether the message may have been sent, and a person is told so, or has decided."""
    row = world.accounts.get((message.asked.id, message.consumer), {})
    attempt = world.others.get((f"attempt#{message.purpose}", message.consumer), {})
    # A process that has died for good behind the call is buried as that; its attempt is left open.
    in_doubt = row.get("error") == "OutcomeUnknown" or attempt.get("state") == "open"
    return row.get("state") == "discarded" or (row.get("state") == "dead" and in_doubt)


LETTERS = Invariant("no letter is sent twice", _letters)
PAGES = Invariant("no page is sent twice", _pages)
