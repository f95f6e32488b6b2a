"""The local run: one per checkout, found by the commands, ended by any signal, leaving nothing behind."""

import json
import signal
from pathlib import Path

from tests.local.processes import Run, until


def test_a_run_writes_its_run_file_is_the_only_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.project.joinpath(".daybook").mkdir()
    run.run_file.write_text('{"endpoint": "http://127.0.0.1:1", "region": "", "pid": 1}')  # a dead run's
    with run.started():
        run.prints("Stop with Ctrl-C")
        assert json.loads(run.run_file.read_text()) == {
            "endpoint": f"http://127.0.0.1:{run.port}",
            "region": "us-east-1",
            "pid": run.process.pid,
        }

        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "project").symlink_to(run.project)
        with Run(tmp_path / "other").started() as other:
            assert other.ends() == 2
            assert f"already runs from this checkout at http://127.0.0.1:{run.port}" in other.output

        processes = run.process_tree()
        assert run.receives_signals(signal.SIGINT) == 0
        assert run.left_nothing_behind(processes)


def test_repeated_signals_during_the_deployment_leave_nothing_behind(tmp_path: Path) -> None:
    with Run(tmp_path).started() as run:
        run.prints("preparing the account")
        until(lambda: len(run.process_tree()) >= 5, what="cdk, its app and the cloud are at work")
        processes = run.process_tree()

        run.receives_signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, repeatedly=True)

        assert run.left_nothing_behind(processes)


def test_a_failed_synthesis_is_an_error_with_its_reason_and_its_log(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (run.project / "app.py").write_text("raise SystemExit('a test error')")
    with run.started():
        processes = run.process_tree()

        assert run.ends() == 1
        assert "Failed: synthesizing the templates." in run.output
        assert "a test error" in run.output
        assert "a test error" in Path(run.output.strip().rsplit("Full log: ", 1)[1]).read_text()
        assert run.left_nothing_behind(processes)


def test_a_taken_port_is_a_short_error_and_does_not_affect_the_other_run(tmp_path: Path) -> None:
    with Run(tmp_path).started() as first:
        until(lambda: list(first.temporary.glob("daybook-*/logs/cloud.log")), what="the cloud is starting")
        first.prints("preparing the account")
        (tmp_path / "second").mkdir()
        with Run(tmp_path / "second", port=first.port).started() as second:
            assert second.ends() == 1
            assert f"Port {first.port} is taken by another program. Use another one: make run PORT=" in second.output
            assert "Traceback" not in second.output

        processes = first.process_tree()
        assert first.receives_signals(signal.SIGTERM) == 130
        assert first.left_nothing_behind(processes)
