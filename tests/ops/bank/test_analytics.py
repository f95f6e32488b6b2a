"""`daybook analytics`: exact totals by day and by minute."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.values import MAX_AMOUNT
from daybook.operate.drawing import amount, bar
from daybook.operate.program import app
from daybook.store.attributes import pack_item
from events.accounts import TransactionPosted
from functions.analytics.queries import of_account, of_merchant, of_minutes
from functions.analytics.tally import tally
from functions.analytics.totals import Total
from tests.ops.world import World
from tests.unit.bank.test_analytics import NOON, a_reversal, a_transaction

DAY = NOON.date()
ON_THAT_DAY = ("--since", "2026-03-01", "--until", "2026-03-01")
ON_TEXT = "from 2026-03-01 to 2026-03-01"
AT_NOON = ("--since", "2026-03-01T12:00:00Z", "--until", "2026-03-01T12:05:00Z")


class Totals:
    """The tables of the analytics service in a stage."""

    def __init__(self, world: World) -> None:
        self.connection = world.connection
        self._tables = world.uses("tally-transaction", "account-days", "merchant-days", "minutes", service="analytics")

    def __call__(self, *transactions: TransactionPosted, times: Any = 1) -> None:
        """Add these transactions, or subtract them."""
        for transaction in transactions:
            for change in tally(transaction, times):
                values = {f":{number}": value for number, value in enumerate(change.differences.values())}
                names = {f"#{number}": name for number, name in enumerate(change.differences)}
                self.connection.dynamodb.update_item(
                    TableName=self._tables[change.row.table],
                    Key=change.row.address(change.key),
                    UpdateExpression=f"ADD {', '.join(f'#{number} :{number}' for number in range(len(names)))}",
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=pack_item(values),
                )


@pytest.fixture
def totals(world: World) -> Totals:
    return Totals(world)


def daybook(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["analytics", *arguments])


def lines(*arguments: str) -> list[dict[str, Any]]:
    """The output of a command with --json."""
    result = daybook(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def cells(*arguments: str) -> list[list[str]]:
    """The rows of the table that a command prints."""
    result = daybook(*arguments)
    assert result.exit_code == 0, result.output
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "│" in line]
    return [[cell.strip() for cell in row] for row in rows]


def many(number: int, **other: Any) -> list[TransactionPosted]:
    return [a_transaction(f"A-{each}", **other) for each in range(number)]


def test_account_shows_totals_by_day_and_currency(
    totals: Totals,
) -> None:
    totals(*many(3), a_transaction("B-1", direction="credit", amount=5))
    totals(a_transaction("B-2", currency="JPY", amount=1250), a_transaction("B-3", currency="KWD", amount=1250))
    totals(a_transaction("B-4", account_id="acc-other"), a_transaction("B-5", posted_at="2026-02-27T12:00:00Z"))

    shown = cells("account", "acc-7f3e", "--since", "2026-02-27", "--until", "2026-03-01")

    assert shown == [
        ["2026-02-27", "EUR", "1", "42.50", "0", "0.00"],
        ["2026-03-01", "EUR", "3", "127.50", "1", "0.05"],
        ["2026-03-01", "JPY", "1", "1250", "0", "0"],
        ["2026-03-01", "KWD", "1", "1.250", "0", "0.000"],
    ]


def test_merchant_adds_up_the_shards(totals: Totals) -> None:
    totals(*many(60))

    assert cells("merchant", "m-881", *ON_THAT_DAY) == [["2026-03-01", "EUR", "60", "2550.00", "0", "0.00"]]


def test_json_has_whole_minor_units_as_text(totals: Totals) -> None:
    totals(*many(5, amount=MAX_AMOUNT))

    figures = {"currency": "EUR", "debit_count": 5, "debited": str(5 * MAX_AMOUNT)}
    figures |= {"credit_count": 0, "credited": "0"}
    assert lines("account", "acc-7f3e", *ON_THAT_DAY) == [{"account_id": "acc-7f3e", "day": "2026-03-01"} | figures]
    assert lines("merchant", "m-881", *ON_THAT_DAY) == [{"merchant_id": "m-881", "day": "2026-03-01"} | figures]
    assert lines("minutes", *AT_NOON) == [{"minute": "2026-03-01T12:00:00.000000Z"} | figures]


def test_minutes_shows_every_minute_with_a_bar(
    totals: Totals,
) -> None:
    totals(*many(40), a_transaction("B-1", posted_at="2026-03-01T12:02:59Z", currency="JPY", direction="credit"))
    totals(a_transaction("B-2", posted_at="2026-03-01T12:05:00Z"))

    assert cells("minutes", *AT_NOON) == [
        ["12:00", "EUR", "40", "1700.00", "0", "0.00", "█" * 40],
        ["12:01", "", "", "", "", "", ""],
        ["12:02", "JPY", "0", "0", "1", "4250", "█"],
        ["12:03", "", "", "", "", "", ""],
        ["12:04", "", "", "", "", "", ""],
    ]


def test_the_default_of_minutes_is_the_last_half_hour(totals: Totals) -> None:
    now = datetime.now(UTC)
    totals(
        a_transaction("A-1", posted_at=clock.timestamp(now)),
        a_transaction("A-2", posted_at=clock.timestamp(now - timedelta(minutes=33))),
    )

    assert len(lines("minutes")) == 1
    assert len(lines("minutes", "--since", "40m")) == 2


def test_the_default_of_account_and_merchant_is_the_last_thirty_days(totals: Totals) -> None:
    now = datetime.now(UTC)
    for days in (0, 29, 32):
        totals(a_transaction(f"A-{days}", posted_at=clock.timestamp(now - timedelta(days=days))))

    for arguments in (("account", "acc-7f3e"), ("merchant", "m-881")):
        assert len(lines(*arguments)) == 2
        assert len(lines(*arguments, "--since", "5w")) == 3


def test_a_reversed_transaction_is_shown_with_zeros(totals: Totals) -> None:
    transaction = a_transaction()
    totals(a_reversal(transaction), times=-1)  # type: ignore[arg-type]
    assert cells("account", "acc-7f3e", *ON_THAT_DAY) == [["2026-03-01", "EUR", "-1", "-42.50", "0", "0.00"]]
    assert cells("minutes", *AT_NOON)[0] == ["12:00", "EUR", "-1", "-42.50", "0", "0.00", ""]

    totals(transaction)
    assert cells("account", "acc-7f3e", *ON_THAT_DAY) == [["2026-03-01", "EUR", "0", "0.00", "0", "0.00"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("account", "acc-7f3e", *ON_THAT_DAY),
            f"the account acc-7f3e has no transactions {ON_TEXT}",
        ),
        (("merchant", "m-881", *ON_THAT_DAY), f"the merchant m-881 has no transactions {ON_TEXT}"),
        (("minutes", *AT_NOON), "no transactions from 2026-03-01T12:00:00Z until 2026-03-01T12:05:00Z"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_command_without_results_fails(
    totals: Totals, arguments: tuple[str, ...], message: str, options: tuple[str, ...]
) -> None:
    totals(a_transaction(posted_at="2026-02-01T12:00:00Z"))

    result = daybook(*arguments, *options)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("account", "a", "--since", "2026-03-02", "--until", "2026-03-01"), "--since 2026-03-02 is after"),
        (("account", "a", "--since", "yesterday"), "'yesterday' is not a time"),
        (("account", "a", "--since", "2020-01-01"), "longer than 366 days"),
        (("minutes", "--since", "25h"), "longer than a day"),
        (("minutes", "--since", "5m", "--until", "10m"), "--since 5m is not before --until 10m"),
    ],
)
@pytest.mark.usefixtures("totals")
def test_invalid_times_are_usage_errors(arguments: tuple[str, ...], message: str) -> None:
    result = daybook(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_the_error_without_a_deployed_service_names_it(world: World) -> None:
    assert world.connection.stage == "dev"
    result = daybook("account", "acc-7f3e")

    assert result.exit_code == 2
    assert "no function of its service, analytics, is deployed" in result.stderr


def test_all_shards_are_read_by_key_with_a_hundred_keys_in_a_call(totals: Totals) -> None:
    totals(*many(30))
    called: list[str] = []
    totals.connection.dynamodb.meta.events.register(
        "provide-client-params.dynamodb", lambda model, **_: called.append(model.name)
    )
    total = [Total("EUR", debit_count=30, debited=30 * 4250)]

    assert of_account(totals.connection, "acc-7f3e", [DAY, date(2026, 3, 2)]) == {DAY: total}
    assert of_merchant(totals.connection, "m-881", [DAY]) == {DAY: total}
    assert of_minutes(totals.connection, [NOON]) == {NOON: total}
    # The live generation, then the rows. A minute has more than a hundred shards.
    assert called == ["GetItem", "BatchGetItem"] * 2 + ["GetItem"] + ["BatchGetItem"] * 2


@pytest.mark.parametrize(
    ("minor_units", "currency", "written"),
    [
        (0, "EUR", "0.00"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (123456, "EUR", "1234.56"),
        (1250, "JPY", "1250"),
        (-1250, "KWD", "-1.250"),
        (10**37 + 1, "USD", "1" + "0" * 34 + "0.01"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor_units: int, currency: str, written: str) -> None:
    assert amount(minor_units, currency) == written


@pytest.mark.parametrize(
    ("number", "drawn"), [(80, "█" * 10), (40, "█" * 5), (44, "█████▌"), (1, "▏"), (0, ""), (-3, "")]
)
def test_the_length_of_a_bar_is_proportional_to_the_number(number: int, drawn: str) -> None:
    assert bar(number, 80, width=10) == drawn


def test_a_small_number_has_a_visible_bar() -> None:
    assert bar(1, 1_000_000, width=10) == "▏"
