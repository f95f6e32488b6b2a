"""Python imports this by itself when this folder is on its path."""  # noqa: INP001 - Python wants it at the top

import os

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and "DAYBOOK_USAGE" in os.environ:
    from daybook_usage import doors

    doors.open_all()
