"""The CDK app: the stacks of one stage, checked by cdk-nag. `cdk deploy --all -c stage=prod`."""

import sys

from aws_cdk import App, Validations
from cdk_nag import (
    AwsSolutionsChecks,
    HIPAASecurityChecks,
    NIST80053R5Checks,
    PCIDSS321Checks,
    ServerlessChecks,
)

from daybook.constructs.app import add_stacks
from daybook.constructs.stage import BadOption, Stage
from daybook.runtime.names import BadStage


def main() -> None:
    """Synthesize the templates of the stage in the CDK context. Each cdk-nag finding is an error."""
    app = App()
    try:
        add_stacks(app, Stage.of(app))
    except (BadStage, BadOption) as error:
        sys.exit(f"Error: {error}")
    packs = (AwsSolutionsChecks, ServerlessChecks, HIPAASecurityChecks, NIST80053R5Checks, PCIDSS321Checks)
    Validations.of(app).add_plugins(*(pack(app) for pack in packs))
    app.synth()


if __name__ == "__main__":
    main()
