"""The stack of payments."""

from aws_cdk import Acknowledgment, ArnFormat, Aws, Fn, RemovalPolicy, Validations
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from daybook.constructs.findings import accept, accept_without_own_keys
from daybook.constructs.keys import DECRYPT, Data, allow_key, own_key
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage
from events.inventory import StockReserved
from events.orders import RefundRequested
from events.payments import PaymentRefunded, RefundCheckDue, RefundUnsettled


class Payments(Service):
    """Charges and refunds through Stripe. A person stores the key of Stripe's API in a secret."""

    def __init__(self, scope: Construct, *, stage: Stage) -> None:
        super().__init__(scope, "payments", stage=stage)
        key = secretsmanager.Secret(
            self,
            "StripeKey",
            secret_name=stage.names.of("stripe-key"),
            encryption_key=own_key(self, stage=stage, data=Data.SECRETS),
            description="The secret key of Stripe's API. It is a generated text until a person stores the key.",
            # The secret has a fixed name: if it were retained, the stack could not be created again.
            removal_policy=RemovalPolicy.DESTROY,
        )
        by_a_person = "A person rotates the key at Stripe, and stores the new one here."
        Validations.of(key).acknowledge(Acknowledgment(id="AwsSolutions::AwsSolutions-SMG4", reason=by_a_person))
        accept(key, by_a_person, "SecretsManagerRotationEnabled")
        accept_without_own_keys(key, "SecretsManagerUsingKMSKey", stage=stage)
        # Secrets Manager appends six characters to the name
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
            # The id of this stack: updates keep it, and a stack that is created again has another.
            "deployment": Fn.select(2, Fn.split("/", Aws.STACK_ID)),
        }
        self.reaction("watch_refund", PaymentRefunded)
        self.reaction("watch_unsettled_refund", RefundUnsettled)
        for effect in (
            self.effect("charge_order", StockReserved, options=options),
            self.effect("refund_order", RefundRequested, options=options),
            self.effect("check_refund", RefundCheckDue, options=options),
        ):
            effect.function.allow(["secretsmanager:GetSecretValue"], arn)
            allow_key(effect.function, stage=stage, data=Data.SECRETS, service="secretsmanager", actions=DECRYPT)
