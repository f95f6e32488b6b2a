"""A stage is deployed twice at once: the second is told so, and the first goes on undisturbed.

From one checkout it is CDK that refuses the second; from two it is CloudFormation, which lets nobody update a stack
that is being updated. The local cloud does, so the test refuses in its place: what is shown is what CDK makes of that.
"""

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from daybook.local import environment
from daybook.local.cloud import Cloud
from daybook.local.project import ROOT
from tests.local.left_behind import until

# An app that takes its time: until it may go on.
APP = """
import pathlib, time
pathlib.Path("began").touch()
deadline = time.monotonic() + 60
while not pathlib.Path("go").exists() and time.monotonic() < deadline:
    time.sleep(0.02)
import aws_cdk
app = aws_cdk.App()
aws_cdk.Stack(app, "daybook-local-nothing")
app.synth()
"""

STACK = "daybook-local-topic"

# A stack that needs no preparation of the account.
TOPIC = f"""
import aws_cdk
app = aws_cdk.App()
stack = aws_cdk.Stack(app, "{STACK}", synthesizer=aws_cdk.LegacyStackSynthesizer())
says = app.node.get_context("says")
aws_cdk.CfnResource(stack, "Topic", type="AWS::SNS::Topic", properties={{"DisplayName": says}})
app.synth()
"""

# As CloudFormation words it (https://github.com/convox/praxis/issues/309 quotes it whole).
REFUSAL = f"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack:{STACK} is in \
UPDATE_IN_PROGRESS state and can not be updated.</Message></Error></ErrorResponse>"""

NOWHERE = "http://127.0.0.1:1"


def test_the_second_of_two_who_deploy_from_one_checkout_is_told_who_is_at_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with cdk("synth", tmp_path) as first:
        try:
            until((tmp_path / "began").exists, what="the first makes its templates")

            with cdk("deploy", tmp_path) as second:
                said, _ = second.communicate(timeout=60)
        finally:
            (tmp_path / "go").touch()
        first.communicate(timeout=60)

    assert second.returncode == 1
    assert "is currently synthing to" in said
    assert "Invoke the CLI in sequence" in said
    assert first.returncode == 0


def test_who_deploys_from_another_checkout_is_told_that_the_stack_is_being_updated(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(TOPIC)
    with Cloud() as cloud:
        with cdk("deploy", tmp_path, cloud.endpoint, "--context", "says=first") as first:
            first.communicate(timeout=60)
        assert first.returncode == 0

        with (
            somebody_updates_every_stack(cloud.endpoint) as endpoint,
            cdk("deploy", tmp_path, endpoint, "--context", "says=second") as second,
        ):
            said, _ = second.communicate(timeout=60)
        template = cloud.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]

    assert second.returncode == 1
    assert said.rstrip().endswith(f"{STACK} is in UPDATE_IN_PROGRESS state and can not be updated.")
    assert "first" in str(template)


@contextmanager
def somebody_updates_every_stack(cloud: str) -> Iterator[str]:
    """The endpoint of a cloud that is this one, but for what CloudFormation says to who would update a stack."""

    class Between(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b"Action=CreateChangeSet" in body or b"Action=UpdateStack" in body:
                self._answer(400, "text/xml", REFUSAL.encode())
                return
            connection = http.client.HTTPConnection(cloud.removeprefix("http://"), timeout=30)
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            self._answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
            connection.close()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def cdk(command: str, folder: Path, endpoint: str = NOWHERE, *options: str) -> subprocess.Popen[str]:
    """A command of CDK on the app in the folder."""
    (folder / "home").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    program = str(ROOT / "node_modules" / ".bin" / "cdk")
    return subprocess.Popen(
        [program, command, "--app", f"{sys.executable} app.py", "--no-notices", *options],
        cwd=folder,
        env=environment.isolated(folder, endpoint),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
