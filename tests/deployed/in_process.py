"""Units of work in the test's own process, on the deployed system's tables, for controlled races."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from daybook.consumers.consumer import backbone, journal_shards
from daybook.consumers.delivery import Delivery
from daybook.consumers.reaction import Reaction
from daybook.contracts.envelope import Envelope
from daybook.local.faults.worker.daybook_faults import call_changes
from daybook.runtime import aws
from daybook.runtime.settings import settings
from daybook.store.transaction import Backoff
from tests.deployed.deployed import Deployed

TIMEOUT = 240.0  # seconds


@contextmanager
def process_of(system: Deployed, function: str) -> Iterator[None]:
    """In the block, this process has the environment of the deployed function, and its own clients."""
    name = system.connection.names.of(function)
    variables = system.cloud.client("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    connection = {key: value for key, value in system.cloud.environment.items() if key.startswith("AWS_")}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {**variables, **connection}.items():
            patch.setenv(variable, value)
        _forget()
        try:
            _ = backbone()  # created before several threads need it
            yield
        finally:
            _forget()


def handle(reaction: Reaction[Any], envelopes: Sequence[Envelope]) -> None:
    """Let the reaction handle all events at once, each in its own thread and unit of work. None may fail."""
    deadline = time.monotonic() + TIMEOUT
    together = threading.Barrier(len(envelopes), timeout=TIMEOUT)

    def one(envelope: Envelope) -> None:
        together.wait()
        delivery = Delivery({}, envelope.metadata, envelope.data, None)
        reaction.attempt(delivery, Backoff(lambda: deadline - time.monotonic()))

    with ThreadPoolExecutor(max_workers=len(envelopes)) as pool:
        for done in [pool.submit(one, envelope) for envelope in envelopes]:
            done.result()


@contextmanager
def race(runners: int) -> Iterator[None]:
    """In the block, no thread writes before all threads have read."""
    line, met = threading.Barrier(runners, timeout=TIMEOUT), set[int]()

    def wait(**_: Any) -> None:
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            line.wait()

    with _registered("before-call.dynamodb.TransactWriteItems", wait):
        yield


@contextmanager
def before_first_write(action: Callable[[], None]) -> Iterator[None]:
    """In the block, run `action` after the first unit of work has read and before it writes."""
    waiting = iter([action])

    def write(**_: Any) -> None:
        for other in waiting:
            other()

    with _registered("before-call.dynamodb.TransactWriteItems", write):
        yield


@contextmanager
def without_conditions(table: str, *, rows: str = "") -> Iterator[None]:
    """In the block, transactions write to the table, or to rows whose key begins with `rows`, without conditions."""

    def strip(params: Any, **_: Any) -> Any:
        return call_changes.without_conditions(params, table, rows=rows)

    with _registered("provide-client-params.dynamodb.TransactWriteItems", strip):
        yield


@contextmanager
def _registered(moment: str, act: Callable[..., Any]) -> Iterator[None]:
    events = aws.client("dynamodb").meta.events
    events.register(moment, act)
    try:
        yield
    finally:
        events.unregister(moment, act)


def _forget() -> None:
    for kept in (aws.client, aws._session, backbone, journal_shards, settings):  # noqa: SLF001 - it holds credentials
        kept.cache_clear()
