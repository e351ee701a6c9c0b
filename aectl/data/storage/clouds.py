"""Drivers of cloud storages, without their own retries, and without requests that aectl does not
need."""

from types import MethodType
from typing import Any

GOOGLE = ("gs", "gcs")


def class_of(protocol: str) -> Any:
    """The class of the driver of a protocol. Raises ValueError for an unknown protocol, and
    ImportError where the driver is not installed."""
    from fsspec import get_filesystem_class

    kind = get_filesystem_class(protocol)
    if protocol in GOOGLE:  # the usual class asks for the type of the bucket again and again
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem
    return kind


def without_retries(system: Any) -> None:
    """Makes a driver send each request once; `entries.patiently` repeats those that fail."""
    if hasattr(system, "retries"):
        system.retries = 1
    once = getattr(getattr(type(system), "_request", None), "__wrapped__", None)
    if once is not None:  # Google Cloud Storage
        system._request = MethodType(once, system)
    client = getattr(system, "service_client", None)
    policy = getattr(getattr(client, "_config", None), "retry_policy", None)
    if policy is not None:  # Azure
        policy.total_retries = 0
