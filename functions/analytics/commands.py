"""`daybook analytics`: totals of transactions on an account, at a merchant, or in each minute."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import typer

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.cli.options import AsJson, Commands, Stage
from daybook.operate.cli.printing import console, fail, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import amount, bar, table
from functions.analytics import queries
from functions.analytics.totals import Total

OF_ACCOUNT = """
**Examples**

- `daybook analytics account acc-7f3e`
- `daybook analytics account acc-7f3e --since 2026-03-01 --until 2026-03-31 --stage prod`
- `daybook analytics account acc-7f3e --since 7d --json | jq -r '[.day, .currency, .debited] | @tsv'`
"""

OF_MERCHANT = """
**Examples**

- `daybook analytics merchant m-881`
- `daybook analytics merchant m-881 --since 2026-03-01 --until 2026-03-31 --stage prod`
"""

OF_MINUTES = """
**Examples**

- `daybook analytics minutes`
- `daybook analytics minutes --since 2026-03-01T11:30:00Z --until 2026-03-01T12:30:00Z --stage prod`
- `daybook analytics minutes --since 2h --json | jq -s 'map(.debit_count + .credit_count) | add'`
"""

app = typer.Typer()
analytics = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(analytics, name="analytics")

_FIGURES: Final = ("debits", "debited", "credits", "credited")
# Widths in characters.
_OTHER_COLUMNS: Final = 68
_MIN_BAR, _MAX_BAR = 12, 40

SinceDay = Annotated[str, typer.Option("--since", metavar="DAY", help="First day: `2026-03-01`, or `7d`, `4w` ago.")]
UntilDay = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Last day; default: today.")]


@analytics.callback()
def callback() -> None:
    """Show totals of transactions on an account, at a merchant, or on all accounts by minute. They are exact.

    Days and minutes are in UTC, by the time at which the bank posted a transaction. Reversed transactions do not count.
    If a reversal arrives before its transaction, totals may be negative until the transaction arrives.
    """


@analytics.command(epilog=OF_ACCOUNT)
def account(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="The bank's token for the account.")],
    *,
    stage: Stage = "dev",
    since: SinceDay = "30d",
    until: UntilDay = None,
    as_json: AsJson = False,
) -> None:
    """Show the number and the sum of debits and credits on an account, for each day and currency.

    With `--json`, one object a line for each day and currency. Its amounts are whole minor units as text, because many
    JSON readers round large numbers.

    Exit code 1: the account has no transactions on these days.
    """
    with connected(stage) as connection:
        days = moments.days(since, until, datetime.now(UTC))
        found = queries.of_account(connection, account_id, days)
        _show_days("account", account_id, days, found, as_json=as_json)


@analytics.command(epilog=OF_MERCHANT)
def merchant(
    merchant_id: Annotated[str, typer.Argument(metavar="ID", help="The bank's token for the merchant.")],
    *,
    stage: Stage = "dev",
    since: SinceDay = "30d",
    until: UntilDay = None,
    as_json: AsJson = False,
) -> None:
    """Show the number and the sum of debits and credits at a merchant, for each day and currency.

    Debits are payments to the merchant. With `--json`, one object a line for each day and currency. Its amounts are
    whole minor units as text, because many JSON readers round large numbers.

    Exit code 1: the merchant has no transactions on these days.
    """
    with connected(stage) as connection:
        days = moments.days(since, until, datetime.now(UTC))
        found = queries.of_merchant(connection, merchant_id, days)
        _show_days("merchant", merchant_id, days, found, as_json=as_json)


@analytics.command(epilog=OF_MINUTES)
def minutes(
    *,
    stage: Stage = "dev",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="First minute: `15m`, `2h` ago, or RFC 3339; one day at most.")
    ] = "30m",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End, exclusive; default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the number and the sum of debits and credits on all accounts, for each minute and currency.

    The bars show the number of transactions. With `--json`, one object a line for each minute and currency. Its amounts
    are whole minor units as text, because many JSON readers round large numbers.

    Exit code 1: there are no transactions in these minutes.
    """
    with connected(stage) as connection:
        wanted = moments.minutes(since, until, datetime.now(UTC))
        found = queries.of_minutes(connection, wanted)
        if not found:
            fail(f"no transactions from {since} until {until or 'now'}", exit_code=1)
        if as_json:
            for minute, totals in found.items():
                _print_data({"minute": clock.timestamp(minute)}, totals)
            return
        terminal = console()
        width = min(max(terminal.width - _OTHER_COLUMNS, _MIN_BAR), _MAX_BAR)
        most = max(total.count for totals in found.values() for total in totals)
        rows: list[tuple[str, ...]] = []
        for minute in wanted:
            name = f"{minute:%H:%M}"
            totals = found.get(minute, [])
            rows += [(name, *_cells(total), bar(total.count, most, width=width)) for total in totals] or [(name,)]
        title = f"All accounts, by minute (UTC), from {wanted[0]:%Y-%m-%d %H:%M}"
        terminal.print(_figures(title, ("minute",), rows, ("transactions",)))


def _show_days(
    kind: str, name: str, days: Sequence[date], found: Mapping[date, Sequence[Total]], *, as_json: bool
) -> None:
    if not found:
        fail(f"the {kind} {name} has no transactions from {days[0]} to {days[-1]}", exit_code=1)
    if as_json:
        for day, totals in found.items():
            _print_data({f"{kind}_id": name, "day": day.isoformat()}, totals)
        return
    rows = [(day.isoformat(), *_cells(total)) for day, totals in found.items() for total in totals]
    console().print(_figures(f"{kind.capitalize()} {name}, by day (UTC)", ("day",), rows))


def _figures(title: str, before: Sequence[str], rows: Sequence[Sequence[object]], after: Sequence[str] = ()) -> Any:
    return table(title, (*before, "currency", *_FIGURES, *after), rows, numbers=_FIGURES)


def _cells(total: Total) -> tuple[str, ...]:
    debits, credits_ = (amount(units, total.currency) for units in (total.debited, total.credited))
    return (total.currency, str(total.debit_count), debits, str(total.credit_count), credits_)


def _print_data(row: Mapping[str, str], totals: Sequence[Total]) -> None:
    for total in totals:
        amounts = {"debited": str(total.debited), "credited": str(total.credited)}
        say_json({**row, **asdict(total), **amounts})
