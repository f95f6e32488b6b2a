"""The injected faults: which affects a call, and how often each did."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from daybook.local.provider.server.refusal import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHERE = ("operation", "order", "intent", "payment_method")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the API, by the properties that faults can select."""

    operation: str
    order: str | None
    intent: str | None
    payment_method: str | None


class ActiveFault:
    """One injected fault, created from `Fault.rule`, with its counts."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.rule = rule
        self.lifted = Event()
        self.matched = 0  # calls selected for this fault; a replay or an invalid request may then not be affected
        self.count = 0
        self._lock = Lock()

    def fits(self, call: Call) -> bool:
        """Whether the fault selects this call."""
        here = all(self.rule.get(name, getattr(call, name)) == getattr(call, name) for name in _WHERE)
        times = self.rule["times"]
        return here and not self.lifted.is_set() and (times is None or self.matched < times)

    @property
    def kept(self) -> bool:
        """Whether its error occurs during execution, so that the same idempotency key gets it again."""
        return bool(self.rule.get("kept"))

    def applies(self, what: str, when: str) -> bool:
        """Whether the fault does this, before or after the call takes effect. If so, it counts as injected."""
        if self.rule["what"] != what or self.rule["when"] != when:
            return False
        with self._lock:
            self.count += 1
        return True

    def answer(self) -> Answer:
        """The error that Stripe returns."""
        return Answer(self.rule["status"], {"error": self.rule["error"]}, self.rule["headers"])

    def delay(self, when: str) -> None:
        """Wait, if it is a delay, at most until the fault is lifted."""
        if self.applies("delayed", when):
            self.lifted.wait(self.rule["seconds"])


class ActiveFaults:
    """All injected faults. If several match a call, the one that was injected first affects it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, ActiveFault] = {}

    def inject(self, rule: Mapping[str, Any]) -> None:
        """Start a fault. Its count continues if it was injected before."""
        with self._lock:
            self._known.setdefault(rule["id"], ActiveFault(rule)).lifted.clear()

    def lift(self, identifier: str) -> None:
        """Stop a fault, and end its current delays."""
        with self._lock:
            if fault := self._known.get(identifier):
                fault.lifted.set()

    def forget(self) -> None:
        """Stop all faults and forget their counts."""
        with self._lock:
            for fault in self._known.values():
                fault.lifted.set()
            self._known = {}

    def count(self, identifier: str) -> int:
        """How often a fault was injected."""
        with self._lock:
            fault = self._known.get(identifier)
        return fault.count if fault else 0

    def on(self, call: Call) -> ActiveFault | None:
        """The fault that affects this call, if any."""
        with self._lock:
            for fault in self._known.values():
                if fault.fits(call):
                    fault.matched += 1
                    return fault
        return None
