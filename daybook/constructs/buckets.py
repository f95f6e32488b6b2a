"""S3 buckets: private, encrypted, TLS only; with `bucket_history` also with versions and a log of all requests."""

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_s3 as s3
from constructs import Construct

from daybook.constructs.findings import accept, accept_without_own_keys
from daybook.constructs.keys import Data, own_key
from daybook.constructs.stage import Stage

_KEPT = Duration.days(365)  # access logs, and versions that were replaced or deleted


def bucket(scope: Construct, construct_id: str, *, stage: Stage) -> s3.Bucket:
    """A bucket, encrypted with the key of objects if the stage has `own_keys`."""
    own = own_key(scope, stage=stage, data=Data.OBJECTS)
    history = stage.bucket_history
    made = s3.Bucket(
        scope,
        construct_id,
        encryption=s3.BucketEncryption.KMS if own else s3.BucketEncryption.S3_MANAGED,
        encryption_key=own,
        bucket_key_enabled=True if own else None,  # one request to KMS for many objects
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        versioned=history or None,
        lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=_KEPT)] if history else None,
        server_access_logs_bucket=_access_log(scope, f"{construct_id}Log", stage) if history else None,
        removal_policy=stage.table_removal,
    )
    accept_without_own_keys(made, "S3DefaultEncryptionKMS", stage=stage)
    if not history:
        off = "The stage's option bucket_history is off."
        Validations.of(made).acknowledge(Acknowledgment(id="AwsSolutions::AwsSolutions-S1", reason=off))
        accept(made, off, "S3BucketLoggingEnabled", "S3BucketVersioningEnabled")
    return made


def _access_log(scope: Construct, construct_id: str, stage: Stage) -> s3.Bucket:
    made = s3.Bucket(
        scope,
        construct_id,
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        lifecycle_rules=[s3.LifecycleRule(expiration=_KEPT)],
        removal_policy=stage.table_removal,
    )
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    accept(made, "S3 delivers access logs only to buckets that its own key encrypts.", "S3DefaultEncryptionKMS")
    itself = "It is the access log: it has no log of its own, and only S3 writes to it."
    Validations.of(made).acknowledge(Acknowledgment(id="AwsSolutions::AwsSolutions-S1", reason=itself))
    accept(made, itself, "S3BucketLoggingEnabled", "S3BucketVersioningEnabled", "S3BucketReplicationEnabled")
    return made
