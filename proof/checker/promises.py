"""All that is promised, in the order in which it is looked at."""

from proof.checker.bookkeeping import BOOKKEEPING

ALL = (*BOOKKEEPING,)
