"""Producers: the sources outside of the system, what each may send to the ingress bus, and from which account."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from daybook.constructs.senders import consumer_roles, only_from, operator_roles, producer_roles
from daybook.constructs.stage import Stage
from daybook.contracts.contract import Event

BOUNCES = "bounces"  # the rule that sends SES's events from the default bus to the ingress bus
_SERVICES = "aws."  # AWS lets nobody else put events with such a source


class NoSuchSource(ValueError):
    """The stage's setting `producers` names a source that no contract has. Correct its spelling."""


def event_types(contracts: Iterable[type[Event]]) -> dict[str, list[str]]:
    """The detail-types that each producer may send, by source. Services of AWS are no producers."""
    types: dict[str, set[str]] = defaultdict(set)
    for each in contracts:
        for source in each.contract.sources:
            if not source.startswith(_SERVICES):
                types[source].add(each.contract.foreign or each.contract.type)
    return {source: sorted(names) for source, names in sorted(types.items())}


def add_producer_policies(scope: Construct, *, stage: Stage, types: Mapping[str, list[str]], bus: str) -> None:
    """A managed policy for each source of the stage's own account, to attach to its producer's role. Raises
    NoSuchSource.
    """
    if unknown := stage.producers.keys() - types:
        msg = f"no contract has the source {', '.join(sorted(unknown))}; the sources are {', '.join(types)}"
        raise NoSuchSource(msg)
    for source, names in types.items():
        if source not in stage.producers:
            iam.ManagedPolicy(
                scope,
                source,
                managed_policy_name=f"{stage.names.of('producer')}-{source}-{Stack.of(scope).region}",
                description=f"Put events of {source} on the ingress bus of Daybook's stage {stage.name}",
                statements=[
                    iam.PolicyStatement(actions=[_PUT], resources=[bus], conditions=_only(source, names)),
                ],
            )


def ingress_statements(
    scope: Construct, *, stage: Stage, types: Mapping[str, list[str]], bus: str
) -> list[iam.PolicyStatement]:
    """The ingress bus's policy: only producers, operators and the rule of bounces put events on it; producers only
    with the sources of contracts; and a producer in another account only with its source and its types.
    """
    stack = Stack.of(scope)
    rule = stack.format_arn(service="events", resource="rule", resource_name=stage.names.of(BOUNCES))
    trusted = [*operator_roles(scope, stage), *consumer_roles(scope, stage, BOUNCES)]
    accounts = sorted({origin.partition("/")[0] for origin in stage.producers.values()})
    others = [f"arn:{stack.partition}:iam::{account}:*" for account in accounts]
    unknown = only_from(_PUT, bus, roles=trusted, rules=[rule])
    unknown.sid = "OnlySourcesOfContracts"
    unknown.add_condition("ForAnyValue:StringNotEquals", {"events:source": list(types)})
    return [
        only_from(_PUT, bus, roles=[*trusted, *producer_roles(scope, stage), *others], rules=[rule]),
        unknown,
        *(
            iam.PolicyStatement(
                sid="".join(part.capitalize() for part in source.replace("-", ".").split(".")),
                principals=[iam.AccountPrincipal(origin.partition("/")[0])],
                actions=[_PUT],
                resources=[bus],
                conditions=_only(source, types[source]),
            )
            for source, origin in sorted(stage.producers.items())
        ),
    ]


def origins(scope: Construct, stage: Stage) -> str:
    """Where the events of each source come from, as `daybook.backbone.origins` reads it."""
    stack = Stack.of(scope)
    listed = {
        source: origin if "/" in origin else f"{origin}/{stack.region}" for source, origin in stage.producers.items()
    }
    return json.dumps({"": f"{stack.account}/{stack.region}", **listed})


_PUT = "events:PutEvents"


def _only(source: str, types: list[str]) -> dict[str, dict[str, object]]:
    """The condition that all entries of a request have this source and one of these types.

    `ForAllValues` is also true if the request has no such key, so `Null` requires the keys
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html).
    """
    return {
        "ForAllValues:StringEquals": {"events:source": [source], "events:detail-type": types},
        "Null": {"events:source": "false", "events:detail-type": "false"},
    }
