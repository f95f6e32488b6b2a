"""The demo: start the system, run the businesses, show the results."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from daybook.application import application
from daybook.local.demo import traces
from daybook.local.demo.business import Business, LocalSystem
from daybook.local.demo.driver import DemoDriver
from daybook.local.demo.samples import FOLDER, Sample, all_samples
from daybook.local.errors import UnknownBusiness
from daybook.local.progress import Progress
from daybook.local.provider import Provider
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.tables import PlainTable


def businesses() -> Mapping[str, type[Business]]:
    """The application's businesses by name: folders of samples that have a module `demo`."""
    return {
        value.name: value
        for module in application().of_samples("demo")
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Business) and value.__module__ == module.__name__
    }


def demo(progress: Progress, business: str | None = None, samples: Path = FOLDER) -> int:
    """Start the system, run one business or all, and show the results.

    `samples` has a folder for each business. Returns 0, or 1 if a sample ended differently than expected or there are
    other problems. Raises UnknownBusiness, NoSamples, and LocalRunError if a step fails.
    """
    began = time.monotonic()
    wanted = {each: all_samples(samples / each.name) for each in _wanted(business)}
    with Provider() as provider, up(progress, provider=provider) as cloud:
        connection = Connection.to(STAGE, environment={"AWS_ENDPOINT_URL": cloud.endpoint})
        system = LocalSystem(cloud, connection, provider)
        businesses = [each(its_samples, system) for each, its_samples in wanted.items()]
        rejected = _rejected(connection, (sample for its_samples in wanted.values() for sample in its_samples))
        run_phases(progress, DemoDriver(connection, rejected, cloud.kept_logs / cloud.log.name), businesses)
        problems = [problem for each in businesses for problem in _show(progress, connection, each)]
        events = sum(1 for _ in PlainTable(connection, connection.names.store).scan())
    progress.say(
        f"{events} events in the store. The demo took {time.monotonic() - began:.0f} s; nothing is left running."
    )
    if problems:
        progress.say("\nProblems:\n" + "\n".join(f"  {each}" for each in problems))
        return 1
    for each in businesses:
        progress.say(each.success_message)
    _what_next(progress, businesses)
    return 0


def _wanted(business: str | None) -> list[type[Business]]:
    there = businesses()
    if business is None:
        return list(there.values())
    if business not in there:
        raise UnknownBusiness(business, there)
    return [there[business]]


def _rejected(connection: Connection, samples: Iterable[Sample]) -> set[str]:
    return {rejection.event_id for sample in samples for rejection in sample.rejections(connection.account)}


def run_phases(progress: Progress, driver: DemoDriver, businesses: Sequence[Business]) -> None:
    """Run each phase of all businesses together; wait after each until the system is idle."""
    for phases in zip(*(each.phases() for each in businesses), strict=True):
        with progress.step("; ".join(phase.label for phase in phases)):
            for phase in phases:
                phase.run(driver)
            driver.wait_until_idle()


def _show(progress: Progress, connection: Connection, business: Business) -> list[str]:
    """Print the traces and the final state of a business. Returns the problems found."""
    progress.console.print(f"\n[bold underline]The {business.name}[/]", markup=True)
    problems = [
        *traces.show(progress.console, connection, business.samples),
        *traces.problems(connection, business.first),
    ]
    summary = business.summary()
    for table in summary.tables:
        progress.say()
        progress.console.print(table)
    return [*problems, *summary.problems]


def _what_next(progress: Progress, businesses: Sequence[Business]) -> None:
    lines = {
        "make run": "keep the system running; it prints how to send your own events",
        **{file: what for each in businesses for file, what in each.further_reading.items()},
        "README.md": "add a function, deploy to AWS, operate",
    }
    progress.say("\nWhat next:\n" + "\n".join(f"  {name:45}  {what}" for name, what in lines.items()) + "\n")
