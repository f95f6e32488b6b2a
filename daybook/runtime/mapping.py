"""Mappings between a consumer's queue and its function: they can be switched off, and the messages then wait.

Lambda switches slowly: for some seconds a mapping is `Enabling` or `Disabling`, and refuses to be told otherwise.
"""

from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import ClientError

from daybook.runtime.names import Names

# Lambda is still busy with what it was told before; or it is asked too often.
_LATER = {"ResourceInUseException", "ResourceConflictException", "TooManyRequestsException"}


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """A mapping as Lambda has it: its id, and its state (`Enabled`, `Disabling` …)."""

    uuid: str
    function: str
    state: str

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """The mapping in one of Lambda's answers."""
        return cls(told["UUID"], told["FunctionArn"].rpartition(":function:")[2].partition(":")[0], told["State"])

    def is_or_will_be(self, *, on: bool) -> bool:
        """Whether it is switched so, or on the way to it."""
        return self.state in ({"Enabled", "Enabling"} if on else {"Disabled", "Disabling"})

    def settled(self, *, on: bool) -> bool:
        """Whether it is switched so."""
        return self.state == ("Enabled" if on else "Disabled")


class Mappings:
    """The mappings of one stage. `client` is one for Lambda, of botocore or boto3."""

    def __init__(self, client: Any, names: Names) -> None:
        self._client = client
        self._names = names

    def of(self, consumer: str) -> list[EventSourceMapping]:
        """The mappings of the consumer's function: one, as a rule; none if it is not deployed."""
        pages = self._client.get_paginator("list_event_source_mappings").paginate(FunctionName=self._names.of(consumer))
        try:
            return [EventSourceMapping.of(told) for page in pages for told in page["EventSourceMappings"]]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return []
            raise

    def all(self) -> dict[str, list[EventSourceMapping]]:
        """The mappings of all functions of the stage, by consumer."""
        prefix, found = self._names.of(""), dict[str, list[EventSourceMapping]]()
        for page in self._client.get_paginator("list_event_source_mappings").paginate():
            for mapping in map(EventSourceMapping.of, page["EventSourceMappings"]):
                if mapping.function.startswith(prefix):
                    found.setdefault(mapping.function.removeprefix(prefix), []).append(mapping)
        return found

    def settled(self, consumer: str, *, on: bool) -> bool:
        """Whether all mappings of the consumer are switched so."""
        return all(mapping.settled(on=on) for mapping in self.of(consumer))

    def switch(self, consumer: str, *, on: bool) -> bool:
        """Switch all mappings of the consumer, as far as Lambda takes it now. Returns whether one had to be."""
        told = False
        for mapping in self.of(consumer):
            if mapping.is_or_will_be(on=on):
                continue
            try:
                self._client.update_event_source_mapping(UUID=mapping.uuid, Enabled=on)
                told = True
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _LATER:
                    raise
        return told
