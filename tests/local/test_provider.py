"""The stand-in's process listens on the loopback only and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from daybook.local.cloud import free_port
from daybook.local.errors import StepFailed
from daybook.local.project import ROOT
from daybook.local.provider import Provider
from daybook.local.provider.server.service import Service
from tests.local.processes import is_listening, process_tree, running, until


def test_stop_ends_the_process_and_removes_the_folder(tmp_path: Path) -> None:
    before = process_tree(os.getpid())
    with Provider(project=tmp_path) as provider:
        processes = process_tree(os.getpid()) - before
        assert is_listening(provider.port)

    until(lambda: not running(processes), what="the process has ended")
    assert not is_listening(provider.port)
    assert not provider.folder.exists()
    provider.stop()  # a second time does no harm


def test_it_listens_on_the_given_port(tmp_path: Path) -> None:
    port = free_port()
    with Provider(port=port, project=tmp_path) as provider:
        assert provider.endpoint == f"http://127.0.0.1:{port}"
        assert provider.book().payments == ()


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StepFailed, match=f"Cannot listen on port {port}"), Provider(port=port, project=tmp_path):
            pass  # pragma: no cover


def test_two_providers_can_run_at_the_same_time(tmp_path: Path) -> None:
    with Provider(project=tmp_path) as one, Provider(project=tmp_path) as other:
        assert one.port != other.port


def test_it_ends_when_its_parent_process_is_killed(tmp_path: Path) -> None:
    program = """if True:
        from daybook.local.provider import Provider
        with Provider() as provider:
            print(provider.folder, flush=True)
            input()
    """
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        folder = Path(starter.stdout.readline().decode().strip())
        processes = process_tree(starter.pid)
        assert len(processes) == 2
        starter.kill()

    until(lambda: not running(processes), what="every process has ended")
    assert not folder.exists()


def test_the_log_of_a_failed_run_is_kept(tmp_path: Path) -> None:
    def run() -> None:
        with provider:
            provider.book()
            raise ZeroDivisionError

    provider = Provider(project=tmp_path)
    with pytest.raises(ZeroDivisionError):
        run()

    assert "GET /_stand-in/book" in (provider.kept_logs / "provider.log").read_text()
    assert provider.kept_logs.is_relative_to(tmp_path / ".daybook" / "logs")
    assert not provider.folder.exists()


def test_an_interrupted_run_keeps_no_log(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Provider(project=tmp_path) as provider:
        signal.raise_signal(signal.SIGINT)

    assert not provider.kept_logs.exists()
    assert not provider.folder.exists()


def test_it_listens_on_the_loopback_only() -> None:
    with Service(0) as service:
        assert service.socket.getsockname()[0] == "127.0.0.1"
