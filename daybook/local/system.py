"""The whole system, up on this machine."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from daybook.application import application
from daybook.local import deployment
from daybook.local.cloud import Cloud
from daybook.local.interrupts import once
from daybook.local.project import ROOT
from daybook.local.provider import Provider
from daybook.operate.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from daybook.local.progress import Progress
    from daybook.local.provider import StandIn

STAGE = "local"
# The payment provider's address in templates that are made before the provider is started.
PROVIDER_UNKNOWN = "http://provider.invalid"


def assembly_of(cloud: Cloud) -> Path:
    """The folder with the templates that the system on this cloud is deployed from."""
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
    """Bring up a cloud with the system deployed on it, for the length of the block; nothing is left afterwards.

    In the block, SIGTERM and a closed terminal are what Ctrl-C is: one KeyboardInterrupt. Raises `PortTaken` if
    `port` (a free one unless given) is in use, `StepFailed` if a step ends badly. `project` is the folder of the
    CDK app; `extra` are environment variables for the cloud and the functions; `iam` enforces permissions; `provider`
    is the payment provider, one of its own unless given. `templates` is an assembly that was made earlier, with the
    context `stripe_api=PROVIDER_UNKNOWN`; it saves the time to make one from the project.
    """
    with once(), ExitStack() as stack:
        with progress.step("starting the cloud"):
            provider = provider or stack.enter_context(Provider(project=project))
            cloud = stack.enter_context(Cloud(port=port, project=project, extra=extra, iam=iam))
        assembly = assembly_of(cloud)
        if templates:
            _copy(templates, assembly, provider.endpoint)
            with progress.step("preparing the account"):
                deployment.bootstrap(cloud)
        else:
            with deployment.synthesise(cloud, project, assembly, STAGE, stripe_api=provider.endpoint) as synthesis:
                with progress.step("preparing the account"):
                    deployment.bootstrap(cloud)
                with progress.step("making the templates"):
                    synthesis.finish()
        with progress.step("deploying"):
            deployment.deploy(cloud, assembly)
            _do_what_a_person_does(cloud, provider.key)
        yield cloud


def _copy(templates: Path, assembly: Path, provider: str) -> None:
    """Copy an assembly, and write the provider's address into the copy."""
    shutil.copytree(templates, assembly)
    for template in assembly.glob("*.template.json"):
        text = template.read_text(encoding="utf-8")
        template.write_text(text.replace(PROVIDER_UNKNOWN, provider), encoding="utf-8")


def _do_what_a_person_does(cloud: Cloud, provider_key: str) -> None:
    """Do in the account what each service's module `setup` says that a person must do."""
    connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
    for service in application().of_services("setup"):
        service.on_this_machine(connection, provider_key)
