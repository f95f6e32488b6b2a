"""Where botocore asks: faults are brought about, and every call is recorded, at its event system."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from . import acts
from .changes import Remainder, is_guarded, unguarded
from .plan import Plan, Rule
from .uses import uses

_REMAINDER = "daybook-remainder"
_SERVICES = {"eventbridge": "events"}  # botocore's events call it otherwise than its clients do


def handlers() -> list[tuple[str, Any]]:
    """What to add to botocore's own handlers."""
    folder = Path(os.environ["DAYBOOK_FAULTS_PLAN"]).parent
    hooks = _Hooks(Plan.of_this_process(), folder, os.environ["DAYBOOK_STAGE"])
    return [
        ("provide-client-params", hooks.calling),
        ("before-call", hooks.called),
        ("before-send", hooks.sending),
        ("after-call", hooks.answered),
    ]


class _Hooks:
    """One process's calls to AWS, from the function to the wire and back."""

    def __init__(self, plan: Plan, folder: Path, stage: str) -> None:
        self._plan = plan
        self._recording = folder / "calls.jsonl"
        self._traces = folder / "traces.jsonl"
        self._stage = stage

    def calling(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Once a call, before anything is made of its parameters: they may be changed."""
        service, operation = model.service_model.service_name, model.name
        self._record(service, operation, params)

        def fits(rule: Rule) -> bool:
            if not _mentions(rule, json.dumps(params, default=str)):
                return False
            if rule["what"] == "partial":
                return bool(Remainder(operation, params, rule["take"], rule["code"]))
            return is_guarded(params, self._table(rule) or "")

        for rule in self._plan.striking(service, operation, fits=fits):
            if rule["what"] == "partial":
                context[_REMAINDER] = remainder = Remainder(operation, params, rule["take"], rule["code"])
                # With nothing left to send the call is whole, so that it is valid, and answered before it is sent.
                params = params if remainder.none else remainder.sent
            else:
                params = unguarded(params, self._table(rule) or "")
        return params

    def called(
        self, params: Mapping[str, Any], context: Mapping[str, Any], **_: Any
    ) -> tuple[AWSResponse, dict[str, Any]] | None:
        """Once a call, before it is sent for the first time: it may be answered here."""
        remainder = context.get(_REMAINDER)
        return (AWSResponse(params["url"], 200, HTTPHeaders(), None), {}) if remainder and remainder.none else None

    def sending(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        """At each attempt: an answer that is returned here is taken for AWS's."""
        _moment, service, operation = event_name.split(".")
        service = _SERVICES.get(service, service)
        body = acts.body(request)
        _append(self._traces, acts.header(request, "X-Amzn-Trace-Id"))

        def fits(rule: Rule) -> bool:
            table = self._table(rule)
            return _mentions(rule, body) and (table is None or json.dumps(table) in body)

        for rule in self._plan.striking(service, operation, fits=fits, when="before"):
            if answer := acts.act(rule, request, self._table(rule)):
                return answer
        response = None
        for rule in self._plan.striking(service, operation, fits=fits, when="after"):
            response = response or acts.send(request)
            acts.act(rule, request, self._table(rule))
        return response

    def answered(self, parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        """Once a call, when its answer is there: it may be changed."""
        if remainder := context.get(_REMAINDER):
            remainder.tell(parsed)

    def _table(self, rule: Rule) -> str | None:
        """The deployed name of the rule's table: generated for a service's, agreed for the backbone's."""
        if (table := rule.get("table")) is None:
            return None
        variable = "DAYBOOK_TABLE_" + table.upper().replace("-", "_")
        return os.environ.get(variable, f"daybook-{self._stage}-{table}")

    def _record(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        said = {"function": self._plan.function, "service": service, "operation": operation}
        _append(self._recording, {**said, "uses": list(uses(service, operation, params))})


def _append(file: Path, said: object) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(opened, f"{json.dumps(said)}\n".encode())  # at once: lines of several processes do not mix
    finally:
        os.close(opened)


def _mentions(rule: Rule, text: str) -> bool:
    """Whether the text holds all that the rule says it must."""
    wanted = rule.get("mentions", [])
    return all(each in text for each in ([wanted] if isinstance(wanted, str) else wanted))
