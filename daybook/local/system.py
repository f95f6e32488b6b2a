"""Start the whole system on this machine."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from daybook.application import application
from daybook.local import deployment
from daybook.local.cloud import Cloud
from daybook.local.interrupts import single_interrupt
from daybook.local.project import ROOT
from daybook.local.provider import Provider
from daybook.operate.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from daybook.local.progress import Progress
    from daybook.local.provider import StandIn

STAGE = "local"
# The payment provider's address in templates that were synthesized before the provider was started.
PROVIDER_UNKNOWN = "http://provider.invalid"


def unknown(option: str) -> str:
    """The address of a business's external system in such templates. `option` is the stage's option with it."""
    return f"http://{option.replace('_', '-')}.invalid"


def assembly_of(cloud: Cloud) -> Path:
    """The folder with the templates that were deployed to this cloud."""
    return cloud.folder / "assembly"


@contextmanager
def up(
    progress: Progress,
    port: int | None = None,
    *,
    project: Path = ROOT,
    extra: Mapping[str, str] | None = None,
    iam: bool = False,
    provider: StandIn | None = None,
    templates: Path | None = None,
) -> Iterator[Cloud]:
    """Start a cloud and deploy the system to it, for the length of the block. Leaves nothing behind.

    In the block, SIGTERM and SIGHUP act as Ctrl-C: they raise one KeyboardInterrupt. Raises `PortTaken` if `port` (by
    default a free one) is in use, `StepFailed` if a step fails. `project` is the folder of the CDK app; `extra` are
    environment variables for the cloud and the functions; `iam` enforces permissions; `provider` is the payment
    provider, by default a new one. `templates` is an assembly that was synthesized earlier with the context
    `stripe_api=PROVIDER_UNKNOWN`, and `unknown(option)` for each option of the businesses' external systems; using it
    saves the synthesis.
    """
    with single_interrupt(), ExitStack() as stack:
        with progress.step("starting the cloud"):
            provider = provider or stack.enter_context(Provider(project=project))
            cloud = stack.enter_context(Cloud(port=port, project=project, extra=extra, iam=iam))
            external = _start_external_systems(stack)
        assembly = assembly_of(cloud)
        if templates:
            addresses = {unknown(option): address for option, address in external.items()}
            _copy(templates, assembly, {PROVIDER_UNKNOWN: provider.endpoint, **addresses})
            with progress.step("preparing the account"):
                deployment.bootstrap(cloud)
        else:
            options = {"stripe_api": provider.endpoint, **external}
            with deployment.synthesise(cloud, project, assembly, STAGE, **options) as synthesis:
                with progress.step("preparing the account"):
                    deployment.bootstrap(cloud)
                with progress.step("synthesizing the templates"):
                    synthesis.finish()
        with progress.step("deploying"):
            deployment.deploy(cloud, assembly)
            _run_setup(cloud, provider.key)
        yield cloud


def _start_external_systems(stack: ExitStack) -> dict[str, str]:
    """Start the external systems that businesses have for local runs: their module `external_systems`. Returns the
    address of each, by the stage's option.
    """
    options: dict[str, str] = {}
    for business in application().of_samples("external_systems"):
        options |= stack.enter_context(business.on_this_machine())
    return options


def _copy(templates: Path, assembly: Path, addresses: Mapping[str, str]) -> None:
    """Copy an assembly, and replace unknown addresses in the copy."""
    shutil.copytree(templates, assembly)
    for template in assembly.glob("*.template.json"):
        text = template.read_text(encoding="utf-8")
        for unknown_address, address in addresses.items():
            text = text.replace(unknown_address, address)
        template.write_text(text, encoding="utf-8")


def _run_setup(cloud: Cloud, provider_key: str) -> None:
    """Run each service's module `setup`, which does what an operator does by hand on AWS."""
    connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
    for service in application().of_services("setup"):
        service.on_this_machine(connection, provider_key)
