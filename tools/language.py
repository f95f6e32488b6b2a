"""The check of the language: no file uses a word that the glossary replaces.

    python -m tools.language

It checks names of files, identifiers, strings, comments, docs and help. An identifier counts as its words, so the
phrase `wake up` is found in `wake_up`, `WakeUp` and `wake-up`.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daybook.operate.glossary import Term, terms

ROOT = Path(__file__).resolve().parents[1]

_SUFFIXES = frozenset({".cfg", ".ini", ".json", ".md", ".mk", ".py", ".toml", ".txt", ".yml"})
_NAMES = frozenset({"Makefile"})
# What is installed or built. Hidden folders are skipped too.
_SKIPPED = frozenset({"__pycache__", "build", "cdk.out", "node_modules"})
# These files list the words to avoid.
_GLOSSARY = frozenset({"daybook/operate/glossary.toml", "docs/glossary.md"})
_LOCKS = re.compile(r"(package-lock\.json|requirements.*\.txt)")

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# A phrase may continue on the next line, after the sign of a comment or a quotation.
_BETWEEN = re.compile(r"[\s#>*]+")
_JOINT = re.compile(r"_|(?<=\w)[-.](?=\w)")


@dataclass(frozen=True, slots=True)
class Finding:
    """A word in a file that the glossary replaces. Line 0 is the file's name."""

    file: str
    line: int
    word: str
    say: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r}: say {self.say}"


@dataclass
class Words:
    """The words that the glossary replaces."""

    terms: Iterable[Term]
    _instead: dict[str, str] = field(init=False)
    _avoided: re.Pattern[str] = field(init=False)
    _unless: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        instead: dict[str, list[str]] = {}
        for term in self.terms:
            for phrase in term.avoid:
                instead.setdefault(_split(phrase), []).append(term.term)
        self._instead = {phrase: " or ".join(map(repr, words)) for phrase, words in instead.items()}
        self._avoided = _any_of(self._instead)
        self._unless = _any_of(_split(phrase) for term in self.terms for phrase in term.unless)

    def found_in(self, text: str) -> Iterator[tuple[int, str, str]]:
        """For each word to avoid in the text: its line, the word, and what to say instead."""
        words = self._unless.sub(lambda match: re.sub(r"\S", "\0", match[0]), _split(text))
        for match in self._avoided.finditer(words):
            found = " ".join(_BETWEEN.split(match[0]))
            yield words.count("\n", 0, match.start()) + 1, found, self._instead.get(found) or self._instead[found[:-1]]

    def found_under(self, root: Path) -> Iterator[Finding]:
        """All words to avoid in the files under a folder, and in their names."""
        for file in sorted(_files(root)):
            name = file.relative_to(root).as_posix()
            if name in _GLOSSARY or _LOCKS.fullmatch(file.name):
                continue
            for line, word, say in [*self._in_name(name), *self.found_in(file.read_text(encoding="utf-8"))]:
                yield Finding(name, line, word, say)

    def _in_name(self, name: str) -> Iterator[tuple[int, str, str]]:
        for _, word, say in self.found_in(name.replace("/", "\n")):
            yield 0, word, say


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if each not in _SKIPPED and not each.startswith(".")]
        folders[:] = [each for each in folders if not each.endswith(".egg-info")]
        yield from (Path(folder, name) for name in names if name in _NAMES or Path(name).suffix in _SUFFIXES)


def _split(text: str) -> str:
    """The text in lower case, each identifier as its words. Lines stay lines."""
    return _JOINT.sub(" ", _CAPITAL.sub(" ", text)).lower()


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    each = sorted((_BETWEEN.pattern.join(map(re.escape, phrase.split())) for phrase in phrases), reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(each) or '(?!)'})s?(?!\w)")


def main() -> None:
    """Print the findings, and exit with 1 if there are any."""
    found = list(Words(terms()).found_under(ROOT))
    sys.stdout.writelines(f"{finding}\n" for finding in found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
