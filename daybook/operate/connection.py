"""The connection to a stage: account, region, endpoint, and AWS clients."""

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
from daybook.runtime.keyring import Keyring
from daybook.runtime.names import Names
from daybook.store.attributes import pack_item
from daybook.store.event_store import EventStore
from daybook.store.journal import Journal
from daybook.store.journal_shards import JournalShards
from daybook.store.ledger import Ledger
from daybook.store.transaction import Backoff, batch_get

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"
_ENDPOINT = "AWS_ENDPOINT_URL"
_RUN_FILE = Path(".daybook", "local.json")
_DEFAULT_LOCAL_REGION = "us-east-1"

# The domains of AWS, including China and dual-stack endpoints.
_AWS = re.compile(r"(.+\.)?(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn|aws\.dev)")

# Calls in parallel: enough to hide the network's delay, few enough not to be throttled.
_MAX_CALLS = 16
MAX_WAIT = 15  # seconds


@dataclass(frozen=True, slots=True)
class _LocalRun:
    """Where the run on this machine listens."""

    endpoint: str
    region: str


class Connection:
    """The AWS clients and the tables of one stage. Clients are created at first use."""

    def __init__(self, stage: str, session: boto3.Session | None = None, *, endpoint: str | None = None) -> None:
        """Uses boto3's default credentials and region, or `session`. `endpoint` overrides the endpoints and proxies of
        the environment.
        """
        self.names = Names(stage)
        self._session = session or new_session()
        self._endpoint = endpoint

    @classmethod
    def to(cls, stage: str, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Self:
        """The connection to a stage, by boto3's default chain, or to `local` by the file of `make run`.

        By default, `environment` is that of the process, and `folder` the current folder. `local` is never an AWS
        endpoint, and uses credentials that AWS does not accept. Raises BadStage, NoLocalRun, NotALocalEndpoint, and
        botocore's ProfileNotFound.
        """
        try:
            Names(stage)
        except names.BadStage as error:
            raise BadStage(f"{error} (--stage prod)") from error
        if stage != LOCAL:
            return cls(stage)
        environment = os.environ if environment is None else environment
        run = _from_environment(environment) or _from_file(folder or Path.cwd())
        return cls(stage, _local_session(run.region), endpoint=run.endpoint)

    @property
    def stage(self) -> str:
        return self.names.stage

    @cached_property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    @cached_property
    def eventbridge(self) -> Any:
        """The client of EventBridge. It retries no call: an event that is put twice would count twice."""
        return self.client("events", attempts=1)

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    @cached_property
    def lambda_(self) -> Any:
        return self.client("lambda")

    @cached_property
    def store(self) -> EventStore:
        return EventStore(self.dynamodb, self.names.store, self.journal_shards)

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.names, {"dynamodb": self.dynamodb, "kms": self.client("kms")}.__getitem__)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.dynamodb, self.names.ledger)

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.dynamodb, self.names.store, self.journal_shards)

    @cached_property
    def journal_shards(self) -> JournalShards:
        return JournalShards(self.dynamodb, self.names.ledger, self.names.journal_shards)

    @cached_property
    def account(self) -> str:
        """The account id of the credentials."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def region(self) -> str:
        return str(self.sqs.meta.region_name)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """The results of `function`, in the order of the items. Calls run in parallel; the first error is raised."""
        waiting = list(items)
        if len(waiting) <= 1:
            return [function(item) for item in waiting]
        pool = ThreadPoolExecutor(max_workers=min(_MAX_CALLS, len(waiting)))
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
        """The items with these keys, at most BATCH_GET_ITEMS, or only these attributes of them."""
        asked: dict[str, Any] = {"Keys": [pack_item(key) for key in keys], "ConsistentRead": consistent}
        if names := {f"#{name}": name for name in attributes}:
            asked |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        for _, item in batch_get(self.dynamodb, {table: asked}, Backoff(lambda: MAX_WAIT)):
            yield item

    def client(self, service: str, *, attempts: int = 4, seconds: float = MAX_WAIT) -> Any:
        """A new client of an AWS service, with at most `attempts` attempts and a read timeout of `seconds`."""
        config = Config(
            connect_timeout=5,
            read_timeout=seconds,
            max_pool_connections=_MAX_CALLS,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # A proxy cannot reach addresses of this machine.
            proxies={} if self._endpoint else None,
        )
        return self._session.client(service, endpoint_url=self._endpoint, config=config)  # type: ignore[call-overload]


def new_session(plain: botocore.session.Session | None = None, **settings: str) -> boto3.Session:
    """A boto3 session, by default with boto3's default chain. All sessions share the loaded service models."""
    plain = plain or botocore.session.Session()
    plain.register_component("data_loader", _loader(plain.get_config_variable("data_path")))
    return boto3.Session(botocore_session=plain, **settings)


def _from_environment(environment: Mapping[str, str]) -> _LocalRun | None:
    endpoint = environment.get(_ENDPOINT)
    if not endpoint:
        return None
    if _AWS.fullmatch((urlsplit(endpoint).hostname or "").rstrip(".").lower()):
        raise NotALocalEndpoint(
            f"the stage is local, but AWS_ENDPOINT_URL is an AWS endpoint ({endpoint}); unset it, or use another stage"
        )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or _DEFAULT_LOCAL_REGION
    return _LocalRun(endpoint, region)


def _from_file(folder: Path) -> _LocalRun:
    """The run in the file nearest to `folder`. Raises NoLocalRun."""
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
    searched = ", ".join(map(str, dict.fromkeys(places)))
    raise NoLocalRun(
        f"no local run found: AWS_ENDPOINT_URL is not set, and there is no {_RUN_FILE} of a running process in "
        f"{searched}; start one with `make run`"
    )


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
    """A session with the credentials of the local cloud. Profiles are ignored."""
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
        aws_secret_access_key="test",  # noqa: S106 - the local cloud accepts any
        region_name=region,
    )


@cache
def _loader(path: str | None) -> Loader:
    """One loader for all sessions: each loader would read the service models again."""
    loader: Loader = create_loader(path)
    return loader
