"""The services' access to the backbone. They find it by name, so that no stack exports or imports values."""

from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from daybook.constructs.keys import proofs_key_arn
from daybook.constructs.stage import Stage
from daybook.contracts.contract import Event, Place
from daybook.store import ledger_keys
from daybook.store.event_store import JOURNAL


class BackboneAccess(Construct):
    """The backbone's alarm topic, and grants on its tables."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "Backbone")
        self._stage = stage
        self._names = stage.names

    @property
    def alarms(self) -> sns.ITopic:
        """The topic for alarms."""
        found = self.node.try_find_child("Alarms")
        arn = Stack.of(self).format_arn(service="sns", resource=self._names.alarms)
        return found or sns.Topic.from_topic_arn(self, "Alarms", arn)  # type: ignore[return-value]

    def allow_ledger(self, role: iam.IGrantable, consumer: str) -> None:
        """Allow reading and writing the consumer's own rows in the ledger."""
        actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
        _allow(role, actions, self._table_arn(self._names.ledger), _with_keys([ledger_keys.all_of(consumer)]))

    def allow_statuses(self, role: iam.IGrantable, *consumers: str) -> None:
        """Allow reading several rows of these consumers in the ledger in one call."""
        rows = _with_keys([ledger_keys.all_of(consumer) for consumer in consumers])
        _allow(role, ["dynamodb:BatchGetItem"], self._table_arn(self._names.ledger), rows)

    def allow_dead_letters(self, role: iam.IGrantable) -> None:
        """Allow reading and writing the processing statuses of all consumers, and no other rows of the ledger."""
        rows = {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": list(ledger_keys.NOT_OF_EVENTS)}}
        actions = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
        _allow(role, actions, self._table_arn(self._names.ledger), rows)

    def allow_switches(self, role: iam.IGrantable) -> None:
        """Allow reading and writing the switches of all consumers."""
        actions = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
        _allow(role, actions, self._table_arn(self._names.ledger), _with_keys([ledger_keys.ALL_SWITCHES]))

    def allow_register(self, role: iam.IGrantable) -> None:
        """Allow reading and writing the register of consumers, and listing rules, which has no narrower resource."""
        actions = ["dynamodb:GetItem", "dynamodb:PutItem"]
        _allow(role, actions, self._table_arn(self._names.ledger), _with_keys([ledger_keys.REGISTER["key"]]))
        _allow(role, ["events:ListRules"], "*")

    def allow_proving(self, role: iam.IGrantable, writer: str) -> None:
        """Allow creating and using the key of this writer, and no other."""
        context = {"kms:EncryptionContext:consumer": writer, "kms:EncryptionContext:stage": self._names.stage}
        key = proofs_key_arn(self, stage=self._stage)
        _allow(role, ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"], key, {"StringEquals": context})
        own_row = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [writer]}}
        _allow(role, ["dynamodb:GetItem", "dynamodb:PutItem"], self._table_arn(self._names.keys), own_row)

    def allow_checking_proofs(self, role: iam.IGrantable) -> None:
        """Allow using the keys of all writers. Who can check a proof by a key can also make one."""
        context = {"kms:EncryptionContext:stage": self._names.stage}
        _allow(role, ["kms:Decrypt"], proofs_key_arn(self, stage=self._stage), {"StringEquals": context})
        _allow(role, ["dynamodb:GetItem"], self._table_arn(self._names.keys))

    def allow_append(
        self, role: iam.IGrantable, contracts: Iterable[type[Event]], *, reads_openings: bool = False
    ) -> None:
        """Allow appending events of these types to streams of their kinds, and reading the newest events of streams.

        A unit of work does not read a stream that it opens. `reads_openings` is for functions that also read such
        streams. No function is ever allowed to update or delete events.
        """
        contracts = list(contracts)
        arn = self._table_arn(self._names.store)
        kinds = sorted({f"{c.contract.stream_kind}/*" for c in contracts})
        read = [c.contract for c in contracts if reads_openings or c.contract.place is not Place.OPENS]
        read_kinds = sorted({f"{contract.stream_kind}/*" for contract in read})
        if kinds:
            _allow(role, ["dynamodb:PutItem"], arn, _IN_A_TRANSACTION | _with_keys(kinds))
            self._allow_shards(role)
        if read_kinds:
            _allow(role, ["dynamodb:Query"], arn, _with_keys(read_kinds))

    def allow_reading_by_time(self, role: iam.IGrantable) -> None:
        """Allow querying the journal, and reading events from the store."""
        store = self._table_arn(self._names.store)
        _allow(role, ["dynamodb:Query"], f"{store}/index/{JOURNAL}")
        _allow(role, ["dynamodb:BatchGetItem"], store)
        self._allow_shards(role)

    def allow_reading_events(self, role: iam.IGrantable, contract: type[Event]) -> None:
        """Allow reading the events of this type to which messages point, in the streams of their kind."""
        kinds = [f"{contract.contract.stream_kind}/*"]
        _allow(role, ["dynamodb:BatchGetItem"], self._table_arn(self._names.store), _with_keys(kinds))

    def allow_reading_streams(self, role: iam.IGrantable, contract: type[Event]) -> None:
        """Allow reading the streams of this type of event."""
        kinds = [f"{contract.contract.stream_kind}/*"]
        _allow(role, ["dynamodb:Query"], self._table_arn(self._names.store), _with_keys(kinds))

    def allow_scheduling(self, role: iam.IGrantable, contracts: Iterable[type[Event]]) -> None:
        """Allow scheduling timers, if any of these contracts has `timer=True`."""
        if any(c.contract.timer for c in contracts):
            _allow(role, ["dynamodb:PutItem"], self._table_arn(self._names.due), _IN_A_TRANSACTION)

    def _allow_shards(self, role: iam.IGrantable) -> None:
        """Allow reading the number of the journal's shards."""
        row = _with_keys([ledger_keys.SHARDS["key"]])
        _allow(role, ["dynamodb:GetItem"], self._table_arn(self._names.ledger), row)

    def _table_arn(self, name: str) -> str:
        stack = Stack.of(self)
        return stack.format_arn(service="dynamodb", resource="table", resource_name=name)


_IN_A_TRANSACTION = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": ["TransactWriteItems"]}}


def _with_keys(patterns: list[str]) -> dict[str, dict[str, list[str]]]:
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns}}


def _allow(
    role: iam.IGrantable, actions: list[str], arn: str, conditions: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    role.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(actions=actions, resources=[arn], conditions=conditions)
    )
