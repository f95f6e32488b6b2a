"""Handlers of botocore's events, which inject faults and record every call."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from . import actions
from .call_changes import Untaken, has_conditions, without_conditions
from .plan import Plan, Rule
from .uses import uses

_UNTAKEN = "daybook-untaken"
_SERVICES = {"eventbridge": "events"}  # botocore's events use another name than its clients


def handlers() -> list[tuple[str, Any]]:
    """The handlers to add to botocore's own."""
    folder = Path(os.environ["DAYBOOK_FAULTS_PLAN"]).parent
    hooks = _Hooks(Plan.of_this_process(), folder, os.environ["DAYBOOK_STAGE"])
    return [
        ("provide-client-params", hooks.calling),
        ("before-call", hooks.called),
        ("before-send", hooks.sending),
        ("after-call", hooks.answered),
    ]


class _Hooks:
    """Handles one process's calls to AWS, from the function to the network and back."""

    def __init__(self, plan: Plan, folder: Path, stage: str) -> None:
        self._plan = plan
        self._recording = folder / "calls.jsonl"
        self._traces = folder / "traces.jsonl"
        self._stage = stage

    def calling(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Once per call, before it is serialized: its parameters may be changed."""
        service, operation = model.service_model.service_name, model.name
        self._record(service, operation, params)

        def fits(rule: Rule) -> bool:
            if not _mentions(rule, json.dumps(params, default=str)):
                return False
            if rule["what"] == "partial":
                return bool(Untaken(operation, params, rule["take"], rule["code"]))
            return has_conditions(params, self._table(rule) or "")

        for rule in self._plan.matching(service, operation, fits=fits):
            if rule["what"] == "partial":
                context[_UNTAKEN] = untaken = Untaken(operation, params, rule["take"], rule["code"])
                # If AWS processes nothing, keep the call whole and valid; `called` answers it.
                params = params if untaken.none else untaken.sent
            else:
                params = without_conditions(params, self._table(rule) or "")
        return params

    def called(
        self, params: Mapping[str, Any], context: Mapping[str, Any], **_: Any
    ) -> tuple[AWSResponse, dict[str, Any]] | None:
        """Once per call, before it is first sent: it may be answered here."""
        untaken = context.get(_UNTAKEN)
        return (AWSResponse(params["url"], 200, HTTPHeaders(), None), {}) if untaken and untaken.none else None

    def sending(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        """Once per attempt. botocore takes the returned answer for AWS's."""
        _moment, service, operation = event_name.split(".")
        service = _SERVICES.get(service, service)
        body = actions.body(request)
        _append(self._traces, actions.header(request, "X-Amzn-Trace-Id"))

        def fits(rule: Rule) -> bool:
            table = self._table(rule)
            return _mentions(rule, body) and (table is None or json.dumps(table) in body)

        for rule in self._plan.matching(service, operation, fits=fits, when="before"):
            if answer := actions.run(rule, request, self._table(rule)):
                return answer
        response = None
        for rule in self._plan.matching(service, operation, fits=fits, when="after"):
            response = response or actions.send(request)
            actions.run(rule, request, self._table(rule))
        return response

    def answered(self, parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        """Once per call, when it is answered: the answer may be changed."""
        if untaken := context.get(_UNTAKEN):
            untaken.add_to(parsed)

    def _table(self, rule: Rule) -> str | None:
        """The deployed name of the rule's table: generated for a service's table, fixed for the backbone's."""
        if (table := rule.get("table")) is None:
            return None
        variable = "DAYBOOK_TABLE_" + table.upper().replace("-", "_")
        return os.environ.get(variable, f"daybook-{self._stage}-{table}")

    def _record(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        call = {"function": self._plan.function, "service": service, "operation": operation}
        _append(self._recording, {**call, "uses": list(uses(service, operation, params))})


def _append(file: Path, value: object) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{json.dumps(value)}\n".encode())  # in one write, so that processes do not mix lines
    finally:
        os.close(descriptor)


def _mentions(rule: Rule, text: str) -> bool:
    """Whether the text contains all that the rule mentions."""
    wanted = rule.get("mentions", [])
    return all(each in text for each in ([wanted] if isinstance(wanted, str) else wanted))
