"""A Lambda function with its own role and log group, and only the permissions that it needs."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, ArnFormat, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from daybook.constructs.findings import accept, accept_without_own_keys
from daybook.constructs.keys import Data, own_key
from daybook.constructs.senders import role_path
from daybook.constructs.stage import Stage
from daybook.runtime.settings import STAGE

MEMORY = 512  # MB; it also determines the CPU share: about 0.3 of one CPU

# What Lambda does for a function in a VPC
# (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaVPCAccessExecutionRole.html).
_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]
_OWN_POLICY = "The policy belongs to this role alone, is deleted with it, and can be attached to no other role."

RUNTIME = lambda_.Runtime.PYTHON_3_13


class Function(lambda_.Function):
    """A small arm64 function that is named after its consumer. `audit`: its log is kept as an audit log."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        consumer: str,
        handler: str,
        code: lambda_.Code,
        layers: list[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        timeout: Duration,
        audit: bool = False,
    ) -> None:
        name = stage.names.of(consumer)
        log_group = logs.LogGroup(
            scope,
            f"{construct_id}Logs",
            log_group_name=f"/aws/lambda/{name}",
            retention=stage.audit_log_retention if audit else stage.log_retention,
            encryption_key=own_key(scope, stage=stage, data=Data.LOGS),
            removal_policy=RemovalPolicy.DESTROY,
        )
        accept_without_own_keys(log_group, "CloudWatchLogGroupEncrypted", stage=stage)
        role = iam.Role(
            scope,
            f"{construct_id}Role",
            path=role_path(scope, stage, consumer),
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"The permissions of {name}",
        )
        log_group.grant_write(role)
        self.consumer = consumer
        super().__init__(
            scope,
            construct_id,
            function_name=name,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            handler=handler,
            code=code,
            layers=layers,
            environment={STAGE: stage.name, "POWERTOOLS_LOG_LEVEL": "INFO", **environment},
            role=role,
            log_group=log_group,
            memory_size=MEMORY,
            timeout=timeout,
            reserved_concurrent_executions=stage.reserved_concurrency.get(consumer),
            tracing=lambda_.Tracing.ACTIVE,
        )
        # X-Ray's two actions have no resource types (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html).
        Validations.of(role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="X-Ray's PutTraceSegments and PutTelemetryRecords have no resource-level permissions.",
            )
        )

        latest = "The locked packages are built and tested for this version of the runtime."
        own_handling = (
            "It is invoked by a mapping with a dead-letter queue of its own, by an operator who waits for the result, "
            "or by a schedule that invokes it again after a minute."
        )
        Validations.of(self).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-L1", reason=latest),
            Acknowledgment(id="Serverless::Serverless-LambdaLatestVersion", reason=latest),
            Acknowledgment(id="Serverless::Serverless-LambdaDLQ", reason=own_handling),
        )
        accept(self, own_handling, "LambdaDLQ")
        accept(
            self,
            "Its mapping limits how many batches it handles at once. Reserved concurrency for every function would use "
            "up the account's concurrency, of which 100 must stay unreserved.",
            "LambdaConcurrency",
        )
        if stage.in_vpc:
            self._join_vpc(role, name, stage)
        else:
            accept(
                self,
                "It has no network of its own and accepts no connection. It calls APIs of AWS over TLS as its role, "
                "and an effect calls one external system.",
                "LambdaInsideVPC",
            )
        accept(role, _OWN_POLICY, "IAMNoInlinePolicy")

    def _join_vpc(self, role: iam.Role, name: str, stage: Stage) -> None:
        """Run in the stage's subnets. Lambda manages the network interfaces by the function's role; the function's own
        code may not (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).
        """
        resource = self.node.default_child
        if not isinstance(resource, lambda_.CfnFunction):
            raise TypeError(resource)
        resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=stage.subnets, security_group_ids=stage.security_groups
        )
        itself = Stack.of(self).format_arn(
            service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        only_lambda = {"ArnEquals": {"lambda:SourceFunctionArn": itself}}
        allowed = iam.PolicyStatement(actions=_INTERFACES, resources=["*"])
        denied = iam.PolicyStatement(
            effect=iam.Effect.DENY, actions=_INTERFACES, resources=["*"], conditions=only_lambda
        )
        policy = iam.Policy(self, "NetworkInterfaces", roles=[role], statements=[allowed, denied])
        self.node.add_dependency(policy)
        accept(policy, _OWN_POLICY, "IAMNoInlinePolicy")
        Validations.of(policy).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="Lambda creates the interfaces, so their ARNs are not known.",
            )
        )

    def allow(self, actions: list[str], arn: str) -> None:
        """Allow actions on one resource."""
        self.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=[arn]))
