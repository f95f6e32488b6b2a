"""AWS in this process's memory: DynamoDB is this project's own, everything else moto's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.models import botocore_stubber

from tests.dynamodb import DynamoDB, answering
from tests.tables import Definition

# By address, which moto looks at first: it would go through the addresses of all of AWS's services otherwise.
_NOT_MOTOS = {"core": {"passthrough": {"services": [], "urls": [r"https://dynamodb\."]}}}


@contextmanager
def aws_in_memory(tables: Iterable[Definition]) -> Iterator[DynamoDB]:
    """An AWS with nothing but these tables in it, for what botocore and boto3 send within the block.

    `mock_aws` does the same for more libraries, and takes 20 ms each time to prepare them.
    """
    BackendDict.reset()
    with patch.dict(default_user_config, _NOT_MOTOS), answering(DynamoDB(tables)) as dynamodb:
        botocore_stubber.enabled = True
        try:
            yield dynamodb
        finally:
            botocore_stubber.enabled = False
