"""The function as Lambda calls it: suspicions, and the same ones after every mishap."""

from collections.abc import Callable

import pytest

from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts.values import LARGEST_AMOUNT
from events.accounts import TransactionPosted, TransactionReversed
from events.fraud import Figure, FraudSuspected, Reason
from functions.fraud import score_transaction
from functions.fraud.profile import Profile
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.spending import (
    ACCOUNT,
    DAY,
    ON_THE_NET,
    SAO_PAULO,
    VIENNA,
    Account,
    a_month,
    a_payment,
    a_transfer,
    lived,
    some_cash,
    suspects,
)
from tests.unit.test_tries import Slip, later
from tests.unit.world import Context, Handler, World


@pytest.fixture
def account(world: World) -> Account:
    return Account(world)


def a_life() -> list[TransactionPosted]:
    """A month of payments, in which a card is tested and an account robbed; some come late, some at one moment."""
    life = a_month(number=12)
    life[7], life[8] = life[8], life[7]
    life += [a_payment(60 * each, 100, place=ON_THE_NET, merchant=f"m-{each}") for each in range(4)]
    life += [a_payment(300, 89_900, place=ON_THE_NET), a_payment(-2 * DAY), a_payment(-60, place=SAO_PAULO)]
    life += [a_payment(400), a_payment(400), a_transfer(500, 10**6), some_cash(500, place=SAO_PAULO)]
    life += [a_payment(600, 1, currency="JPY"), a_payment(700, LARGEST_AMOUNT), a_payment(800, place=SAO_PAULO)]
    return life


def test_a_card_that_is_in_two_places_at_once_is_suspected_with_all_that_one_must_know(account: Account) -> None:
    robbed = a_payment(3600, 89_900, place=SAO_PAULO)
    account.pays(a_payment(0), robbed)

    (suspicion,) = account.suspicions()

    travel, country = suspicion.reasons
    assert suspicion == FraudSuspected(
        authorisation_id=robbed.authorisation_id,
        account_id=ACCOUNT,
        customer_id="cus-19b2",
        amount=89_900,
        currency="EUR",
        channel="card",
        country="BR",
        posted_at=robbed.posted_at,
        score=70,
        threshold=60,
        reasons=(travel, country),
    )
    assert (travel.name, travel.rests_on[2]) == (
        "impossible_travel",
        Figure(what="time between", value=3600, unit="seconds"),
    )
    known = Figure(what="countries known before", value=1, unit="countries")
    assert country == Reason(name="new_country", weight=25, rests_on=(known,))


def test_what_is_suspected_is_what_the_rules_say(account: Account) -> None:
    life = a_life()

    account.pays(*life)

    assert [each.authorisation_id for each in account.suspicions()] == suspects(life)
    assert len(account.suspicions()) >= 4


def test_a_transfer_is_suspected_without_a_country(account: Account) -> None:
    account.pays(*[a_transfer(-DAY * each, 4250) for each in range(12)], a_transfer(0, 10**7))

    (suspicion,) = account.suspicions()
    assert (suspicion.country, suspicion.channel) == ("", "transfer")


def test_money_that_comes_in_is_not_judged_and_leaves_no_trace(account: Account) -> None:
    account.pays(*a_month(number=12))
    before = account.profile

    account.pays(a_transfer(0, 10**9, direction="credit"), a_payment(1, 10**9, place=SAO_PAULO, direction="credit"))

    assert account.profile == before
    assert account.suspicions() == []


def test_what_is_reversed_is_passed_over(account: Account) -> None:
    payment = a_payment(0)
    (posted,) = account.pays(payment)
    reversal = TransactionReversed.model_validate({**dict(payment), "reversed_at": payment.posted_at})
    reversed_ = recorded(reversal, after=posted)
    account.world.append(reversed_)

    account.pays(a_payment(60))

    assert account.profile.habits["card:EUR"].seen == 2
    assert account.world.entries(reversed_) == []


def test_an_account_is_judged_by_its_own_past_alone(world: World) -> None:
    one, other = Account(world), Account(world, "acc-other")
    one.pays(*a_month())

    other.pays(a_payment(0, 10**6, place=SAO_PAULO, account_id="acc-other"))

    assert other.suspicions() == []


# Guards: what is suspected does not make itself known.
def test_who_pays_again_where_the_card_was_stolen_is_suspected_again(account: Account) -> None:
    account.pays(a_payment(0), *(a_payment(60 * each, place=SAO_PAULO) for each in range(1, 4)))

    assert len(account.suspicions()) == 3


def test_a_payment_costs_one_read_and_one_transaction_however_many_there_were(account: Account) -> None:
    account.pays(*a_month(number=3))
    account.world.put(lived(*a_month(number=300)), version=300)  # as if there had been many more
    (envelope,) = account.records(a_payment(0))
    calls = faults.calls()

    assert account.world.deliver(score_transaction.handler, Message(from_the_bus(envelope))) == []

    # The first two are the way of every ordered function: its cursor, and its stream.
    assert calls == ["GetItem", "Query", "BatchGetItem", "TransactWriteItems"]


def test_a_payment_that_is_delivered_twice_and_again_counts_once(account: Account) -> None:
    account.pays(*a_month(number=12))
    (envelope,) = account.pays(a_payment(0, 10**6))
    left = account.left()
    message = Message(from_the_bus(envelope))

    assert account.world.deliver(score_transaction.handler, message, message) == []
    assert account.world.deliver(score_transaction.handler, later(message)) == []

    assert account.left() == left
    assert len(account.suspicions()) == 1


# --- the same after every mishap -------------------------------------------------------------------------------------


def failing_once_at_every_event() -> Reaction[TransactionPosted]:
    """The function, but it fails at its first try of each event, when all is decided."""
    tried: set[str] = set()

    def handler(transaction: TransactionPosted, work: Work) -> None:
        score_transaction.handler.body(transaction, work)
        if work.cause.id not in tried:
            tried.add(work.cause.id)
            raise Slip

    handler.__module__ = score_transaction.__name__
    return reaction(TransactionPosted, emits=(FraudSuspected,), ordered=True)(handler)


def all_the_time() -> Context:
    return Context(seconds=900, less=0)


def goes_on(
    account: Account,
    messages: list[Message],
    *,
    handler: Handler = score_transaction.handler,
    context: Callable[[], Context] = all_the_time,
) -> None:
    """Deliver them again and again, until none comes again."""
    for _ in range(500):
        if not messages:
            return
        messages = [later(message) for message in account.world.deliver(handler, *messages, context=context())]
    pytest.fail("it never ends")


def stopped(account: Account, messages: list[Message]) -> None:
    """Nothing is delivered until all is there; then all at once."""
    goes_on(account, messages)


def in_reverse_and_twice(account: Account, messages: list[Message]) -> None:
    for message in reversed(messages):
        goes_on(account, [message, message])


def the_last_alone(account: Account, messages: list[Message]) -> None:
    goes_on(account, messages[-1:])


def slow(account: Account, messages: list[Message]) -> None:
    """Each run gets through two or three events, and hands the rest back."""
    goes_on(account, messages[-1:], context=lambda: Context(seconds=5, less=1))


def fails_at_every_event(account: Account, messages: list[Message]) -> None:
    goes_on(account, messages, handler=failing_once_at_every_event())
    assert account.world.dead_letters() == []


def throttled_at_every_event(account: Account, messages: list[Message]) -> None:
    for message in messages:
        faults.answer("TransactWriteItems", faults.THROTTLED, faults.CONFLICT)
        goes_on(account, [message])


def dies_at_every_commit(account: Account, messages: list[Message]) -> None:
    for number in range(len(messages)):
        faults.die("TransactWriteItems", "after" if number % 2 else "before")
        with pytest.raises(faults.Death):
            goes_on(account, messages[-1:])
    goes_on(account, messages)


MISHAPS = [
    stopped,
    in_reverse_and_twice,
    the_last_alone,
    slow,
    fails_at_every_event,
    throttled_at_every_event,
    dies_at_every_commit,
]


# Guards: the order of the stream.
@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.__name__)
def test_profiles_and_suspicions_are_the_same_as_if_nothing_had_happened(
    world: World, mishap: Callable[[Account, list[Message]], None]
) -> None:
    account, life = Account(world), a_life()
    envelopes = account.pays(*life)
    usual = account.left()
    forget(account)
    assert account.left() == ([], [])

    mishap(account, [Message(from_the_bus(envelope)) for envelope in envelopes])

    assert account.left() == usual


def forget(account: Account) -> None:
    """As if the function had not run yet: of it is left what others have recorded, and nothing else."""
    world = account.world
    for envelope in world.stream(f"suspicion/{account.account_id}"):
        m = envelope.metadata
        key = {"stream": {"S": m.stream}, "sequence": {"N": str(m.sequence)}}
        world.client.delete_item(TableName="daybook-test-store", Key=key)
    world.clear("fraud-profiles", "ledger")


def test_a_failure_that_lasts_says_nothing_of_the_account_in_logs(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.pays(*[a_transfer(-DAY * each) for each in range(12)], a_transfer(0, 10**7), a_payment(60))
    (envelope,) = account.records(a_transfer(120, 12_345_678))
    message = Message(from_the_bus(envelope))
    for _ in range(3):
        account.world.deliver(failing_once_at_every_event(), message)
        message = later(message)

    printed = capsys.readouterr()
    said = printed.out + printed.err

    assert "Slip" in said
    assert len(account.suspicions()) == 1
    assert [word for word in ("Grace", "AT6119", "12345678", "cus-19b2", "48.2", "m-1") if word in said] == []
    assert "AT6119" not in str(account.left())
    assert "Grace" not in str(account.left())


def test_a_profile_knows_nothing_of_the_other_side_of_a_transfer() -> None:
    assert "Grace" not in lived(a_transfer(0)).model_dump_json()
    assert Profile.blank(ACCOUNT).after(a_payment(0, place=VIENNA), suspected=False).recent[0].merchant == "m-1"
