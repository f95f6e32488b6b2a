"""What protects the account in `prod`: keys, backups, retention and termination protection. Other stages have none."""

import json
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from daybook.constructs.keys import Data
from daybook.constructs.stage import BadOption, Stage
from daybook.constructs.tables import table
from daybook.store.schema import Schema
from tests.templates.synthesis import Assembly, Resource

DAY = 24 * 60 * 60

# The actions that need a key, and the class of data that they reach. A function with none of them may not use
# the key.
NEEDS = {
    "sqs:ReceiveMessage": ("sqs", Data.MESSAGES, {"kms:Decrypt"}),
    "sqs:SendMessage": ("sqs", Data.MESSAGES, {"kms:Decrypt", "kms:GenerateDataKey"}),
    "sns:Publish": ("sns", Data.MESSAGES, {"kms:Decrypt", "kms:GenerateDataKey"}),
    "s3:PutObject": ("s3", Data.OBJECTS, {"kms:Decrypt", "kms:GenerateDataKey"}),
    "secretsmanager:GetSecretValue": ("secretsmanager", Data.SECRETS, {"kms:Decrypt"}),
}

ENCRYPTED = [
    ("AWS::SQS::Queue", "KmsMasterKeyId", Data.MESSAGES),
    ("AWS::SNS::Topic", "KmsMasterKeyId", Data.MESSAGES),
    ("AWS::Logs::LogGroup", "KmsKeyId", Data.LOGS),
    ("AWS::SecretsManager::Secret", "KmsKeyId", Data.SECRETS),
]


@pytest.mark.parametrize(("kind", "field", "data"), ENCRYPTED)
def test_each_resource_is_encrypted_with_the_key_of_its_class(
    prod: Assembly, kind: str, field: str, data: Data
) -> None:
    found = prod.resources(kind)

    assert found
    for each in found:
        assert key_class(prod, each, each["Properties"].get(field)) == data, each["Id"]


def test_tables_are_encrypted_with_the_key_of_events_or_of_the_services_tables(prod: Assembly) -> None:
    for each in prod.resources("AWS::DynamoDB::Table"):
        encryption = each["Properties"]["SSESpecification"]
        assert encryption["SSEEnabled"] is True
        expected = Data.EVENTS if each["Stack"] == "data" else Data.TABLES
        assert key_class(prod, each, encryption["KMSMasterKeyId"]) == expected, each["Id"]


def test_buckets_are_encrypted_with_the_key_of_objects_and_their_access_logs_with_the_key_of_s3(prod: Assembly) -> None:
    by_id = {}
    for each in prod.resources("AWS::S3::Bucket"):
        (rule,) = each["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        by_id[each["Id"]] = each["Properties"], rule
    logs = {
        p["LoggingConfiguration"]["DestinationBucketName"]["Ref"]
        for p, _ in by_id.values()
        if "LoggingConfiguration" in p
    }

    assert logs
    for name, (properties, rule) in by_id.items():
        applied = rule["ServerSideEncryptionByDefault"]
        if name in logs:
            assert applied == {"SSEAlgorithm": "AES256"}
            continue
        assert key_class(prod, {"Stack": "backbone"}, applied["KMSMasterKeyID"]) == Data.OBJECTS
        assert rule["BucketKeyEnabled"] is True
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert properties["LoggingConfiguration"]


def test_queues_reuse_a_data_key_for_a_day_and_accept_only_their_own_rule(prod: Assembly) -> None:
    for queue in prod.properties("AWS::SQS::Queue"):
        assert queue["KmsDataKeyReusePeriodSeconds"] == DAY
        assert "SqsManagedSseEnabled" not in queue
    for policy in prod.properties("AWS::SQS::QueuePolicy"):
        allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
        assert all("aws:SourceArn" in json.dumps(statement["Condition"]) for statement in allowed)


def test_every_key_is_rotated_and_kept_and_there_is_one_for_each_class_and_one_for_copies(prod: Assembly) -> None:
    keys = prod.resources("AWS::KMS::Key")

    assert len(keys) == len(Data) + 2  # one for copies, and one for proofs
    for key in keys:
        assert key["Properties"]["EnableKeyRotation"] is True
        assert key["DeletionPolicy"] == "RetainExceptOnCreate"
    aliases = {alias["AliasName"] for alias in prod.properties("AWS::KMS::Alias")}
    assert aliases == {f"alias/daybook-prod-{name}" for name in (*Data, "proofs")}


def test_aws_services_may_use_only_the_keys_of_messages_and_logs_and_only_for_this_account(prod: Assembly) -> None:
    allowed = {}
    for key in prod.resources("AWS::KMS::Key", "data"):
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            if "Service" in statement["Principal"]:
                allowed[class_of_key(key["Id"])] = statement

    assert allowed.keys() == {Data.MESSAGES, Data.LOGS}
    messages, logs = allowed[Data.MESSAGES], allowed[Data.LOGS]
    assert messages["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}
    assert messages["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    (context,) = logs["Condition"]["ArnLike"].items()
    assert context[0] == "kms:EncryptionContext:aws:logs:arn"
    assert ":log-group:/aws/lambda/daybook-prod-*" in json.dumps(context[1])


def test_a_function_may_use_only_the_keys_that_its_other_permissions_need_and_only_through_aws_services(
    prod: Assembly,
) -> None:
    for function in prod.properties("AWS::Lambda::Function"):
        name = function["FunctionName"].removeprefix("daybook-prod-")
        statements = prod.statements(name)
        (stack,) = {f["Stack"] for f in prod.resources("AWS::Lambda::Function") if f["Properties"] == function}

        assert granted_keys(prod, stack, statements) == needed_keys(stack, statements), name


def test_daily_and_monthly_backups_are_copied_to_the_second_region(prod: Assembly) -> None:
    (plan,) = prod.properties("AWS::Backup::BackupPlan")
    rules = {rule["RuleName"]: rule for rule in plan["BackupPlan"]["BackupPlanRule"]}

    assert {name: rule["Lifecycle"]["DeleteAfterDays"] for name, rule in rules.items()} == {"daily": 7, "monthly": 365}
    for rule in rules.values():
        (copy,) = rule["CopyActions"]
        assert ":backup:eu-west-1:" in json.dumps(copy["DestinationBackupVaultArn"])
        assert ":backup-vault:daybook-prod-backups" in json.dumps(copy["DestinationBackupVaultArn"])
    (copies,) = prod.properties("AWS::Backup::BackupVault", "backup-copies")
    assert copies["BackupVaultName"] == "daybook-prod-backups"
    (vault,) = prod.resources("AWS::Backup::BackupVault", "data")
    assert key_class(prod, vault, vault["Properties"]["EncryptionKeyArn"]) == Data.BACKUPS
    assert "LockConfiguration" not in vault["Properties"]


def test_the_plan_covers_every_table(prod: Assembly) -> None:
    tag = selected_tag(prod)

    for each in prod.resources("AWS::DynamoDB::Table"):
        assert tag in each["Properties"]["Tags"], each["Id"]


def test_the_plan_covers_the_table_of_a_new_service(prod: Assembly) -> None:
    stack = Stack()
    table(stack, "New", stage=Stage(name="prod"), schema=Schema(partition="id"))

    (made,) = Template.from_stack(stack).find_resources("AWS::DynamoDB::Table").values()
    assert selected_tag(prod) in made["Properties"]["Tags"]


def test_logs_of_the_backbone_are_kept_for_a_year_and_those_of_services_for_three_months(prod: Assembly) -> None:
    groups = prod.resources("AWS::Logs::LogGroup")

    assert {(g["Stack"] == "backbone", g["Properties"]["RetentionInDays"]) for g in groups} == {
        (True, 365),
        (False, 90),
    }


def test_stacks_are_protected_against_termination(prod: Assembly) -> None:
    manifest = json.loads((prod.folder / "manifest.json").read_text())
    stacks = [a["properties"] for a in manifest["artifacts"].values() if a["type"] == "aws:cloudformation:stack"]

    assert len(stacks) == len(prod.templates)
    assert all(stack.get("terminationProtection") is True for stack in stacks)


def test_other_stages_have_none_of_this_so_that_they_cost_nothing(aws: Assembly, local: Assembly) -> None:
    for assembly in (aws, local):
        for kind in ("AWS::Backup::BackupPlan", "AWS::Backup::BackupVault"):
            assert assembly.resources(kind) == []
        # Every stage has the key of proofs.
        assert [alias["AliasName"] for alias in assembly.properties("AWS::KMS::Alias")] == [
            f"alias/daybook-{assembly.stage}-proofs"
        ]
        assert len(assembly.resources("AWS::KMS::Key")) == len(assembly.resources("AWS::SSM::Parameter")) == 1
        assert "kms:ViaService" not in json.dumps(assembly.properties("AWS::IAM::Policy"))
        assert '"terminationProtection": true' not in (assembly.folder / "manifest.json").read_text()


@pytest.mark.parametrize("part", ["own_keys", "backups", "audit_logs", "bucket_history", "termination_protection"])
def test_each_part_is_on_for_prod_and_can_be_turned_off_and_on(part: str) -> None:
    def is_on(name: str, **context: str) -> bool:
        stage = Stage(name=name, context=context)
        if part == "audit_logs":
            return stage.audit_log_retention != stage.log_retention
        return bool(getattr(stage, part))

    assert is_on("prod")
    assert not is_on("prod", **{part: "off"})
    assert not is_on("dev")
    assert is_on("dev", **{part: "on"})


@pytest.mark.parametrize("stage", ["prod", "dev"])
def test_dashboards_of_services_are_off_in_every_stage_and_can_be_turned_on(stage: str) -> None:
    assert not Stage(name=stage).dashboards
    assert Stage(name=stage, context={"dashboards": "on"}).dashboards


def test_functions_run_in_the_subnets_and_only_lambda_may_use_their_permission_for_it(prod: Assembly) -> None:
    functions = prod.properties("AWS::Lambda::Function")
    policies = [p for p in prod.properties("AWS::IAM::Policy") if "NetworkInterfaces" in p["PolicyName"]]

    assert len(policies) == len(functions) > 0
    expected = {"SubnetIds": ["subnet-0a1b2c3d", "subnet-0123456789abcdef0"], "SecurityGroupIds": ["sg-0c1d2e3f"]}
    assert [function["VpcConfig"] for function in functions] == [expected] * len(functions)
    for policy in policies:
        allowed, denied = policy["PolicyDocument"]["Statement"]
        assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
        assert allowed["Action"] == denied["Action"]
    conditions = [policy["PolicyDocument"]["Statement"][1]["Condition"]["ArnEquals"] for policy in policies]
    functions_denied = {each["lambda:SourceFunctionArn"]["Fn::Join"][1][-1].rpartition(":")[2] for each in conditions}
    assert functions_denied == {function["FunctionName"] for function in functions}


def test_functions_run_outside_of_a_vpc_without_the_option(aws: Assembly) -> None:
    assert not [function for function in aws.properties("AWS::Lambda::Function") if "VpcConfig" in function]


@pytest.mark.parametrize(
    "context",
    [
        {"own_keys": "true"},
        {"dashboards": "true"},
        {"backup_region": "eu"},
        {"publish_in_order": "yes"},
        {"reserved_concurrency": '{"admit": 0}'},
        {"reserved_concurrency": '{"admit": "all"}'},
        {"subnets": "10.0.0.0/24", "security_groups": "sg-0c1d2e3f"},
        {"security_groups": "default", "subnets": "subnet-0a1b2c3d"},
        {"subnets": "", "security_groups": "sg-0c1d2e3f"},
        {"security_groups": "", "subnets": "subnet-0a1b2c3d"},
        {"concurrency": "many"},
        {"producers": "shop.checkout"},
        {"concurrency": "1"},
        {"concurrency": '{"place-order": 1001}'},
        {"concurrency": '{"place-order": "50"}'},
        {"warm_throughput": "20000"},
        {"warm_throughput": '{"store": 20000}'},
        {"warm_throughput": '{"store": {"write": 20000}}'},
        {"warm_throughput": '{"store": {"read": 12000, "write": 3999}}'},
    ],
)
def test_an_option_with_an_impossible_value_is_an_error(context: dict[str, str]) -> None:
    with pytest.raises(BadOption, match=f"-c {next(iter(context))}="):
        Stage.of(App(context={"stage": "prod", **context}))


def test_a_stage_without_backups_ignores_the_region_that_it_shares_with_other_stages() -> None:
    context = {"backup_region": "eu-west-1"}

    assert Stage(name="prod", context=context).backup_region == "eu-west-1"
    assert not Stage(name="dev", context=context).backup_region


def class_of_key(logical_id: str) -> str:
    """The class of data of a key in the data stack's template."""
    return logical_id.partition("Key")[0].lower()


def key_class(assembly: Assembly, resource: Resource, key: Any) -> str:
    """The class of data of the key that a resource refers to: a key of its template, or a parameter with its ARN."""
    if key is None:
        return "none"
    if "Fn::GetAtt" in key:
        return class_of_key(key["Fn::GetAtt"][0])
    parameter = assembly.templates[resource["Stack"]]["Parameters"][key["Ref"]]
    assert parameter["Type"] == "AWS::SSM::Parameter::Value<String>"
    published = {p["Name"]: p["Value"] for p in assembly.properties("AWS::SSM::Parameter", "data")}
    return class_of_key(published[parameter["Default"]]["Fn::GetAtt"][0])


def selected_tag(assembly: Assembly) -> dict[str, str]:
    """The tag by which the backup plan selects."""
    (selection,) = assembly.properties("AWS::Backup::BackupSelection")
    (condition,) = selection["BackupSelection"]["ListOfTags"]
    assert condition["ConditionType"] == "STRINGEQUALS"
    return {"Key": condition["ConditionKey"], "Value": condition["ConditionValue"]}


def granted_keys(assembly: Assembly, stack: str, statements: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The service, the class of data and the action of each use of a key that the statements allow in calls that a
    service makes: the key of proofs is used directly.
    """
    granted = set()
    for statement in statements:
        for action in _list(statement["Action"]):
            if action.startswith("kms:") and "kms:EncryptionContext:stage" not in (
                condition := statement["Condition"]["StringEquals"]
            ):
                service = condition["kms:ViaService"]["Fn::Join"][1][0]
                for key in _list(statement["Resource"]):
                    granted.add((service.rstrip("."), key_class(assembly, {"Stack": stack}, key), action))
    return granted


def needed_keys(stack: str, statements: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The uses of keys that the statements' other actions need."""
    needed = set()
    for statement in statements:
        for action in _list(statement["Action"]):
            if action in NEEDS:
                service, data, uses = NEEDS[action]
                needed |= {(service, data.value, use) for use in uses}
            if action.startswith("dynamodb:"):
                for resource in _list(statement["Resource"]):
                    # Services find the backbone's tables by name, and refer to their own.
                    own = stack != "backbone" and "daybook-prod-" not in json.dumps(resource)
                    needed.add(("dynamodb", (Data.TABLES if own else Data.EVENTS).value, "kms:Decrypt"))
    return needed


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
