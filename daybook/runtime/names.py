"""The stable names of resources. All contain the stage, so that several stages can share an account.

Services find the backbone by these names and not by CloudFormation exports, which would couple the stacks.
"""

import re
from dataclasses import dataclass

# The names of dead-letter queues end so, and those of consumers may not.
DEAD_LETTERS = "-dead"

# Leaves 40 characters for a consumer's name in the name of a function, which has at most 64 (Lambda's quota).
_STAGE = re.compile(r"[a-z][a-z0-9]{0,14}")


class BadStage(ValueError):
    """The name of a stage is invalid. Use 1 to 15 characters from a to z and 0 to 9, and begin with a to z."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"{stage!r} is not a valid stage name: use 1 to 15 characters from a to z and 0 to 9, and begin with a to z"
        )


def consumer_name(module: str, function: str) -> str:
    """The name of a consumer: that of its function (`order_status_placed` gives `order-status-placed`) or, if the
    function is called `handler`, that of its module (`functions.inventory.reserve_stock` gives `reserve-stock`).
    """
    name = module.rpartition(".")[2] if function == "handler" else function
    return name.replace("_", "-")


def service_name(module: str) -> str:
    """The service of a module: its folder. `functions.inventory.reserve_stock` gives `inventory`."""
    return module.split(".")[-2]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stage. Raises BadStage if the stage's name is invalid."""

    stage: str

    def __post_init__(self) -> None:
        if not _STAGE.fullmatch(self.stage):
            raise BadStage(self.stage)

    @property
    def ingress_bus(self) -> str:
        """The bus for producers: the only one on which they may put events."""
        return self.of("ingress")

    @property
    def event_bus(self) -> str:
        """The bus on which all stored events are published. The consumers' rules match events on it."""
        return self.of("events")

    @property
    def store(self) -> str:
        """The event store's table."""
        return self.of("store")

    @property
    def journal_shards(self) -> int:
        """The number of shards of the journal until another one is announced: `daybook shards`."""
        return 64 if self.stage == "prod" else 8

    @property
    def ledger(self) -> str:
        """The ledger's table."""
        return self.of("ledger")

    @property
    def due(self) -> str:
        """The due table, with the timers."""
        return self.of("due")

    @property
    def keys(self) -> str:
        """The table with the keys of the writers of events."""
        return self.of("keys")

    @property
    def proofs_key(self) -> str:
        """The alias of the KMS key that wraps the keys of writers."""
        return f"alias/{self.of('proofs')}"

    @property
    def alarms(self) -> str:
        """The SNS topic of all alarms."""
        return self.of("alarms")

    @property
    def keeps_data(self) -> bool:
        """Whether the stage's tables are kept when their stack is deleted."""
        return self.stage not in {"local", "dev"}

    def of(self, name: str) -> str:
        """The name of a stack, or of a consumer's function and queue."""
        return f"daybook-{self.stage}-{name}"

    def dead_letters(self, name: str) -> str:
        """The dead-letter queue of the consumer `name`."""
        return self.of(name) + DEAD_LETTERS
