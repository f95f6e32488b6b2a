"""DynamoDB tables: on demand, encrypted, with point-in-time recovery.

Their protection against deletion is not in the template: CloudFormation could not roll back a deployment that has
created a protected table. `daybook protect` turns it on afterwards.
"""

import re

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from daybook.constructs.backups import back_up
from daybook.constructs.keys import Data, own_key
from daybook.constructs.stage import Stage
from daybook.store.schema import Schema


def name_in_options(construct_id: str) -> str:
    """The name of a table in the option `warm_throughput`: `Store` gives `store`, `OrderStatusTable` `order-status`."""
    return re.sub(r"\B(?=[A-Z])", "-", construct_id.removesuffix("Table")).lower()


def table(
    scope: Construct,
    construct_id: str,
    *,
    stage: Stage,
    schema: Schema,
    name: str | None = None,
    stream: dynamodb.StreamViewType | None = None,
    data: Data = Data.TABLES,
) -> dynamodb.Table:
    """A table with the keys and indexes of a schema. `data` is the class of data that is in it.

    Without a name, CloudFormation generates one, so that a deleted service can be deployed again beside its old table.
    """

    def key(attribute: str) -> dynamodb.Attribute:
        kind = dynamodb.AttributeType.NUMBER if attribute in schema.numbers else dynamodb.AttributeType.STRING
        return dynamodb.Attribute(name=attribute, type=kind)

    units = stage.warm_throughput.get(name_in_options(construct_id))
    warm = units and dynamodb.WarmThroughput(read_units_per_second=units["read"], write_units_per_second=units["write"])
    own = own_key(scope, stage=stage, data=data)
    made = dynamodb.Table(
        scope,
        construct_id,
        table_name=name,
        partition_key=key(schema.partition),
        sort_key=key(schema.sort) if schema.sort else None,
        stream=stream,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        # Without a key of the stage's own: a key that DynamoDB owns, without extra cost.
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if own else dynamodb.TableEncryption.DEFAULT,
        encryption_key=own,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        removal_policy=stage.table_removal,
        warm_throughput=warm,
    )
    back_up(made, stage=stage)
    for index in schema.indexes:
        projected = dynamodb.ProjectionType.INCLUDE if index.carries else dynamodb.ProjectionType.KEYS_ONLY
        made.add_global_secondary_index(
            index_name=index.name,
            partition_key=key(index.partition),
            sort_key=key(index.sort),
            projection_type=dynamodb.ProjectionType.ALL if index.carries is None else projected,
            non_key_attributes=list(index.carries) if index.carries else None,
            warm_throughput=warm,  # an index that throttles, throttles its table
        )
    return made
