"""Bad and odd messages, made by Hypothesis: the same seed makes the same.

Each is the example of a contract with something done to it, or was never like one. `MARK` stands where the names, texts
and addresses of people stand: nobody may find it in a reason or in a log.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from daybook.contracts.envelope import read_detail
from events.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from daybook.contracts.contract import Event

# No identifier may hold a space, so this never becomes part of a stream's name, which logs do show.
MARK = "Zzyzx von Querulant"

# Stands for a name that no other message has. What is drawn must not depend on what was drawn before.
_NAME = "name-to-come"

_KIB = 1024
_TOGETHER = 10  # drawn in one example: it is the examples that take time, not what is in them
_DEAD = "-dead"
_BACKBONE = ("admit", "publish", "fire-timers")
_FROM_OUTSIDE = [event for event in CATALOGUE.values() if event.contract.sources and not event.contract.foreign]
(_FOREIGN_SOURCE, _FOREIGN_TYPE), *_ = CATALOGUE.foreign
_SOURCES = sorted({source for event in _FROM_OUTSIDE for source in event.contract.sources})


class Door(StrEnum):
    """Where a message goes in."""

    INGRESS = "the ingress bus"
    ADMIT = "the queue of admit"
    CONSUMER = "queues of consumers"
    DEAD_LETTERS = "dead-letter queues"


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One message. `body` is what a queue gets, or the Detail of an entry with `source` and `type`.

    `queue` is named without the stage.
    """

    door: Door
    kind: str
    body: str = field(repr=False)
    queue: str = ""
    source: str = ""
    type: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def generate(seed: int, number: int, consumers: Mapping[str, str]) -> list[Odd]:
    """So many messages. `consumers` are the deployed ones, each with the type of event that it handles."""
    made: list[Odd] = []
    several = tuple(sorted(consumers.items()))
    while len(made) < number:
        # Of examples that grow too large Hypothesis tells nothing: then it is asked for some more.
        examples = max((number - len(made)) // _TOGETHER, 1)

        @hypothesis.seed(f"{seed} {len(made)}")
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(st.data())
        def collect(data: st.DataObject) -> None:
            for _ in range(_TOGETHER):
                name = f"f{seed}.{len(made)}"
                made.extend([_named(odd, name) for odd in _Oddities(data.draw, several).messages()])

        collect()
    return made[:number]


def _named(odd: Odd, name: str) -> Odd:
    attributes = {key: value.replace(_NAME, name) for key, value in odd.attributes.items()}
    return replace(odd, body=odd.body.replace(_NAME, name), attributes=attributes)


def waits_for_newer_code(odd: Odd, event_type: str) -> tuple[str, str] | None:
    """Event and consumer, if it is to wait in the queue of a consumer of this type: nobody knows its version yet."""
    try:
        metadata, _ = read_detail(json.loads(odd.body)["detail"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    newer = metadata.version > CATALOGUE[event_type].contract.version
    return (metadata.id, odd.queue) if newer and metadata.type == event_type else None


def _texts() -> st.SearchStrategy[str]:
    """Texts as people, other systems and other people's bugs write them."""
    return st.one_of(
        st.sampled_from(_TEXTS),
        st.text(st.characters(codec="utf-8"), max_size=20),
        st.text(st.characters(), max_size=5),  # with halves of surrogate pairs, which travel as \ud800
    )


_TEXTS = (
    "",
    " ",
    MARK,
    MARK,
    f"{MARK} <zzyzx@example.com>",
    MARK * 400,
    "\ud800",
    f"{MARK}\udfff",
    "\u0000",
    "\u202e\u202d",
    "e\u0301\u0301\u0301\u0301",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\ufeff",
    "\u2028",
    "\uff26\uff55\uff4c\uff4c",  # full width
    "١٢٣",
    "{order_id}",
    "%s%n",
    "'; DROP TABLE orders; --",
    "../../etc/passwd",
    "a/b#c",
    "null",
    "NaN",
    "Infinity",
    "1e400",
    "0x1F",
    "-0",
    "EUR ",
    "XAU",
    "ZZZ",
    "2026-02-30T00:00:00Z",
    "2026-03-01T12:00:00",
    "2026-03-01",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "1970-01-01T00:00:00Z",
    "2026-W09-7T00:00:00Z",
    "2026-03-01T24:00:00Z",
    "1772366400",
    "4111111111111111",
    "\n",
    "a\n",
    "x" * 257,
    "x" * 4_000,
)

_NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**40, -(10**40), 10**400, 0.1, -0.0, 1e-7, 1e308, 5e-324, 1.0)

# Put into the finished JSON in place of these texts: what json.dumps would not write.
_RAW: tuple[str, ...] = (
    "<lists 150>",
    "<lists 199>",
    "<lists 700>",
    "<lists 990>",
    "<objects 199>",
    "<objects 900>",
    "<lists 20000>",
)
_RAW += ("<objects 20000>", "<digits 310>", "<digits 4000>", "<digits 5000>", "<float 400>", "<float 40>")


def _values() -> st.SearchStrategy[Any]:
    return st.one_of(
        _texts(),
        st.sampled_from(_NUMBERS),
        st.integers(),
        st.floats(),
        st.none() | st.booleans(),
        st.sampled_from(_RAW),
        st.lists(_texts(), max_size=3),
        st.dictionaries(_texts(), _texts(), max_size=3),
        st.just({MARK: {MARK: [MARK]}}),
        st.just([{}] * 60),
    )


def _nested(opening: str, closing: str) -> Callable[[int], str]:
    return lambda depth: opening * depth + "1" + closing * depth


_WRITERS: Mapping[str, Callable[[int], str]] = {
    "lists": _nested("[", "]"),
    "objects": _nested('{"a":', "}"),
    "digits": lambda number: "9" * number,
    "float": lambda exponent: f"1e{exponent}",
}
_PLACES = re.compile(rf'"<({"|".join(_WRITERS)}) (\d+)>"')


def _json(value: object, *, ascii_only: bool = True) -> str:
    text = json.dumps(value, ensure_ascii=ascii_only)
    return _PLACES.sub(lambda found: _WRITERS[found[1]](int(found[2])), text)


def _travels(text: str) -> bool:
    """Whether SQS and EventBridge take the text: it is UTF-8, and has no control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return bool(text) and not any((ord(c) < ord(" ") and c not in "\t\n\r") or c in "\ufffe\uffff" for c in text)


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a value."""
    several = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in several:
        yield (*above, key)
        yield from _paths(inner, (*above, key))


class _Oddities:
    """Draws messages."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], consumers: Sequence[tuple[str, str]]) -> None:
        self._draw = draw
        self._consumers = consumers

    def messages(self) -> list[Odd]:
        """One, or several that belong together."""
        maker = self._draw(st.sampled_from(_MAKERS))
        return list(maker(self))

    # --- by the ingress bus ---------------------------------------------------------------------------------------

    def good(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        yield self._entry("in order", event, self._example(event), {"id": _NAME})

    def mutated(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        kind, data = self._mutation(self._example(event))
        yield self._entry(kind, event, data, {"id": _NAME})

    def mutated_twice(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        _, data = self._mutation(self._example(event))
        if isinstance(data, dict):
            _, data = self._mutation(data)
        yield self._entry("several things wrong", event, data, {"id": _NAME})

    def odd_metadata(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        name = self._draw(st.sampled_from(("id", "time", "version", "correlation_id", "causation_id", "unknown")))
        value = self._draw(_values())
        # What correlates events is shown in logs, and so is nothing about a person.
        if "correlation" in name and MARK in repr(value):
            value = "\ud800"
        metadata = {"id": _NAME, name: value}
        yield self._entry("odd metadata", event, self._example(event), metadata)

    def odd_detail(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        detail = self._draw(
            st.one_of(
                _values(),
                st.fixed_dictionaries({"metadata": _values(), "data": _values()}),
                st.fixed_dictionaries({"metadata": _values()}),
                st.fixed_dictionaries({"data": _values()}),
                st.just(self._example(event)),
            )
        )
        yield Odd(
            door=Door.INGRESS,
            kind="a detail that is not one",
            body=_json(detail),
            source=self._draw(st.sampled_from(event.contract.sources)),
            type=event.contract.type,
        )

    def broken_detail(self) -> Iterator[Odd]:
        whole = _json({"data": self._example(CATALOGUE["OrderPlaced"])})
        cut = whole[: self._draw(st.integers(1, len(whole) - 1))]
        text = self._draw(st.sampled_from((cut, MARK, "{'data': {}}", '{"data": {}} {}', "[", "\ufeff{}", whole + "]")))
        yield Odd(door=Door.INGRESS, kind="broken JSON", body=text, source="shop.checkout", type="OrderPlaced")

    def unknown_type(self) -> Iterator[Odd]:
        odd = _texts().filter(_travels).map(lambda text: text[:128])
        name = self._draw(odd | st.sampled_from(("orderplaced", "OrderPlaced ", "OrderPlacéd", MARK)))
        body = _json({"metadata": {"id": _NAME}, "data": {"name": MARK}})
        source = self._draw(st.sampled_from(_SOURCES))
        yield Odd(door=Door.INGRESS, kind="unknown type", body=body, source=source, type=name)

    def wrong_source(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(sorted(CATALOGUE.values(), key=lambda one: one.contract.type)))
        odd = _texts().filter(_travels).map(lambda text: text[:256])
        source = self._draw(odd | st.sampled_from((*_SOURCES, "daybook.orders", "daybook.payments", "Shop.Checkout")))
        body = _json({"metadata": {"id": _NAME}, "data": self._example(event)})
        yield Odd(door=Door.INGRESS, kind="a source that may not", body=body, source=source, type=event.contract.type)

    def large(self) -> Iterator[Odd]:
        # Some bytes below and above 64 KiB, as they are counted here and as EventBridge counts them.
        size = 64 * _KIB + self._draw(st.integers(-1_200, 100) | st.integers(0, 180_000))
        letter = self._draw(st.sampled_from(("x", "ä", "\U0001f600")))
        data = {**self._example(CATALOGUE["OrderPlaced"]), "note": ""}
        room = max(size - len(_json(data, ascii_only=False).encode()), 0)
        data["note"] = letter * (room // len(letter.encode()))
        body = _json({"metadata": {"id": _NAME}, "data": data}, ascii_only=False)
        yield Odd(
            door=Door.INGRESS, kind="around 64 KiB, or larger", body=body, source="shop.checkout", type="OrderPlaced"
        )

    def same_id(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        first, metadata = self._example(event), {"id": _NAME}
        _, other = self._mutation(first)
        kind = "an id used twice"
        for data in self._draw(
            st.sampled_from(((first, first), (first, other), (other, first), (other, other), (first, other, first)))
        ):
            yield self._entry(kind, event, data, metadata)

    def second_opening(self) -> Iterator[Odd]:
        order = self._example(CATALOGUE["OrderPlaced"])
        for number in range(2):
            yield self._entry("a second opening", CATALOGUE["OrderPlaced"], order, {"id": f"{_NAME}-{number}"})

    def never_opened(self) -> Iterator[Odd]:
        event = CATALOGUE["ShipmentDispatched"]
        data = self._example(event)
        for carrier in ("Post", "Courier"):
            yield self._entry("of a stream that is not open", event, data | {"carrier": carrier}, {"id": _NAME})

    # --- into queues ----------------------------------------------------------------------------------------------

    def to_admit(self) -> Iterator[Odd]:
        event = self._draw(st.sampled_from(_FROM_OUTSIDE))
        _, data = self._mutation(self._example(event))
        delivered = self._delivered(event, {"metadata": {"id": _NAME}, "data": data})
        delivered["source"] = self._draw(st.sampled_from(event.contract.sources))
        yield from self._to_queue(Door.ADMIT, "admit", delivered)

    def foreign(self) -> Iterator[Odd]:
        detail = {
            "mail": {"headers": [{"name": "X-Daybook-Letter", "value": f"{_NAME}.confirmed"}], "messageId": "1"},
            "bounce": {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [{"emailAddress": MARK}],
                "feedbackId": _NAME,
                "timestamp": "2026-03-01T12:00:00Z",
            },
        }
        odd = self._mutation(detail)[1] if self._draw(st.booleans()) else detail
        delivered = self._delivered(CATALOGUE["EmailBounced"], odd)
        delivered |= {"source": _FOREIGN_SOURCE, "detail-type": _FOREIGN_TYPE}
        yield Odd(door=Door.ADMIT, kind="another system's event", body=_json(delivered), queue="admit")

    def to_consumer(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        yield from self._to_queue(Door.CONSUMER, name, delivered)

    def not_in_the_store(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        body = _json(delivered)
        for _ in range(self._draw(st.integers(1, 2))):
            yield Odd(door=Door.CONSUMER, kind="an event that is not in the store", body=body, queue=name)

    def odd_data(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        delivered["detail"]["data"] = self._mutation(delivered["detail"]["data"])[1]
        yield Odd(door=Door.CONSUMER, kind="an envelope with odd data", body=_json(delivered), queue=name)

    def odd_envelope(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        metadata = delivered["detail"]["metadata"]
        part = self._draw(st.sampled_from(sorted(metadata)))
        if self._draw(st.integers(0, 3)) == 0:
            del metadata[part]
        else:
            value = self._draw(_values() | st.sampled_from(("", "switch", f"cursor#{_NAME}", 10**40, 0, -1)))
            # An event's names and ids are shown in logs.
            metadata[part] = "\ud800" if MARK in repr(value) else value
        yield Odd(door=Door.CONSUMER, kind="odd or missing metadata", body=_json(delivered), queue=name)

    def another_type(self) -> Iterator[Odd]:
        name, _ = self._draw(st.sampled_from(self._consumers))
        _, delivered = self._for_a_consumer()
        yield Odd(door=Door.CONSUMER, kind="perhaps another type", body=_json(delivered), queue=name)

    def to_the_dead(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        queue = self._draw(st.sampled_from((name, *_BACKBONE)))
        attributes = {}
        if self._draw(st.booleans()):
            odd = _texts().filter(_travels).filter(lambda text: MARK not in text)
            attributes = self._draw(
                st.dictionaries(st.sampled_from(("error", "reason", "event_id", "event_type", "ERROR_CODE")), odd)
            )
        for odd_one in self._to_queue(Door.DEAD_LETTERS, queue + _DEAD, delivered):
            yield replace(odd_one, attributes=attributes)

    def newer(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        delivered["detail"]["metadata"]["version"] = self._draw(st.integers(2, 10**14))
        yield Odd(door=Door.CONSUMER, kind="a newer version", body=_json(delivered), queue=name)

    def huge(self) -> Iterator[Odd]:
        name, delivered = self._for_a_consumer()
        door, queue = self._draw(
            st.sampled_from(((Door.ADMIT, "admit"), (Door.CONSUMER, name), (Door.DEAD_LETTERS, name + _DEAD)))
        )
        # SQS takes 1 MiB, attributes and all (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
        size = self._draw(st.sampled_from((200_000, 399_000, 410_000, _KIB * _KIB - 4_000)))
        shape = self._draw(st.sampled_from(("text", "data", "stream", "type")))
        if shape == "data":
            delivered["detail"]["data"]["note"] = ""
        filler = "x" * max(size - len(_json(delivered)), 0)
        match shape:
            case "text":
                body = "x" * size
            case "data":
                delivered["detail"]["data"]["note"] = filler
                body = _json(delivered)
            case _:
                delivered["detail"]["metadata"][shape] = filler
                body = _json(delivered)
        yield Odd(door=door, kind="up to 1 MiB", body=body, queue=queue)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _to_queue(self, door: Door, queue: str, delivered: dict[str, Any]) -> Iterator[Odd]:
        """Something like the delivered event, or nothing like it."""
        what = self._draw(st.integers(0, 5))
        kind = "JSON that is no event"
        attributes: dict[str, str] = {}
        whole = _json(delivered)
        match what:
            case 0:
                kind, body = "broken JSON", whole[: self._draw(st.integers(1, len(whole) - 1))]
            case 1:
                body = _json(self._draw(_values()))
            case 2:
                kind = "an envelope with something wrong"
                body = _json(self._mutation(delivered)[1])
            case 3:
                kind = "a text"
                body = self._draw(_texts().filter(_travels))
            case 4:
                kind = "an envelope with something wrong"
                detail = self._mutation(delivered["detail"])[1]
                body = _json(delivered | {"detail": detail})
            case _:
                kind = "an envelope with attributes of its own"
                body = whole
                attributes = {"error": "Whatever", "reason": "Because", "event_id": _NAME}
        yield Odd(door=door, kind=kind, body=body, queue=queue, attributes=attributes)

    def _entry(self, kind: str, event: type[Event], data: object, metadata: Mapping[str, Any]) -> Odd:
        return Odd(
            door=Door.INGRESS,
            kind=kind,
            body=_json({"metadata": metadata, "data": data}),
            source=self._draw(st.sampled_from(event.contract.sources)),
            type=event.contract.type,
        )

    def _example(self, event: type[Event]) -> dict[str, Any]:
        """A contract's example, on a stream of its own, with the mark in the names of people."""
        data: dict[str, Any] = json.loads(json.dumps(event.example))
        contract = event.contract
        for own in {contract.stream_field, contract.identified_by} - {None}:
            if own in data and contract.type != "AlarmLimitsSet":
                data[own] = _NAME
        if "customer" in data:
            data["customer"]["name"] = MARK
        return data

    def _mutation(self, whole: Any) -> tuple[str, Any]:
        """What was done to a value, and what it then is. Nothing personal gets into a part that names or orders."""
        data = copy.deepcopy(whole)
        path = self._draw(st.sampled_from(list(_paths(data)) or [()]))
        if not path:
            return "no data", self._draw(_values())
        place = data
        for step in path[:-1]:
            place = place[step]
        last = path[-1]
        match self._draw(st.integers(0, 6)):
            case 0:
                del place[last]
                return "a part missing", data
            case 1:
                if isinstance(place, dict):
                    place[self._draw(_texts())] = self._draw(_values())
                else:
                    place.append(self._draw(_values()))
                return "a part more", data
            case 2:
                place[last] = [place[last]] * self._draw(st.sampled_from((0, 1, 2, 51, 500)))
                return "a list in its place", data
            case 3:
                place[last] = str(place[last]) * self._draw(st.sampled_from((2, 10, 100)))
                return "as a long text", data
            case _:
                place[last] = self._draw(_values())
                return "another value", data

    def _for_a_consumer(self) -> tuple[str, dict[str, Any]]:
        """A consumer, and an event as the event bus brings it, which nobody has recorded."""
        name, event_type = self._draw(st.sampled_from(self._consumers))
        event = CATALOGUE[event_type]
        data = self._example(event)
        stream = f"{event.contract.stream_kind}/{data.get(event.contract.stream_field, _NAME)}"
        metadata = {
            "id": f"event-{_NAME}",
            "type": event_type,
            "version": event.contract.version,
            "stream": stream,
            "sequence": 1,
            "time": "2026-03-01T12:00:00.000000Z",
            "recorded_at": "2026-03-01T12:00:01.000000Z",
            "correlation_id": f"story-{_NAME}",
            "causation_id": None,
            "producer": "nobody",
        }
        return name, self._delivered(event, {"metadata": metadata, "data": data})

    def _delivered(self, event: type[Event], detail: Any) -> dict[str, Any]:
        return {
            "version": "0",
            "id": f"envelope-{_NAME}",
            "detail-type": event.contract.type,
            "source": event.contract.published_source,
            "account": "000000000000",
            "time": "2026-03-01T12:00:01Z",
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }


# How often each is drawn.
_MAKERS = [
    maker
    for maker, times in (
        (_Oddities.mutated, 34),
        (_Oddities.good, 4),
        (_Oddities.mutated_twice, 6),
        (_Oddities.odd_metadata, 10),
        (_Oddities.odd_detail, 6),
        (_Oddities.broken_detail, 3),
        (_Oddities.unknown_type, 4),
        (_Oddities.wrong_source, 5),
        (_Oddities.large, 2),
        (_Oddities.same_id, 4),
        (_Oddities.second_opening, 1),
        (_Oddities.never_opened, 1),
        (_Oddities.to_admit, 9),
        (_Oddities.foreign, 3),
        (_Oddities.to_consumer, 8),
        (_Oddities.not_in_the_store, 2),
        (_Oddities.odd_data, 5),
        (_Oddities.odd_envelope, 8),
        (_Oddities.another_type, 2),
        (_Oddities.to_the_dead, 8),
        (_Oddities.newer, 1),
        (_Oddities.huge, 1),
    )
    for _ in range(times)
]
