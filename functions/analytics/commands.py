"""`daybook analytics`: what has moved on an account, at a merchant, in each minute."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import typer

from daybook.contracts import clock
from daybook.operate import moments
from daybook.operate.cli.options import AsJson, Commands, Stage
from daybook.operate.cli.printing import console, fail
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import amount, bar, plain, table
from functions.analytics import queries
from functions.analytics.tallies import Total

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
# Columns: what all but the bars takes as a rule, and how long the longest bar may be.
_BESIDE_BARS: Final = 68
_SHORTEST, _LONGEST = 12, 40

SinceDay = Annotated[
    str, typer.Option("--since", metavar="DAY", help="From that day on: `2026-03-01`, or `7d`, `4w` ago.")
]
UntilDay = Annotated[
    str | None, typer.Option("--until", metavar="DAY", help="Up to that day, which is included; today unless given.")
]


@analytics.callback()
def of_what() -> None:
    """See what has moved on an account, at a merchant, or everywhere, minute by minute: exact sums, as of now.

    Days and minutes are those of UTC in which the bank has posted a transaction, whenever it was told of. What was
    taken back counts no more; if that came before the transaction itself, sums are below zero for so long.
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
    """See how many debits and credits an account had on each day, and how much they were, by currency.

    With `--json`, one object a line for each day and currency. Amounts are whole minor units there, as text: a sum may
    have more digits than readers of JSON keep of a number.

    Exit code 1: nothing is known of the account on these days.
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
    """See how many debits and credits there were at a merchant on each day, and how much they were, by currency.

    Debits are those of the accounts: what was paid there. With `--json`, one object a line for each day and currency.
    Amounts are whole minor units there, as text: a sum may have more digits than readers of JSON keep of a number.

    Exit code 1: nothing is known of the merchant on these days.
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
        str, typer.Option(metavar="TIME", help="From that minute on: `15m`, `2h` ago, or RFC 3339; a day at the most.")
    ] = "30m",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then; now unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """See how many debits and credits there were in each minute on all accounts, and how much they were, by currency.

    The bars show how many transactions there were. With `--json`, one object a line for each minute and currency.
    Amounts are whole minor units there, as text: a sum may have more digits than readers of JSON keep of a number.

    Exit code 1: nothing is known of any of these minutes.
    """
    with connected(stage) as connection:
        wanted = moments.minutes(since, until, datetime.now(UTC))
        found = queries.of_minutes(connection, wanted)
        if not found:
            fail(f"nothing is known to have moved since {since} until {until or 'now'}", exit_code=1)
        if as_json:
            for minute, totals in found.items():
                _print_data({"minute": clock.timestamp(minute)}, totals)
            return
        terminal = console()
        width = min(max(terminal.width - _BESIDE_BARS, _SHORTEST), _LONGEST)
        most = max(total.count for totals in found.values() for total in totals)
        rows: list[tuple[str, ...]] = []
        for minute in wanted:
            name = f"{minute:%H:%M}"
            totals = found.get(minute, [])
            rows += [(name, *_cells(total), bar(total.count, most, width=width)) for total in totals] or [(name,)]
        title = f"All accounts, by minutes of UTC from {wanted[0]:%Y-%m-%d %H:%M} on"
        terminal.print(_figures(title, ("minute",), rows, ("transactions",)))


def _show_days(
    what: str, name: str, days: Sequence[date], found: Mapping[date, Sequence[Total]], *, as_json: bool
) -> None:
    if not found:
        fail(f"nothing is known of the {what} {name} from {days[0]} to {days[-1]}", exit_code=1)
    if as_json:
        for day, totals in found.items():
            _print_data({f"{what}_id": name, "day": day.isoformat()}, totals)
        return
    rows = [(day.isoformat(), *_cells(total)) for day, totals in found.items() for total in totals]
    console().print(_figures(f"{what.capitalize()} {plain(name)}, by days of UTC", ("day",), rows))


def _figures(title: str, before: Sequence[str], rows: Sequence[Sequence[object]], after: Sequence[str] = ()) -> Any:
    return table(title, (*before, "currency", *_FIGURES, *after), rows, numbers=_FIGURES)


def _cells(total: Total) -> tuple[str, ...]:
    debits, credits_ = (amount(units, total.currency) for units in (total.debited, total.credited))
    return (total.currency, str(total.debit_count), debits, str(total.credit_count), credits_)


def _print_data(place: Mapping[str, str], totals: Sequence[Total]) -> None:
    for total in totals:
        amounts = {"debited": str(total.debited), "credited": str(total.credited)}
        typer.echo(json.dumps({**place, **asdict(total), **amounts}))
