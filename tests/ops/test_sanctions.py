"""`daybook sanctions load`: what is written and told of, and what leaves the list in force as it is."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate.program import app
from daybook.operate.tables import DeployedTable
from events.compliance import SanctionsListLoaded
from functions.compliance import sanctions_list as sanctions
from functions.compliance.sanctions_list import LIST, Listed, ListInForce, ListPart
from tests.ops.world import World

EMPTY = "-0- "
SDN = [(36, "GRAY HERON TRADING CO."), (173, "VOLKOV, Dmitri")]
ALT = [(173, "VOLKOW, Dmitry")]


def sdn(*rows: tuple[object, str]) -> str:
    """SDN.CSV as the Treasury writes it, with what marks its end."""
    return "".join(f'{number},"{name}",{",".join([EMPTY] * 10)}\r\n' for number, name in rows) + "\x1a\r\n"


def alt(*rows: tuple[object, str]) -> str:
    return "".join(f'{number},{place},"aka","{name}",{EMPTY}\r\n' for place, (number, name) in enumerate(rows))


class Office:
    """Who loads lists into the stage."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        world.uses("adopt-list", "sanctions", "sanctions-lists", service="compliance")

    def loads(self, entries: str | bytes, others: str = alt(*ALT), *options: str) -> Any:
        files = {"SDN.CSV": entries, "ALT.CSV": others}
        for name, text in files.items():
            (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return CliRunner().invoke(app, ["sanctions", "load", *(str(self.folder / name) for name in files), *options])

    def has_in_force(self, names: int) -> None:
        row = ListInForce(name=LIST, list_version="L-1", names=names, sha256="0" * 64, least_likeness=91)
        DeployedTable.of(self.world.connection, ListInForce).put(row)

    @property
    def written(self) -> list[ListPart]:
        return sorted(DeployedTable.of(self.world.connection, ListPart).scan(), key=lambda row: row.part)

    @property
    def told(self) -> list[SanctionsListLoaded]:
        data = [event["detail"]["data"] for event in self.world.arrived()]
        return [SanctionsListLoaded.read(json.dumps(each), version=1) for each in data]


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    return Office(world, tmp_path)


def test_a_list_is_written_in_whole_and_then_told_of(office: Office) -> None:
    result = office.loads(sdn(*SDN), alt(*ALT), "--apply")

    assert result.exit_code == 0, result.output
    (told,) = office.told
    assert (told.entries, told.names, told.parts, told.least_likeness) == (2, 3, 1, 88)
    (part,) = office.written
    assert part.part == f"{told.list_version}:0"
    assert sanctions.digest([part.content]) == told.sha256
    assert list(sanctions.read([part.content])) == [Listed(*each) for each in [*SDN, *ALT]]
    assert f"Loaded 3 names of 2 entries, as version {told.list_version}, the first list" in result.stdout
    assert "daybook trace " in result.stdout


# Guards: nothing without --apply.
def test_without_apply_it_says_what_it_would_do_and_does_nothing(office: Office) -> None:
    office.has_in_force(names=3)

    result = office.loads(sdn(*SDN))

    assert result.exit_code == 0, result.output
    assert "Would load 3 names of 2 entries" in result.stdout
    assert "in place of 3 names, version L-1; names are alike from 91 percent on" in result.stdout
    assert "repeat the command with --apply" in result.stdout
    assert (office.written, office.told) == ([], [])


def test_programs_are_told_as_data(office: Office) -> None:
    told = json.loads(office.loads(sdn(*SDN), alt(*ALT), "--json", "--least-likeness", "95").stdout)

    assert (told["names"], told["least_likeness"], told["applied"], told["in_force"]) == (3, 95, False, None)


# Guards: a broken list is refused in whole.
@pytest.mark.parametrize(
    ("entries", "others", "said"),
    [
        ("", alt(*ALT), "SDN.CSV has no names"),
        (sdn(), alt(*ALT), "SDN.CSV has no names"),
        (sdn(*SDN), "", "ALT.CSV has no names"),
        (sdn(*SDN, ("x", "HERON")), alt(*ALT), "SDN.CSV is broken: row 3 does not begin with a number"),
        (sdn(*SDN, (0, "HERON")), alt(*ALT), "row 3 does not begin with a number"),
        (sdn(*SDN, (7, "-0-")), alt(*ALT), "row 3 has no name"),
        (sdn(*SDN, (7, " ")), alt(*ALT), "row 3 has no name"),
        (sdn(*SDN, (7, "x" * 351)), alt(*ALT), "row 3 has a name that is too long"),
        (sdn(*SDN) + '7,"HERON"\r\n', alt(*ALT), "has not as many columns"),
        ("<html><body>Service unavailable</body></html>", alt(*ALT), "has not as many columns"),
        (sdn(*SDN) + '7,"HERON', alt(*ALT), "SDN.CSV is no CSV"),
        (sdn(*SDN, SDN[0]), alt(*ALT), "SDN.CSV has an ent_num twice"),
        (sdn(*SDN), alt((4711, "HERON")), "ALT.CSV has 1 names of entries that SDN.CSV does not have"),
        (sdn(*SDN), sdn(*SDN), "ALT.CSV is broken: row 1 has not as many columns"),
        (sdn(*SDN).encode("utf-16"), alt(*ALT), "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_broken_changes_nothing(office: Office, entries: str | bytes, others: str, said: str) -> None:
    result = office.loads(entries, others, "--apply", "--force")

    assert result.exit_code == 2
    assert said in result.stderr
    assert (office.written, office.told) == ([], [])


# Guards: far fewer names than are in force.
@pytest.mark.parametrize(("in_force", "loaded"), [(3, True), (4, False), (1_000, False)])
def test_a_list_with_far_fewer_names_than_the_one_in_force_changes_nothing(
    office: Office, in_force: int, *, loaded: bool
) -> None:
    office.has_in_force(names=in_force)

    result = office.loads(sdn(*SDN), alt(*ALT), "--apply")
    assert bool(office.told) is bool(office.written) is loaded
    assert (result.exit_code == 0) is loaded
    assert loaded or f"far fewer than the {in_force} in force" in result.stderr

    if not loaded:
        assert office.loads(sdn(*SDN), alt(*ALT), "--apply", "--force").exit_code == 0
        assert len(office.told) == 1


def test_a_list_of_many_names_is_written_in_several_parts(office: Office) -> None:
    rows: Iterable[tuple[int, str]] = [(number, f"PERSON{number}, {'Somebody ' * 5}") for number in range(1, 9_001)]

    office.loads(sdn(*SDN, *((1_000 + number, name) for number, name in rows)), alt(*ALT), "--apply")

    (told,) = office.told
    assert (told.names, told.parts) == (9_003, len(office.written))
    assert told.parts > 1
    assert sanctions.digest([row.content for row in office.written]) == told.sha256


def test_a_stage_without_compliance_is_said_so(world: World, tmp_path: Path) -> None:
    for name in ("SDN.CSV", "ALT.CSV"):
        (tmp_path / name).write_text("")

    result = CliRunner().invoke(app, ["sanctions", "load", *(str(tmp_path / n) for n in ("SDN.CSV", "ALT.CSV"))])

    assert result.exit_code == 2
    assert "no function of its service, compliance, is deployed" in result.stderr
    assert world.arrived() == []
