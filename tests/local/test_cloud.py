"""The local cloud listens on the loopback only, ignores the user's settings and leaves nothing behind."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from daybook.local.cloud import Cloud, free_port
from daybook.local.errors import PortTaken
from daybook.local.project import ROOT
from tests.local.processes import is_listening, process_tree, running, until

BUSY = """
import os, pathlib, threading
def handler(event, context):
    pathlib.Path(os.environ["TMPDIR"], "busy").touch()
    threading.Event().wait()
"""


STARTED = """
import os, sys
packages = {name.split(".")[0] for name in sys.modules}
count = 0
def handler(event, context):
    global count
    count += 1
    print("a line for the log")
    if event == "end":
        os._exit(3)
    ours = packages & {"daybook", "functions", "events", "tests"}
    return {"count": count, "ours": sorted(ours), "process": os.getpid(), "colour": os.environ["COLOUR"],
            "folder": os.getcwd(), "file": __file__, "packages": sorted(packages & {"botocore", "pydantic"})}
"""


def a_function(cloud: Cloud, name: str, source: str, **variables: str) -> None:
    """Deploy a function of one module."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as bundle:
        bundle.writestr(f"{name}.py", source)
    cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler=f"{name}.handler",
        Role=f"arn:aws:iam::000000000000:role/{name}",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": variables},
        Timeout=60,
    )


def a_busy_function(cloud: Cloud) -> None:
    """Deploy a function that never returns, invoke it, and wait until it runs."""
    a_function(cloud, "busy", BUSY)
    cloud.client("lambda").invoke(FunctionName="busy", InvocationType="Event")
    until((cloud.folder / "tmp" / "busy").exists, what="the function is at work")


def invoked(cloud: Cloud, name: str, event: str = "") -> dict[str, Any]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return dict(json.loads(answer["Payload"].read()))


def test_each_process_of_a_function_loads_its_own_code_and_finds_the_packages_loaded(tmp_path: Path) -> None:
    with Cloud(project=tmp_path) as cloud:
        a_function(cloud, "one", STARTED, COLOUR="red")
        a_function(cloud, "two", STARTED, COLOUR="blue")

        first, again, other = invoked(cloud, "one"), invoked(cloud, "one"), invoked(cloud, "two")
        assert "error" in str(invoked(cloud, "one", "end")).lower()
        new = invoked(cloud, "one")

    assert [each["count"] for each in (first, again, other, new)] == [1, 2, 1, 1]
    assert first["process"] == again["process"]
    assert len({first["process"], other["process"], new["process"]}) == 3
    assert (first["colour"], other["colour"]) == ("red", "blue")
    for each in (first, other, new):
        assert each["ours"] == []
        assert each["packages"] == ["botocore", "pydantic"]
        assert Path(each["file"]).parent == Path(each["folder"])


def test_a_taken_port_is_an_error_that_suggests_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} is taken.*make run PORT=\d+"), Cloud(port=port):
            pass  # pragma: no cover


def test_stop_ends_all_processes_and_removes_the_folder_even_while_a_function_is_busy(tmp_path: Path) -> None:
    with Cloud(project=tmp_path) as cloud:
        a_busy_function(cloud)
        assert cloud.pid
        processes = process_tree(cloud.pid)
        assert len(running(processes)) >= 2

    until(lambda: not running(processes), what="every process has ended")
    assert not is_listening(cloud.port)
    assert not cloud.folder.exists()
    cloud.stop()  # a second time does no harm


def test_the_cloud_and_its_functions_end_when_their_parent_process_is_killed(tmp_path: Path) -> None:
    program = """if True:
        from tests.local.test_cloud import Cloud, a_busy_function
        with Cloud() as cloud:
            a_busy_function(cloud)
            print(cloud.folder, flush=True)
            cloud.wait()
    """
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        folder = Path(starter.stdout.readline().decode().strip())
        processes = process_tree(starter.pid)
        starter.kill()

    until(lambda: not running(processes), what="every process has ended")
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_cloud_listens_only_on_one_port_of_the_loopback(tmp_path: Path) -> None:
    with Cloud(project=tmp_path) as cloud:
        a_busy_function(cloud)
        assert cloud.pid

        assert listeners(process_tree(cloud.pid)) == {f"0100007F:{cloud.port:04X}"}


# Two clouds that begin at once would both take the second port, and one of them would fail.
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cloud_that_enforces_permissions_listens_only_on_one_port_too(tmp_path: Path) -> None:
    with Cloud(project=tmp_path, iam=True) as cloud:
        assert cloud.pid

        assert listeners(process_tree(cloud.pid)) == {f"0100007F:{cloud.port:04X}"}


def listeners(pids: set[int]) -> set[str]:
    """Local addresses, in the kernel's format, on which the processes listen or receive datagrams."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {str(file.readlink())[8:-1] for file in files if str(file.readlink()).startswith("socket:")}
    tables = [Path("/proc/net", name).read_text() for name in ("tcp", "tcp6", "udp", "udp6")]
    rows = [row.split() for table in tables for row in table.splitlines()]
    return {row[1] for row in rows if row[3] in ("0A", "07") and row[9] in inodes}


def test_clients_and_child_processes_ignore_the_users_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HOME": "",
    }.items():
        monkeypatch.setenv(name, value)

    with Cloud(project=tmp_path) as cloud:
        cloud.client("sqs").create_queue(QueueName="hello")
        program = "import boto3, json; print(json.dumps(boto3.client('sqs').list_queues()['QueueUrls']))"
        output = subprocess.check_output([sys.executable, "-c", program], env=cloud.environment)

        assert [url.rsplit("/", 1)[1] for url in json.loads(output)] == ["hello"]
        assert not {"real", "nobody", "http://127.0.0.1:9"} & set(cloud.environment.values())


def test_the_logs_of_a_failed_run_are_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Cloud(project=tmp_path) as cloud:
        raise ZeroDivisionError

    assert "Running on" in (cloud.kept_logs / "cloud.log").read_text()
    assert cloud.kept_logs.is_relative_to(tmp_path / ".daybook" / "logs")
    assert not cloud.folder.exists()


def test_an_interrupted_run_keeps_no_logs(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Cloud(project=tmp_path) as cloud:
        signal.raise_signal(signal.SIGINT)

    assert not cloud.kept_logs.exists()
    assert not cloud.folder.exists()


def test_free_ports_are_none_that_the_system_gives_to_outgoing_connections() -> None:
    ports = {free_port() for _ in range(20)}

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert max(ports) < probe.getsockname()[1]
    assert len(ports) > 1
