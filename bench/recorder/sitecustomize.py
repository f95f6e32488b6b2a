"""Python imports this module by itself when its folder is on the path."""  # noqa: INP001 - must be at the top

import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and "DAYBOOK_USAGE" in os.environ:
    from daybook_usage import import_hooks

    import_hooks.install()
