"""The stage and the credentials of a command, and its errors without them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.connection import Connection
from daybook.operate.errors import NoLocalRun
from daybook.operate.program import app
from tests.ops.aws import answering
from tests.ops.world import World, ago, an_order

NOTHING = {"*": {"Items": [], "Rules": [], "Count": 0}}


def events(*options: str) -> Any:
    return CliRunner().invoke(app, ["events", "--since", "5m", *options])


def a_run(
    folder: Path, *, endpoint: object = "http://127.0.0.1:1", pid: object = None, region: str = "us-east-1"
) -> None:
    """Write the run file of `make run`."""
    (folder / ".daybook").mkdir()
    run = {"endpoint": endpoint, "region": region, "pid": os.getpid() if pid is None else pid}
    (folder / ".daybook" / "local.json").write_text(json.dumps(run))


def a_dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_the_local_stage_is_the_run_of_this_folder_or_of_a_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "samples").mkdir()
    monkeypatch.chdir(tmp_path / "samples")
    with answering(NOTHING) as aws:
        a_run(tmp_path, endpoint=aws.endpoint)

        assert events("--stage", "local").exit_code == 0

    assert {operation for operation, _ in aws} == {"GetItem", "Query"}


@pytest.mark.parametrize("pid", [0, -1, True, "7", None, 2**70], ids=str)
def test_a_run_file_without_a_valid_process_id_is_ignored(tmp_path: Path, pid: object) -> None:
    a_run(tmp_path)
    file = tmp_path / ".daybook" / "local.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pid": pid}))

    with pytest.raises(NoLocalRun):
        Connection.to("local", environment={}, folder=tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"endpoint": "http://127.0.0.1:1"}'])
def test_an_incomplete_run_file_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / ".daybook").mkdir()
    (tmp_path / ".daybook" / "local.json").write_text(content)

    with pytest.raises(NoLocalRun):
        Connection.to("local", environment={}, folder=tmp_path)


def test_a_run_that_has_ended_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    a_run(tmp_path, pid=a_dead_process())

    result = events("--stage", "local")

    assert result.exit_code == 2
    assert "no local run found" in result.stderr
    assert result.stderr.endswith("; start one with `make run`\n")


def test_the_searched_folders_are_in_the_error(tmp_path: Path) -> None:
    expected = events("--stage", "local").stderr

    assert "AWS_ENDPOINT_URL is not set" in expected
    assert f"there is no .daybook/local.json of a running process in {tmp_path}, {tmp_path.parent}, " in expected
    assert expected.count(f"{tmp_path}, ") == 1  # the application is in this folder too


def test_the_local_stage_is_never_called_with_real_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://dynamodb.eu-central-1.amazonaws.com")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(NOTHING) as aws:
        a_run(tmp_path, endpoint=aws.endpoint)
        assert events("--stage", "local").exit_code == 0
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        assert events("--stage", "local").exit_code == 0

    assert aws
    assert all("Credential=test/" in credentials for _, credentials in aws)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://dynamodb.eu-central-1.amazonaws.com",
        "https://EVENTS.us-east-1.API.AWS.",
        "https://x.amazonaws.com.cn:443",
    ],
)
def test_the_local_stage_is_never_an_aws_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    result = events("--stage", "local")
    assert result.exit_code == 2
    assert "an AWS endpoint" in result.stderr

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    a_run(tmp_path, endpoint=endpoint)
    assert events("--stage", "local").exit_code == 2


def test_the_environment_sets_the_default_stage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.recorded("OrderPlaced", "order/1001", after=ago(minutes=1))
    monkeypatch.setenv("DAYBOOK_STAGE", "prod")

    assert "the stage prod is not deployed" in events().stderr
    assert "order/1001" in events("--stage", "dev").stdout


@pytest.mark.parametrize("stage", ["", "Prod", "a-b", "1st", "x" * 16, "dev\n"])
def test_an_invalid_stage_name_is_an_error(stage: str) -> None:
    result = events("--stage", stage)

    assert result.exit_code == 2
    assert "is not a valid stage name" in result.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "no AWS region is set"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "no AWS credentials found"),
        ({"AWS_PROFILE": "not-there"}, "aws configure list-profiles"),
        (
            {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
            | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
            "Could not connect",
        ),
    ],
)
def test_missing_settings_are_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(app, ["trace", "order/1"])

    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "environment", [{}, {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}], ids=["region", "keys"]
)
def test_without_a_stage_the_error_names_the_default_and_the_local_stage(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert "the default stage is dev" in events().stderr
    assert "use --stage local" in events().stderr
    assert "use --stage local" in events("--stage", "prod").stderr
    assert "default stage" not in events("--stage", "prod").stderr


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ExpiredTokenException", "the AWS credentials have expired"),
        ("UnrecognizedClientException", "does not accept these credentials"),
        ("AccessDeniedException", "AWS does not allow this (GetItem): not you"),
        ("ResourceNotFoundException", "the stage dev is not deployed"),
        ("ResourceNotFoundException", "for the system that `make run` runs, use --stage local"),
        ("ValidationException", "AWS refused GetItem (ValidationException): not you"),
    ],
)
def test_an_error_of_aws_is_reported_in_one_sentence_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with answering({"*": {"__type": code, "message": "not you"}}, status=400) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        result = events()

    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1


def test_ctrl_c_ends_a_command_with_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(NOTHING) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        script = (
            "import signal, sys\nfrom daybook.operate.program import main\n"
            "from daybook.operate.send import send as sending\n"
            "def interrupted(*_, **__):\n    signal.raise_signal(signal.SIGINT)\n    yield\n"
            "sending.send = interrupted\nsys.argv[1:] = ['send', '-', '--stage', 'local']\nmain()"
        )
        root = Path(__file__).parents[2]
        ended = subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            input=json.dumps(an_order()),
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


def test_a_pipe_that_nobody_reads_ends_a_command_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{"EventId": "e"}] * 10
    with answering({"PutEvents": {"Entries": entries}}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        command = [
            sys.executable,
            "-c",
            "from daybook.operate.program import main; main()",
            "send",
            "-",
            "--stage",
            "local",
        ]
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            input=json.dumps([an_order()] * 10),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)

    assert ended.stderr == ""
    assert "PutEvents" in {operation for operation, _ in aws}


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["trace", "--help"], ["events", "--help"]])
def test_every_help_text_has_examples(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0
    assert "--stage" in result.stdout
    assert len(arguments) == 1 or "Examples" in result.stdout


def test_version_prints_the_version_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.stdout == "daybook 0.1.0\n"
