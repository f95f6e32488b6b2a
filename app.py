"""Which stacks there are, for which stage; nothing else. `cdk deploy --all -c stage=prod`."""

import sys

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from backbone.names import BadStage
from stacks.analytics import Analytics
from stacks.backbone import Backbone
from stacks.compliance import Compliance
from stacks.equipment import Equipment
from stacks.fraud import Fraud
from stacks.inventory import Inventory
from stacks.notifications import Notifications
from stacks.orders import Orders
from stacks.patients import Patients
from stacks.payments import Payments
from stacks.shipping import Shipping
from stacks.stage import Stage

SERVICES = (
    Analytics,
    Compliance,
    Equipment,
    Fraud,
    Inventory,
    Notifications,
    Orders,
    Patients,
    Payments,
    Shipping,
)


def add_stacks(app: App, stage: Stage) -> None:
    """The backbone's stack, and one for each service, which is deployed after it."""
    backbone = Backbone(app, stage=stage)
    for service in SERVICES:
        service(app, stage=stage).add_stack_dependency(backbone)


def main() -> None:
    """Make the templates of the stage that the context names. A finding of cdk-nag is an error."""
    app = App()
    chosen = {
        name: app.node.try_get_context(name) for name in ("alarm_email", "mail_from", "pager_email", "stripe_api")
    }
    try:
        stage = Stage(name=app.node.get_context("stage"), **{name: value for name, value in chosen.items() if value})
    except BadStage as error:
        sys.exit(f"Error: {error}")
    add_stacks(app, stage)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
