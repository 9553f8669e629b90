"""One bucket, as the controller uses it: what it is refused, or not answered, is an error that names the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.errors import RefusedError, UnreachableError

PAGE = 1000
"""Objects that one call may name (S3)."""


class Bucket:
    """A bucket's objects by key. Methods raise `UnreachableError`, `RefusedError`."""

    def __init__(self, objects: Any, name: str) -> None:
        self._objects, self.name = objects, name

    def put(self, key: str, body: Any) -> None:
        """Write an object whole."""
        self._call("put_object", Key=key, Body=body)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of each object whose key begins with `prefix`, by key."""
        found: dict[str, int] = {}
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            found |= {each["Key"]: each.get("Size", 0) for each in page.get("Contents", [])}
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        for start in range(0, len(keys), PAGE):
            named = [{"Key": each} for each in keys[start : start + PAGE]]
            self._call("delete_objects", Delete={"Objects": named, "Quiet": True})

    def _call(self, name: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._objects, name)(Bucket=self.name, **arguments)
        except ClientError as error:
            code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]
            said = f"s3://{self.name}: {name} is answered with {code}"
            if status.get("HTTPStatusCode") in (401, 403):
                raise RefusedError(said, hint="the controller's account needs the right to it") from error
            raise UnreachableError(said) from error
        except BotoCoreError as error:
            raise UnreachableError(f"s3://{self.name} does not answer: {error}") from error
