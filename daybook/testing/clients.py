"""AWS clients that are kept from one test to the next: botocore takes milliseconds to create one."""

import os
from collections.abc import Callable
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.session import Session

# Daybook's DynamoDB in memory does not check signatures. Others do: the local cloud finds the role by them.
_UNSIGNED = Config(signature_version=UNSIGNED)


def keep_clients(session: Session) -> Session:
    """Let the session return the same client for the same settings, and for the same environment.

    A client to which an event handler is added is not returned again, so that the next test has one without it.
    """
    create, kept = session.create_client, dict[object, Any]()

    def kept_client(service: str, *, config: Config | None = None, **settings: Any) -> Any:
        environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
        key = service, repr(sorted(vars(config or Config()).items())), tuple(sorted(settings.items())), environment
        if key not in kept:
            elsewhere = settings.get("endpoint_url") or any(
                name.startswith("AWS_ENDPOINT_URL") for name, _ in environment
            )
            if service == "dynamodb" and not elsewhere:
                config = config.merge(_UNSIGNED) if config else _UNSIGNED
            kept[key] = client = create(service, config=config, **settings)
            for name in ("register", "register_first", "register_last"):
                setattr(client.meta.events, name, _forgetting(kept, key, getattr(client.meta.events, name)))
        return kept[key]

    session.create_client = kept_client  # type: ignore[assignment,method-assign]
    return session


def _forgetting(kept: dict[object, Any], key: object, register: Callable[..., None]) -> Callable[..., None]:
    def forget_and_register(*args: Any, **options: Any) -> None:
        kept.pop(key, None)
        register(*args, **options)

    return forget_and_register
