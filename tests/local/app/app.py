"""The smallest system: tests of `python -m daybook.local run` deploy it."""

from aws_cdk import App, Stack
from aws_cdk.aws_events import EventBus

app = App()
stack = Stack(app, f"daybook-{app.node.try_get_context('stage')}-small")
EventBus(stack, "Bus", event_bus_name="daybook-local-ingress")
app.synth()
