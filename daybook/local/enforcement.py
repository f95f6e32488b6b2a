"""What AWS checks and MiniStack does not, added to MiniStack in its own process when it enforces permissions.

MiniStack evaluates policies: what it lacks are condition keys (`dynamodb:LeadingKeys`, `events:source`,
`events:detail-type`, `kms:EncryptionContext`; its `aws:PrincipalArn` is that of the session, AWS's that of the role),
the policies of event buses, and the policies of queues and buses when a rule delivers to them.
docs/first-deployment.md lists what stays unchecked.

Each addition wraps a function of MiniStack, and calls it. It was written for MiniStack 1.5.33, which is pinned.
"""

# ruff: noqa: SLF001 - what it wraps is private in MiniStack

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

from ministack.core import iam_actions, iam_evaluator  # type: ignore[import-untyped]
from ministack.services import dynamodb, eventbridge, iam, kms, sqs  # type: ignore[import-untyped]
from ministack.services.cloudformation import provisioners  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_EVENTBRIDGE = "events.amazonaws.com"
_EQUALITY = re.compile(r"(#?[\w.-]+)\s*=\s*(:\w+)")
_log = logging.getLogger("daybook.enforcement")


class _Resource(str):
    """The ARN of a resource, with the condition keys of those parts of the request that concern it."""

    __slots__ = ("keys",)
    keys: Mapping[str, Any]

    @classmethod
    def of(cls, arn: str, keys: Mapping[str, Any]) -> _Resource:
        made = cls(arn)
        made.keys = keys
        return made


def install() -> None:
    """Add the missing checks. Call it once, before MiniStack starts."""
    _wrap(iam_evaluator, "_resolve_condition_key", _with_role_arn)
    _wrap(iam_evaluator, "enforce", _with_keys_of_resource)
    _wrap(iam_actions, "dynamodb_resource_arns", _with_leading_keys)
    _wrap(iam_actions, "dynamodb_transaction_checks", _with_leading_key_of_each_item)
    _wrap(iam_actions, "eventbridge_resource_arns", _with_sources)
    _wrap(iam_actions, "extract_resource_arn", _with_encryption_context)
    _wrap(eventbridge, "_invoke_target", _if_the_target_allows)
    _wrap(eventbridge, "_put_permission", _with_whole_policy)
    eventbridge.bus_policy_for_arn = _bus_policy
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Events::EventBus"]
    handlers["create"] = _with_bus_policy(handlers["create"], properties=1)
    handlers["update"] = _with_bus_policy(handlers["update"], properties=2)


def _wrap(module: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(module, name, wrapper(getattr(module, name)))


# --- condition keys --------------------------------------------------------------------------------------------------


def _with_role_arn(resolve: Any) -> Any:
    """`aws:PrincipalArn` of a session is the ARN of its role; a service has none
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn).
    """

    def resolved(key: str, context: Any) -> Any:
        if key.lower() != "aws:principalarn":
            return resolve(key, context)
        if context.principal_type == "Service":
            return None
        if ":assumed-role/" not in context.principal_arn:
            return context.principal_arn
        name = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
        role = iam._roles.get_scoped(context.principal_account, None, name)
        return role["Arn"] if role else context.principal_arn

    return resolved


def _with_keys_of_resource(enforce: Any) -> Any:
    """Also: SQS has no permissions for batches of their own
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html).
    """

    def enforced(
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if service == "sqs":  # calls for several messages need the permission for one
            action = action.removesuffix("Batch")
        keys = resource_arn.keys if isinstance(resource_arn, _Resource) else {}
        context = {**(service_context or {}), **keys}
        return enforce(access_key, action, service, region, resource_arn=resource_arn, service_context=context)

    return enforced


def _with_leading_keys(resources: Any) -> Any:
    """`dynamodb:LeadingKeys`: the partition keys that a request names
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html). A Scan names none.
    """

    def found(body: bytes, region: str, account: str) -> list[str]:
        request = _json(body)
        items = request.get("RequestItems")
        parts = items if isinstance(items, dict) else {request.get("TableName"): request}
        return [
            _Resource.of(arn, _leading_keys(arn, part, account))
            for arn, part in zip(resources(body, region, account), parts.values(), strict=False)
        ]

    return found


def _with_leading_key_of_each_item(checks: Any) -> Any:
    """Each item of a transaction is checked as an action of its own, with its own key
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
    """

    def found(action: str, body: bytes, region: str, account: str) -> list[tuple[str, str]]:
        parts = [part for item in _json(body).get("TransactItems", []) for part in item.values()]
        return [
            (item_action, _Resource.of(arn, _leading_keys(arn, part, account)))
            for (item_action, arn), part in zip(checks(action, body, region, account), parts, strict=False)
        ]

    return found


def _leading_keys(arn: str, part: Any, account: str) -> dict[str, list[str]]:
    """The condition key of one table's part of a request, or nothing if the part names no partition key."""
    region, path = arn.split(":")[3], arn.rpartition(":")[2].split("/")
    table = dynamodb._tables.get_scoped(account, region, path[1])
    if table is None:
        return {}
    schema = table["KeySchema"]
    for index in table.get("GlobalSecondaryIndexes") or []:
        if path[2:] == ["index", index["IndexName"]]:
            schema = index["KeySchema"]
    (name,) = (key["AttributeName"] for key in schema if key["KeyType"] == "HASH")
    values = [_scalar(item[name]) for item in _items(part) if name in item] + list(_queried(part, name))
    return {"dynamodb:LeadingKeys": values} if values else {}


def _items(part: Any) -> Iterable[Mapping[str, Any]]:
    """The keys or items that a part of a request names: of a single call, a BatchGetItem or a BatchWriteItem."""
    if isinstance(part, list):
        for write in part:
            for each in write.values():
                yield from _items(each)
        return
    yield from (part[name] for name in ("Key", "Item") if name in part)
    yield from part.get("Keys", [])


def _queried(part: Any, name: str) -> Iterable[str]:
    """The partition key of a Query."""
    if isinstance(part, dict):
        names, values = part.get("ExpressionAttributeNames") or {}, part.get("ExpressionAttributeValues") or {}
        for left, right in _EQUALITY.findall(part.get("KeyConditionExpression") or ""):
            if names.get(left, left) == name and right in values:
                yield _scalar(values[right])


def _with_encryption_context(extract: Any) -> Any:
    """`kms:EncryptionContext:…`; and the key in place of its alias, as policies name keys
    (https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html).
    """

    def extracted(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        arn: str = extract(service, method, path, headers, body, *rest)
        if service != "kms":
            return arn
        request = _json(body)
        key = kms._resolve_key(request.get("KeyId"))
        context = request.get("EncryptionContext") or {}
        return _Resource.of(
            key["Arn"] if key else arn, {f"kms:EncryptionContext:{name}": value for name, value in context.items()}
        )

    return extracted


def _scalar(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


def _with_sources(resources: Any) -> Any:
    """`events:source` and `events:detail-type` of the entries for each bus
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html).
    """

    def found(body: bytes, region: str, account: str) -> list[str]:
        entries = _json(body).get("Entries") or []
        return [
            _Resource.of(arn, _event_keys(e for e in entries if _bus_name(e) == arn.rpartition("/")[2]))
            for arn in resources(body, region, account)
        ]

    return found


def _bus_name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("EventBusName") or "default").rpartition("/")[2]


def _event_keys(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    entries = list(entries)
    named = {"events:source": "Source", "events:detail-type": "DetailType"}
    found = {key: [str(e[field]) for e in entries if e.get(field)] for key, field in named.items()}
    return {key: values for key, values in found.items() if values}


# --- resource policies ------------------------------------------------------------------------------------------------


def _bus_policy(arn: str) -> tuple[Any, str] | None:
    """The policy of a bus, and the account that owns the bus."""
    *_, region, account, resource = arn.split(":")
    name = resource.removeprefix("event-bus/")
    return eventbridge._event_bus_policies.get_scoped(account, region, name) or "", account


def _with_bus_policy(provision: Any, *, properties: int) -> Any:
    """Keep the property `Policy` of AWS::Events::EventBus, which MiniStack drops."""

    def provisioned(*arguments: Any) -> Any:
        name, attributes = provision(*arguments)
        _set_policy(name, arguments[properties].get("Policy"))
        return name, attributes

    return provisioned


def _with_whole_policy(put_permission: Any) -> Any:
    """PutPermission with `Policy`, which MiniStack drops
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html).
    """

    def put(data: Mapping[str, Any]) -> Any:
        if "Policy" not in data:
            return put_permission(data)
        _set_policy(data.get("EventBusName", "default"), data["Policy"])
        return eventbridge.json_response({})

    return put


def _set_policy(bus: str, policy: Any) -> None:
    if policy:
        eventbridge._event_bus_policies[bus] = json.loads(policy) if isinstance(policy, str) else policy
    else:
        eventbridge._event_bus_policies.pop(bus, None)


def _if_the_target_allows(invoke: Any) -> Any:
    """A rule delivers to a queue as EventBridge, and to a bus as the target's role
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html).
    """

    def invoked(target: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, Any], view: Any = None) -> None:
        arn = str(target.get("Arn", ""))
        service, region, account, *_ = [*arn.split(":")[2:], "", "", ""]
        if service == "sqs":
            allowed = sqs.queue_policy_allows(arn, _EVENTBRIDGE, rule["Arn"], account)
        elif service == "events" and target.get("RoleArn"):
            allowed = _role_may_put(target["RoleArn"], arn, rule["Arn"], event, region)
        else:
            allowed = True
        if allowed:
            invoke(target, event, rule, view)
        else:
            _log.warning("rule %s may not deliver to %s", rule["Arn"], arn)

    return invoked


def _role_may_put(role: str, bus: str, rule: str, event: Mapping[str, Any], region: str) -> bool:
    account, name = role.split(":")[4], role.rpartition("/")[2]
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/events",
        principal_type="AssumedRole",
        principal_account=account,
        action="events:PutEvents",
        resource_arn=bus,
        region=region,
        service_context={"aws:sourcearn": rule, "aws:sourceaccount": account} | _event_keys([event]),
    )
    identity = iam_evaluator.evaluate(context, iam_evaluator._gather_role_policies(name, account))
    found = _bus_policy(bus)
    combined = iam_evaluator.combine_resource_policy(identity, context, *found) if found else identity
    return bool(combined.decision == "Allow")


def _json(body: bytes) -> dict[str, Any]:
    """The request, or nothing if it is not a JSON object: MiniStack then answers with the error."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
