"""Payments."""

from aws_cdk import Acknowledgment, ArnFormat, RemovalPolicy, Validations
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.inventory import StockReserved
from events.orders import RefundRequested


class Payments(Service):
    """Money of orders, at the payment provider. The key to its API is a secret, which a person fills in."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "payments", stage=stage)
        key = secretsmanager.Secret(
            self,
            "StripeKey",
            secret_name=stage.names.of("stripe-key"),
            description="The secret key of Stripe's API. A generated text stands here until somebody puts the key in.",
            # It has a name that people rely on: were it kept, payments could not come back. Stripe has the key.
            removal_policy=RemovalPolicy.DESTROY,
        )
        Validations.of(key).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-SMG4",
                reason="Stripe rolls its keys on request of a person, who puts the new one here.",
            )
        )
        # Secrets Manager puts six characters behind the name
        # (https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html).
        arn = self.format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{stage.names.of('stripe-key')}-??????",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        options = {
            "stripe-key": stage.names.of("stripe-key"),
            "stripe-api": stage.option("stripe_api", "https://api.stripe.com"),
        }
        for effect in (
            self.effect("charge_order", StockReserved, options=options),
            self.effect("refund_order", RefundRequested, options=options),
        ):
            effect.function.allow(["secretsmanager:GetSecretValue"], arn)
