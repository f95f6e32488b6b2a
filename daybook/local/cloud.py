"""A cloud on this machine: MiniStack, on the loopback only, leaving nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from daybook.local import certificate, environment, logs
from daybook.local.errors import PortTaken, StepFailed
from daybook.local.interrupts import held
from daybook.local.processes import Child
from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
READY_WITHIN = 60.0  # seconds; it takes one or two
_STEP = "starting the cloud"
# One for all sessions: each loader parses the models of AWS's services again, which takes 100 ms of processor time.
_SERVICE_MODELS = Loader()
_REACH = ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE")


class Cloud:
    """An empty AWS of its own, from `with` until the end of the block.

    It listens on one port of the loopback and keeps everything (state, logs, temporary files, also those of programs
    that run with its `environment`) in one folder. Leaving the block ends every process and removes the folder.
    If it is left by an exception other than an interrupt, the logs are moved to `kept_logs` first.

    `port`: a free one unless given; `PortTaken` if it is not free. `project`: whose `.daybook/logs` takes the logs
    of a failed run. `extra`: environment variables for the cloud and its functions, on top of `environment`.
    `iam`: whether permissions are enforced, so that each function may do what its role allows and nothing else; the
    endpoint is then https, with a certificate that is made for this cloud alone.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        project: Path = ROOT,
        extra: Mapping[str, str] | None = None,
        iam: bool = False,
    ) -> None:
        self.port = port or 0
        self.project = project
        self._iam = iam
        self._certificate: Path | None = None
        self._extra = dict(extra or {})
        self._child: Child | None = None
        self._forget_folder: weakref.finalize[Any, Any] | None = None
        self._clients: dict[str, Any] = {}
        self._making_clients = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self._launch()
            self._wait_until_ready()
        except BaseException as error:
            self.stop(failed=isinstance(error, Exception))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(failed=isinstance(error, Exception))

    @property
    def log(self) -> Path:
        """What the cloud itself has to say, functions' output included."""
        return self.logs / "cloud.log"

    @property
    def pid(self) -> int | None:
        """The process of the cloud itself, whose children run the functions; None unless it is up."""
        return self._child.pid if self._child and self._child.exit_code is None else None

    @property
    def reach(self) -> dict[str, str]:
        """The environment variables by which AWS's programs find this cloud and trust it."""
        return {name: self.environment[name] for name in _REACH if name in self.environment}

    def session(self) -> boto3.Session:
        """Make a session for this cloud; nothing of the user's own settings or credentials has a say in it."""
        # (name in a file, environment variables, value, conversion): no variable, no file.
        nobody: dict[str, tuple[None, list[str], str | None, None]] = {
            "profile": (None, [], None, None),
            "config_file": (None, [], os.devnull, None),
            "credentials_file": (None, [], os.devnull, None),
        }
        session = botocore.session.Session(session_vars=nobody)
        session.register_component("data_loader", _SERVICE_MODELS)
        if self._certificate:
            session.set_config_variable("ca_bundle", str(self._certificate))
        return boto3.Session(
            aws_access_key_id=environment.ACCESS_KEY,
            aws_secret_access_key=environment.SECRET_KEY,
            region_name=environment.REGION,
            botocore_session=session,
        )

    def client(self, service: str, **settings: Any) -> Any:
        """Return a boto3 client of this cloud. Without settings, all callers share one client per service: clients are
        thread-safe.
        """
        if settings:
            return self._new_client(service, **settings)
        with self._making_clients:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str, **settings: Any) -> Any:
        ours = Config(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False)
        return self.session().client(  # type: ignore[call-overload]
            service, endpoint_url=self.endpoint, config=ours.merge(settings.pop("config", Config())), **settings
        )

    def page(self, path: str) -> Any:
        """Read a page on which the cloud tells of itself, as JSON: `ses/messages` …"""
        connection = self._connection()
        try:
            connection.request("GET", f"/_ministack/{path}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """In the block, the cloud does nothing and answers nobody; then it goes on. Its functions' processes run on."""
        pid = self.pid
        if pid is None:
            msg = "the cloud is not up"
            raise RuntimeError(msg)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def wait(self) -> None:
        """Wait for the cloud to end, which it does not do by itself: then `StepFailed` says what it said last."""
        if self._child:
            code = self._child.wait()
            raise StepFailed("keeping the cloud up", logs.why(self.log, code), self.kept_logs / self.log.name)

    def stop(self, *, failed: bool = False) -> None:
        """End every process of the cloud and remove its folder; keep the logs if the run failed. Safe to call twice."""
        with held():
            if self._child:
                self._child.end()
            if self._forget_folder and self._forget_folder.alive:
                if failed:
                    logs.keep(self.logs, self.kept_logs)
                self._forget_folder()

    def _launch(self) -> None:
        self.port = _reserved(self.port)
        self.endpoint = f"{'https' if self._iam else 'http'}://{HOST}:{self.port}"
        self.kept_logs = logs.place(self.project)
        with held():
            self.folder = Path(tempfile.mkdtemp(prefix="daybook-")).resolve()
            self._forget_folder = weakref.finalize(self, _remove, self.folder)
        self.logs = self.folder / "logs"
        self.environment = environment.isolated(self.folder, self.endpoint)
        for name in ("home", "tmp", "state", "logs"):
            (self.folder / name).mkdir()
        settings = {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "state" / "s3"),
            # A Docker that happens to be there is left alone.
            "DOCKER_HOST": f"unix://{self.folder / 'no-docker'}",
        }
        if self._iam:
            settings |= self._enforcement()
        tether = str(Path(__file__).with_name("tether.py"))
        with held():
            self._child = Child(
                # -P: this package's modules must not stand in the way of MiniStack's.
                [sys.executable, "-P", tether, str(self.folder)],
                environment=self.environment | settings | self._extra,
                directory=self.folder,
                log=self.log,
            )

    def _enforcement(self) -> dict[str, str]:
        """MiniStack's settings for IAM. Queues' policies refuse all that comes without TLS, so the two go together."""
        pair = certificate.self_signed(self.folder, HOST, "localhost")
        self._certificate = pair.certificate
        self.environment |= {"AWS_CA_BUNDLE": str(pair.certificate), "NODE_EXTRA_CA_CERTS": str(pair.certificate)}
        return {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(pair.certificate),
            "MINISTACK_SSL_KEY": str(pair.key),
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            if self._child and self._child.exit_code is not None:
                _reserved(self.port)
                why = logs.why(self.log, self._child.exit_code)
                raise StepFailed(_STEP, why, self.kept_logs / self.log.name)
            if time.monotonic() > deadline:
                why = f"It was not ready after {READY_WITHIN:.0f} seconds."
                raise StepFailed(_STEP, why, self.kept_logs / self.log.name)
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = self._connection()
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/_ministack/ready")
            ready = connection.getresponse().status == http.HTTPStatus.OK
            # Somebody else's cloud may have been quicker on this port: then ours has ended.
            return ready and self._child is not None and self._child.exit_code is None
        connection.close()
        return False

    def _connection(self) -> http.client.HTTPConnection:
        if not self._certificate:
            return http.client.HTTPConnection(HOST, self.port, timeout=5)
        trust = ssl.create_default_context(cafile=str(self._certificate))
        return http.client.HTTPSConnection(HOST, self.port, timeout=5, context=trust)


def _reserved(port: int) -> int:
    """Return the port, or a free one for 0; `PortTaken` if nobody may listen there."""
    with socket.socket() as probe:
        # Connections of the last run that linger on the port are no hindrance; a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except PermissionError:
            raise PortTaken(port, "may only be used by the administrator") from None
        except OverflowError:
            raise PortTaken(port, "does not exist: ports end at 65535") from None
        except OSError:
            raise PortTaken(port) from None
        return int(probe.getsockname()[1])


def _remove(folder: Path) -> None:
    # A killed worker may just have been writing: what it left is found by the second look.
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
