"""An in-memory DynamoDB that exactly implements the operations that this project uses.

    with answering(DynamoDB(definitions)):
        boto3.client("dynamodb").put_item(...)

It answers at botocore's `before-send` event: botocore still validates and serializes each request, and parses each
answer. A request that it cannot answer exactly raises NotSupported in the test that sent it.
"""

from daybook.testing.dynamodb.errors import NotSupported
from daybook.testing.dynamodb.service import DynamoDB
from daybook.testing.dynamodb.wire import answering

__all__ = ["DynamoDB", "NotSupported", "answering"]
