"""`daybook help glossary`: the words of this project, one for each idea."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from textwrap import wrap
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Commands
from daybook.operate.cli.printing import answer, fail

EXAMPLES = """
**Examples**

- `daybook help glossary`
- `daybook help glossary dead letter`
- `daybook help glossary projection`
"""

_WIDTH = 100  # characters of a line in the terminal
_INDENT = "  "
_LINK = re.compile(r"\[(.+?)\]\(.+?\)")

app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode="markdown")


@dataclass(frozen=True, slots=True)
class Term:
    """One idea and its word. `meaning` and `used` may contain Markdown."""

    term: str
    meaning: str
    used: str
    standard: Sequence[str] = ()
    avoid: Sequence[str] = ()
    unless: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """The words that find the term: its name, its standard names, and the words to avoid."""
        return [name.casefold() for name in (self.term, *self.standard, *self.avoid)]


@cache
def terms() -> list[Term]:
    """All terms, in the order of the file."""
    text = files(__package__).joinpath("glossary.toml").read_text(encoding="utf-8")
    return [Term(**each) for each in tomllib.loads(text)["term"]]


@app.callback()
def help_() -> None:
    """Explain the words of the commands and the docs."""


@app.command(epilog=EXAMPLES)
def glossary(
    term: Annotated[
        list[str] | None, typer.Argument(metavar="TERM", help="The term to print. Default: all terms.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the glossary: each term with its meaning, its standard names, where it is used, and the words to avoid.

    TERM is the name of a term, a standard name (`projection`), or a word to avoid. With `--json`, prints one object per
    line.

    Exit code 1: there is no such term. The error names similar terms.
    """
    wanted = " ".join(term or ()).casefold()
    found = [each for each in terms() if wanted in each.names] if wanted else sorted(terms(), key=lambda t: t.names[0])
    if not found:
        fail(f"the glossary has no term {wanted}{_nearest(wanted)}", exit_code=1)
    for each in found:
        answer(asdict(each), *lines(each), as_json=as_json)


def _nearest(wanted: str) -> str:
    by_name = {name: each.term for each in terms() for name in each.names}
    near = dict.fromkeys(by_name[name] for name in get_close_matches(wanted, by_name, n=5, cutoff=0.5))
    return f"; similar terms: {', '.join(near)}" if near else "; `daybook help glossary` lists all"


def lines(term: Term) -> Iterable[str]:
    """The term as it is printed in the terminal."""
    yield term.term
    yield from _wrapped(term.meaning)
    used = _LINK.sub(r"\1", term.used)
    for title, words in (("standard", term.standard), ("used", [used]), ("do not say", term.avoid)):
        yield from _wrapped(f"{title}: {', '.join(words)}") if words else ()


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
