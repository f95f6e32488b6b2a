"""All that is promised, in the order in which it is looked at."""

from proof.checker.bookkeeping import BOOKKEEPING
from proof.checker.breach import Invariant
from proof.checker.cases import ALARMS, BANK
from proof.checker.letters import LETTERS, PAGES
from proof.checker.money import MONEY
from proof.checker.stock import STOCK
from proof.checker.views import DEVICES, ORDER_STATUS, TALLIES

ALL: tuple[Invariant, ...] = (
    *BOOKKEEPING,
    STOCK,
    MONEY,
    LETTERS,
    PAGES,
    ORDER_STATUS,
    DEVICES,
    TALLIES,
    BANK,
    ALARMS,
)
