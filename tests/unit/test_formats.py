"""The examples of docs/internals/formats.md, computed with the standard library alone, are what the code computes."""

import hashlib
import hmac
import json
import re
from pathlib import Path

from daybook.contracts.contract import Place
from daybook.contracts.envelope import Envelope, Metadata
from daybook.contracts.proof import Writer
from daybook.store import ledger_proofs
from daybook.store.event_store import Draft
from daybook.store.timers import Timer

PAGE = (Path(__file__).parents[2] / "docs" / "internals" / "formats.md").read_text(encoding="utf-8")
EVENT, TIMER = re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\{.*\}$", PAGE.partition("### Rows of the ledger")[2], re.MULTILINE)
KEY = bytes(range(32))


def proof(content: bytes) -> str:
    return hmac.new(KEY, content, hashlib.sha256).hexdigest()


def test_the_hash_and_the_proof_of_the_documented_event() -> None:
    event = json.loads(EVENT)
    own = hashlib.sha256(EVENT.encode()).digest()
    assert f"| hash | `{own.hex()}` |" in PAGE
    assert f"| proof | `{proof(own)}` |" in PAGE

    made = Envelope.proven(
        Metadata(**event["metadata"]),
        event["data"],
        source=event["source"],
        in_correlation_index=False,
        previous=bytes.fromhex(event["previous"]),
        writer=Writer(event["writer"], KEY),
    )

    assert (made.hash, made.proof.hex()) == (own, proof(own))


def test_the_documented_event_is_in_canonical_form_whatever_the_order_of_its_members() -> None:
    event = json.loads(EVENT)
    turned = {name: event[name] for name in reversed(event)}

    assert json.dumps(turned, sort_keys=True, ensure_ascii=False, separators=(",", ":")) == EVENT


def test_the_proof_of_the_documented_timer() -> None:
    values = json.loads(TIMER)
    assert f"its proof is `{proof(TIMER.encode())}`" in PAGE

    place = Place(values.pop("place"))
    made = Timer.proven(Draft(**values), place, Writer(values["producer"], KEY))

    assert made.proof.hex() == proof(TIMER.encode())


def test_the_proofs_of_the_documented_rows_of_the_ledger() -> None:
    assert len(ROWS) == 3
    for row in ROWS:
        assert proof(row.encode()) in PAGE
        # Other attributes do not matter.
        made = ledger_proofs.prove(json.loads(row) | {"stream": "order/1001", "why": "…"}, Writer("a consumer", KEY))
        assert made["proof"].hex() == proof(row.encode())
