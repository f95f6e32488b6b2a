"""What the stacks make of each stage that tests need: once for all tests of a run, in whichever worker they run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybook.local.system import PROVIDER_UNKNOWN, STAGE, unknown

if TYPE_CHECKING:  # most test processes need no template, and `aws_cdk` takes a second to import
    from tests.templates.synthesis import Assembly

# What `local` is made with beside its name.
LOCAL = {"stripe_api": PROVIDER_UNKNOWN, "terminology_server": unknown("terminology_server")}
NETWORK = {"subnets": "subnet-0a1b2c3d,subnet-0123456789abcdef0", "security_groups": "sg-0c1d2e3f"}
PUBLISHING = {"publish_in_order": "on", "reserved_concurrency": '{"admit": 10, "page-staff": "12"}'}
EMAILS = {"alarm_email": "alarms@example.com", "pager_email": "pager@example.com"}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> "Assembly":
    """The real app, checked by cdk-nag, for a stage on AWS: the one whose name the functions of `world` are given."""
    from daybook.testing.world import NAMES  # noqa: PLC0415
    from tests.templates.synthesis import Assembly, once, synthesise  # noqa: PLC0415

    folder = _shared(tmp_path_factory) / "assembly-aws"
    once(folder, lambda target: synthesise(target, NAMES.stage, EMAILS))
    return Assembly(folder, NAMES.stage)


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> "Assembly":
    """The stage `prod`, with all that protects the account, copies of backups, functions in a VPC, publishing in order
    and reserved concurrency; checked by cdk-nag.
    """
    from tests.templates.synthesis import Assembly, once, synthesise  # noqa: PLC0415

    folder = _shared(tmp_path_factory) / "assembly-prod"
    context = {**EMAILS, **NETWORK, **PUBLISHING, "backup_region": "eu-west-1"}
    once(folder, lambda target: synthesise(target, "prod", context))
    return Assembly(folder, "prod")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> "Assembly":
    """The stage of the local cloud, as `up` deploys it. cdk-nag finds nothing there that it does not find in `aws`."""
    from tests.templates.synthesis import Assembly, once, synthesise_unchecked  # noqa: PLC0415

    folder = _shared(tmp_path_factory) / "assembly-local"
    once(folder, lambda target: synthesise_unchecked(target, STAGE, LOCAL))
    return Assembly(folder, STAGE)


@pytest.fixture(scope="session")
def templates(local: "Assembly") -> Path:
    """The folder of the assembly `local`: `up` deploys it and saves the time to make one."""
    return local.folder


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for all its workers."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
