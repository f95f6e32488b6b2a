"""AWS Backup: daily and monthly backups of all tables of a stage, with copies in a second region if it names one.

Point-in-time recovery repairs a mistake of the last 35 days. Backups also survive the deletion of a table, and their
copies the loss of a region.
"""

from aws_cdk import Acknowledgment, ArnFormat, Duration, Environment, RemovalPolicy, Stack, Tags, Validations
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from daybook.constructs.findings import accept
from daybook.constructs.keys import Data, own_key
from daybook.constructs.stage import Stage

_TAG = "daybook-backup"  # its value is the stage: the stages of an account have separate plans

# A backup of a DynamoDB table is always a full copy, and is paid as one. Point-in-time recovery covers 35 days.
_DAILY = Duration.days(7)
_MONTHLY = Duration.days(365)


def back_up(table: dynamodb.Table, *, stage: Stage) -> None:
    """Tag a table, so that the stage's plan backs it up. Does nothing without `backups`."""
    if stage.backups:
        Tags.of(table).add(_TAG, stage.name)
        reason = "The plan in the data stack selects it by its tag."
    else:
        reason = "The stage's option backups is off. Point-in-time recovery is on."
    accept(table, reason, "DynamoDBInBackupPlan")


def create_plan(data_stack: Stack, *, stage: Stage) -> None:
    """The plan, with its vault, in the data stack. Does nothing without `backups`.

    The vault is not locked: backups contain personal data in clear text, and a locked vault could not delete them.
    """
    if not stage.backups:
        return
    scope = Construct(data_stack, "Backups")
    vault = backup.BackupVault(
        scope,
        "Vault",
        backup_vault_name=stage.names.of("backups"),
        encryption_key=own_key(data_stack, stage=stage, data=Data.BACKUPS),
        removal_policy=stage.table_removal,
    )
    plan = backup.BackupPlan(scope, "Plan", backup_plan_name=stage.names.of("tables"), backup_vault=vault)
    for name, schedule, kept in (
        ("daily", events.Schedule.cron(hour="3", minute="0"), _DAILY),
        ("monthly", events.Schedule.cron(day="1", hour="5", minute="0"), _MONTHLY),
    ):
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name=name,
                schedule_expression=schedule,
                start_window=Duration.hours(1),
                completion_window=Duration.hours(8),
                delete_after=kept,
                copy_actions=_copies(scope, stage, name, kept),
            )
        )
    role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("backup.amazonaws.com"))
    policy = "service-role/AWSBackupServiceRolePolicyForBackup"
    role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(policy))
    Validations.of(role).acknowledge(
        Acknowledgment(
            id=f"AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}]",
            reason="AWS maintains this policy: it contains what AWS Backup needs, and only AWS Backup gets it.",
        )
    )
    plan.add_selection("Tables", resources=[backup.BackupResource.from_tag(_TAG, stage.name)], role=role)


class BackupCopies(Stack):
    """The vault for copies, in the stage's second region."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        names = stage.names
        super().__init__(
            scope,
            names.of("backup-copies"),
            description=f"Daybook, {stage.name}: copies of backups",
            env=Environment(region=stage.backup_region),
            termination_protection=stage.termination_protection,
        )
        key = kms.Key(
            self,
            "Key",
            alias=f"alias/{names.of(Data.BACKUPS)}",
            description=f"Daybook, {stage.name}: copies of backups",
            enable_key_rotation=True,
            removal_policy=stage.table_removal,
        )
        backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=names.of("backups"),
            encryption_key=key,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )


def _copies(scope: Construct, stage: Stage, name: str, kept: Duration) -> list[backup.BackupPlanCopyActionProps]:
    if not stage.backup_region:
        return []
    arn = Stack.of(scope).format_arn(
        service="backup",
        region=stage.backup_region,
        resource="backup-vault",
        resource_name=stage.names.of("backups"),
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    vault = backup.BackupVault.from_backup_vault_arn(scope, f"Copies{name.capitalize()}", arn)
    return [backup.BackupPlanCopyActionProps(destination_backup_vault=vault, delete_after=kept)]
