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

app = App()
try:
    chosen = {
        name: app.node.try_get_context(name) for name in ("alarm_email", "mail_from", "pager_email", "stripe_api")
    }
    stage = Stage(name=app.node.get_context("stage"), **{name: value for name, value in chosen.items() if value})
except BadStage as error:
    sys.exit(f"Error: {error}")

backbone = Backbone(app, stage=stage)
for service in (
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
):
    service(app, stage=stage).add_stack_dependency(backbone)

Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))

app.synth()
