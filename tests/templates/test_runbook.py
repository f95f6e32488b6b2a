"""Every alarm names a section of the runbook, which says what to do."""

import re
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns

from daybook.constructs.alarms import NoSection, alarm
from tests.templates.synthesis import ROOT, Assembly

PAGE = (ROOT / "docs" / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# The table at the top: the end of an alarm's name, and the section.
ROWS = dict(re.findall(r"^\| `(\S+)` \| \[\S+\]\(#(\S+)\)", PAGE, re.MULTILINE))


def alarms(assembly: Assembly) -> dict[str, str]:
    """All alarms of the stage, and their descriptions."""
    found = assembly.properties("AWS::CloudWatch::Alarm")
    return {each["AlarmName"]: each["AlarmDescription"] for each in found}


def test_every_alarm_names_the_section_of_the_runbook_that_the_table_has_for_it(aws: Assembly) -> None:
    assert alarms(aws)
    for name, description in alarms(aws).items():
        (section,) = {section for end, section in ROWS.items() if name.endswith(end)}
        assert description.endswith(f"What to do: docs/runbook.md#{section}"), name
        assert section in SECTIONS


def test_every_row_of_the_runbooks_table_is_about_an_alarm(aws: Assembly) -> None:
    names = alarms(aws)

    assert [end for end in ROWS if not any(name.endswith(end) for name in names)] == []


def test_every_section_has_the_same_four_parts() -> None:
    for section in set(ROWS.values()):
        parts = re.findall(r"^\*\*(Means|Look|Type|Over)\b", SECTIONS[section], re.MULTILINE)
        assert parts == ["Means", "Look", "Type", "Over"], section


def test_every_link_within_the_runbook_has_a_target() -> None:
    links = set(re.findall(r"\]\(#(\S+?)\)", PAGE))

    assert links
    assert links - SECTIONS.keys() == set()


def test_an_alarm_without_a_section_of_the_runbook_cannot_be_synthesized(tmp_path: Path) -> None:
    stack = Stack(App(outdir=str(tmp_path)), "daybook-test")
    metric = cloudwatch.Metric(namespace="Daybook", metric_name="Colour")

    with pytest.raises(NoSection):
        alarm(
            stack,
            "Colour",
            name="daybook-test-colour",
            metric=metric,
            meaning="The colour is green.",
            topic=sns.Topic(stack, "Topic"),
        )
