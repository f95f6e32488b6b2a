"""Requests that compare the in-memory DynamoDB of `daybook.testing` with moto's, and with MiniStack's."""
