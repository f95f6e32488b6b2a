"""The pages of the docs that are made from the program: the glossary, and the reference of all commands.

    python -m tools.pages

`make docs` writes them. A test fails if one is not what this module would write.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from daybook.operate.glossary import Term, lines, terms
from daybook.operate.program import app

DOCS = Path(__file__).resolve().parents[1] / "docs"

_MADE = "<!-- Made by tools/pages.py. `make docs` writes it again. -->"


def glossary() -> str:
    """docs/glossary.md."""
    (view,) = ("\n".join(lines(term)) for term in terms() if "projection" in term.standard)
    head = f"""# Glossary

{_MADE}

One word for each idea. `daybook help glossary` prints the same in the terminal. `make check` finds the words that must
not be used.

```
$ daybook help glossary projection
{view}
```
"""
    return "\n".join([head, *map(_term, sorted(terms(), key=lambda term: term.term.casefold()))])


def _term(term: Term) -> str:
    text = [f"## {term.term}", "", term.meaning, ""]
    text += [f"* Standard: {', '.join(term.standard)}"] if term.standard else []
    text += [f"* Used: {term.used}"]
    text += [f"* Do not say: {', '.join(term.avoid)}"] if term.avoid else []
    return "\n".join([*text, ""])


def commands() -> str:
    """docs/commands.md."""
    program = typer.main.get_command(app)
    head = f"""# Commands

{_MADE}

This page is made from `--help`. What to type when an alarm fires is in the [runbook](runbook.md). The
[glossary](glossary.md) explains the words.

{_text(program)}
"""
    return "\n".join([head, *(_section(path, command) for path, command in _all(program, "daybook"))])


def _all(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield f"{path} {name}", each
        yield from _all(each, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = re.sub(r"[{}]", "", " ".join([path, *command.collect_usage_pieces(context)]))
    text = [f"## {path}", "", "```text", usage, "```", "", _text(command), ""]
    records = [each.get_help_record(context) for each in command.params]
    rows = [f"| `{_line(names)}` | {_line(help_)} |" for names, help_ in filter(None, records)]
    text += ["| | |", "|---|---|", *rows, ""] if rows else []
    text += [inspect.cleandoc(command.epilog), ""] if command.epilog else []
    return "\n".join(text)


def _text(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _line(text: str) -> str:
    """The text as one cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


PAGES: Final[dict[str, Callable[[], str]]] = {"glossary.md": glossary, "commands.md": commands}


def main() -> None:
    """Write the pages."""
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
