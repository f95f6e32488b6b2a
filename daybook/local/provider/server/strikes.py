"""Faults at work: which call is struck by which, and how often each has struck."""

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
    """A call of the API, as faults tell calls apart."""

    operation: str
    order: str | None
    intent: str | None
    payment_method: str | None


class Strike:
    """One fault, as `Fault.rule` describes it, and how often it has struck."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.rule = rule
        self.lifted = Event()
        self.meant = 0  # calls that it was meant for; a replay or a malformed request may pass unharmed
        self.count = 0
        self._lock = Lock()

    def fits(self, call: Call) -> bool:
        """Whether it is meant for this call."""
        here = all(self.rule.get(name, getattr(call, name)) == getattr(call, name) for name in _WHERE)
        times = self.rule["times"]
        return here and not self.lifted.is_set() and (times is None or self.meant < times)

    @property
    def kept(self) -> bool:
        """Whether its error comes from within the call's execution, and so is given again to the same key."""
        return bool(self.rule.get("kept"))

    def strikes(self, what: str, when: str) -> bool:
        """Whether it does this, before or after the call takes effect. If so, it has struck."""
        if self.rule["what"] != what or self.rule["when"] != when:
            return False
        with self._lock:
            self.count += 1
        return True

    def answer(self) -> Answer:
        """The error that it makes Stripe answer."""
        return Answer(self.rule["status"], {"error": self.rule["error"]}, self.rule["headers"])

    def delay(self, when: str) -> None:
        """Let time pass, if it is that kind of fault; until it is lifted at the longest."""
        if self.strikes("delayed", when):
            self.lifted.wait(self.rule["seconds"])


class Strikes:
    """The faults that were brought. Of several that fit a call, the one that was brought first strikes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Strike] = {}

    def bring(self, rule: Mapping[str, Any]) -> None:
        """Let a fault strike from now on; its count goes on if it was brought before."""
        with self._lock:
            self._known.setdefault(rule["id"], Strike(rule)).lifted.clear()

    def lift(self, identifier: str) -> None:
        """Let it strike no more; whom it holds up goes on."""
        with self._lock:
            if strike := self._known.get(identifier):
                strike.lifted.set()

    def forget(self) -> None:
        """Lift all faults and forget how often they struck."""
        with self._lock:
            for strike in self._known.values():
                strike.lifted.set()
            self._known = {}

    def count(self, identifier: str) -> int:
        """How often a fault has struck, since it was first brought."""
        with self._lock:
            strike = self._known.get(identifier)
        return strike.count if strike else 0

    def on(self, call: Call) -> Strike | None:
        """The fault that is meant for this call, if one is."""
        with self._lock:
            for strike in self._known.values():
                if strike.fits(call):
                    strike.meant += 1
                    return strike
        return None
