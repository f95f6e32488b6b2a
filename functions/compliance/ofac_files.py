"""The names, birth years and nationalities in the files of the US Treasury's office OFAC.

SDN.CSV and ALT.CSV are comma-separated, without a header; an empty cell is `-0-`. By OFAC's data specification
(dat_spec.txt of 2023-09-25, copied at https://moov-io.github.io/watchman/file-structure/) the columns of SDN.CSV are
ent_num, SDN_Name, SDN_Type, Program, Title, Call_Sign, Vess_type, Tonnage, GRT, Vess_flag, Vess_owner, Remarks; those
of ALT.CSV are ent_num, alt_num, alt_type, alt_name, alt_remarks. The consolidated list has the same columns. Remarks
are text: `DOB 10 Dec 1948; alt. DOB 1950; nationality Egypt.`
"""

import re
from collections.abc import Callable
from typing import Final

from functions.compliance.csv_rows import MAX_ENTRY, MAX_NAME, BadList, names, numbered
from functions.compliance.sanctions_list import Listed

_EMPTY: Final = "-0-"
_SDN_COLUMNS: Final = 12
_ALT_COLUMNS: Final = 5
_REMARKS: Final = 11
# Remarks continue in SDN_COMMENTS.CSV, which is not loaded, after 1,000 characters; some fewer, to be safe.
_MAX_REMARKS: Final = 900
_BORN: Final = re.compile(r"(?:alt\. )?DOB (.*)")
_DAY: Final = re.compile(r"(?:\d{1,2} )?(?:[A-Z][a-z]{2} )?(\d{4})(?: to (?:\d{1,2} )?(?:[A-Z][a-z]{2} )?(\d{4}))?")
_NATIONALITY: Final = re.compile(r"(?:alt\. )?(?:nationality|citizen) (.*)")
# The codes of countries (ISO 3166-1 alpha-2) by the names that OFAC writes. A name that is missing here is unknown.
_OFAC_NAMES: Final = """
AE United Arab Emirates|AF Afghanistan|AL Albania|AM Armenia|AO Angola|AR Argentina|AT Austria|AU Australia
AZ Azerbaijan|BA Bosnia and Herzegovina|BD Bangladesh|BE Belgium|BF Burkina Faso|BG Bulgaria|BH Bahrain|BI Burundi
BJ Benin|BN Brunei|BO Bolivia|BR Brazil|BS Bahamas, The|BW Botswana|BY Belarus|BZ Belize|CA Canada
CD Congo, Democratic Republic of the|CF Central African Republic|CG Congo, Republic of the|CH Switzerland
CI Cote d Ivoire|CL Chile|CM Cameroon|CN China|CO Colombia|CR Costa Rica|CU Cuba|CV Cabo Verde|CY Cyprus
CZ Czech Republic|DE Germany|DJ Djibouti|DK Denmark|DM Dominica|DO Dominican Republic|DZ Algeria|EC Ecuador|EE Estonia
EG Egypt|ER Eritrea|ES Spain|ET Ethiopia|FI Finland|FR France|GA Gabon|GB United Kingdom|GE Georgia|GH Ghana
GM Gambia, The|GN Guinea|GQ Equatorial Guinea|GR Greece|GT Guatemala|GW Guinea-Bissau|GY Guyana|HK Hong Kong
HN Honduras|HR Croatia|HT Haiti|HU Hungary|ID Indonesia|IE Ireland|IL Israel|IN India|IQ Iraq|IR Iran|IS Iceland
IT Italy|JM Jamaica|JO Jordan|JP Japan|KE Kenya|KG Kyrgyzstan|KH Cambodia|KM Comoros|KN Saint Kitts and Nevis
KP Korea, North|KR Korea, South|KW Kuwait|KZ Kazakhstan|LA Laos|LB Lebanon|LI Liechtenstein|LK Sri Lanka|LR Liberia
LT Lithuania|LU Luxembourg|LV Latvia|LY Libya|MA Morocco|MC Monaco|MD Moldova|ME Montenegro|MG Madagascar
MK North Macedonia, The Republic of|ML Mali|MM Burma|MN Mongolia|MO Macau|MR Mauritania|MT Malta|MU Mauritius
MV Maldives|MW Malawi|MX Mexico|MY Malaysia|MZ Mozambique|NA Namibia|NE Niger|NG Nigeria|NI Nicaragua|NL Netherlands
NO Norway|NP Nepal|NZ New Zealand|OM Oman|PA Panama|PE Peru|PH Philippines|PK Pakistan|PL Poland|PT Portugal
PY Paraguay|QA Qatar|RO Romania|RS Serbia|RU Russia|RW Rwanda|SA Saudi Arabia|SC Seychelles|SD Sudan|SE Sweden
SG Singapore|SI Slovenia|SK Slovakia|SL Sierra Leone|SN Senegal|SO Somalia|SR Suriname|SS South Sudan|SV El Salvador
SY Syria|TD Chad|TG Togo|TH Thailand|TJ Tajikistan|TM Turkmenistan|TN Tunisia|TR Turkey|TT Trinidad and Tobago
TW Taiwan|TZ Tanzania|UA Ukraine|UG Uganda|US United States|UY Uruguay|UZ Uzbekistan|VE Venezuela|VN Vietnam
VU Vanuatu|YE Yemen|ZA South Africa|ZM Zambia|ZW Zimbabwe
"""
_COUNTRIES: Final = {each[3:]: each[:2] for line in _OFAC_NAMES.split("\n") if line for each in line.split("|")}


def read(sdn: tuple[str, str], alt: tuple[str, str]) -> list[Listed]:
    """The names in both files, each given as its name and its text. Raises BadList, which names the broken rows."""
    entries = _names(*sdn, _SDN_COLUMNS, name=1)
    known = {each.entry: each for each in entries}
    if len(known) < len(entries):
        msg = f"{sdn[0]} has the same ent_num in several rows; nothing was changed"
        raise BadList(msg)
    others = _names(*alt, _ALT_COLUMNS, name=3)
    if unknown := [each.entry for each in others if each.entry not in known]:
        msg = f"{alt[0]} has {len(unknown)} names of entries that {sdn[0]} does not have; download both files again"
        raise BadList(msg)
    return entries + [known[each.entry]._replace(name=each.name) for each in others]


def _names(file: str, text: str, columns: int, *, name: int) -> list[Listed]:
    return names(
        file,
        numbered(file, text, separator=","),
        problem=lambda row: next((text for text, holds in _RULES.items() if not holds(row, columns, name)), None),
        listed=lambda row: Listed(int(row[0]), " ".join(row[name].split()), *_facts("".join(row[_REMARKS:]))),
    )


_RULES: Final[dict[str, Callable[[list[str], int, int], bool]]] = {
    "has the wrong number of columns": lambda row, columns, _: len(row) == columns,
    "does not start with a number": lambda row, *_: row[0].isdecimal() and 0 < int(row[0]) <= MAX_ENTRY,
    "has no name": lambda row, _, name: row[name] not in {"", _EMPTY},
    "has a name that is too long": lambda row, _, name: len(row[name]) <= MAX_NAME,
}


def _facts(remarks: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Birth years and nationalities. Both are empty if the remarks may be incomplete."""
    if len(remarks) > _MAX_REMARKS:
        return (), ()
    texts = [each.strip() for each in remarks.removesuffix(".").split(";")]
    born = [_years(match[1]) for match in map(_BORN.fullmatch, texts) if match]
    nations = [_COUNTRIES.get(match[1]) for match in map(_NATIONALITY.fullmatch, texts) if match]
    years = sorted({year for each in born for year in each}) if all(born) else []
    return tuple(years), tuple(sorted({each for each in nations if each})) if all(nations) else ()


def _years(born: str) -> range:
    """The years in the text of one birth date; none if it is not exact, as `circa 1950`."""
    match = _DAY.fullmatch(born)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
