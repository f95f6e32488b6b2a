"""The backbone as the services see it: found by agreed names, so that no stack exports or imports anything."""

from collections.abc import Iterable

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from daybook.constructs.stage import Stage
from daybook.contracts.contract import Event, Place
from daybook.store.event_store import JOURNAL
from daybook.store.ledger_keys import SWITCHES


class BackboneAccess(Construct):
    """What a stack may ask of the backbone: its buses and topic, and grants on its tables."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "Backbone")
        self._names = stage.names

    @property
    def event_bus(self) -> events.IEventBus:
        """The bus that rules listen to."""
        found = self.node.try_find_child("EventBus")
        return found or events.EventBus.from_event_bus_name(self, "EventBus", self._names.event_bus)  # type: ignore[return-value]

    @property
    def alarms(self) -> sns.ITopic:
        """The topic that alarms notify."""
        found = self.node.try_find_child("Alarms")
        arn = Stack.of(self).format_arn(service="sns", resource=self._names.alarms)
        return found or sns.Topic.from_topic_arn(self, "Alarms", arn)  # type: ignore[return-value]

    def allow_ledger(self, role: iam.IGrantable) -> None:
        """Look an event up, and note what became of it."""
        _allow(role, ["dynamodb:GetItem", "dynamodb:UpdateItem"], self._table_arn(self._names.ledger))

    def allow_breaker(self, role: iam.IGrantable) -> None:
        """Look an event up beside the consumer's switch."""
        _allow(role, ["dynamodb:BatchGetItem"], self._table_arn(self._names.ledger))

    def allow_switches(self, role: iam.IGrantable) -> None:
        """Read the switches of all consumers, and note what their mappings are told."""
        switches = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [SWITCHES]}}
        actions = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"]
        _allow(role, actions, self._table_arn(self._names.ledger), switches)

    def allow_append(
        self, role: iam.IGrantable, contracts: Iterable[type[Event]], *, looks_at_openings: bool = False
    ) -> None:
        """Append events of these types to streams of their kinds, and read where such a stream ends if need be.

        A unit of work never looks at a stream that it opens; who has to say what else stands there, does. Neither
        updating nor deleting is ever allowed to anyone.
        """
        contracts = list(contracts)
        arn = self._table_arn(self._names.store)
        kinds = sorted({f"{c.contract.stream_kind}/*" for c in contracts})
        looked_at = [c.contract for c in contracts if looks_at_openings or c.contract.place is not Place.OPENS]
        looking = sorted({f"{contract.stream_kind}/*" for contract in looked_at})
        if kinds:
            _allow(role, ["dynamodb:PutItem"], arn, _IN_A_TRANSACTION | _on_streams(kinds))
        if looking:
            _allow(role, ["dynamodb:Query"], arn, _on_streams(looking))

    def allow_reading_by_time(self, role: iam.IGrantable) -> None:
        """Find in the journal what was recorded when, and read it from the store."""
        store = self._table_arn(self._names.store)
        _allow(role, ["dynamodb:Query"], f"{store}/index/{JOURNAL}")
        _allow(role, ["dynamodb:BatchGetItem"], store)

    def allow_recall(self, role: iam.IGrantable, contract: type[Event]) -> None:
        """Read the streams that events of this type stand in, and what became of their events at which consumer."""
        self.allow_follow(role, contract)
        _allow(role, ["dynamodb:BatchGetItem"], self._table_arn(self._names.ledger))

    def allow_follow(self, role: iam.IGrantable, contract: type[Event]) -> None:
        """Read the streams that events of this type stand in."""
        kinds = [f"{contract.contract.stream_kind}/*"]
        _allow(role, ["dynamodb:Query"], self._table_arn(self._names.store), _on_streams(kinds))

    def allow_arm(self, role: iam.IGrantable, contracts: Iterable[type[Event]]) -> None:
        """Arm timers, if any of these types of events is a timer's."""
        if any(c.contract.timer for c in contracts):
            _allow(role, ["dynamodb:PutItem"], self._table_arn(self._names.due), _IN_A_TRANSACTION)

    def _table_arn(self, name: str) -> str:
        stack = Stack.of(self)
        return stack.format_arn(service="dynamodb", resource="table", resource_name=name)


_IN_A_TRANSACTION = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]}}


def _on_streams(kinds: list[str]) -> dict[str, dict[str, list[str]]]:
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": kinds}}


def _allow(
    role: iam.IGrantable, actions: list[str], arn: str, conditions: dict[str, dict[str, list[str]]] | None = None
) -> None:
    role.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(actions=actions, resources=[arn], conditions=conditions)
    )
