"""The names that users and tools may rely on. All carry the stage, so that several stages share an account.

Services find the backbone by these names and not by exports of CloudFormation, which would lock stacks together.
"""

import re
from dataclasses import dataclass

# With it the longest name of a function, 64 characters (Lambda's quota), still holds a consumer's of 40.
_STAGE = re.compile(r"[a-z][a-z0-9]{0,14}")


class BadStage(ValueError):
    """A stage's name cannot be part of names. Use up to 15 lower-case letters and digits, a letter first."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"{stage!r} cannot be a stage: use up to 15 lower-case letters and digits, a letter first")


def consumer_name(module: str, function: str) -> str:
    """A consumer is named as its function is, `order_status_placed` is `order-status-placed`; or, if that is called
    `handler`, as its module: `functions.inventory.reserve_stock` is `reserve-stock`.
    """
    name = module.rpartition(".")[2] if function == "handler" else function
    return name.replace("_", "-")


def service_name(module: str) -> str:
    """The service in whose folder a module is: that of `functions.inventory.reserve_stock` is `inventory`."""
    return module.split(".")[-2]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stage. Raises BadStage for one whose name cannot be part of them."""

    stage: str

    def __post_init__(self) -> None:
        if not _STAGE.fullmatch(self.stage):
            raise BadStage(self.stage)

    @property
    def ingress_bus(self) -> str:
        """The front door: the only bus that a producer may put events on."""
        return self.of("ingress")

    @property
    def event_bus(self) -> str:
        """The bus that every stored event is published on, and that rules listen to."""
        return self.of("events")

    @property
    def store(self) -> str:
        """The event store's table."""
        return self.of("store")

    @property
    def ledger(self) -> str:
        """The ledger's table."""
        return self.of("ledger")

    @property
    def due(self) -> str:
        """The due table: what timers will record."""
        return self.of("due")

    @property
    def alarms(self) -> str:
        """The topic that every alarm notifies."""
        return self.of("alarms")

    def of(self, name: str) -> str:
        """A stack, or a consumer's function and queue."""
        return f"daybook-{self.stage}-{name}"

    def dead_letters(self, name: str) -> str:
        """The dead-letter queue of the consumer `name`."""
        return f"{self.of(name)}-dead"
