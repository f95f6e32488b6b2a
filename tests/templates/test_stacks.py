"""Which stack has what, what is kept when a stage's stacks are deleted, and what can be deployed again."""

from collections.abc import Mapping
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk.assertions import Template

from daybook.constructs.stage import Stage
from daybook.constructs.tables import table
from daybook.store.schema import Schema
from tests.templates.sources import SERVICES, stack_of
from tests.templates.synthesis import Assembly, Resource, texts

# What happens when a stack is deleted or a resource is replaced. `RetainExceptOnCreate`: a deployment that is rolled
# back deletes what it has created (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html).
KEPT = ("RetainExceptOnCreate", "Retain")
DELETED = ("Delete", "Delete")

# The kinds of resources with data, or without which data cannot be read.
DATA = {"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::KMS::Alias", "AWS::Backup::BackupPlan", "AWS::S3::Bucket"}
DATA |= {"AWS::Backup::BackupVault", "AWS::Backup::BackupSelection"}


def test_a_stage_has_a_stack_for_data_one_for_the_backbone_and_one_for_each_service(aws: Assembly) -> None:
    assert set(aws.templates) == {"data", *(stack_of(service) for service in SERVICES)}


def test_all_data_is_in_the_data_stack_besides_the_tables_of_services_and_the_bodies_of_dead_letters(
    prod: Assembly,
) -> None:
    found: dict[str, set[str]] = {}
    for kind in DATA:
        for each in prod.resources(kind):
            found.setdefault(each["Stack"], set()).add(kind)

    assert found.pop("data") == DATA - {"AWS::S3::Bucket"}
    assert found.pop("backbone") == {"AWS::S3::Bucket"}
    # The second region has a vault for copies.
    assert found.pop("backup-copies") == {"AWS::KMS::Key", "AWS::KMS::Alias", "AWS::Backup::BackupVault"}
    assert set().union(*found.values()) == {"AWS::DynamoDB::Table"}


def test_stable_names_contain_the_stage(aws: Assembly) -> None:
    buses = {bus["Name"] for bus in aws.properties("AWS::Events::EventBus")}
    tables = {table["TableName"] for table in aws.properties("AWS::DynamoDB::Table", "data")}

    assert buses == {"daybook-test-ingress", "daybook-test-events"}
    assert tables == {"daybook-test-store", "daybook-test-ledger", "daybook-test-due", "daybook-test-keys"}


def test_names_that_are_global_to_an_account_contain_the_region_so_that_a_stage_can_be_in_two(aws: Assembly) -> None:
    # Of roles the path has the region, and CloudFormation generates their names: see test_senders.py.
    names = [
        *(each["DashboardName"] for each in aws.properties("AWS::CloudWatch::Dashboard")),
        *(each["ManagedPolicyName"] for each in aws.properties("AWS::IAM::ManagedPolicy")),
        *(each.get("BucketName", {"Ref": "AWS::Region"}) for each in aws.properties("AWS::S3::Bucket")),
    ]

    assert len(names) > 2
    assert [name for name in names if "AWS::Region" not in texts(name)] == []
    assert not [role["Path"] for role in aws.properties("AWS::IAM::Role") if "RoleName" in role]


def test_only_the_backbone_imports_values_and_only_the_change_streams(prod: Assembly) -> None:
    streams = {"daybook-prod-store-stream", "daybook-prod-ledger-stream"}
    imported = {stack: _imports(template) for stack, template in prod.templates.items()}
    exported = {
        (stack, output["Export"]["Name"])
        for stack, template in prod.templates.items()
        for output in template.get("Outputs", {}).values()
    }

    assert imported.pop("backbone") == streams
    assert set().union(*imported.values()) == set()
    assert exported == {("data", name) for name in streams}


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "expected"), [("prod", KEPT), ("staging", KEPT), ("dev", DELETED), ("local", DELETED)]
)
def test_tables_are_kept_in_every_stage_except_local_and_dev(stage: str, expected: tuple[str, str]) -> None:
    stack = Stack()
    table(stack, "Table", stage=Stage(name=stage), schema=Schema(partition="id"))

    (made,) = Template.from_stack(stack).find_resources("AWS::DynamoDB::Table").values()
    assert _policies(made) == expected


def test_what_is_kept_is_deleted_by_a_first_deployment_that_is_rolled_back(prod: Assembly, local: Assembly) -> None:
    kept = [each for each in _all_resources(prod) if "Retain" in str(each.get("DeletionPolicy"))]

    assert {each["Type"] for each in kept} == {
        *("AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Backup::BackupVault", "AWS::S3::Bucket")
    }
    assert {_policies(each) for each in kept} == {KEPT}
    assert {_policies(each) for each in local.resources("AWS::DynamoDB::Table")} == {DELETED}


def test_no_template_protects_a_table_against_deletion_because_a_failed_deployment_could_not_be_rolled_back(
    prod: Assembly,
) -> None:
    assert not [each["Id"] for each in _all_resources(prod) if "DeletionProtectionEnabled" in each["Properties"]]


def test_what_a_removed_stack_leaves_behind_does_not_prevent_a_new_deployment_except_of_data(prod: Assembly) -> None:
    kept = [each for each in _all_resources(prod) if _policies(each) == KEPT]
    named = {each["Stack"] for each in kept if {"TableName", "BucketName", "BackupVaultName"} & {*each["Properties"]}}

    assert {each["Stack"] for each in kept} > {"backbone", "orders"}
    assert named == {"data", "backup-copies"}


def test_the_backbone_can_be_removed_while_there_are_services(aws: Assembly) -> None:
    # EventBridge deletes no bus that has rules
    # (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteEventBus.html).
    stacks = {bus["Properties"]["Name"]: bus["Stack"] for bus in aws.resources("AWS::Events::EventBus")}
    rules = {
        (each["Stack"], stacks.get(str(each["Properties"].get("EventBusName"))))
        for each in aws.resources("AWS::Events::Rule")
        if each["Stack"] != "backbone"
    }

    assert rules == {
        *((stack_of(service), "data") for service in SERVICES if service != "admission"),
        ("notifications", None),  # on the default bus
    }


def _imports(template: Any) -> set[str]:
    """The names of the values that a part of a template imports."""
    if isinstance(template, dict):
        found = {template["Fn::ImportValue"]} if "Fn::ImportValue" in template else set()
        return found.union(*map(_imports, template.values()))
    return set().union(*map(_imports, template)) if isinstance(template, list) else set()


def _all_resources(assembly: Assembly) -> list[Resource]:
    return [
        {**resource, "Id": name, "Stack": stack, "Properties": resource.get("Properties", {})}
        for stack, template in assembly.templates.items()
        for name, resource in template["Resources"].items()
    ]


def _policies(made: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What happens to a resource when its stack is deleted, and when it is replaced."""
    return made.get("DeletionPolicy"), made.get("UpdateReplacePolicy")
