"""One of the platform's programs as a resource."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mlplat.errors import NotReadyError
from mlplat.files import state_dir
from mlplat.targets.local import ready, service
from mlplat.targets.local.provider.kind import WHO, Difference, Found, PartlyMadeError, Tell, Values, compare
from mlplat.targets.local.resolve import Resolved


class ServiceKind:
    """One of the platform's programs."""

    inputs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("program", "ready", "ports", "files", "live", "seeds"), "object"),
        "images": "array",
    }
    outputs: ClassVar[Mapping[str, str]] = {"address": "string", "running": "boolean"}

    def identity(self, inputs: Values) -> str:
        """Return `<platform>/<stack>/<service>`."""
        state = Path(inputs["program"]["directory"])
        return f"{state.parent.name}/{state.name}/{inputs['program']['name']}"

    def check(self, inputs: Values) -> list[tuple[str, str]]:
        """Return what is wrong with inputs, as property and reason."""
        try:
            Resolved.parse(inputs)
        except (KeyError, TypeError, AttributeError) as error:
            return [("program", f"is no service: {type(error).__name__} {error}")]
        return []

    def diff(self, _identity: str, olds: Values, news: Values) -> Difference:
        """Hold what is wanted against the files and the process that are here."""
        moved = tuple(
            f"program.{key}" for key in ("name", "directory") if _program(olds)[key] != _program(news).get(key)
        )
        found, known = self._found(olds), dict(compare(olds, news))
        if found is None:
            return Difference({"running": "update", **known}, moved, "is not installed here")
        here = dict(compare(found.inputs, news))
        if not found.outputs["running"]:
            return Difference({"running": "update", **known, **here}, moved, "does not run")
        drifted = [path for path in here if path not in known]
        return Difference({**known, **here}, moved, f"was changed here: {', '.join(drifted)}" if drifted else None)

    def create(self, news: Values, tell: Tell, *, preview: bool) -> tuple[str, Values]:
        """Bring the service up; one that runs as wanted already is taken over untouched."""
        return self.identity(news), self.update(news, tell, preview=preview)

    def update(self, news: Values, tell: Tell, *, preview: bool) -> Values:
        """Bring the service to what is wanted, and wait until it is ready."""
        resolved = Resolved.parse(news)
        outputs = {**news, "address": ready.address(resolved), "running": True}
        if not preview:
            try:
                service.bring(Path(resolved.program.directory), [resolved], tell, who=WHO)
            except NotReadyError as error:
                raise PartlyMadeError(error, self.identity(news), news, {**outputs, "running": False}) from error
        return outputs

    def read(self, identity: str, inputs: Values) -> Found | None:
        """Return the service as it is here."""
        platform, stack, name = identity.split("/")
        return self._found(inputs or {"program": {"directory": str(state_dir() / platform / stack), "name": name}})

    def _found(self, inputs: Values) -> Found | None:
        state, name = Path(_program(inputs)["directory"]), _program(inputs)["name"]
        found = service.read(state, name)
        if found is None:
            return None
        document, alive = found.document(), service.runs(state, name)
        return Found(self.identity(document), document, {**document, "address": ready.address(found), "running": alive})

    def delete(self, _identity: str, outputs: Values) -> None:
        """End the service; what it keeps stays."""
        service.remove(Path(_program(outputs)["directory"]), _program(outputs)["name"], who=WHO)


def _program(values: Values) -> dict[str, Any]:
    found: dict[str, Any] = values["program"]
    return found
