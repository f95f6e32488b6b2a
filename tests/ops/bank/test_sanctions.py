"""`daybook sanctions`: what `load` and `decide` write and send, and when they change nothing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.operate.tables import DeployedTable
from events.compliance import ComplianceCaseOpened, SanctionsListLoaded
from functions.compliance import sanctions_list
from functions.compliance.sanctions_list import ActiveList, Listed, ListPart
from tests.ops.world import World

EMPTY = "-0- "
SDN = [(36, "GRAY HERON TRADING CO."), (173, "VOLKOV, Dmitri")]
ALT = [(173, "VOLKOW, Dmitry")]


def sdn(*rows: tuple[object, str], remarks: str = EMPTY) -> str:
    """SDN.CSV as the Treasury writes it, with its last row."""
    empty = ",".join([EMPTY] * 9)
    return "".join(f'{number},"{name}",{empty},"{remarks}"\r\n' for number, name in rows) + "\x1a\r\n"


def alt(*rows: tuple[object, str]) -> str:
    """ALT.CSV."""
    return "".join(f'{number},{place},"aka","{name}",{EMPTY}\r\n' for place, (number, name) in enumerate(rows))


class Operator:
    """An operator who loads lists into the stage."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        world.uses("activate-list", "sanctions", "sanctions-lists", service="compliance")

    def loads(self, entries: str | bytes, others: str = alt(*ALT), *options: str) -> Any:
        files = {"SDN.CSV": entries, "ALT.CSV": others}
        for name, text in files.items():
            (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return CliRunner().invoke(app, ["sanctions", "load", *(str(self.folder / name) for name in files), *options])

    def has_active_list(self, names: int, name: str = "sdn") -> None:
        row = ActiveList(name=name, list_version="L-1", names=names, sha256="0" * 64, min_similarity=91)
        DeployedTable.of(self.world.connection, ActiveList).put(row)

    @property
    def written(self) -> list[ListPart]:
        return sorted(DeployedTable.of(self.world.connection, ListPart).scan(), key=lambda row: row.part)

    @property
    def sent(self) -> list[SanctionsListLoaded]:
        data = [event["detail"]["data"] for event in self.world.arrived()]
        return [SanctionsListLoaded.read(json.dumps(each), version=1) for each in data]


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Operator:
    return Operator(world, tmp_path)


def test_the_list_is_written_and_the_event_is_sent(operator: Operator) -> None:
    result = operator.loads(sdn(*SDN), alt(*ALT), "--apply")

    assert result.exit_code == 0, result.output
    (sent,) = operator.sent
    assert (sent.entries, sent.names, sent.parts, sent.min_similarity) == (2, 3, 1, 88)
    (part,) = operator.written
    assert part.part == f"{sent.list_version}:0"
    assert sanctions_list.digest([part.content]) == sent.sha256
    assert list(sanctions_list.read([part.content])) == [Listed(*each) for each in [*SDN, *ALT]]
    assert f"Loaded 3 names of 2 entries of the list sdn as version {sent.list_version}." in result.stdout
    assert "It is the first version of this list." in result.stdout
    assert "daybook trace " in result.stdout


# Guards: without --apply nothing changes.
def test_without_apply_the_command_only_shows_what_it_would_do(operator: Operator) -> None:
    operator.has_active_list(names=3)

    result = operator.loads(sdn(*SDN))

    assert result.exit_code == 0, result.output
    assert "Would load 3 names of 2 entries" in result.stdout
    assert "Names match from 91 percent on. It replaces version L-1 with 3 names." in result.stdout
    assert "repeat the command with --apply" in result.stdout
    assert (operator.written, operator.sent) == ([], [])


def test_json_contains_the_event_and_what_was_done(operator: Operator) -> None:
    shown = json.loads(operator.loads(sdn(*SDN), alt(*ALT), "--json", "--min-similarity", "95").stdout)

    assert (shown["names"], shown["min_similarity"], shown["applied"], shown["replaces"]) == (3, 95, False, None)


# Guards: a list with one error is not loaded at all.
@pytest.mark.parametrize(
    ("entries", "others", "message"),
    [
        ("", alt(*ALT), "SDN.CSV has no names"),
        (sdn(), alt(*ALT), "SDN.CSV has no names"),
        (sdn(*SDN), "", "ALT.CSV has no names"),
        (sdn(*SDN, ("x", "HERON")), alt(*ALT), "SDN.CSV is broken: line 3 does not start with a number"),
        (sdn(*SDN, (0, "HERON")), alt(*ALT), "line 3 does not start with a number"),
        (sdn(*SDN, (7, "-0-")), alt(*ALT), "line 3 has no name"),
        (sdn(*SDN, (7, " ")), alt(*ALT), "line 3 has no name"),
        (sdn(*SDN, (7, "x" * 351)), alt(*ALT), "line 3 has a name that is too long"),
        (sdn(*SDN) + '7,"HERON"\r\n', alt(*ALT), "has the wrong number of columns"),
        ("<html><body>Service unavailable</body></html>", alt(*ALT), "has the wrong number of columns"),
        (sdn(*SDN) + '7,"HERON', alt(*ALT), "SDN.CSV is not a CSV file"),
        (sdn(*SDN, SDN[0]), alt(*ALT), "SDN.CSV has the same ent_num in several rows"),
        (sdn(*SDN), alt((4711, "HERON")), "ALT.CSV has 1 names of entries that SDN.CSV does not have"),
        (sdn(*SDN), sdn(*SDN), "ALT.CSV is broken: line 1 has the wrong number of columns"),
        (sdn(*SDN).encode("utf-16"), alt(*ALT), "is not UTF-8 text"),
    ],
)
def test_a_broken_file_changes_nothing(operator: Operator, entries: str | bytes, others: str, message: str) -> None:
    result = operator.loads(entries, others, "--apply", "--force")

    assert result.exit_code == 2
    assert message in result.stderr
    assert (operator.written, operator.sent) == ([], [])


# Guards: the minimum share of the active list's names.
@pytest.mark.parametrize(("active", "loaded"), [(3, True), (4, False), (1_000, False)])
def test_a_list_with_far_fewer_names_than_the_active_one_changes_nothing(
    operator: Operator, active: int, *, loaded: bool
) -> None:
    operator.has_active_list(names=active)

    result = operator.loads(sdn(*SDN), alt(*ALT), "--apply")
    assert bool(operator.sent) is bool(operator.written) is loaded
    assert (result.exit_code == 0) is loaded
    assert loaded or f"far fewer than the {active} of the active list sdn" in result.stderr

    if not loaded:
        assert operator.loads(sdn(*SDN), alt(*ALT), "--apply", "--force").exit_code == 0
        assert len(operator.sent) == 1


@pytest.mark.parametrize(
    ("remarks", "years", "countries"),
    [
        ("DOB 10 Dec 1948; POB Minsk; nationality Belarus; alt. nationality Russia.", (1948,), ("BY", "RU")),
        ("DOB 1950; alt. DOB May 1952; Gender Male; citizen Russia.", (1950, 1952), ("RU",)),
        ("DOB 1950 to 1952; alt. DOB 01 Mar 1955 to 01 Apr 1956.", (1950, 1951, 1952, 1955, 1956), ()),
        ("DOB 1950; alt. DOB circa 1960.", (), ()),
        ("nationality Russia; alt. nationality Atlantis.", (), ()),
        ("a.k.a. 'DOB 1950'; Linked To: nationality Russia.", (), ()),
        (f"DOB 1950; nationality Russia; {'x' * 900}.", (), ()),
        (EMPTY, (), ()),
    ],
    ids=["both", "several", "ranges", "not exact", "unknown name", "other texts", "may be continued", "empty"],
)
def test_birth_years_and_nationalities_are_read_from_remarks_if_all_are_exact(
    operator: Operator, remarks: str, years: tuple[int, ...], countries: tuple[str, ...]
) -> None:
    operator.loads(sdn((173, "VOLKOV, Dmitri"), remarks=remarks), alt(*ALT), "--apply")

    (part,) = operator.written
    assert list(sanctions_list.read([part.content])) == [
        Listed(173, name, years, countries) for name in ("VOLKOV, Dmitri", "VOLKOW, Dmitry")
    ]


def test_a_list_with_another_name_is_compared_with_the_active_version_of_that_name(operator: Operator) -> None:
    operator.has_active_list(names=1_000)

    result = operator.loads(sdn(*SDN), alt(*ALT), "--list", "consolidated", "--apply")

    assert result.exit_code == 0, result.output
    (sent,) = operator.sent
    assert sent.list_name == "consolidated"
    assert sent.list_version.startswith("consolidated-")
    assert "It is the first version of this list." in result.stdout


@pytest.mark.parametrize("name", ["SDN", "1", "", "a b", "a:b", "x" * 17, "sdn\n"])
def test_a_list_whose_name_is_not_valid_is_not_loaded(operator: Operator, name: str) -> None:
    result = operator.loads(sdn(*SDN), alt(*ALT), "--apply", f"--list={name}")

    assert (result.exit_code, operator.sent) == (2, [])


def test_the_status_shows_all_active_lists(operator: Operator) -> None:
    empty = CliRunner().invoke(app, ["sanctions", "status"])
    operator.has_active_list(names=3)
    operator.has_active_list(names=5, name="eu")

    shown = CliRunner().invoke(app, ["sanctions", "status"])
    lines = CliRunner().invoke(app, ["sanctions", "status", "--json"]).stdout.splitlines()

    assert "No sanctions list is active." in empty.stdout
    assert shown.stdout.splitlines() == [
        "eu: version L-1, 5 names, from 91 %",
        "sdn: version L-1, 3 names, from 91 %",
    ]
    assert [(each["name"], each["names"]) for each in map(json.loads, lines)] == [("eu", 5), ("sdn", 3)]


# --- the EU's list --------------------------------------------------------------------------------------------------

EU_COLUMNS = (
    "fileGenerationDate;Entity_LogicalId;Entity_EU_ReferenceNumber;NameAlias_LastName;NameAlias_WholeName;"
    "BirthDate_BirthDate;BirthDate_Year;BirthDate_YearRangeFrom;BirthDate_YearRangeTo;BirthDate_Circa;"
    "BirthDate_CalendarType;Citizenship_CountryIso2Code"
)


def eu(*rows: dict[str, object], columns: str = EU_COLUMNS) -> str:
    """The EU's file: each row has values by the last part of the column's name."""
    lines = [";".join(str(row.get(column.rpartition("_")[2], "")) for column in columns.split(";")) for row in rows]
    return "\ufeff" + "\r\n".join([columns, *lines]) + "\r\n"


def person(*facts: dict[str, object]) -> str:
    """One entry with two names, and rows with these facts."""
    rows: list[dict[str, object]] = [{"WholeName": "Dmitri Volkov"}, {"WholeName": '"Volkow; Dmitry"'}, *facts]
    return eu(*({"LogicalId": 13, **row} for row in rows))


def loads_eu(operator: Operator, text: str, *options: str) -> Any:
    (operator.folder / "eu.csv").write_text(text)
    return CliRunner().invoke(app, ["sanctions", "load", str(operator.folder / "eu.csv"), *options])


def test_the_list_of_the_eu_is_recognised_by_its_header(operator: Operator) -> None:
    result = loads_eu(
        operator, eu({"LogicalId": 13, "WholeName": "A  Heron"}, {"LogicalId": 42, "WholeName": "Crane"}), "--apply"
    )

    assert result.exit_code == 0, result.output
    assert [(each.list_name, each.entries) for each in operator.sent] == [("eu", 2)]
    assert list(sanctions_list.read([operator.written[0].content])) == [Listed(13, "A Heron"), Listed(42, "Crane")]


@pytest.mark.parametrize(
    ("facts", "years", "countries"),
    [
        ([{"BirthDate": "1954-01-31", "Year": "1954", "CalendarType": "GREGORIAN"}], (1954,), ()),
        ([{"BirthDate": "1954-01-31"}, {"Year": "1956", "Circa": "false"}], (1954, 1956), ()),
        ([{"YearRangeFrom": "1954", "YearRangeTo": "1956"}], (1954, 1955, 1956), ()),
        ([{"Year": "1954"}, {"Year": "1956", "Circa": "true"}], (), ()),
        ([{"Year": "1374", "CalendarType": "ISLAMIC"}], (), ()),
        ([{"YearRangeFrom": "1954"}], (), ()),
        ([{"Year": "0"}], (), ()),
        ([{"CountryIso2Code": "RU"}, {"CountryIso2Code": "BY"}], (), ("BY", "RU")),
        ([{"CountryIso2Code": "RU"}, {"CountryIso2Code": "00"}], (), ()),
    ],
    ids=["day", "several", "range", "circa", "calendar", "open range", "zero", "citizenships", "unknown country"],
)
def test_the_rows_of_an_entry_together_give_its_birth_years_and_citizenships(
    operator: Operator, facts: list[dict[str, object]], years: tuple[int, ...], countries: tuple[str, ...]
) -> None:
    result = loads_eu(operator, person(*facts), "--apply")

    assert result.exit_code == 0, result.output
    assert list(sanctions_list.read([operator.written[0].content])) == [
        Listed(13, name, years, countries) for name in ("Dmitri Volkov", "Volkow; Dmitry")
    ]


# Guards: a file with one error is not loaded at all.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (eu(), "eu.csv has no names"),
        (person({"Year": "195x"}), "line 4 has '195x' in BirthDate_Year; expected is a year like 1954"),
        (person({"BirthDate": "31/01/1954"}), "line 4 has '31/01/1954' in BirthDate_BirthDate; expected is a day like"),
        (person({"LogicalId": "x"}), "line 4 has 'x' in Entity_LogicalId; expected is a number"),
        (
            person({"WholeName": "x" * 351}),
            "line 4 has 351 characters in NameAlias_WholeName; expected are at most 350",
        ),
        (person() + "a;13\r\n", "line 4 has 2 columns; expected are 12, as in the header"),
        (person({"LogicalId": 42}), "eu.csv has no NameAlias_WholeName in any row of the entry 42"),
        (person() + '"a', "eu.csv is not a CSV file: unexpected end of data in line 4"),
        (eu(columns="Entity_LogicalId;NameAlias_WholeName"), "eu.csv has no column BirthDate_Year, "),
        ("<html>", "eu.csv: expected is one file of the EU, whose first line has Entity_LogicalId, or two files"),
    ],
)
def test_a_broken_file_of_the_eu_changes_nothing(operator: Operator, text: str, message: str) -> None:
    result = loads_eu(operator, text, "--apply", "--force")

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert (operator.written, operator.sent) == ([], [])


def test_a_file_of_the_eu_is_loaded_without_another_file(operator: Operator) -> None:
    result = operator.loads(person(), alt(*ALT), "--apply")

    assert (result.exit_code, operator.sent) == (2, [])
    assert "expected is one file of the EU" in " ".join(result.stderr.split())


def test_a_long_list_is_written_in_several_parts(operator: Operator) -> None:
    rows: Iterable[tuple[int, str]] = [(number, f"PERSON{number}, {'Somebody ' * 5}") for number in range(1, 9_001)]

    operator.loads(sdn(*SDN, *((1_000 + number, name) for number, name in rows)), alt(*ALT), "--apply")

    (sent,) = operator.sent
    assert (sent.names, sent.parts) == (9_003, len(operator.written))
    assert sent.parts > 1
    assert sanctions_list.digest([row.content for row in operator.written]) == sent.sha256


def test_the_error_without_a_deployed_service_names_it(world: World, tmp_path: Path) -> None:
    for name in ("SDN.CSV", "ALT.CSV"):
        (tmp_path / name).write_text("")

    result = CliRunner().invoke(app, ["sanctions", "load", *(str(tmp_path / n) for n in ("SDN.CSV", "ALT.CSV"))])

    assert result.exit_code == 2
    assert "no function of its service, compliance, is deployed" in result.stderr
    assert world.arrived() == []


# --- decisions ------------------------------------------------------------------------------------------------------

CASE = "sanctions:cus-19b2:9001:9f86d081884c7d65"


def has_case(world: World, **other: Any) -> None:
    """A case with the entries 9001 and 9002."""
    matches = [{"entry": 9001, "similarity": 100}, {"entry": 9002, "similarity": 91}]
    data = {**ComplianceCaseOpened.example, "case_id": CASE, "rule": "sanctioned_name", "matches": matches, **other}
    world.recorded("ComplianceCaseOpened", f"case/{CASE}", data=json.dumps(data))


def decides(*arguments: str, reason: str = "Born in 1987", by: str = "S-2041") -> Any:
    return CliRunner().invoke(app, ["sanctions", "decide", *arguments, "--reason", reason, "--by", by])


def sent(world: World) -> list[tuple[str, int, str, str]]:
    """The counterparty, the entry, the decision and the reason of all decisions that were sent."""
    data = [event["detail"]["data"] for event in world.arrived()]
    return [(each["counterparty"], each["entry"], each["decision"], each["reason"]) for each in data]


def test_a_decision_about_a_case_is_sent_for_each_of_its_entries(world: World) -> None:
    has_case(world)

    result = decides(CASE, "not_this_person", "--apply")

    assert result.exit_code == 0, result.output
    assert sent(world) == [
        ("9f86d081884c7d65", 9001, "not_this_person", "Born in 1987"),
        ("9f86d081884c7d65", 9002, "not_this_person", "Born in 1987"),
    ]
    assert "Decided that the counterparty" in result.stdout
    assert "daybook trace " in result.stdout


def test_a_decision_may_be_about_one_entry(world: World) -> None:
    has_case(world)

    shown = json.loads(decides(CASE, "this_person", "--entry", "9002", "--apply", "--json").stdout)

    assert (shown["entries"], len(shown["event_ids"])) == ([9002], 1)
    assert [each[1:3] for each in sent(world)] == [(9002, "this_person")]


# Guards: without --apply nothing changes.
def test_without_apply_a_decision_is_only_shown(world: World) -> None:
    has_case(world)

    result = decides(CASE, "not_this_person")

    assert result.exit_code == 0, result.output
    assert "Would decide that the counterparty" in result.stdout
    assert "repeat the command with --apply" in result.stdout
    assert sent(world) == []


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["sanctions:cus-1:1:9f86d081884c7d65", "not_this_person"], {}, "there is no case sanctions:cus-1:1:"),
        ([CASE, "not_this_person", "--entry", "7"], {}, "the case has the entries 9001, 9002, not 7"),
        ([CASE, "not_this_person"], {"reason": ""}, "reason: String should have at least 1 character"),
        ([CASE, "not_this_person"], {"by": "Ada Lovelace"}, "decided_by: String should match pattern"),
    ],
    ids=["case", "entry", "reason", "by"],
)
def test_a_decision_that_is_not_valid_is_not_sent(
    world: World, arguments: list[str], options: dict[str, str], message: str
) -> None:
    has_case(world)

    result = decides(*arguments, "--apply", **options)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sent(world) == []


def test_only_cases_of_sanctioned_names_have_matches_to_decide(world: World) -> None:
    has_case(world, rule="structuring")

    result = decides(CASE, "not_this_person", "--apply")

    assert result.exit_code == 2
    assert "has the rule structuring" in result.stderr
