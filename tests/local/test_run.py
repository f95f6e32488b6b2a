"""The local run: one a checkout, found by the commands, ended by any signal without leaving anything."""

import json
import signal
from pathlib import Path

from tests.local.left_behind import Run, until


def test_a_run_says_where_it_is_is_the_only_one_and_ends_at_ctrl_c_without_a_trace(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.project.joinpath(".daybook").mkdir()
    run.whereabouts.write_text('{"endpoint": "http://127.0.0.1:1", "region": "", "pid": 1}')  # a dead run's
    with run.started():
        run.says("Stop with Ctrl-C")
        assert json.loads(run.whereabouts.read_text()) == {
            "endpoint": f"http://127.0.0.1:{run.port}",
            "region": "us-east-1",
            "pid": run.process.pid,
        }

        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "project").symlink_to(run.project)
        with Run(tmp_path / "other").started() as other:
            assert other.ends() == 2
            assert f"already runs from this checkout at http://127.0.0.1:{run.port}" in other.output

        processes = run.family()
        assert run.is_asked_to_end(signal.SIGINT) == 0
        assert run.has_left_nothing(processes)


def test_signals_while_it_deploys_leave_nothing_however_many_there_are(tmp_path: Path) -> None:
    with Run(tmp_path).started() as run:
        run.says("preparing the account")
        until(lambda: len(run.family()) >= 5, what="cdk, its app and the cloud are at work")
        processes = run.family()

        run.is_asked_to_end(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, insistently=True)

        assert run.has_left_nothing(processes)


def test_an_app_that_cannot_be_synthesised_is_an_error_with_its_reason_and_its_log(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (run.project / "app.py").write_text("raise SystemExit('a test error')")
    with run.started():
        processes = run.family()

        assert run.ends() == 1
        assert "Failed: synthesizing the templates." in run.output
        assert "a test error" in run.output
        assert "a test error" in Path(run.output.strip().rsplit("Full log: ", 1)[1]).read_text()
        assert run.has_left_nothing(processes)


def test_a_taken_port_is_said_in_one_line_and_disturbs_nobody(tmp_path: Path) -> None:
    with Run(tmp_path).started() as first:
        until(lambda: list(first.temporary.glob("daybook-*/logs/cloud.log")), what="the cloud is starting")
        first.says("preparing the account")
        (tmp_path / "second").mkdir()
        with Run(tmp_path / "second", port=first.port).started() as second:
            assert second.ends() == 1
            assert f"Port {first.port} is taken by another program. Use another one: make run PORT=" in second.output
            assert "Traceback" not in second.output

        processes = first.family()
        assert first.is_asked_to_end(signal.SIGTERM) == 130
        assert first.has_left_nothing(processes)
