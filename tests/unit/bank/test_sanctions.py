"""Transfers with a counterparty whose name is similar to one of the sanctions list. All names are made up."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from itertools import count, islice
from typing import Any

import pytest

from bench.listed_names import MAX_COMMON, WRITTEN, Generator
from daybook.contracts import clock
from events.accounts import TransactionPosted
from events.compliance import Match
from functions.compliance import activate_list, counterparty, sanctions, sanctions_list, screen_transaction
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_list import Listed, ListPart
from tests.unit import faults
from tests.unit.bank.compliance import Compliance, a_transfer, on
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World, errors

MIN_SIMILARITY = 88
_FREQUENT = ("ALI", "Hassan", "Mohammad", "Karim")
NUMBER = "DE02120300000000202051"


@pytest.fixture
def compliance(world: World) -> Compliance:
    sanctions._cached_index.clear()  # noqa: SLF001 - as in a new process
    return Compliance(world)


def similarities(name: str, *listed: str, min_similarity: int = MIN_SIMILARITY) -> list[int]:
    """The similarities of the listed names that match this name."""
    index = NameIndex(Listed(number, text) for number, text in enumerate(listed, 1))
    return [match.similarity for match in index.matches(name, min_similarity=min_similarity)]


@cache
def _generated() -> tuple[Generator, list[Listed], NameIndex]:
    """A generator with a list of 2,000 entries. Each test continues its sequence of random numbers."""
    generator = Generator()
    listed = generator.listed(2_000)
    return generator, listed, NameIndex(listed)


def _transfers_of_one_shard() -> Iterator[TransactionPosted]:
    """Transfers to counterparties of different accounts, all in the first shard."""
    for number in count():
        transfer = a_transfer("Dmitri Volkov", account=f"ACC{number}")
        row = f"{transfer.customer_id}:{counterparty.key_of(transfer)}"
        if counterparty.SHARDS.shard_id("shard", row) == "shard#0":
            yield transfer


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
    ids=["listed", "order", "case", "another order", "punctuation", "accents", "invisible", "full width"],
)
def test_case_accents_punctuation_and_the_order_of_words_make_no_difference(written: str) -> None:
    assert similarities(written, "VOLKOV, Dmitri Anatolyevich") == [100]


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
def test_legal_forms_apostrophes_and_strokes_make_no_difference(written: str, listed: str) -> None:
    assert similarities(written, listed) == [100]


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
    ids=["end", "middle", "added", "swapped", "first name start", "last name start", "both words"],
)
def test_a_name_with_a_typing_mistake_matches(written: str) -> None:
    assert similarities(written, "VOLKOV, Dmitri") != []


@pytest.mark.parametrize("written", ["Dmitri Volkov", "Volkov Anatolyevich", "Sergei Dmitri Anatolyevich Volkov"])
def test_a_name_with_a_missing_or_an_additional_word_matches(written: str) -> None:
    assert similarities(written, "VOLKOV, Dmitri Anatolyevich") == [98]


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("Иван Экзамплов", "EXAMPLOV, Ivan"),
        ("Дмитрий Волков", "VOLKOV, Dmitri"),
        ("Dmitri V\u043elk\u043ev", "VOLKOV, Dmitri"),
        ("Юрий Хрущёв", "KHRUSHCHEV, Yuri"),
        ("Γιώργος Παπαδόπουλος", "PAPADOPOULOS, Giorgos"),
        ("王小明", "WANG, Xiaoming"),
        ("عبد الله المنصور", "AL-MANSUR, Abdullah"),
        ("Dmitri Volkov", "ВОЛКОВ, Дмитрий"),
        ("عَبْد الله المنصور", "عبد الله المنصور"),
        ("王小明", "王小明"),
    ],
    ids=["Cyrillic", "y", "mixed", "shch", "Greek", "Chinese", "Arabic", "listed in Cyrillic", "vowel marks", "same"],
)
def test_a_name_in_another_script_matches_after_transliteration(written: str, listed: str) -> None:
    assert similarities(written, listed) != []


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("Wolkow Dimitri", "VOLKOV, Dmitri"),
        ("Yousef Hussein", "HUSAYN, Yusuf"),
        ("Mohammed Al-Khatib", "AL-KHATIB, Muhammad"),
        ("Alexei Tchekov", "CHEKOV, Aleksey"),
    ],
)
def test_another_romanisation_of_a_name_matches(written: str, listed: str) -> None:
    assert similarities(written, listed) != []


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("Abdul Rahman Khalidi", "KHALIDI, Abdulrahman"),
        ("Abdulrahman Khalidi", "KHALIDI, Abdul Rahman"),
        ("Jean Pierre Lanterne", "LANTERNE, Jean-Pierre"),
        ("Jeanpierre Lanterne", "LANTERNE, Jean-Pierre"),
        ("Almansur Khalid", "AL-MANSUR, Khalid"),
        ("Khalid Mansur", "AL-MANSUR, Khalid"),
        ("Carlos de la Linterna", "LINTERNA, Carlos"),
    ],
)
def test_joined_and_split_words_and_particles_make_no_difference(written: str, listed: str) -> None:
    assert similarities(written, listed) == [100]


@pytest.mark.parametrize("written", ["D. A. Volkov", "D. Volkov", "Volkov D.A.", "Dmitri A. Volkov"])
def test_an_initial_stands_for_a_name(written: str) -> None:
    listed = "VOLKOV, Dmitri" if written == "D. Volkov" else "VOLKOV, Dmitri Anatolyevich"

    assert similarities(written, listed) != []


def test_another_initial_does_not_match() -> None:
    assert similarities("S. Volkov", "VOLKOV, Dmitri") == []


# Guards: words of many entries say little.
@pytest.mark.parametrize("written", ["Ali Hassan", "Mohammad Ali", "Hassan Karim"])
def test_some_frequent_words_of_a_longer_name_do_not_match(written: str) -> None:
    frequent = [f"{one}, {other} {third}" for one in _FREQUENT for other in _FREQUENT for third in _FREQUENT]

    assert similarities(written, *frequent) == []
    assert similarities("Ali Hassan Karim", *frequent) != []


def test_a_word_of_several_entries_is_no_mistake_for_another_word() -> None:
    listed = ["VERDE, Marco", *(f"{word}, Mario" for word in ("ROSSO", "BIANCO", "NERO"))]

    assert similarities("Mario Verde", *listed) == []
    assert similarities("Marcp Verde", *listed) != []


# The bounds of `bench screening`, with a shorter list.
@pytest.mark.parametrize("written", WRITTEN)
def test_names_as_senders_write_them_are_found_as_often_as_expected(written: str) -> None:
    write, minimum = WRITTEN[written]
    generator, listed, index = _generated()
    people = generator.people(listed, 300)

    found = [
        any(match.entry == each.entry for match in index.matches(write(generator, each.name), min_similarity=88))
        for each in people
    ]

    assert sum(found) / len(found) >= minimum


def test_of_common_names_at_most_one_percent_match() -> None:
    generator, _, index = _generated()

    found = [name for name in generator.common(400) if index.matches(name, min_similarity=88)]

    assert len(found) <= 400 * MAX_COMMON


# Guards: short names must be equal, even with a low minimum of similarity.
@pytest.mark.parametrize(
    ("written", "listed"),
    [("Li Na", "LI, Ma"), ("Kim", "KIM, Ok"), ("An Li", "AN, Li Wei Zhang"), ("A.", "B."), ("...", "---")],
)
def test_short_names_do_not_match_by_chance(written: str, listed: str) -> None:
    assert similarities(written, listed, "LI, Mo", "LIN, A.", "KIMM", "AL", min_similarity=50) == []


# Guards: one common word, or a common legal form, is not enough.
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
def test_names_with_only_a_common_word_do_not_match(written: str, listed: str) -> None:
    assert similarities(written, listed) == []


def test_an_equal_short_name_matches() -> None:
    assert similarities("Na Li", "LI, Na") == [100]
    assert similarities("Li Na Ltd", "LI, Na") == [100]


def test_the_ten_most_similar_entries_are_found_most_similar_first() -> None:
    index = NameIndex(Listed(number, "VOLKOV, Dmitri" if number == 7 else "VOLKOW, Dmitri") for number in range(1, 21))

    found = index.matches("Dmitri Volkov", min_similarity=MIN_SIMILARITY)

    assert found[0] == Match(entry=7, similarity=100)
    assert len(found) == 10


def test_an_entry_with_several_names_is_found_once_with_the_highest_similarity() -> None:
    index = NameIndex([Listed(7, "VOLKOW, Dmitri"), Listed(7, "VOLKOV, Dmitri"), Listed(8, "HERON, Gray")])

    assert index.matches("Dmitri Volkov", min_similarity=MIN_SIMILARITY) == (Match(entry=7, similarity=100),)


# --- several lists --------------------------------------------------------------------------------------------------


def test_a_name_on_two_lists_opens_a_case_for_each_that_says_which_list(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.lists("HERON, Gray", "VOLKOV, Dmitri", list_name="eu", version="E-1")

    compliance.posts(a_transfer("Dmitri Volkov"))

    found = [
        (case.opened.case_id.split(":")[2], case.opened.list_name, case.opened.list_version, case.opened.matches)
        for case in compliance.cases
    ]
    assert found == [
        ("1", "sdn", "L-1", (Match(entry=1, similarity=100),)),
        ("eu-2", "eu", "E-1", (Match(list_name="eu", entry=2, similarity=100),)),
    ]
    assert [case.opened.legal_source.split(":")[0] for case in compliance.cases] == [
        "31 CFR 501.603",
        "Regulations under Article 215 TFEU",
    ]


def test_only_a_list_other_than_sdn_may_be_loaded(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri", list_name="eu", version="E-1")

    compliance.posts(a_transfer("Dmitri Volkov"), a_transfer("Ada Lovelace"))

    assert [case.opened.list_name for case in compliance.cases] == ["eu"]
    assert compliance.not_screened == {}


def test_a_new_version_replaces_only_the_list_with_its_name(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.lists("HERON, Gray", list_name="eu", version="E-1")
    compliance.lists("CRANE, White", list_name="eu", version="E-2", loaded_at=clock.timestamp(on(2)))
    compliance.lists("LANTERNOV, Igor", list_name="un", version="U-1")

    compliance.posts(*map(a_transfer, ("Dmitri Volkov", "Gray Heron", "White Crane", "Igor Lanternov")))

    assert sorted(case.opened.list_version or "" for case in compliance.cases) == ["E-2", "L-1", "U-1"]


# Guards: list, entry and counterparty are the key of a decision.
def test_a_decision_does_not_apply_to_an_entry_of_another_list_with_the_same_number(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.lists("VOLKOV, Dmitri", list_name="eu", version="E-1")
    compliance.posts(a_transfer("Dmitri Volkov"))
    compliance.decides(next(case for case in compliance.cases if case.opened.list_name == "eu"))

    compliance.posts(a_transfer("Dmitri Volkov"))

    assert {case.opened.list_name: len(case.changed) for case in compliance.cases} == {"sdn": 1, "eu": 0}


def test_the_first_version_of_a_second_list_is_compared_with_all_counterparties(compliance: Compliance) -> None:
    compliance.lists("HERON, Gray", loaded_at=clock.timestamp(on(-90)))
    compliance.posts(a_transfer("Dmitri Volkov", day=-80))
    compliance.screens_again()

    compliance.lists("VOLKOV, Dmitri", list_name="eu", version="E-1", loaded_at=clock.timestamp(on(12)))
    compliance.screens_again()

    assert [case.opened.list_name for case in compliance.cases] == ["eu"]


# --- birth dates and countries --------------------------------------------------------------------------------------


def similarity_of(listed: Listed, name: str = "Dmitri Volkov", **known: Any) -> int | None:
    """The similarity of a name with the listed one, or None if it is too low."""
    found = NameIndex([listed]).matches(name, min_similarity=MIN_SIMILARITY, **known)
    return found[0].similarity if found else None


def test_another_birth_year_lowers_the_similarity_below_the_limit() -> None:
    listed = Listed(1, "VOLKOV, Dmitri", years=(1954, 1955))

    assert similarity_of(listed, born_on=date(1987, 1, 1)) is None
    assert NameIndex([listed]).matches("Dmitri Volkov", min_similarity=85, born_on=date(1987, 1, 1)) == (
        Match(entry=1, similarity=85),
    )


def test_an_equal_birth_year_keeps_the_similarity() -> None:
    assert similarity_of(Listed(1, "VOLKOV, Dmitri", years=(1954, 1955)), born_on=date(1955, 12, 31)) == 100


def test_another_country_lowers_the_similarity_of_an_equal_name_but_not_below_the_limit() -> None:
    listed = Listed(1, "VOLKOV, Dmitri", countries=("RU", "BY"))

    assert similarity_of(listed, country="AT") == 95
    assert similarity_of(listed, country="BY") == 100


def test_another_country_lowers_a_name_with_typing_mistakes_below_the_limit() -> None:
    listed = Listed(1, "VOLKOV, Dmitri", countries=("RU",))

    assert similarity_of(listed, "Dimitrii Volkkovv", country="RU") is not None
    assert similarity_of(listed, "Dimitrii Volkkovv", country="AT") is None


@pytest.mark.parametrize(
    ("years", "countries", "known"),
    [
        ((), (), {"born_on": date(1987, 1, 1), "country": "AT"}),
        ((1954,), ("RU",), {}),
        ((1954,), (), {"country": "AT"}),
        ((), ("RU",), {"born_on": date(1987, 1, 1)}),
    ],
    ids=["of the entry", "of the counterparty", "birth date", "country"],
)
def test_missing_data_never_lower_the_similarity(
    years: tuple[int, ...], countries: tuple[str, ...], known: dict[str, Any]
) -> None:
    assert similarity_of(Listed(1, "VOLKOV, Dmitri", years, countries), **known) == 100


def test_stored_names_keep_birth_years_and_countries() -> None:
    names = [
        Listed(1, "VOLKOV, Dmitri"),
        Listed(2, "HERON, Gray", (1954, 1955), ("RU",)),
        Listed(3, "CRANE, White", (), ("BY", "RU")),
    ]

    assert list(sanctions_list.read(sanctions_list.write(names))) == names


@pytest.mark.parametrize(
    ("born_on", "opened"), [("1987-05-01", False), ("1954-05-01", True), (None, True)], ids=["other", "equal", "none"]
)
def test_a_transfer_to_a_person_with_another_birth_year_opens_no_case(
    compliance: Compliance, born_on: str | None, *, opened: bool
) -> None:
    compliance.lists("VOLKOV, Dmitri", years=(1954,))

    compliance.posts(a_transfer("Dmitri Volkov", born_on=born_on))

    assert bool(compliance.cases) is opened


def test_the_birth_date_is_remembered_for_screening_again(compliance: Compliance) -> None:
    compliance.posts(
        a_transfer("Dmitri Volkov", born_on="1987-05-01", customer_id="cus-1"),
        a_transfer("Dmitri Volkov", born_on="1954-05-01", customer_id="cus-2"),
        a_transfer("Dmitri Volkov", born_on="1987-05-01", account=NUMBER, customer_id="cus-3"),
        a_transfer("Dmitri Volkov", account=NUMBER, customer_id="cus-3"),
    )

    compliance.lists("VOLKOV, Dmitri", years=(1954,))
    compliance.screens_again()

    assert [case.opened.customer_id for case in compliance.cases] == ["cus-2"]


def test_persons_without_account_numbers_and_with_other_birth_dates_have_separate_cases(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")

    compliance.posts(*(a_transfer("Dmitri Volkov", born_on=born) for born in ("1987-05-01", "1987-06-01", None)))

    assert len(compliance.cases) == 3


# --- transfers ------------------------------------------------------------------------------------------------------


def test_a_transfer_with_a_listed_name_opens_a_case_with_the_entry_but_no_name(compliance: Compliance) -> None:
    compliance.lists("HERON, Gray", "VOLKOV, Dmitri", version="L-7")

    compliance.posts(a_transfer("Dmitri Volkov", authorisation_id="A-9", amount=5))

    (case,) = compliance.cases
    assert (case.rule, case.opened.case_id[:21]) == ("sanctioned_name", "sanctions:cus-19b2:2:")
    assert (case.opened.matches, case.opened.list_version) == ((Match(entry=2, similarity=100),), "L-7")
    assert (case.total, case.transactions) == (5, ["A-9"])
    assert case.opened.legal_source.startswith("31 CFR 501.603")


def test_a_name_that_is_not_listed_opens_no_case(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")

    compliance.posts(a_transfer("Ada Lovelace"))

    assert compliance.cases == []
    assert compliance.not_screened == {}


def test_each_list_has_its_own_minimum_of_similarity(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri", min_similarity=100)
    compliance.posts(a_transfer("Dmitri Volkow"))
    assert compliance.cases == []

    compliance.lists("VOLKOV, Dmitri", version="L-2", min_similarity=90, loaded_at=clock.timestamp(on(2)))
    compliance.posts(a_transfer("Dmitri Volkow"))
    assert compliance.rules == ["sanctioned_name"]


# Guards: one case for each customer, entry and counterparty.
def test_transfers_with_the_same_counterparty_are_one_case(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri", "HERON, Gray")

    (first, *_) = compliance.posts(a_transfer("Dmitri Volkov"), a_transfer("VOLKOV, Dmitri", direction="credit"))
    compliance.posts(a_transfer("Gray Heron"), a_transfer("Dmitri Volkov", day=3))
    compliance.posts(a_transfer("Dmitri Volkov", customer_id="cus-2"))
    compliance.posts(a_transfer("Dmitri Volkov", account=NUMBER))
    compliance.world.deliver(screen_transaction.handler, Message(from_the_bus(first), tries=2))

    found = sorted((case.opened.case_id.rpartition(":")[0], len(case.transactions)) for case in compliance.cases)
    assert found == [
        ("sanctions:cus-19b2:1", 1),
        ("sanctions:cus-19b2:1", 3),
        ("sanctions:cus-19b2:2", 1),
        ("sanctions:cus-2:1", 1),
    ]


def test_the_same_innocent_payee_on_five_days_is_decided_once(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov", day=2))
    (case,) = compliance.cases

    compliance.decides(case)
    compliance.posts(
        *(a_transfer(name, day=day) for day in (3, 4, 5, 6) for name in ("Dmitri Volkov", "VOLKOV Dmitri"))
    )

    assert [(each.opened.case_id, each.changed) for each in compliance.cases] == [(case.opened.case_id, [])]


def test_a_decision_about_an_account_applies_to_all_customers(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov", account=NUMBER))
    compliance.decides(compliance.cases[0])

    compliance.posts(a_transfer("Dmitri Volkov", account=NUMBER, customer_id="cus-2"))

    assert len(compliance.cases) == 1


# Guards: a decision is about one counterparty and one entry.
@pytest.mark.parametrize(
    "transfer",
    [{"account": "other"}, {"customer_id": "cus-2"}, {"name": "Dmitri Wolkow"}],
    ids=["another account", "another customer without an account", "another name"],
)
def test_a_decision_does_not_apply_to_another_counterparty(compliance: Compliance, transfer: dict[str, Any]) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov"))
    compliance.decides(compliance.cases[0])

    compliance.posts(a_transfer(**{"name": "Dmitri Volkov", **transfer}))

    assert len(compliance.cases) == 2


def test_a_decision_does_not_apply_to_another_entry_of_a_later_list(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov"))
    compliance.decides(compliance.cases[0])

    compliance.lists("VOLKOV, Dmitri", "WOLKOW, Dmitri", version="L-2", loaded_at=clock.timestamp(on(2)))
    compliance.posts(a_transfer("Dmitri Volkov"))

    assert [[match.entry for match in case.opened.matches] for case in compliance.cases] == [[1], [2]]


@pytest.mark.parametrize("later_first", [False, True])
def test_the_decision_made_last_applies_in_any_order_of_arrival(compliance: Compliance, *, later_first: bool) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov"))
    (case,) = compliance.cases

    decisions = [("not_this_person", 9), ("this_person", 10)]
    for decision, hour in reversed(decisions) if later_first else decisions:
        compliance.decides(case, decision, hour=hour)
    compliance.posts(a_transfer("Dmitri Volkov"))

    assert len(compliance.cases[0].changed) == 1


def test_two_transfers_with_one_entry_at_the_same_time_are_one_case(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    faults.meanwhile("TransactWriteItems", lambda: compliance.posts(a_transfer("Dmitri Volkov", currency="EUR")))

    compliance.posts(a_transfer("Dmitri Volkov"))

    (case,) = compliance.cases
    assert [each.currency for each in case.changed[-1].basis.sums] == ["EUR", "USD"]


def test_a_reversal_does_not_change_a_case_of_a_sanctioned_name(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    transfer = a_transfer("Dmitri Volkov")

    compliance.reverses(transfer)
    compliance.posts(transfer)
    compliance.reverses(transfer)

    (case,) = compliance.cases
    assert case.changed == []


def test_a_transfer_without_an_active_list_is_not_screened(compliance: Compliance) -> None:
    compliance.posts(a_transfer("Dmitri Volkov", authorisation_id="A-9"))

    assert compliance.cases == []
    assert compliance.not_screened == {"A-9": "no_list"}


@pytest.mark.parametrize(
    "name", ["\u0645\u0631\u0648\u0629", "山田太郎", "---", "4711"], ids=["Arabic", "Japanese", "marks", "digits"]
)
def test_a_transfer_with_a_name_that_cannot_be_compared_reliably_is_reported(compliance: Compliance, name: str) -> None:
    compliance.lists("VOLKOV, Dmitri")

    compliance.posts(a_transfer(name, authorisation_id="A-9"))

    assert compliance.cases == []
    assert compliance.not_screened == {"A-9": "name_not_comparable"}


def test_a_transfer_with_a_listed_name_in_another_script_opens_a_case(compliance: Compliance) -> None:
    compliance.lists("EXAMPLOV, Ivan")

    compliance.posts(a_transfer("Иван Экзамплов"))

    assert compliance.rules == ["sanctioned_name"]
    assert compliance.not_screened == {}


# --- lists ----------------------------------------------------------------------------------------------------------


# Guards: every transaction reads the active version.
def test_a_new_list_applies_from_the_next_transaction_on(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Gray Heron"))
    assert compliance.cases == []

    compliance.lists("HERON, Gray", version="L-2", loaded_at=clock.timestamp(on(2)))
    compliance.posts(a_transfer("Gray Heron"), a_transfer("Dmitri Volkov"))

    assert [case.opened.list_version for case in compliance.cases] == ["L-2"]


def test_a_process_reads_the_content_of_a_list_once(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    read = faults.requests("BatchGetItem")
    compliance.posts(*(a_transfer("Ada Lovelace") for _ in range(3)))

    tables = [table for request in read for table in request["RequestItems"]]
    assert tables.count("daybook-test-sanctions-lists") == 1
    assert tables.count("daybook-test-sanctions") == 3


# Guards: the hash of the content is checked before a list becomes active.
@pytest.mark.parametrize("damage", ["missing part", "changed part", "additional part"])
def test_a_list_with_damaged_content_never_becomes_active(compliance: Compliance, damage: str) -> None:
    compliance.lists("VOLKOV, Dmitri")
    loaded = compliance.writes("L-2", [(1, "HERON, Gray")], loaded_at=clock.timestamp(on(2)))
    damages: dict[str, Callable[[], object]] = {
        "missing part": lambda: compliance.world.put(ListPart(part="L-2:0")),
        "changed part": lambda: compliance.world.put(ListPart(part="L-2:0", content="1\tHERON, Grey\n")),
        "additional part": lambda: compliance.world.put(ListPart(part="L-2:1", content="2\tCRANE, White\n")),
    }
    damages[damage]()
    event = loaded.model_copy(update={"parts": 2}) if damage == "additional part" else loaded

    assert compliance.receives(event) == []

    assert errors(compliance.world.dead_letters()) == ["NonRetryable"]
    assert compliance.version == "L-1"
    compliance.posts(a_transfer("Dmitri Volkov"))
    assert compliance.rules == ["sanctioned_name"]


# Guards: the list with the latest loaded_at is active, not the one whose event arrives last.
@pytest.mark.parametrize("newer_first", [False, True])
def test_the_list_that_was_loaded_last_is_active_in_any_order_of_arrival(
    compliance: Compliance, *, newer_first: bool
) -> None:
    older = compliance.writes("L-1", [(1, "HERON, Gray")], loaded_at=clock.timestamp(on(1)))
    newer = compliance.writes("L-2", [(1, "VOLKOV, Dmitri")], loaded_at=clock.timestamp(on(2)))

    for loaded in [newer, older] if newer_first else [older, newer]:
        compliance.world.receive(activate_list.handler, loaded)

    assert compliance.version == "L-2"


def test_a_long_list_is_stored_in_parts_and_used_completely(compliance: Compliance) -> None:
    names = [(number, f"PERSON{number}, Somebody Whose Name Is Long") for number in range(1, 9_001)]
    loaded = compliance.writes("L-1", [*names, (9_001, "VOLKOV, Dmitri")])
    assert loaded.parts > 1
    compliance.world.receive(activate_list.handler, loaded)

    compliance.posts(a_transfer("Dmitri Volkov"))

    assert [case.opened.matches[0].entry for case in compliance.cases] == [9_001]


# --- screening again ------------------------------------------------------------------------------------------------


def test_transfers_before_the_first_list_are_screened_when_it_is_loaded(compliance: Compliance) -> None:
    compliance.posts(
        a_transfer("Dmitri Volkov", authorisation_id="A-1", amount=5, day=-60),
        a_transfer("Dmitri Volkov", authorisation_id="A-2", amount=7, day=2),
        a_transfer("Ada Lovelace", authorisation_id="A-3"),
    )
    assert compliance.not_screened == dict.fromkeys(("A-1", "A-2", "A-3"), "no_list")

    compliance.lists("VOLKOV, Dmitri")
    compliance.screens_again()

    (case,) = compliance.cases
    assert (case.rule, case.transactions, case.total) == ("sanctioned_name", ["A-1", "A-2"], 12)
    assert case.opened.business_day == on(-60).date()


# Guards: only the last days are screened again.
def test_a_new_list_is_compared_with_the_counterparties_of_the_last_days(compliance: Compliance) -> None:
    compliance.lists("HERON, Gray", loaded_at=clock.timestamp(on(-30)))
    compliance.screens_again()
    compliance.posts(a_transfer("Dmitri Volkov", day=1), a_transfer("Igor Lanternov", day=10))
    assert compliance.cases == []

    compliance.lists(
        "VOLKOV, Dmitri", "LANTERNOV, Igor", version="L-2", loaded_at=clock.timestamp(on(12)), screen_again_days=7
    )
    compliance.screens_again()

    assert [case.opened.matches[0].entry for case in compliance.cases] == [2]


def test_each_delivery_of_screening_again_compares_one_block_of_counterparties(compliance: Compliance) -> None:
    compliance.posts(*islice(_transfers_of_one_shard(), 30))
    compliance.lists("VOLKOV, Dmitri")

    blocks = compliance.screens_again()

    assert len(compliance.cases) == 30
    assert blocks == counterparty.SHARDS.number + 1


def test_a_counterparty_that_is_screened_again_keeps_its_case(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov", day=2), a_transfer("Dmitri Volkov", day=3))
    before = compliance.cases

    compliance.lists("VOLKOV, Dmitri", version="L-2", loaded_at=clock.timestamp(on(4)))
    compliance.screens_again()

    assert compliance.cases == before


def test_a_decision_applies_when_a_counterparty_is_screened_again(compliance: Compliance) -> None:
    compliance.lists("VOLKOV, Dmitri")
    compliance.posts(a_transfer("Dmitri Volkov"))
    compliance.decides(compliance.cases[0])

    compliance.lists("VOLKOV, Dmitri", "HERON, Gray", version="L-2", loaded_at=clock.timestamp(on(4)))
    compliance.screens_again()

    assert len(compliance.cases) == 1


# --- privacy --------------------------------------------------------------------------------------------------------


def test_logs_rows_and_dead_letters_contain_no_name_and_no_number_of_a_counterparty(
    compliance: Compliance, capsys: pytest.CaptureFixture[str]
) -> None:
    compliance.lists("VOLKOV, Dmitri")
    transfer = a_transfer("Dmitri Volkow", account=NUMBER)
    (envelope,) = compliance.posts(transfer)
    compliance.reverses(transfer)
    broken = recorded(transfer, data=envelope.data.replace('"USD"', '"Volkow"'))
    compliance.world.deliver(screen_transaction.handler, from_the_bus(broken))
    faults.always_answer("BatchGetItem", faults.DENIED)
    compliance.world.deliver(screen_transaction.handler, Message(from_the_bus(recorded(a_transfer("Dmitri Volkow")))))

    output = capsys.readouterr().out
    assert '"failed"' in output
    reasons = json.dumps([dict(each.attributes) for each in compliance.world.dead_letters()])
    tables = ("cases", "cash-transactions", "cash-days", "recent-cash", "sanctions", "ledger")
    kept = json.dumps([item for table in tables for item in compliance.world.items(table)], default=str)
    kept += str(compliance.world.recorded())
    for secret in ("olkow", NUMBER):
        assert secret not in output + reasons + kept
