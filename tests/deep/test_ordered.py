"""An ordered consumer, added to a copy of the project and deployed."""

import io
from pathlib import Path

from rich.console import Console

from daybook.local.progress import Progress
from daybook.local.system import up
from daybook.store import ledger_proofs
from daybook.store.attributes import pack_item
from daybook.store.ledger import COMMITTED, DISCARDED
from tests.deployed.deployed import Deployed, an_event
from tests.local.processes import until
from tests.templates.synthesis import ROOT, copy_of_sources

CONTRACT = '''

class DialTurned(Event, joins="dial/{dial_id}", sources=("dials",)):
    """A dial has been turned."""

    dial_id: Sku
    steps: int

    example = {"dial_id": "d1", "steps": 1}
'''

FUNCTION = '''"""Record the order in which a dial was turned. It cannot be turned back."""

from daybook.consumers.reaction import reaction
from daybook.consumers.failure import NonRetryable
from daybook.store.state import State
from daybook.consumers.work import Work
from events.inventory import DialTurned


class Dial(State, table="dials", key="dial_id"):
    """The sequences of the dial's events in the order of processing."""

    dial_id: str
    turned: list[int] = []


@reaction(DialTurned, ordered=True)
def handler(turn: DialTurned, work: Work) -> None:
    if turn.steps < 0:
        raise NonRetryable("a dial was turned back")
    dial = work.read(Dial, turn.dial_id)
    work.save(Dial(dial_id=turn.dial_id, turned=[*dial.turned, work.cause.sequence]))
'''

LINES = """
        dials = self.table("dials")
        self.reaction("follow_dial", DialTurned, reads=[dials], saves=[dials])
"""


def test_each_stream_is_processed_in_order_and_a_dead_event_blocks_only_its_own_stream(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    _append(project / "events" / "inventory.py", CONTRACT)
    (project / "functions" / "inventory" / "follow_dial.py").write_text(FUNCTION)
    stack = project / "stacks" / "inventory.py"
    stack.write_text(stack.read_text().replace("import StockReceived", "import DialTurned, StockReceived"))
    _append(stack, LINES)

    with up(Progress(Console(file=io.StringIO())), project=project, iam=True) as cloud:
        system = Deployed.on(cloud)
        turns = [(dial, -1 if (dial, number) == ("b", 4) else 1) for number in range(10) for dial in "abc"]
        ids = system.sends(
            *[an_event("DialTurned", {"dial_id": dial, "steps": steps}, source="dials") for dial, steps in turns]
        )
        invalid = ids[turns.index(("b", -1))]

        dead = system.dead(invalid, "follow-dial")
        assert dead.details["error"] == "NonRetryable"
        until(lambda: len(turned(system, "a") + turned(system, "c")) == 20, what="the other dials are done")
        until(lambda: len(list(system.connection.store.stream("dial/b"))) == 10, what="dial b is recorded")
        assert turned(system, "a") == turned(system, "c") == list(range(1, 11))
        assert turned(system, "b") == list(range(1, dead.sequence))

        discard(system, invalid)
        system.cloud.client("sqs").send_message(QueueUrl=queue(system), MessageBody=dead.details["body"])
        system.finishes(*ids)
        assert turned(system, "b") == [number for number in range(1, 11) if number != dead.sequence]
        entries = [system.connection.ledger.find(event, "follow-dial") for event in ids if event != invalid]
        assert {entry.state for entry in entries if entry} == {COMMITTED}


def turned(system: Deployed, dial: str) -> list[int]:
    return list(system.row("dials", dial, of="follow-dial").get("turned", []))


def discard(system: Deployed, event: str) -> None:
    """Discard the event at follow-dial, without the operator's command."""
    here = system.connection
    found = here.ledger.find(event, "follow-dial")
    assert found
    row = {**found.row, "state": DISCARDED, "stream": found.stream, "sequence": found.sequence}
    del row["dead"]
    row |= ledger_proofs.prove(row, here.keyring.writer("follow-dial"))
    system.cloud.client("dynamodb").put_item(TableName=here.names.ledger, Item=pack_item(row))


def queue(system: Deployed) -> str:
    return str(
        system.cloud.client("sqs").get_queue_url(QueueName=system.connection.names.of("follow-dial"))["QueueUrl"]
    )


def _append(file: Path, text: str) -> None:
    file.write_text(file.read_text().rstrip() + "\n" + text)
