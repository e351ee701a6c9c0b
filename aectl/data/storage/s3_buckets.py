"""Many objects of S3: lists of them in little memory, and reads by obstore, which take a seventh
of the processor time of s3fs; with the credentials, the region and the address that s3fs has found.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aectl.data.storage.entries import Entry, seconds_for

if TYPE_CHECKING:
    from obstore.store import S3Credential

PROTOCOLS = ("s3", "s3a")

FRESH = timedelta(minutes=5)
"""The time after which s3fs is asked for its credentials again, which it renews."""

MOST_FAILURES = 16
"""The number of reads that may fail before s3fs alone reads."""


class FastReads:
    """Reads of the objects of a bucket; `system` is that of s3fs.

    Raises any exception where obstore is not installed, or s3fs has no credentials.
    """

    def __init__(self, system: Any, bucket: str) -> None:
        from fsspec.asyn import sync
        from obstore.store import S3Store

        client = sync(system.loop, system.set_session)
        self._credentials = sync(system.loop, system.session.get_credentials)
        self._sync, self._loop, self._failures = sync, system.loop, 0
        address = client.meta.endpoint_url
        self._store = S3Store(
            bucket,
            endpoint=address,
            region=client.meta.region_name or "us-east-1",
            client_options={
                "allow_http": address.startswith("http://"),
                "timeout": f"{math.ceil(1000 * seconds_for(1 << 20))}ms",
            },
            retry_config={"max_retries": 0},
            credential_provider=self._provided,
        )
        self._provided()

    def _provided(self) -> "S3Credential":
        """The credentials that s3fs uses."""
        found = self._sync(self._loop, self._credentials.get_frozen_credentials)
        return {
            "access_key_id": found.access_key,
            "secret_access_key": found.secret_key,
            "token": found.token,
            "expires_at": datetime.now(UTC) + FRESH,
        }

    def read(self, key: str, most: int) -> bytes | None:
        """The content of an object; None where s3fs has to read it: after another failure than
        that nothing is there, or if it has more than `most` bytes.

        Raises FileNotFoundError.
        """
        import obstore

        if self._failures > MOST_FAILURES:
            return None
        try:
            found = obstore.get(self._store, key)
            return bytes(found.bytes()) if found.meta["size"] <= most else None
        except FileNotFoundError:
            raise
        except Exception:
            self._failures += 1
            return None


async def listed(system: Any, path: str) -> list[Entry]:
    """The entries of a folder, page by page: s3fs keeps five times as much of each as is needed.

    Raises OSError.
    """
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    bucket, key, _ = system.split_path(path)
    prefix = f"{key.rstrip('/')}/" if key else ""
    client = await system.set_session()
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter="/", **system.req_kw
    )
    found: list[Entry] = []
    try:
        async for page in pages:
            folders = (one["Prefix"][len(prefix) : -1] for one in page.get("CommonPrefixes", ()))
            found += (Entry(name, 0, is_folder=True) for name in folders if name)
            files = ((one["Key"][len(prefix) :], one["Size"]) for one in page.get("Contents", ()))
            found += (Entry(name, size) for name, size in files if name)
    except ClientError as error:
        raise translate_boto_error(error) from None
    return found


def fast_reads(system: Any, protocol: str, bucket: str) -> FastReads | None:
    """The reads of a bucket of S3; None for others, and where s3fs alone has to read."""
    if protocol not in PROTOCOLS:
        return None
    try:
        return FastReads(system, bucket)
    except Exception:  # of whatever is missing, s3fs gives the message
        return None
