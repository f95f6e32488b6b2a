"""The CDK app: the stacks of one stage, checked by cdk-nag. `cdk deploy --all -c stage=prod`."""

import sys

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from daybook.constructs.app import add_stacks
from daybook.constructs.stage import Stage
from daybook.runtime.names import BadStage


def main() -> None:
    """Synthesize the templates of the stage in the CDK context. Each cdk-nag finding is an error."""
    app = App()
    try:
        stage = Stage.of(app)
    except BadStage as error:
        sys.exit(f"Error: {error}")
    add_stacks(app, stage)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
