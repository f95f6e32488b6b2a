"""Transfers with somebody whose name is like one of the sanctions list's. All names here are made up."""

import json
from collections.abc import Callable

import pytest

from daybook.contracts import clock
from events.compliance import Match
from functions.compliance import adopt_list, sanctions, screen_transaction
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_list import Listed, ListPart
from tests.unit import faults
from tests.unit.branch import Branch, a_transfer, on
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World, errors

LEAST = 88
NUMBER = "DE02120300000000202051"


@pytest.fixture
def branch(world: World) -> Branch:
    sanctions._kept.clear()  # noqa: SLF001 - as if the process had just started
    return Branch(world)


def like(name: str, *listed: str, least: int = LEAST) -> list[int]:
    """The likenesses of the listed names that this name is like."""
    index = NameIndex(Listed(number, text) for number, text in enumerate(listed, 1))
    return [match.likeness for match in index.like(name, least=least)]


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "VOLKOV, Dmitri Anatolyevich",
        "Dmitri Anatolyevich Volkov",
        "dmitri anatolyevich VOLKOV",
        "Volkov Anatolyevich Dmitri",
        "  Dmitri   Anatolyevich-Volkov. ",
        "Dmítri Anatolyévich Vólkov",
        "Dmitri\u200b Anatolyevich Volkov",
        "\uff24mitri Anatolyevich Volkov",
    ],
    ids=["listed", "order", "case", "another order", "punctuation", "accents", "not to be seen", "full width"],
)
def test_case_accents_punctuation_and_the_order_of_words_count_for_nothing(written: str) -> None:
    assert like(written, "VOLKOV, Dmitri Anatolyevich") == [100]


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("Gray Heron Trading", "GRAY HERON TRADING CO., LTD."),
        ("Gray Heron Trading GmbH", "GRAY HERON TRADING CO., LTD."),
        ("ООО Серая Цапля", "Серая Цапля"),  # noqa: RUF001 - the legal form is Cyrillic
        ("O'Harrow Shipping Lines", "OHARROW SHIPPING LINES"),
        ("Łukasz Zamoyśki", "ZAMOYSKI, Lukasz"),
    ],
)
def test_legal_forms_apostrophes_and_letters_with_strokes_count_for_nothing(written: str, listed: str) -> None:
    assert like(written, listed) == [100]


@pytest.mark.parametrize(
    "written",
    [
        "Dmitri Volkow",
        "Dmitry Volkov",
        "Dmitri Vollkov",
        "Dmirti Volkov",
        "Zmitri Volkov",
        "Dmitri Bolkov",
        "Dimitri Volkovv",
    ],
    ids=["last letter", "a letter", "one too many", "two swapped", "first letter", "another first letter", "each word"],
)
def test_a_typing_mistake_is_still_like_it(written: str) -> None:
    assert like(written, "VOLKOV, Dmitri") != []


@pytest.mark.parametrize("written", ["Dmitri Volkov", "Volkov Anatolyevich", "Sergei Dmitri Anatolyevich Volkov"])
def test_a_name_with_words_left_out_or_put_in_is_still_like_it(written: str) -> None:
    assert like(written, "VOLKOV, Dmitri Anatolyevich") == [100]


def test_a_name_in_another_script_is_like_names_in_that_script_alone() -> None:
    listed = ["ВОЛКОВ, Дмитрий", "VOLKOV, Dmitri", "王小明", "عبد الله المنصور"]

    assert like("Дмитрий Волков", *listed) == [100]
    assert like("王小明", *listed) == [100]
    assert like("عَبْد الله المنصور", *listed) == [100]


# Guards: short names must be the same, however little likeness is asked for.
@pytest.mark.parametrize(
    ("written", "listed"),
    [("Li Na", "LI, Ma"), ("Kim", "KIM, Ok"), ("An Li", "AN, Li Wei Zhang"), ("A.", "B."), ("...", "---")],
)
def test_short_names_raise_no_false_storm(written: str, listed: str) -> None:
    assert like(written, listed, "LI, Mo", "LIN, A.", "KIMM", "AL", least=50) == []


# Guards: one word in common, or legal forms alone, are nothing.
@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("Ali Smith", "ALI"),
        ("Alvendor Smith", "ALVENDOR"),
        ("Dmitri Petrov", "VOLKOV, Dmitri"),
        ("Company Limited", "TRADING COMPANY LIMITED"),
        ("Red Kite Trading Company", "GRAY HERON TRADING COMPANY"),
        ("Bank of the North", "BANK OF THE SOUTHERN ISLES"),
    ],
)
def test_common_words_raise_no_false_storm(written: str, listed: str) -> None:
    assert like(written, listed) == []


def test_a_short_name_that_is_the_same_is_found() -> None:
    assert like("Na Li", "LI, Na") == [100]
    assert like("Li Na Ltd", "LI, Na") == [100]


def test_the_most_alike_come_first_and_no_more_than_a_case_can_name() -> None:
    index = NameIndex(Listed(number, f"VOLKOV, Dmitri {'I' * (number - 1)}".strip()) for number in range(1, 21))

    found = index.like("Dmitri Volkov", least=LEAST)

    assert found[0] == Match(entry=1, likeness=100)
    assert len(found) == 10


def test_an_entry_with_several_names_is_found_once_by_the_most_alike() -> None:
    index = NameIndex([Listed(7, "VOLKOW, Dmitri"), Listed(7, "VOLKOV, Dmitri"), Listed(8, "HERON, Gray")])

    assert index.like("Dmitri Volkov", least=LEAST) == (Match(entry=7, likeness=100),)


# --- transfers ------------------------------------------------------------------------------------------------------


def test_a_transfer_with_a_listed_name_opens_a_case_that_names_the_entry_and_nobody(branch: Branch) -> None:
    branch.lists("HERON, Gray", "VOLKOV, Dmitri", version="L-7")

    branch.posts(a_transfer("Dmitri Volkov", authorisation_id="A-9", amount=5))

    (case,) = branch.cases
    assert (case.rule, case.opened.case_id) == ("sanctioned_name", "sanctions:cus-19b2:2:2026-03-02")
    assert (case.opened.matches, case.opened.list_version) == ((Match(entry=2, likeness=100),), "L-7")
    assert (case.total, case.rests_on) == (5, ["A-9"])
    assert case.opened.legal_source.startswith("31 CFR 501.603")


def test_whom_the_list_does_not_know_opens_none(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri")

    branch.posts(a_transfer("Ada Lovelace"))

    assert branch.cases == []
    assert branch.not_screened == {}


def test_the_threshold_of_likeness_is_the_lists_own(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri", least_likeness=100)
    branch.posts(a_transfer("Dmitri Volkow"))
    assert branch.cases == []

    branch.lists("VOLKOV, Dmitri", version="L-2", least_likeness=90, loaded_at=clock.timestamp(on(2)))
    branch.posts(a_transfer("Dmitri Volkow"))
    assert branch.rules == ["sanctioned_name"]


# Guards: one case for one matter.
def test_dealings_with_one_entry_on_one_day_are_one_case(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri", "HERON, Gray")

    (first, *_) = branch.posts(a_transfer("Dmitri Volkov"), a_transfer("VOLKOW, Dmitri", direction="credit"))
    branch.posts(a_transfer("Gray Heron"), a_transfer("Dmitri Volkov", day=3))
    branch.posts(a_transfer("Dmitri Volkov", customer_id="cus-2"))
    branch.world.deliver(screen_transaction.handler, Message(from_the_bus(first), tries=2))

    assert {case.opened.case_id: len(case.rests_on) for case in branch.cases} == {
        "sanctions:cus-19b2:1:2026-03-02": 2,
        "sanctions:cus-19b2:1:2026-03-03": 1,
        "sanctions:cus-19b2:2:2026-03-02": 1,
        "sanctions:cus-2:1:2026-03-02": 1,
    }


def test_two_at_once_with_one_entry_are_one_case(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri")
    faults.meanwhile("TransactWriteItems", lambda: branch.posts(a_transfer("Dmitri Volkov", currency="EUR")))

    branch.posts(a_transfer("Dmitri Volkov"))

    (case,) = branch.cases
    assert [each.currency for each in case.changed[-1].basis.sums] == ["EUR", "USD"]


def test_a_reversal_does_not_undo_that_somebody_dealt_with_a_listed_name(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri")
    transfer = a_transfer("Dmitri Volkov")

    branch.reverses(transfer)
    branch.posts(transfer)
    branch.reverses(transfer)

    (case,) = branch.cases
    assert case.changed == []


def test_a_transfer_is_noted_while_no_list_is_in_force(branch: Branch) -> None:
    branch.posts(a_transfer("Dmitri Volkov", authorisation_id="A-9"))

    assert branch.cases == []
    assert branch.not_screened == {"A-9": "no_list"}


# --- lists ----------------------------------------------------------------------------------------------------------


# Guards: the version in force is looked at each time.
def test_a_new_list_counts_from_the_next_transaction_on(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri")
    branch.posts(a_transfer("Gray Heron"))
    assert branch.cases == []

    branch.lists("HERON, Gray", version="L-2", loaded_at=clock.timestamp(on(2)))
    branch.posts(a_transfer("Gray Heron"), a_transfer("Dmitri Volkov"))

    assert [case.opened.list_version for case in branch.cases] == ["L-2"]


def test_the_content_of_a_list_is_read_once_by_a_process(branch: Branch) -> None:
    branch.lists("VOLKOV, Dmitri")
    read = faults.requests("BatchGetItem")
    branch.posts(*(a_transfer("Ada Lovelace") for _ in range(3)))

    tables = [table for request in read for table in request["RequestItems"]]
    assert tables.count("daybook-test-sanctions-lists") == 1
    assert tables.count("daybook-test-sanctions") == 3


# Guards: the content is held against its hash before a list comes into force.
@pytest.mark.parametrize("damage", ["a part is missing", "a part is another", "there are more parts"])
def test_a_list_that_is_not_there_in_whole_never_comes_into_force(branch: Branch, damage: str) -> None:
    branch.lists("VOLKOV, Dmitri")
    loaded = branch.writes("L-2", [(1, "HERON, Gray")], loaded_at=clock.timestamp(on(2)))
    damages: dict[str, Callable[[], object]] = {
        "a part is missing": lambda: branch.world.put(ListPart(part="L-2:0")),
        "a part is another": lambda: branch.world.put(ListPart(part="L-2:0", content="1\tHERON, Grey\n")),
        "there are more parts": lambda: branch.world.put(ListPart(part="L-2:1", content="2\tCRANE, White\n")),
    }
    damages[damage]()
    told = loaded.model_copy(update={"parts": 2}) if damage == "there are more parts" else loaded

    assert branch.tells_of(told) == []

    assert errors(branch.world.dead_letters()) == ["NonRetryable"]
    assert branch.version == "L-1"
    branch.posts(a_transfer("Dmitri Volkov"))
    assert branch.rules == ["sanctioned_name"]


# Guards: the list that was loaded last, not the one that is told of last.
@pytest.mark.parametrize("turned", [False, True])
def test_the_list_that_was_loaded_last_is_in_force_whichever_is_told_of_first(branch: Branch, *, turned: bool) -> None:
    older = branch.writes("L-1", [(1, "HERON, Gray")], loaded_at=clock.timestamp(on(1)))
    newer = branch.writes("L-2", [(1, "VOLKOV, Dmitri")], loaded_at=clock.timestamp(on(2)))

    for loaded in [newer, older] if turned else [older, newer]:
        branch.world.receive(adopt_list.handler, loaded)

    assert branch.version == "L-2"


def test_a_list_of_many_names_is_kept_in_parts_and_read_in_whole(branch: Branch) -> None:
    names = [(number, f"PERSON{number}, Somebody Whose Name Is Long") for number in range(1, 9_001)]
    loaded = branch.writes("L-1", [*names, (9_001, "VOLKOV, Dmitri")])
    assert loaded.parts > 1
    branch.world.receive(adopt_list.handler, loaded)

    branch.posts(a_transfer("Dmitri Volkov"))

    assert [case.opened.matches[0].entry for case in branch.cases] == [9_001]


# --- discretion -----------------------------------------------------------------------------------------------------


def test_no_name_and_no_number_of_a_counterparty_stands_in_logs_rows_events_or_reasons(
    branch: Branch, capsys: pytest.CaptureFixture[str]
) -> None:
    branch.lists("VOLKOV, Dmitri")
    transfer = a_transfer("Dmitri Volkow", account=NUMBER)
    (envelope,) = branch.posts(transfer)
    branch.reverses(transfer)
    broken = from_the_bus(envelope).replace('"currency":"USD"', '"currency":"Volkow"')
    branch.world.deliver(screen_transaction.handler, broken.replace('\\"USD\\"', '\\"Volkow\\"'))
    faults.always_answer("BatchGetItem", faults.DENIED)
    branch.world.deliver(screen_transaction.handler, Message(from_the_bus(recorded(a_transfer("Dmitri Volkow")))))

    said = capsys.readouterr().out
    assert '"failed"' in said
    reasons = json.dumps([dict(letter.attributes) for letter in branch.world.dead_letters()])
    tables = ("cases", "cash-transactions", "cash-days", "near-threshold", "sanctions", "ledger", "store")
    kept = json.dumps([item for table in tables for item in branch.world.items(table)], default=str)
    for secret in ("olkow", NUMBER):
        assert secret not in said + reasons + kept
