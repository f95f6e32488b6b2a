"""The function as Lambda calls it. It emits the same suspicions after every failure."""

from collections.abc import Callable

import pytest

from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts.values import MAX_AMOUNT
from events.accounts import TransactionPosted, TransactionReversed
from events.fraud import Figure, FraudSuspected, Reason
from functions.fraud import score_transaction
from functions.fraud.profile import Profile
from tests.unit import faults
from tests.unit.bank.payments import (
    ACCOUNT,
    DAY,
    ONLINE,
    SAO_PAULO,
    Account,
    a_credit,
    a_month,
    a_payment,
    a_transfer,
    profile_after,
    some_cash,
    suspected_ids,
)
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.test_delivery_attempts import Slip, later
from tests.unit.world import Context, Handler, World


@pytest.fixture
def account(world: World) -> Account:
    return Account(world)


def varied_payments() -> list[TransactionPosted]:
    """Twelve usual payments, then a card test and several thefts; some are late, some at the same time."""
    payments = a_month(number=12)
    payments[7], payments[8] = payments[8], payments[7]
    payments += [a_payment(60 * each, 100, place=ONLINE, merchant=f"m-{each}") for each in range(4)]
    payments += [a_payment(300, 89_900, place=ONLINE), a_payment(-2 * DAY), a_payment(-60, place=SAO_PAULO)]
    payments += [a_payment(400), a_payment(400), a_transfer(500, 10**6), some_cash(500, place=SAO_PAULO)]
    payments += [
        a_payment(600, 1, currency="JPY"),
        a_payment(700, MAX_AMOUNT),
        a_credit(750, 90_000),
        a_payment(800, place=SAO_PAULO),
    ]
    return payments


def test_a_suspicion_contains_the_transaction_and_its_reasons(account: Account) -> None:
    theft = a_payment(3600, 89_900, place=SAO_PAULO)
    account.pays(a_payment(0), theft)

    (suspicion,) = account.suspicions()

    travel, country = suspicion.reasons
    assert suspicion == FraudSuspected(
        authorisation_id=theft.authorisation_id,
        account_id=ACCOUNT,
        customer_id="cus-19b2",
        amount=89_900,
        currency="EUR",
        channel="card",
        country="BR",
        posted_at=theft.posted_at,
        score=65,
        threshold=60,
        reasons=(travel, country),
    )
    assert (travel.name, travel.figures[2]) == (
        "impossible_travel",
        Figure(name="time between", value=3600, unit="seconds"),
    )
    known = Figure(name="countries known before", value=1, unit="countries")
    assert country == Reason(name="new_country", weight=20, figures=(known,))


def test_suspicions_are_those_of_the_rules(account: Account) -> None:
    payments = varied_payments()

    account.pays(*payments)

    assert [each.authorisation_id for each in account.suspicions()] == suspected_ids(payments)
    assert len(account.suspicions()) >= 4


def test_the_suspicion_of_a_transfer_has_no_country(account: Account) -> None:
    account.pays(*[a_transfer(-DAY * each, 4250) for each in range(12)], a_transfer(0, 10**7, payee="Alan Turing"))

    (suspicion,) = account.suspicions()
    assert (suspicion.country, suspicion.channel) == ("", "transfer")


def test_a_credit_is_not_judged_and_changes_no_habit(account: Account) -> None:
    account.pays(*a_month(number=12))
    before = account.profile

    account.pays(a_credit(0, 10**9))

    assert account.profile == before.evolve(movements=account.profile.movements, partners=account.profile.partners)
    assert [each.amount for each in account.profile.movements] == [10**9]
    assert account.suspicions() == []


def test_a_refund_changes_nothing(account: Account) -> None:
    account.pays(*a_month(number=12))
    before = account.profile

    account.pays(a_payment(1, 10**9, place=SAO_PAULO, direction="credit"))

    assert account.profile == before


def test_an_account_that_passes_on_the_money_of_three_senders_is_suspected(account: Account) -> None:
    account.pays(*(a_credit(3600 * each, 50_000, f"Sender {each}") for each in range(3)))

    account.pays(a_transfer(4 * 3600, 90_000, payee="Alan Turing"))

    (suspicion,) = account.suspicions()
    assert [reason.name for reason in suspicion.reasons] == ["money_passed_on", "new_payee"]


def test_a_reversal_is_skipped(account: Account) -> None:
    payment = a_payment(0)
    (posted,) = account.pays(payment)
    reversal = TransactionReversed.model_validate({**dict(payment), "reversed_at": payment.posted_at})
    reversed_ = recorded(reversal, after=posted)
    account.world.append(reversed_)

    account.pays(a_payment(60))

    assert account.profile.habits["card:EUR"].seen == 2
    assert account.world.entries(reversed_) == []


def test_each_account_has_its_own_profile(world: World) -> None:
    one, other = Account(world), Account(world, "acc-other")
    one.pays(*a_month())

    other.pays(a_payment(0, 10**6, place=SAO_PAULO, account_id="acc-other"))

    assert other.suspicions() == []


# Guards: a suspected payment makes no country known.
def test_further_payments_in_the_country_of_a_suspected_one_are_suspected(account: Account) -> None:
    account.pays(a_payment(0), *(a_payment(60 * each, place=SAO_PAULO) for each in range(1, 4)))

    assert len(account.suspicions()) == 3


def test_the_cost_of_a_payment_does_not_depend_on_the_number_of_earlier_ones(account: Account) -> None:
    account.pays(*a_month(number=3))
    account.world.put(profile_after(*a_month(number=300)), version=300)  # as after many more payments
    (envelope,) = account.records(a_payment(0))
    calls = faults.calls()

    assert account.world.deliver(score_transaction.handler, Message(from_the_bus(envelope))) == []

    # Every ordered function reads its cursor and its stream first.
    assert calls == ["BatchGetItem", "GetItem", "Query", "BatchGetItem", "TransactWriteItems"]


def test_a_payment_that_is_delivered_several_times_counts_once(account: Account) -> None:
    account.pays(*a_month(number=12))
    (envelope,) = account.pays(a_payment(0, 10**6, merchant="m-new"))
    before = account.stored()
    message = Message(from_the_bus(envelope))

    assert account.world.deliver(score_transaction.handler, message, message) == []
    assert account.world.deliver(score_transaction.handler, later(message)) == []

    assert account.stored() == before
    assert len(account.suspicions()) == 1


# --- failures ---------------------------------------------------------------------------------------------------------


def fails_once_for_every_event() -> Reaction[TransactionPosted]:
    """The function, but the first delivery attempt of each event fails after the decision."""
    attempted: set[str] = set()

    def handler(transaction: TransactionPosted, work: Work) -> None:
        score_transaction.handler.body(transaction, work)
        if work.cause.id not in attempted:
            attempted.add(work.cause.id)
            raise Slip

    handler.__module__ = score_transaction.__name__
    return reaction(TransactionPosted, emits=(FraudSuspected,), ordered=True)(handler)


def much_time() -> Context:
    return Context(seconds=900, less=0)


def deliver_until_done(
    account: Account,
    messages: list[Message],
    *,
    handler: Handler = score_transaction.handler,
    context: Callable[[], Context] = much_time,
) -> None:
    """Deliver messages until none is redelivered."""
    for _ in range(500):
        if not messages:
            return
        messages = [later(message) for message in account.world.deliver(handler, *messages, context=context())]
    pytest.fail("messages are redelivered for ever")


def stopped(account: Account, messages: list[Message]) -> None:
    """Nothing is delivered until all events are recorded; then all at once."""
    deliver_until_done(account, messages)


def reversed_and_duplicated(account: Account, messages: list[Message]) -> None:
    for message in reversed(messages):
        deliver_until_done(account, [message, message])


def only_the_last_message(account: Account, messages: list[Message]) -> None:
    deliver_until_done(account, messages[-1:])


def slow(account: Account, messages: list[Message]) -> None:
    """Each invocation handles two or three events and returns the rest."""
    deliver_until_done(account, messages[-1:], context=lambda: Context(seconds=5, less=1))


def fails_at_every_event(account: Account, messages: list[Message]) -> None:
    deliver_until_done(account, messages, handler=fails_once_for_every_event())
    assert account.world.dead_letters() == []


def throttled_at_every_event(account: Account, messages: list[Message]) -> None:
    for message in messages:
        faults.answer("TransactWriteItems", faults.THROTTLED, faults.CONFLICT)
        deliver_until_done(account, [message])


def dies_at_every_commit(account: Account, messages: list[Message]) -> None:
    for number in range(len(messages)):
        faults.die("TransactWriteItems", "after" if number % 2 else "before")
        with pytest.raises(faults.Death):
            deliver_until_done(account, messages[-1:])
    deliver_until_done(account, messages)


FAILURES = [
    stopped,
    reversed_and_duplicated,
    only_the_last_message,
    slow,
    fails_at_every_event,
    throttled_at_every_event,
    dies_at_every_commit,
]


# Guards: the order of the stream.
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
def test_profiles_and_suspicions_are_the_same_after_every_failure(
    world: World, failure: Callable[[Account, list[Message]], None]
) -> None:
    account = Account(world)
    envelopes = account.pays(*varied_payments())
    expected = account.stored()
    forget(account)
    assert account.stored() == ([], [])

    failure(account, [Message(from_the_bus(envelope)) for envelope in envelopes])

    assert account.stored() == expected


def forget(account: Account) -> None:
    """Delete everything that the function wrote."""
    world = account.world
    for envelope in world.stream(f"suspicion/{account.account_id}"):
        m = envelope.metadata
        key = {"stream": {"S": m.stream}, "sequence": {"N": str(m.sequence)}}
        world.client.delete_item(TableName="daybook-test-store", Key=key)
    world.clear("fraud-profiles", "ledger")


def test_logs_of_failures_contain_no_personal_data(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.pays(
        *[a_transfer(-DAY * each) for each in range(12)], a_transfer(0, 10**7, payee="Alan Turing"), a_payment(60)
    )
    (envelope,) = account.records(a_transfer(120, 12_345_678))
    message = Message(from_the_bus(envelope))
    for _ in range(3):
        account.world.deliver(fails_once_for_every_event(), message)
        message = later(message)

    printed = capsys.readouterr()
    output = printed.out + printed.err

    assert "Slip" in output
    assert len(account.suspicions()) == 1
    assert [word for word in ("Grace", "AT6119", "12345678", "cus-19b2", "48.2", "m-AT") if word in output] == []
    assert "AT6119" not in str(account.stored())
    assert "Grace" not in str(account.stored())


def test_a_profile_contains_a_counterparty_only_as_a_hash_that_differs_between_accounts() -> None:
    one, other = (
        Profile.blank(account).after(a_transfer(0, account_id=account), suspected=False)
        for account in ("acc-1", "acc-2")
    )

    assert [word for word in ("Grace", "AT6119") if word in one.model_dump_json()] == []
    assert len({*one.partners, *other.partners}) == 2
