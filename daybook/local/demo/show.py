"""The demo: the system is brought up, businesses have their day on it, and what became of it all is shown."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from daybook.application import application
from daybook.local.demo import traces as journeys
from daybook.local.demo.business import Business, Surroundings
from daybook.local.demo.day import Day
from daybook.local.demo.samples import FOLDER, Sample, all_samples
from daybook.local.errors import UnknownBusiness
from daybook.local.progress import Progress
from daybook.local.provider import Provider
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.tables import PlainTable


def businesses() -> Mapping[str, type[Business]]:
    """The application's businesses by their names: those whose folder of samples has a module `demo`."""
    return {
        value.name: value
        for module in application().of_samples("demo")
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Business) and value.__module__ == module.__name__
    }


def demo(progress: Progress, business: str | None = None, samples: Path = FOLDER) -> int:
    """Bring the system up, let the business (all, unless one is named) have its day, show what became of it.

    `samples` has a folder for each business. Returns 1 if a sample ended otherwise than it must, or if something does
    not add up, else 0. Raises UnknownBusiness, NoSamples, and LocalRunError if a step fails.
    """
    began = time.monotonic()
    wanted = {each: all_samples(samples / each.name) for each in _wanted(business)}
    with Provider() as provider, up(progress, provider=provider) as cloud:
        connection = Connection.to(STAGE, environment={"AWS_ENDPOINT_URL": cloud.endpoint})
        surroundings = Surroundings(cloud, connection, provider)
        businesses = [each(its_samples, surroundings) for each, its_samples in wanted.items()]
        refused = _refused(connection, (sample for its_samples in wanted.values() for sample in its_samples))
        go_by(progress, Day(connection, refused, cloud.kept_logs / cloud.log.name), businesses)
        complaints = [complaint for each in businesses for complaint in _show(progress, connection, each)]
        events = sum(1 for _ in PlainTable(connection, connection.names.store).scan())
    progress.say(
        f"{events} events in the store. All of it took {time.monotonic() - began:.0f} s; nothing is left running."
    )
    if complaints:
        progress.say("\nNot as the samples say it must be:\n" + "\n".join(f"  {each}" for each in complaints))
        return 1
    for each in businesses:
        progress.say(each.adds_up)
    _what_next(progress, businesses)
    return 0


def _wanted(business: str | None) -> list[type[Business]]:
    there = businesses()
    if business is None:
        return list(there.values())
    if business not in there:
        raise UnknownBusiness(business, there)
    return [there[business]]


def _refused(connection: Connection, samples: Iterable[Sample]) -> set[str]:
    return {refusal.event_id for sample in samples for refusal in sample.refusals(connection.account)}


def go_by(progress: Progress, day: Day, businesses: Sequence[Business]) -> None:
    """Let all have their morning, then their noon, then their evening; after each, wait until all is quiet."""
    for together in zip(*(each.parts() for each in businesses), strict=True):
        with progress.step("; ".join(part.says for part in together)):
            for part in together:
                part.happens(day)
            day.settle()


def _show(progress: Progress, connection: Connection, business: Business) -> list[str]:
    """Print the journeys and the books of a business. Returns what is not as it must be."""
    progress.console.print(f"\n[bold underline]The {business.name}[/]", markup=True)
    complaints = [
        *journeys.show(progress.console, connection, business.samples),
        *journeys.complaints(connection, business.first),
    ]
    closing = business.closing()
    for table in closing.tables:
        progress.say()
        progress.console.print(table)
    return [*complaints, *closing.complaints]


def _what_next(progress: Progress, businesses: Sequence[Business]) -> None:
    lines = {
        "make run": "keep it running; it says how to send events of your own",
        **{file: what for each in businesses for file, what in each.worth_reading.items()},
        "README.md": "add a function, deploy to AWS, operate",
    }
    progress.say("\nWhat next:\n" + "\n".join(f"  {name:45}  {what}" for name, what in lines.items()) + "\n")
