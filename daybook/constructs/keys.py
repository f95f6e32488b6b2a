"""The stage's own KMS keys, one for each class of data, and permissions to use them.

The data stack creates the keys and publishes their ARNs as parameters of Systems Manager. The other stacks find
them by the names of these parameters, so no stack exports or imports values. A stage without `own_keys` has none: AWS
services then encrypt with their own keys.

Every stage has one more key, which wraps the keys of writers (daybook/runtime/keyring.py).
"""

from enum import StrEnum

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from daybook.constructs.stage import Stage

# For each queue and each sender or receiver, SQS asks KMS for a data key once in this time. A day is the maximum
# (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
DATA_KEY_REUSE = Duration.hours(24)

# To receive a message from an encrypted queue, to read and write an encrypted table, and to read a secret. DynamoDB
# generates a table's data key when the table is created; a caller only needs to decrypt it.
DECRYPT = ("kms:Decrypt",)
# To send to an encrypted queue or topic, or to write an object.
ENCRYPT = ("kms:Decrypt", "kms:GenerateDataKey")


_PROOFS = "proofs"


class Data(StrEnum):
    """The classes of data. Each has its own key because other functions or other AWS services may decrypt it."""

    EVENTS = "events"  # store, ledger and due table: must stay readable for ever
    TABLES = "tables"  # the services' tables
    MESSAGES = "messages"  # queues and topics: EventBridge and CloudWatch also encrypt with this key
    LOGS = "logs"  # log groups: only CloudWatch Logs uses this key
    OBJECTS = "objects"  # the bodies of dead letters in S3
    SECRETS = "secrets"  # passwords and keys of external systems
    BACKUPS = "backups"  # the vault: who restores a backup reads everything


def create_keys(data_stack: Stack, *, stage: Stage) -> None:
    """Create the keys in the data stack. Each is rotated every year. Does nothing without `own_keys`."""
    if not stage.own_keys:
        return
    for data in Data:
        key = kms.Key(
            data_stack,
            _construct_id(data),
            alias=f"alias/{stage.names.of(data)}",
            description=f"Daybook, {stage.name}: {data}",
            enable_key_rotation=True,
            # Tables that are kept cannot be read without their key.
            removal_policy=stage.table_removal,
        )
        for statement in _service_statements(data_stack, stage, data):
            key.add_to_resource_policy(statement)
        ssm.StringParameter(
            data_stack,
            f"{_construct_id(data)}Arn",
            parameter_name=_parameter(stage, data),
            string_value=key.key_arn,
            description=f"The ARN of the key of {data}, for the other stacks",
        )


def create_proofs_key(data_stack: Stack, *, stage: Stage) -> None:
    """Create the key that wraps the keys of writers, in the data stack."""
    key = kms.Key(
        data_stack,
        "ProofsKey",
        alias=stage.names.proofs_key,
        description=f"Daybook, {stage.name}: proofs of origin",
        enable_key_rotation=True,
        # Without it nobody can check who has recorded an event.
        removal_policy=stage.table_removal,
    )
    ssm.StringParameter(
        data_stack,
        "ProofsKeyArn",
        parameter_name=_parameter(stage, _PROOFS),
        string_value=key.key_arn,
        description="The ARN of the key of proofs, for the other stacks",
    )


def proofs_key_arn(scope: Construct, *, stage: Stage) -> str:
    """The key that wraps the keys of writers."""
    stack = Stack.of(scope)
    if found := stack.node.try_find_child("ProofsKey"):
        return found.key_arn  # type: ignore[attr-defined,no-any-return]
    return ssm.StringParameter.value_for_string_parameter(stack, _parameter(stage, _PROOFS))


def own_key(scope: Construct, *, stage: Stage, data: Data) -> kms.IKey | None:
    """The key of a class of data, or None without `own_keys`."""
    if not stage.own_keys:
        return None
    stack = Stack.of(scope)
    if found := stack.node.try_find_child(_construct_id(data)):
        return found  # type: ignore[return-value]
    arn = ssm.StringParameter.value_for_string_parameter(stack, _parameter(stage, data))
    return kms.Key.from_key_arn(stack, _construct_id(data), arn)


def allow_key(function: lambda_.Function, *, stage: Stage, data: Data, service: str, actions: tuple[str, ...]) -> None:
    """Allow a function `DECRYPT` or `ENCRYPT` with the key of a class of data, only in calls that an AWS service such
    as `sqs` makes for it. Does nothing without `own_keys`.
    """
    if key := own_key(function, stage=stage, data=data):
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=list(actions),
                resources=[key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"{service}.{Aws.REGION}.amazonaws.com"}},
            )
        )


def encrypt_queue(queue: sqs.Queue, *, stage: Stage) -> None:
    """Encrypt a queue with the key of messages. Does nothing without `own_keys`.

    It sets the properties in the template: a `Queue` that knows its key allows every rule of the account to send, where
    it otherwise allows only the queue's own rule.
    """
    if key := own_key(queue, stage=stage, data=Data.MESSAGES):
        made = queue.node.default_child
        if not isinstance(made, sqs.CfnQueue):
            raise TypeError(made)
        made.sqs_managed_sse_enabled = None
        made.kms_master_key_id = key.key_arn
        made.kms_data_key_reuse_period_seconds = DATA_KEY_REUSE.to_seconds()


def _construct_id(data: Data) -> str:
    return f"{data.capitalize()}Key"


def _parameter(stage: Stage, key: str) -> str:
    return f"/{stage.names.of('keys')}/{key}"


def _service_statements(stack: Stack, stage: Stage, data: Data) -> list[iam.PolicyStatement]:
    """What AWS services may do with a key by themselves. In the key's policy, `*` is the key."""
    if data is Data.MESSAGES:
        # A rule sends to an encrypted queue, and an alarm to an encrypted topic
        # (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html,
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
        return [
            iam.PolicyStatement(
                principals=[
                    iam.ServicePrincipal("events.amazonaws.com"),
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                ],
                actions=[*ENCRYPT],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            )
        ]
    if data is Data.LOGS:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        groups = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/lambda/{stage.names.of('*')}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        operations = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")
        return [
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
                actions=[f"kms:{operation}" for operation in operations],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        ]
    return []
