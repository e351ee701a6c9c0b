"""Servers on this machine that stand for Google Cloud Storage and for Azure Blob Storage."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of the account of Azurite, from its documentation."""

SECONDS = 20


def google_settings(address: str) -> dict[str, str]:
    """Environment variables with the address of a server that stands for Google Cloud Storage; none
    names a machine of Google."""
    return {"STORAGE_EMULATOR_HOST": address, "NO_GCE_CHECK": "true"}


def azure_settings(address: str, key: str = KEY) -> dict[str, str]:
    """Environment variables with the address of a server that stands for Azure Blob Storage."""
    account = "devstoreaccount1"
    return {
        "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;"
        f"AccountName={account};AccountKey={key};BlobEndpoint={address}/{account};"
    }


@contextlib.contextmanager
def cloud(protocol: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with an empty bucket or container, which the environment names; gives its URL."""
    from aectl.data.storage import drivers

    serve = {"gs": google, "az": azure}[protocol]
    with serve() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        drivers._objects.cache_clear()
        system(protocol).mkdir("made")
        yield f"{protocol}://made"
    drivers._objects.cache_clear()


def system(url: str) -> Any:
    """The file system of a cloud, as its own package gives it."""
    if url.startswith("gs"):
        from gcsfs.core import GCSFileSystem as System
    else:
        from adlfs import AzureBlobFileSystem as System
    return System(skip_instance_cache=True, use_listings_cache=False)


@contextlib.contextmanager
def google() -> Iterator[dict[str, str]]:
    """The environment that names a server of Google, which is started."""
    reason = "gcsfs and gcp-storage-emulator are not installed: pip install -e '.[dev]'"
    pytest.importorskip("gcsfs", reason=reason)
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason=reason)
    port = free_port()
    with emulator.create_server("127.0.0.1", port, in_memory=True):
        yield google_settings(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def azure() -> Iterator[dict[str, str]]:
    """The environment that names a server of Azure, which is started."""
    pytest.importorskip("adlfs", reason="adlfs is not installed: pip install -e '.[dev]'")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on the path: npm install azurite")
    port = free_port()
    command = [program, "--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]
    command += ["--disableTelemetry", "--blobPort", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield azure_settings(f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


def free_port() -> int:
    """The number of a port that nothing listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until a server listens at a port."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens at {port}")
