"""`python -m mlplat.serving.fetch`: bring a bundle from the object store, before the model server starts.

The archive was published by the controller under its digest (`mlplat.controller.kubernetes.bundles`), so a server
starts while everything but the object store is down. What arrives is believed only when it has that digest.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mlplat import bundle
from mlplat.archive import extract
from mlplat.errors import MlplatError, RefusedError, UnreachableError

CONNECT_SECONDS, READ_SECONDS = 5, 60
TRIES = 5
"""With growing pauses, some twenty seconds: what lasts longer is Kubernetes' to try again."""
CHUNK = 1 << 20
UNPACKED_BYTES = 16 << 30
"""More than any model's files: an archive that claims them is refused before the disk is full."""
HINT = "`mlplat rollout history` says which version it is; `mlplat deploy` publishes it again"


@dataclass(frozen=True)
class Options:
    """Which bundle, from where, and where it is put."""

    bucket: str
    key: str
    digest: str
    folder: Path


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; leaves with exit code 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.serving.fetch", description="Fetch one bundle.")
    parser.add_argument("--bucket", required=True, help="bucket that holds it")
    parser.add_argument("--key", required=True, help="key of its archive")
    parser.add_argument("--digest", required=True, help="digest that its files have to have, sha256:…")
    parser.add_argument("--folder", type=Path, required=True, help="where its files are put")
    return Options(**vars(parser.parse_args(arguments)))


def client() -> Any:
    """Return a client of the object store that the environment names (`AWS_ENDPOINT_URL_S3`, or AWS's own)."""
    import boto3
    from botocore.config import Config

    tries = {"mode": "standard", "total_max_attempts": TRIES}
    # Names of buckets in the path: a store other than AWS's has no name for each of them.
    style = {"addressing_style": "path"}
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=tries, s3=style)
    return boto3.client("s3", config=config)


def fetch(options: Options, objects: Any) -> Path:
    """Bring the bundle's files to the folder, whole or not at all; what is there and has the digest stays.

    Raises `RefusedError` when there is none, or another one, `UnreachableError` when the object store does not answer.
    """
    if bundle.holds(options.folder, options.digest):
        return options.folder
    if options.folder.is_dir():
        shutil.rmtree(options.folder)
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=options.folder.parent) as temporary:
        archive, files = Path(temporary) / "archive", Path(temporary) / "files"
        with archive.open("wb") as file:
            download(objects, options.bucket, options.key, file)
        unpack(archive, files)
        archive.unlink()
        found = bundle.digest(files)
        if found != options.digest:
            raise RefusedError(f"s3://{options.bucket}/{options.key} holds {found}, not {options.digest}", hint=HINT)
        files.rename(options.folder)
    return options.folder


def download(objects: Any, bucket: str, key: str, file: IO[bytes]) -> None:
    """Write an object into a file. Raises `RefusedError`, `UnreachableError`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    where = f"s3://{bucket}/{key}"
    try:
        body = objects.get_object(Bucket=bucket, Key=key)["Body"]
        for chunk in body.iter_chunks(CHUNK):
            file.write(chunk)
    except ClientError as error:
        raise _refusal(where, error.response) from error
    except (BotoCoreError, HTTPError) as error:
        raise UnreachableError(f"{where} cannot be read: {error}") from error


def _refusal(where: str, response: Any) -> MlplatError:
    code = response["Error"].get("Code", "")
    status = response["ResponseMetadata"].get("HTTPStatusCode", 500)
    if code in ("NoSuchKey", "NoSuchBucket", "404"):
        return RefusedError(f"{where} is not there", hint=HINT)
    if status in (401, 403):
        hint = "the service account needs `s3:GetObject` on it, or its secret has other keys than the store"
        return RefusedError(f"{where} may not be read: {code}", hint=hint)
    return UnreachableError(f"{where} cannot be read: {code or status}")


def unpack(archive: Path, folder: Path) -> None:
    """Put the files of an archive into a new folder. Raises `RefusedError` for one that is more than plain files."""
    folder.mkdir()
    try:
        with tarfile.open(archive) as packed:
            members = packed.getmembers()
            if odd := [each.name for each in members if not _is_plain(each)]:
                raise RefusedError(f"the archive holds `{odd[0]}`, which is no plain file of its own")
            if sum(each.size for each in members) > UNPACKED_BYTES:
                raise RefusedError(f"the archive's files have more than {UNPACKED_BYTES >> 30} GiB")
            extract(packed, folder)
    except tarfile.TarError as error:
        raise RefusedError(f"the archive cannot be read: {error}", hint=HINT) from error


def _is_plain(member: tarfile.TarInfo) -> bool:
    return (member.isreg() or member.isdir()) and not member.name.startswith("/")


def main() -> int:
    """Fetch the bundle that the command line names; return the exit code."""
    options = parse()
    try:
        fetch(options, client())
    except MlplatError as error:
        print(f"error: {error.told()}", file=sys.stderr)  # noqa: T201 - its log
        return 1
    except OSError as error:
        print(f"error: {options.folder}: {error}", file=sys.stderr)  # noqa: T201 - its log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
