"""What goes to a terminal: text that cannot control it, and command lines that can be pasted.

Ids, streams, names and reasons come from outside. A terminal obeys control characters (C0, DEL, C1), and shows text
with direction marks or zero-width characters as if it were other text. A shell runs what is in an argument that is not
quoted: `x$(reboot)`.
"""

import json
import shlex
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# In `$'…'`, for bash, zsh and ksh: https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html.
_OF_ANSI_C = {"\\": "\\\\", "'": "\\'"}
_END_OF_ASCII, _END_OF_BMP = 0x80, 0xFFFF


def plain(text: str) -> str:
    r"""The text in one line that a terminal shows as it is: other characters are escaped, for example as `\x1b`.

    These are all that Unicode calls control, format (directions, zero width) or separator characters, and all that it
    does not assign. Only the space remains.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def json_text(data: Any, *, indent: int | None = None) -> str:
    r"""The data as JSON that a terminal shows as it is: characters that `plain` escapes are escaped as `\u001b`."""
    return safe_json(json.dumps(data, indent=indent, ensure_ascii=False))


def safe_json(text: str) -> str:
    """The same for a JSON text, of which the line ends are kept: they are between its values."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def command_line(*words: str) -> str:
    """The command line with these words, each quoted for a POSIX shell if necessary.

    A word that `plain` would change is quoted in the form that bash, zsh and ksh read: the word comes back whole.
    """
    return " ".join(map(_quoted, words))


def daybook(*words: str, **options: str | bool) -> str:
    """The command line of a command of Daybook: `daybook("dead", "retry", event_id, apply=True, stage="prod")`.

    `words` are the command and its arguments. Of the options, True is an option without a value. An argument that
    begins with a dash follows after `--`, so that it is not read as an option.
    """
    first_dash = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    after = ("--", *words[first_dash:]) if first_dash < len(words) else ()
    named = [part for name, value in options.items() for part in _option(name, value)]
    return command_line("daybook", *words[:first_dash], *named, *after)


def deployment(stage: str) -> str:
    """The command line that deploys a stage."""
    return command_line("npx", "cdk", "deploy", "--all", "-c", f"stage={stage}")


class Terminal(Console):
    """A console that prints data in trees, tables and coloured lines as `plain` does."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed. rich's own control codes, such as those of a progress line, are kept."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else "\n".join(map(plain, segment.text.split("\n")))
            yield segment if text == segment.text else Segment(text, segment.style)


def _option(name: str, value: str | bool) -> tuple[str, ...]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return (option,)
    return (option, value) if value else ()


def _escaped(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < _END_OF_ASCII:
        return character.encode("unicode_escape").decode("ascii")
    # Not `\x9b` for U+009B: shells read that as a byte.
    return f"\\u{code:04x}" if code <= _END_OF_BMP else f"\\U{code:08x}"


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(_OF_ANSI_C.get(each, _escaped(each)) for each in word)}'"
