"""Lambda layers of third-party packages, built with uv for Lambda's platform.

The build is reproducible: packages are pinned by hashes, and installation records are removed.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_

from daybook.application import application
from daybook.constructs.byte_code import RUNTIME, compile_folder, interpreter, uv
from daybook.constructs.stage import Stage

# The runtime uses Amazon Linux 2023, with glibc 2.34 (https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html).
# uv supports this platform, which needs glibc 2.28; rapidfuzz has no wheels for older ones.
PLATFORM = "aarch64-manylinux_2_28"

# The packages of all functions. A service's own packages are in a second layer: requirements-lambda-<service>.txt.
_LOCK = "requirements-lambda.txt"
_IN_LAMBDA = "/opt/python"


class LayerNotBuilt(RuntimeError):
    """uv could not install the locked packages. See its output, and check that the package index is reachable."""


def packages(stack: Stack, *, stage: Stage, service: str = "") -> list[lambda_.ILayerVersion]:
    """The layers of third-party packages: the layer of all functions, and the service's own, if it has one.

    The local cloud needs none, because functions use the virtual environment.
    """
    if stage.is_local:
        return []
    root = application().root
    own = root / f"requirements-lambda-{service}.txt"
    locks = {"Packages": root / _LOCK} | ({"OwnPackages": own} if own.exists() else {})
    return [
        lambda_.LayerVersion(
            stack,
            construct_id,
            code=lambda_.Code.from_asset(str(folder(lock))),
            compatible_architectures=[lambda_.Architecture.ARM_64],
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            description=f"Third-party packages, as locked in {lock.name}",
        )
        for construct_id, lock in locks.items()
    ]


@cache
def folder(lock: Path) -> Path:
    """The folder with a layer's content. It is built once for each lock file and interpreter, and then reused."""
    recipe = [lock.read_bytes(), Path(__file__).read_bytes(), str(interpreter() is not None).encode()]
    target = application().root / "build" / f"layer-{hashlib.sha256(b'|'.join(recipe)).hexdigest()[:16]}"
    if target.exists():
        return target
    print(f"building the layer of {lock.name} for {PLATFORM}, Python {RUNTIME} (once)", file=sys.stderr)
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        packages = Path(temporary, "python")
        _install(packages, lock)
        compile_folder(packages, _IN_LAMBDA)
        try:
            Path(temporary).rename(target)
        except OSError:
            if not target.exists():  # otherwise a concurrent synthesis has built the same layer
                raise
        Path(temporary).mkdir(exist_ok=True)
    return target


def _install(packages: Path, lock: Path) -> None:
    command = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--target", str(packages), "--python-platform", PLATFORM, "--python-version", RUNTIME]
    if subprocess.run([*command, "-r", str(lock)], check=False).returncode:
        raise LayerNotBuilt
    for leftover in ("bin", ".lock"):
        path = packages / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    # These files record the source and the installer of a package, and differ between machines.
    for record in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
        for file in packages.glob(f"*.dist-info/{record}"):
            file.unlink()
