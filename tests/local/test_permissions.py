"""A cloud that enforces permissions uses TLS with its own certificate, which clients verify."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, SSLError

from daybook.local import environment
from daybook.local.cloud import Cloud

LIST_QUEUES = "import boto3; print(len(boto3.client('sqs').list_queues().get('QueueUrls', [])))"


def role(cloud: Cloud, *actions: str) -> str:
    """Create a role that allows these actions on every resource. Returns its ARN."""
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    made = iam.create_role(RoleName="clerk", AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName="clerk", PolicyName="work", PolicyDocument=_document(may))
    return str(made["Role"]["Arn"])


def test_a_role_may_only_do_what_its_policy_allows(tmp_path: Path) -> None:
    with Cloud(project=tmp_path, iam=True) as cloud:
        arn = role(cloud, "sqs:ListQueues")
        credentials = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        sqs = cloud.client(
            "sqs",
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )

        sqs.list_queues()
        with pytest.raises(ClientError, match="not authorized to perform: sqs:CreateQueue"):
            sqs.create_queue(QueueName="forbidden")


def test_only_clients_with_the_certificate_trust_the_cloud(tmp_path: Path) -> None:
    with Cloud(project=tmp_path, iam=True) as cloud:
        variables = {"AWS_ACCESS_KEY_ID": environment.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": environment.SECRET_KEY}
        variables |= {"AWS_DEFAULT_REGION": environment.REGION, **cloud.reach}

        assert cloud.endpoint.startswith("https://127.0.0.1:")
        assert subprocess.check_output([sys.executable, "-c", LIST_QUEUES], env=cloud.environment) == b"0\n"
        assert subprocess.check_output([sys.executable, "-c", LIST_QUEUES], env=variables) == b"0\n"
        with pytest.raises(SSLError):
            cloud.client("sqs", verify=True).list_queues()


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
