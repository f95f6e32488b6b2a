"""Two deployments of a stage at the same time: the second fails with a reason, and the first is not affected.

From one checkout, CDK refuses the second. From two, CloudFormation refuses it, because the stack is being updated. The
local cloud does not, so the test refuses in its place and checks what CDK prints.
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
from tests.local.processes import until

# An app that waits until it may continue.
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
name = app.node.get_context("name")
aws_cdk.CfnResource(stack, "Topic", type="AWS::SNS::Topic", properties={{"DisplayName": name}})
app.synth()
"""

# CloudFormation's error (https://github.com/convox/praxis/issues/309 quotes it).
REFUSAL = f"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack:{STACK} is in \
UPDATE_IN_PROGRESS state and can not be updated.</Message></Error></ErrorResponse>"""

NOWHERE = "http://127.0.0.1:1"


def test_a_second_deployment_from_the_same_checkout_is_refused_by_cdk(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with cdk("synth", tmp_path) as first:
        try:
            until((tmp_path / "began").exists, what="the first makes its templates")

            with cdk("deploy", tmp_path) as second:
                output, _ = second.communicate(timeout=300)
        finally:
            (tmp_path / "go").touch()
        first.communicate(timeout=300)

    assert second.returncode == 1
    assert "is currently synthing to" in output
    assert "Invoke the CLI in sequence" in output
    assert first.returncode == 0


def test_a_second_deployment_from_another_checkout_is_refused_by_cloudformation(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(TOPIC)
    with Cloud() as cloud:
        with cdk("deploy", tmp_path, cloud.endpoint, "--context", "name=first") as first:
            first.communicate(timeout=300)
        assert first.returncode == 0

        with (
            every_stack_being_updated(cloud.endpoint) as endpoint,
            cdk("deploy", tmp_path, endpoint, "--context", "name=second") as second,
        ):
            output, _ = second.communicate(timeout=300)
        template = cloud.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]

    assert second.returncode == 1
    assert output.rstrip().endswith(f"{STACK} is in UPDATE_IN_PROGRESS state and can not be updated.")
    assert "first" in str(template)


@contextmanager
def every_stack_being_updated(cloud: str) -> Iterator[str]:
    """A proxy of the cloud that refuses to update any stack, as CloudFormation does during an update."""

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
    """Run a CDK command on the app in the folder."""
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
