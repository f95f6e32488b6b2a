"""The connection to a stage: account, region and endpoint, and the clients of AWS."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from daybook.application import application
from daybook.operate.errors import BadStage, NoLocalRun, NotALocalEndpoint
from daybook.runtime import names
from daybook.runtime.names import Names
from daybook.store.attributes import pack_item
from daybook.store.event_store import EventStore
from daybook.store.journal import Journal
from daybook.store.ledger import Ledger
from daybook.store.transaction import Backoff, batch_get

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"
_ENDPOINT = "AWS_ENDPOINT_URL"
_RUN_FILE = Path(".daybook", "local.json")
_DEFAULT_LOCAL_REGION = "us-east-1"

# AWS's own domains, China's and the dual-stack ones among them.
_AWS = re.compile(r"(.+\.)?(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn|aws\.dev)")

# Calls in parallel: enough to hide the network's delay, few enough not to be throttled.
_MOST_CALLS = 16
_LONGEST_WAIT = 15  # seconds


@dataclass(frozen=True, slots=True)
class _LocalRun:
    """Where the run on this machine listens."""

    endpoint: str
    region: str


class Connection:
    """One stage, and the clients of AWS that reach it. Clients are made at their first use."""

    def __init__(self, stage: str, session: boto3.Session | None = None, *, endpoint: str | None = None) -> None:
        """By boto3's ordinary chain, unless a session is given. `endpoint` takes precedence over the endpoints and
        proxies of the environment.
        """
        self.names = Names(stage)
        self._session = session or new_session()
        self._endpoint = endpoint

    @classmethod
    def to(cls, stage: str, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Self:
        """The connection to a stage: by boto3's ordinary chain, and to `local` by what `make run` has left.

        `environment` is the process's unless given, `folder` the current one. `local` is only reached at an endpoint
        that is not AWS's, and with credentials that AWS does not know. Raises BadStage, NoLocalRun, NotALocalEndpoint,
        and botocore's ProfileNotFound.
        """
        try:
            Names(stage)
        except names.BadStage as error:
            msg = f"{error} (--stage prod)"
            raise BadStage(msg) from error
        if stage != LOCAL:
            return cls(stage)
        environment = os.environ if environment is None else environment
        run = _from_environment(environment) or _from_file(folder or Path.cwd())
        return cls(stage, _local_session(run.region), endpoint=run.endpoint)

    @property
    def stage(self) -> str:
        """The stage's name."""
        return self.names.stage

    @cached_property
    def dynamodb(self) -> Any:
        """The client of DynamoDB."""
        return self.client("dynamodb")

    @cached_property
    def eventbridge(self) -> Any:
        """The client of EventBridge. It retries no call: an event that was put twice would count twice."""
        return self.client("events", attempts=1)

    @cached_property
    def sqs(self) -> Any:
        """The client of SQS."""
        return self.client("sqs")

    @cached_property
    def lambda_(self) -> Any:
        """The client of Lambda."""
        return self.client("lambda")

    @cached_property
    def store(self) -> EventStore:
        """The stage's event store."""
        return EventStore(self.dynamodb, self.names.store)

    @cached_property
    def ledger(self) -> Ledger:
        """The stage's ledger."""
        return Ledger(self.dynamodb, self.names.ledger)

    @cached_property
    def journal(self) -> Journal:
        """The stage's journal."""
        return Journal(self.dynamodb, self.names.store)

    @cached_property
    def account(self) -> str:
        """The number of the account that the credentials belong to."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def region(self) -> str:
        """The region that the stage is in."""
        return str(self.sqs.meta.region_name)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The results of `function`, in the order of the items. Calls run in parallel; the first error ends all."""
        waiting = list(items)
        if len(waiting) <= 1:
            return [function(item) for item in waiting]
        pool = ThreadPoolExecutor(max_workers=min(_MOST_CALLS, len(waiting)))
        try:
            return list(pool.map(function, waiting))
        finally:
            pool.shutdown(cancel_futures=True)

    def items(
        self,
        table: str,
        keys: Iterable[Mapping[str, object]],
        attributes: Iterable[str] = (),
        *,
        consistent: bool = True,
    ) -> Iterator[Mapping[str, Any]]:
        """The items with these keys, BATCH_GET_ITEMS at the most, or these attributes of them."""
        asked: dict[str, Any] = {"Keys": [pack_item(key) for key in keys], "ConsistentRead": consistent}
        if names := {f"#{name}": name for name in attributes}:
            asked |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        for _, item in batch_get(self.dynamodb, {table: asked}, Backoff(lambda: _LONGEST_WAIT)):
            yield item

    def client(self, service: str, *, attempts: int = 4, seconds: float = _LONGEST_WAIT) -> Any:
        """A new client of one of AWS's services, for rare calls; the clients of the properties are kept.

        It waits `seconds` for an answer, and makes at most `attempts` attempts.
        """
        config = Config(
            connect_timeout=5,
            read_timeout=seconds,
            max_pool_connections=_MOST_CALLS,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # A proxy knows nothing of this machine's own addresses.
            proxies={} if self._endpoint else None,
        )
        return self._session.client(service, endpoint_url=self._endpoint, config=config)  # type: ignore[call-overload]


def new_session(plain: botocore.session.Session | None = None, **settings: str) -> boto3.Session:
    """A session by boto3's ordinary chain, or upon this one of botocore's. All share the models of AWS's services."""
    plain = plain or botocore.session.Session()
    plain.register_component("data_loader", _loader(plain.get_config_variable("data_path")))
    return boto3.Session(botocore_session=plain, **settings)


def _from_environment(environment: Mapping[str, str]) -> _LocalRun | None:
    endpoint = environment.get(_ENDPOINT)
    if not endpoint:
        return None
    if _AWS.fullmatch((urlsplit(endpoint).hostname or "").rstrip(".").lower()):
        raise NotALocalEndpoint(endpoint)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _DEFAULT_LOCAL_REGION
    return _LocalRun(endpoint, region)


def _from_file(folder: Path) -> _LocalRun:
    """The run that is described by the file nearest to `folder`. Raises NoLocalRun."""
    here = folder.resolve()
    places = (here, *here.parents, _home())
    for place in places:
        try:
            content = json.loads((place / _RUN_FILE).read_text(encoding="utf-8"))
            run, pid = _LocalRun(content["endpoint"], content["region"]), content["pid"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if type(pid) is int and pid > 0 and _is_running(pid) and _from_environment({_ENDPOINT: run.endpoint}):
            return run
    raise NoLocalRun(_RUN_FILE, places)


def _home() -> Path:
    return application().root


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _local_session(region: str) -> boto3.Session:
    """A session with the credentials of the local cloud only, whatever profile is set."""
    nowhere = (None, None, os.devnull, None)
    plain = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nowhere,
            "credentials_file": nowhere,
        }
    )
    return new_session(
        plain,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the local cloud takes any
        region_name=region,
    )


@cache
def _loader(path: str | None) -> Loader:
    """One for all sessions of the process: each loader reads the models of AWS's services again."""
    loader: Loader = create_loader(path)
    return loader
