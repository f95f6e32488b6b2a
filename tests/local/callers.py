"""Roles with policies, and calls as sessions of them, for tests of what permissions allow."""

import json
from typing import Any

from daybook.local.cloud import Cloud
from tests.local.processes import unique

ACCOUNT = "000000000000"


class Caller:
    """A role with a policy, and clients of a session of it."""

    def __init__(self, cloud: Cloud, *statements: dict[str, Any], path: str = "/") -> None:
        iam, name = cloud.client("iam"), unique("caller")
        trust = document({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
        made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=document(*statements))
        self.arn = made["Role"]["Arn"]
        session = cloud.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="test")["Credentials"]
        self._cloud = cloud
        self._credentials = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }

    def client(self, service: str) -> Any:
        """A client of a service, with the role's permissions."""
        return self._cloud.client(service, **self._credentials)


def document(*statements: dict[str, Any]) -> str:
    """A policy with these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(action: str, resource: str = "*", *, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    """A statement that allows the action."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition or {}}
