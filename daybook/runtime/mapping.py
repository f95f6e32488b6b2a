"""Event source mappings between a consumer's queue and its function. While one is disabled, messages wait in the queue.

Lambda changes a mapping slowly: for some seconds it is `Enabling` or `Disabling`, and Lambda refuses other changes.
"""

from dataclasses import dataclass
from typing import Any, Self

from botocore.exceptions import ClientError

from daybook.runtime.names import Names

# Lambda is still applying an earlier change, or throttles the call.
_TEMPORARY = {"ResourceInUseException", "ResourceConflictException", "TooManyRequestsException"}


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """A mapping: its id, its function's name, and its state (`Enabled`, `Disabling` …)."""

    uuid: str
    function: str
    state: str

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        """The mapping in an answer from Lambda."""
        function = answer["FunctionArn"].rpartition(":function:")[2].partition(":")[0]
        return cls(answer["UUID"], function, answer["State"])

    def is_or_will_be(self, *, on: bool) -> bool:
        """Whether it is on (or off), or changing to that."""
        return self.state in ({"Enabled", "Enabling"} if on else {"Disabled", "Disabling"})

    def settled(self, *, on: bool) -> bool:
        """Whether it is on (or off), with the change complete."""
        return self.state == ("Enabled" if on else "Disabled")


class Mappings:
    """The mappings of one stage. `client` is a botocore or boto3 client for Lambda."""

    def __init__(self, client: Any, names: Names) -> None:
        self._client = client
        self._names = names

    def of(self, consumer: str) -> list[EventSourceMapping]:
        """The mappings of the consumer's function: usually one; none if it is not deployed."""
        pages = self._client.get_paginator("list_event_source_mappings").paginate(FunctionName=self._names.of(consumer))
        try:
            return [EventSourceMapping.of(each) for page in pages for each in page["EventSourceMappings"]]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return []
            raise

    def all(self) -> dict[str, list[EventSourceMapping]]:
        """The mappings of all functions of the stage, by consumer name."""
        prefix, found = self._names.of(""), dict[str, list[EventSourceMapping]]()
        for page in self._client.get_paginator("list_event_source_mappings").paginate():
            for mapping in map(EventSourceMapping.of, page["EventSourceMappings"]):
                if mapping.function.startswith(prefix):
                    found.setdefault(mapping.function.removeprefix(prefix), []).append(mapping)
        return found

    def settled(self, consumer: str, *, on: bool) -> bool:
        """Whether all mappings of the consumer are on (or off), with the change complete."""
        return all(mapping.settled(on=on) for mapping in self.of(consumer))

    def switch(self, consumer: str, *, on: bool) -> bool:
        """Switch all mappings of the consumer on or off. Skips those that Lambda cannot change now. Returns whether
        any was changed.
        """
        changed = False
        for mapping in self.of(consumer):
            if mapping.is_or_will_be(on=on):
                continue
            try:
                self._client.update_event_source_mapping(UUID=mapping.uuid, Enabled=on)
                changed = True
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _TEMPORARY:
                    raise
        return changed
