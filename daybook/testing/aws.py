"""AWS in the memory of the test process: DynamoDB is Daybook's own, all other services are moto's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.models import botocore_stubber

from daybook.testing.dynamodb import DynamoDB, answering
from daybook.testing.tables import Definition

# moto passes on what is sent to this address. It compares addresses before it searches all of its services.
_NOT_MOTOS = {"core": {"passthrough": {"services": [], "urls": [r"https://dynamodb\."]}}}


@contextmanager
def aws_in_memory(tables: Iterable[Definition]) -> Iterator[DynamoDB]:
    """In the block, boto3 and botocore use an AWS that contains only these tables.

    moto's `mock_aws` also prepares other libraries, which takes 20 ms each time.
    """
    BackendDict.reset()
    with patch.dict(default_user_config, _NOT_MOTOS), answering(DynamoDB(tables)) as dynamodb:
        botocore_stubber.enabled = True
        try:
            yield dynamodb
        finally:
            botocore_stubber.enabled = False
