"""Handlers that Daybook is compared with. Each file is deployed as a Lambda function of its own."""
