"""Findings of cdk-nag's packs HIPAA Security, NIST 800-53 and PCI DSS that a construct accepts, with a reason."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

from daybook.constructs.stage import Stage

# Rules of the same name check the same thing in each pack.
_PACKS = ("HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321")


def accept(construct: IConstruct, reason: str, *rules: str) -> None:
    """Accept findings of these rules, such as `LambdaDLQ`, for a construct and what is inside it."""
    ids = (f"{pack}::{pack}-{rule}" for rule in rules for pack in _PACKS)
    Validations.of(construct).acknowledge(*(Acknowledgment(id=each, reason=reason) for each in ids))


def accept_without_own_keys(construct: IConstruct, *rules: str, stage: Stage) -> None:
    """Accept findings of these rules if the stage has no keys of its own."""
    if not stage.own_keys:
        accept(construct, "The stage's option own_keys is off: a key that AWS owns encrypts it.", *rules)
