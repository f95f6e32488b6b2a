"""All invariants, in the order in which they are checked."""

from chaos.checker.cases import ALARMS, BANK
from chaos.checker.messages import EMAILS, PAGES
from chaos.checker.money import MONEY
from chaos.checker.processing import PROCESSING
from chaos.checker.stock import STOCK
from chaos.checker.views import DEVICES, ORDER_STATUS, TALLIES
from chaos.checker.violation import Invariant

INVARIANTS: tuple[Invariant, ...] = (
    *PROCESSING,
    STOCK,
    MONEY,
    EMAILS,
    PAGES,
    ORDER_STATUS,
    DEVICES,
    TALLIES,
    BANK,
    ALARMS,
)
