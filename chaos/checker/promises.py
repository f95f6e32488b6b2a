"""All that is promised, in the order in which it is looked at."""

from chaos.checker.bookkeeping import BOOKKEEPING
from chaos.checker.breach import Invariant
from chaos.checker.cases import ALARMS, BANK
from chaos.checker.letters import LETTERS, PAGES
from chaos.checker.money import MONEY
from chaos.checker.stock import STOCK
from chaos.checker.views import DEVICES, ORDER_STATUS, TALLIES

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
