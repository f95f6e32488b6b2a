"""Admit events from outside, of all types that this application has a contract for."""

from daybook.backbone.admit import Admit
from events.catalogue import CATALOGUE

handler = Admit(CATALOGUE)
