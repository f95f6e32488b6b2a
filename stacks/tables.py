"""Tables: on demand, encrypted, recoverable to any second of the last 35 days, and kept when their stack goes."""

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stacks.stage import Stage

TEXT = dynamodb.AttributeType.STRING
NUMBER = dynamodb.AttributeType.NUMBER


def key(name: str, kind: dynamodb.AttributeType = TEXT) -> dynamodb.Attribute:
    """A key attribute."""
    return dynamodb.Attribute(name=name, type=kind)


def table(
    scope: Construct,
    construct_id: str,
    *,
    stage: Stage,
    partition_key: dynamodb.Attribute,
    sort_key: dynamodb.Attribute | None = None,
    name: str | None = None,
    stream: dynamodb.StreamViewType | None = None,
) -> dynamodb.Table:
    """A table of this system. Without a name it gets a generated one, so that a service can go and come back."""
    return dynamodb.Table(
        scope,
        construct_id,
        table_name=name,
        partition_key=partition_key,
        sort_key=sort_key,
        stream=stream,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        # By a key that DynamoDB owns: all is encrypted at rest, at no price.
        encryption=dynamodb.TableEncryption.DEFAULT,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=stage.keeps_data,
        removal_policy=stage.table_removal,
    )
