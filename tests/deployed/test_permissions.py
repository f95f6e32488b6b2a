"""The local cloud enforces the roles of functions; tests/deep/test_permissions.py compares them with calls."""

import json

from tests.deployed.deployed import Deployed, an_order, short_visibility_timeout
from tests.local.processes import until


def test_a_function_without_its_permissions_fails_and_succeeds_when_it_has_them_again(system: Deployed) -> None:
    iam, role = system.cloud.client("iam"), roles(system)["place-order"]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    with short_visibility_timeout(system, "place-order"):
        iam.delete_role_policy(RoleName=role, PolicyName=name)
        try:
            (placed,) = system.sends(an_order())
            until(lambda: system.log("place-order", placed), what="place-order has tried")
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    system.finishes(placed)

    first, *_, last = system.logged("place-order", placed, last="committed")
    assert (first["message"], last["message"]) == ("failed", "committed")
    assert first["error"] == "AccessDeniedException"


def roles(system: Deployed) -> dict[str, str]:
    """The roles of all functions, by consumer."""
    pages = system.cloud.client("lambda").get_paginator("list_functions").paginate()
    prefix = system.connection.names.of("")
    return {
        function["FunctionName"].removeprefix(prefix): function["Role"].rpartition("/")[2]
        for page in pages
        for function in page["Functions"]
        if function["FunctionName"].startswith(prefix)
    }
