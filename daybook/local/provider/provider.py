"""The payment provider's stand-in in a process of its own, on the loopback only, leaving nothing behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from daybook.local.program import Program
from daybook.local.project import ROOT
from daybook.local.provider.stand_in import StandIn

_PROGRAM = Path(__file__).parent / "server" / "program.py"


class Provider(Program, StandIn):
    """A payment provider without any payments, for the length of a `with` block.

    It listens on one port of the loopback and keeps its state in memory.

    `port`: a free port by default; `StepFailed` if it is in use. `project`: the log of a failed run goes to its
    `.daybook/logs`.
    """

    step = "starting the payment provider's stand-in"
    folder_prefix = "daybook-provider-"
    log_name = "provider.log"
    ready_within = 20.0  # usually a tenth of a second

    def __init__(self, *, port: int | None = None, project: Path = ROOT) -> None:
        Program.__init__(self, project)
        StandIn.__init__(self, "")
        self.port = port or 0

    def _launch(self) -> None:
        self._create_folder()
        # -I: ignore the user's Python settings and the modules in the program's folder.
        self._start([sys.executable, "-I", str(_PROGRAM), str(self.folder), str(self.port)], os.environ)

    def _is_ready(self) -> bool:
        port_file = self.folder / "port"
        if not port_file.exists():
            return False
        self.port = int(port_file.read_text())
        self.endpoint = f"http://127.0.0.1:{self.port}"
        return True
