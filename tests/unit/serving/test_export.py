"""What `mlplat model export` writes works by itself: the graph by its own README, the server by its own context."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from mlplat.bundle import digest, read_contract
from mlplat.errors import RefusedError, UsageError
from mlplat.runs import export
from mlplat.runs.catalogue import Catalogue, Version
from mlplat.serving.options import Options, parse


class Store:
    """A registry whose one version is a folder."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle

    def download(self, _source: str, folder: Path) -> None:
        shutil.copytree(self.bundle, folder)


Registered = Callable[[Path], tuple[Catalogue, Version]]


def registered(bundle: Path, **changes: str) -> tuple[Catalogue, Version]:
    made = Catalogue("http://127.0.0.1:1")
    made._server = cast("object", Store(bundle))  # type: ignore[assignment]
    known = {"model": "flights/late", "version": "3", "created": "", "gate": "passed", "commit": None, "run": ""}
    return made, Version(**known, aliases=[], **{"digest": digest(bundle), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["graph", "onnx"])
def test_a_graph_is_called_as_its_readme_says(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bundle: Path = request.getfixturevalue(f"{kind}_bundle")
    folder = tmp_path / "made"
    files = export.export(*registered(bundle), "onnx", folder)
    assert [file.as_posix() for file in files] == ["README.md", "mlplat.json", "model.onnx"]
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    # It holds each example against the answer that the contract gives; text columns of the one have nulls among them.
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == len(read_contract(bundle).examples) > 0


def test_a_version_without_a_graph_is_refused_and_leaves_nothing(pipeline_bundle: Path, tmp_path: Path) -> None:
    given = registered(pipeline_bundle, format_reason="it flips 3 labels")
    with pytest.raises(RefusedError, match="no ONNX graph: it is served as skops, since it flips 3 labels") as caught:
        export.export(*given, "onnx", tmp_path / "made")
    assert "--as image" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_an_image_is_built_from_a_server_and_exactly_the_bundle(pipeline_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    export.export(*registered(pipeline_bundle), "image", folder)
    assert digest(folder / "model") == digest(pipeline_bundle)
    dockerfile = (folder / "Dockerfile").read_text()
    copied = dict(re.findall(r"^COPY (\w\S*) (\S+)$", dockerfile, re.MULTILINE))
    assert copied == {"requirements.txt": "/build/", "code": "/opt/code", "model": "/opt/model"}
    assert all((folder / source).exists() for source in copied)
    (arguments,) = re.findall(r"^CMD (.*)$", dockerfile, re.MULTILINE)
    options: Options = parse(json.loads(arguments))
    assert (options.bundle, options.digest) == (Path(copied["model"]), digest(pipeline_bundle))
    assert (str(options.endpoint), options.model_version, options.host) == ("flights/late", "3", "0.0.0.0")
    assert f"EXPOSE {options.port}\n" in dockerfile
    assert f"127.0.0.1:{options.port}/v2/health/ready" in (folder / "README.md").read_text()


def test_the_code_beside_an_exported_model_serves_it_alone(pipeline_bundle: Path, tmp_path: Path) -> None:
    given, folder = registered(pipeline_bundle), tmp_path / "made"
    export.export(*given, "image", folder)
    program = (
        "import json, sys; from pathlib import Path; import mlplat; from mlplat.serving.model import load;"
        "assert Path(mlplat.__file__).is_relative_to(Path('code').resolve()), mlplat.__file__;"
        "found = load(Path('model'), digest=sys.argv[1]);"
        "print(len(found.predict([each.row for each in found.contract.examples])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, digest(pipeline_bundle)],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "code"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == str(len(read_contract(pipeline_bundle).examples)), done.stderr


def test_what_was_changed_since_it_was_registered_is_not_exported(pipeline_bundle: Path, tmp_path: Path) -> None:
    given = registered(pipeline_bundle, digest="sha256:another")
    with pytest.raises(RefusedError, match=r"holds sha256:.*, and was registered as sha256:another"):
        export.export(*given, "image", tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(graph_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="holds something already"):
        export.export(*registered(graph_bundle), "onnx", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
