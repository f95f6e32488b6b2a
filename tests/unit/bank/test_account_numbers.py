"""Card numbers and IBANs are rejected as ids, and innocent tokens are not."""

import json
import re
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from stdnum import iban, luhn, numdb

from daybook.contracts.card_numbers import is_card_number
from daybook.contracts.contract import ContractBroken
from events.account_numbers import IBAN_LENGTHS, bare, is_iban
from events.accounts import TransactionPosted

_MANY = 100_000
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

# Numbers that the schemes and payment providers publish for tests
# (https://docs.stripe.com/testing, https://docs.adyen.com/development-resources/testing/test-card-numbers).
_TEST_CARDS = """
    4242424242424242 4000056655665556 5555555555554444 2223003122003222 5200828282828210 5105105105105100
    378282246310005 371449635398431 6011111111111117 6011000990139424 3056930009020004 36227206271667 6555900000604105
    3566002020360505 6200000000000005 4111111111111111 4012888888881881 4222222222222 5019717010103742 6759649826438453
    6304000000000000 6799990100000000019 6771798021000008 135410014004955 370000000000002 36006666333344
    6011601160116611 6445644564456445 3569990010095841 2222400070000005 5066991111111118 6062828888666688
    8171999927660000 5000550000000029 4035501000000008
"""

# Examples of the IBAN registry of SWIFT.
_IBANS = """
    AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
    AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678 BH67BMAG00001299123456
    BR1800360305000010009795493C1 BY13NBRB3600900000002Z00AB00 CH9300762011623852957 CR05015202001026284066
    CY17002001280000001200527600 CZ6508000000192000145399 DE89370400440532013000 DK5000400440116243
    DO28BAGR00000001212453611324 EE382200221020145685 EG380019000500000000263180002 ES9121000418450200051332
    FI2112345600000785 FO6264600001631634 FR1420041010050500013M02606 GB29NWBK60161331926819 GE29NB0000000101904917
    GI75NWBK000000007099453 GL8964710001000206 GR1601101250000000012300695 GT82TRAJ01020000001210029690
    HR1210010051863000160 HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999
    IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456 JO94CBJO0010000000000131000302
    KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114
    LC55HEMM000100010012001200023015 LI21088100002324013AA LT121000011101001000 LU280019400644750000
    LV80BANK0000435195001 LY83002048000020100120361 MC5811222000010123456789030 MD24AG000225100013104168
    ME25505000012345678951 MK07250120000058984 MR1300020001010000123456753 MT84MALT011000012345MTLCAST001S
    MU17BOMM0101101030300200000MUR NL91ABNA0417164300 NO9386011117947 PK36SCBL0000001123456702
    PL61109010140000071219812874 PS92PALS000000000400123456702 PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG
    RO49AAAA1B31007593840000 RS35260005601001611379 SA0380000000608010167519 SC18SSCB11010000000000001497USD
    SE4550000000058398257466 SI56263300012039086 SK3112000000198742637541 SM86U0322509800000000270100
    ST23000100010051845310146 SV62CENR00000000000000700025 TL380080012345678910157 TN5910006035183598478831
    TR330006100519786457841326 UA213223130000026007233566001 VA59001123000012345678 VG96VPVG0000012345678901
    XK051212012345678906
"""


def read(**data: object) -> TransactionPosted:
    """Read a transaction as admit does."""
    return TransactionPosted.read(json.dumps(dict(TransactionPosted.example) | data), version=1)


def found(token: str) -> bool:
    """Whether the token is taken for a card number or an IBAN."""
    return is_card_number(bare(token)) or is_iban(bare(token))


@pytest.mark.parametrize(
    "token",
    [
        "ab120000-0000-4000-8000-000000000001",  # begins like an IBAN of a country that is not registered
        "PO20261128000001",
        "632800000010",  # a retrieval reference number of ISO 8583 with a check digit that matches
        "630400000004",  # the same on day 304, whose first digits are a prefix of Maestro
        "DE82WEST12345698765432",  # check digits do not match
        "DE8937040044053201300",  # too short for Germany
        "01KB5QW3W9T4NB3M0W2QSA2RZE",
        "20261128120000",
    ],
)
def test_an_innocent_authorisation_id_is_accepted(token: str) -> None:
    assert read(authorisation_id=token).authorisation_id == token


@pytest.mark.parametrize("field", ["account_id", "customer_id", "authorisation_id", "conducted_by"])
@pytest.mark.parametrize("token", ["4111-1111-1111-1111", "DE89.3704.0044.0532.0130.00", "gb29nwbk60161331926819"])
def test_a_card_number_or_an_iban_is_rejected_without_quoting_it(field: str, token: str) -> None:
    with pytest.raises(
        ContractBroken, match=rf"{field}: is an? (card number|IBAN): .* send the bank's own token"
    ) as no:
        read(**{field: token})
    assert token[-4:] not in str(no.value)


def test_a_merchant_id_may_be_any_number() -> None:
    merchant = {"merchant_id": "4242424242424242", "mcc": "5411", "place": {"country": "AT"}}

    assert read(merchant=merchant).merchant


@pytest.mark.parametrize("number", _TEST_CARDS.split())
def test_a_published_test_card_number_is_found(number: str) -> None:
    assert luhn.is_valid(number)
    assert found(number)
    with pytest.raises(ContractBroken):
        read(account_id=number)


@pytest.mark.parametrize("number", _IBANS.split())
def test_a_published_example_of_an_iban_is_found(number: str) -> None:
    assert iban.is_valid(number, check_country=False)
    assert found(number)


def test_the_countries_and_lengths_are_those_of_python_stdnum() -> None:
    registry = {
        country: 4 + sum(map(int, re.findall(r"\d+(?=!)", properties["bban"])))  # 5!n11!n: 16 characters
        for _, country, _, properties, _ in numdb.get("iban").prefixes
    }

    assert registry == IBAN_LENGTHS


def test_random_uuids_ulids_and_times_are_not_taken_for_numbers() -> None:
    random = Random(1)  # noqa: S311 - reproducible
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    times = [begin + timedelta(microseconds=random.randrange(10**15)) for _ in range(_MANY)]
    microseconds = [random.randrange(10**15, 2 * 10**15) for _ in range(_MANY)]  # since 1970: from 2001 to 2033
    tokens = {
        "uuid": (f"{random.getrandbits(128):032x}" for _ in range(_MANY)),
        "ulid": ("0" + "".join(random.choices(_CROCKFORD, k=25)) for _ in range(_MANY)),
        "date and time": (f"{time:%Y%m%d%H%M%S}" for time in times),
        "seconds": (str(each // 1_000_000) for each in microseconds),
        "milliseconds": (str(each // 1_000) for each in microseconds),
        "microseconds": map(str, microseconds),
    }

    assert [(kind, each) for kind, several in tokens.items() for each in several if found(each)] == []


def test_few_random_numbers_of_sixteen_digits_are_taken_for_card_numbers() -> None:
    random = Random(1)  # noqa: S311 - reproducible
    share = sum(found(f"{random.randrange(10**16):016}") for _ in range(_MANY)) / _MANY

    # A tenth has a matching check digit, and the prefixes of schemes cover about a third of all numbers.
    assert share < 0.04
