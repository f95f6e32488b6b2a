"""Whoever is called by an alarm finds what to do: every alarm leads to a section of the runbook."""

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
# What the table at the top says: the end of an alarm's name, and the section.
ROWS = dict(re.findall(r"^\| `(\S+)` \| \[\S+\]\(#(\S+)\)", PAGE, re.MULTILINE))


def alarms(assembly: Assembly) -> dict[str, str]:
    """All alarms of the stage, and their descriptions."""
    found = assembly.properties("AWS::CloudWatch::Alarm")
    return {each["AlarmName"]: each["AlarmDescription"] for each in found}


def test_every_alarm_ends_in_the_section_of_the_runbook_that_its_name_leads_to(aws: Assembly) -> None:
    assert alarms(aws)
    for name, description in alarms(aws).items():
        (section,) = {section for end, section in ROWS.items() if name.endswith(end)}
        assert description.endswith(f"What to do: docs/runbook.md#{section}"), name
        assert section in SECTIONS


def test_every_row_of_the_runbook_s_table_is_about_an_alarm(aws: Assembly) -> None:
    names = alarms(aws)

    assert [end for end in ROWS if not any(name.endswith(end) for name in names)] == []


def test_every_section_says_what_it_means_what_to_look_at_what_to_type_and_when_it_is_over() -> None:
    for section in set(ROWS.values()):
        told = re.findall(r"^\*\*(Means|Look|Type|Over)\b", SECTIONS[section], re.MULTILINE)
        assert told == ["Means", "Look", "Type", "Over"], section


def test_every_link_of_the_runbook_leads_to_a_section_of_it() -> None:
    links = set(re.findall(r"\]\(#(\S+?)\)", PAGE))

    assert links
    assert links - SECTIONS.keys() == set()


def test_an_alarm_that_the_runbook_does_not_know_makes_no_template(tmp_path: Path) -> None:
    stack = Stack(App(outdir=str(tmp_path)), "daybook-test")
    metric = cloudwatch.Metric(namespace="Daybook", metric_name="Colour")

    with pytest.raises(NoSection):
        alarm(
            stack,
            "Colour",
            name="daybook-test-colour",
            metric=metric,
            at_least=1,
            minutes=1,
            meaning="It is green.",
            topic=sns.Topic(stack, "Topic"),
        )
