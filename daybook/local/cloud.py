"""A local AWS cloud (MiniStack) that listens on the loopback only and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from daybook.local import certificate, environment, logs
from daybook.local.errors import PortTaken
from daybook.local.program import Program
from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOST = "127.0.0.1"
# One loader for all sessions: each loader parses the models of AWS's services again, 100 ms of processor time.
_SERVICE_MODELS = Loader()
_CONNECTION_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE")


class Cloud(Program):
    """An empty AWS cloud that exists for the length of a `with` block.

    It listens on one port of the loopback. One folder holds everything: state, logs, temporary files, also those of
    programs that run with its `environment`.

    `port`: a free port by default; `PortTaken` if it is in use. `project`: the logs of a failed run go to its
    `.daybook/logs`. `extra`: environment variables for the cloud and its functions, in addition to `environment`.
    `iam`: enforce permissions, so that each function can do only what its role allows. The endpoint then uses https,
    with a certificate made for this cloud.
    """

    step = "starting the cloud"
    folder_prefix = "daybook-"
    log_name = "cloud.log"
    ready_within = 60.0  # usually one or two

    def __init__(
        self,
        *,
        port: int | None = None,
        project: Path = ROOT,
        extra: Mapping[str, str] | None = None,
        iam: bool = False,
    ) -> None:
        super().__init__(project)
        self.port = port or 0
        self._iam = iam
        self._certificate: Path | None = None
        self._extra = dict(extra or {})
        self._clients: dict[str, Any] = {}
        self._making_clients = threading.Lock()

    @property
    def reach(self) -> dict[str, str]:
        """The environment variables with which AWS's tools connect to this cloud."""
        return {name: self.environment[name] for name in _CONNECTION_VARIABLES if name in self.environment}

    def session(self) -> boto3.Session:
        """Create a session for this cloud. It ignores the user's own AWS settings and credentials."""
        # (name in the file, environment variables, value, conversion). No variable, no file.
        no_settings: dict[str, tuple[None, list[str], str | None, None]] = {
            "profile": (None, [], None, None),
            "config_file": (None, [], os.devnull, None),
            "credentials_file": (None, [], os.devnull, None),
        }
        session = botocore.session.Session(session_vars=no_settings)
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
        """Return a boto3 client of this cloud. Without settings, all callers share one client per service: boto3
        clients are thread-safe.
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
        """Read one of MiniStack's own pages as JSON, for example `ses/messages`."""
        connection = self._connection()
        try:
            connection.request("GET", f"/_ministack/{path}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the cloud for the length of the block: it answers no request. Its functions keep running."""
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
        """Wait until the cloud's process ends. It should not end by itself: `StepFailed` then quotes its last log
        lines.
        """
        if self._child:
            code = self._child.wait()
            raise self._failed("keeping the cloud up", logs.last_lines(self.log, code))

    def _launch(self) -> None:
        if self.port:
            _check(self.port)
        else:
            self.port = free_port()
        self.endpoint = f"{'https' if self._iam else 'http'}://{HOST}:{self.port}"
        self._create_folder()
        self.environment = environment.isolated(self.folder, self.endpoint)
        for name in ("home", "tmp", "state"):
            (self.folder / name).mkdir()
        settings = {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "state" / "s3"),
            # Never use a Docker daemon that runs on this machine.
            "DOCKER_HOST": f"unix://{self.folder / 'no-docker'}",
        }
        if self._iam:
            settings |= self._enforcement()
        program = str(Path(__file__).with_name("ministack_process.py"))
        # -P: the modules in this script's folder must not hide MiniStack's modules.
        command = [sys.executable, "-P", program, str(self.folder)]
        self._start(command, self.environment | settings | self._extra)

    def _enforcement(self) -> dict[str, str]:
        """MiniStack's settings for IAM. The queues' policies refuse requests without TLS, so IAM needs TLS."""
        pair = certificate.self_signed(self.folder, HOST, "localhost")
        self._certificate = pair.certificate
        self.environment |= {"AWS_CA_BUNDLE": str(pair.certificate), "NODE_EXTRA_CA_CERTS": str(pair.certificate)}
        return {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(pair.certificate),
            "MINISTACK_SSL_KEY": str(pair.key),
        }

    def _is_ready(self) -> bool:
        if not self.pid:
            _check(self.port)  # raises PortTaken if that is why the cloud has ended
            return False
        connection = self._connection()
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/_ministack/ready")
            ready = connection.getresponse().status == http.HTTPStatus.OK
            # Another cloud may have taken this port first. Then ours has ended.
            return ready and self.pid is not None
        connection.close()
        return False

    def _connection(self) -> http.client.HTTPConnection:
        if not self._certificate:
            return http.client.HTTPConnection(HOST, self.port, timeout=5)
        trust = ssl.create_default_context(cafile=str(self._certificate))
        return http.client.HTTPSConnection(HOST, self.port, timeout=5, context=trust)


def free_port() -> int:
    """A free port, but none of those that systems give to outgoing connections: from 32768 on Linux, 49152 on macOS.

    Any connection could take one of these before the program that needs it listens on it.
    """
    while True:
        port = secrets.choice(range(10_000, 32_000))
        with suppress(PortTaken):
            _check(port)
            return port


def _check(port: int) -> None:
    """Raises `PortTaken` if the port cannot be used."""
    with socket.socket() as probe:
        # Lingering connections of an earlier run may stay on the port; only a listener blocks it.
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
