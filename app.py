"""Which stacks there are, for which stage; nothing else. `cdk deploy --all -c stage=prod`."""

import sys

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from backbone.names import BadStage
from stacks.backbone import Backbone
from stacks.inventory import Inventory
from stacks.orders import Orders
from stacks.stage import Stage

app = App()
try:
    stage = Stage(name=app.node.get_context("stage"), alarm_email=app.node.try_get_context("alarm_email"))
except BadStage as error:
    sys.exit(f"Error: {error}")

backbone = Backbone(app, stage=stage)
for service in (Inventory, Orders):
    service(app, stage=stage).add_stack_dependency(backbone)

Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))

app.synth()
