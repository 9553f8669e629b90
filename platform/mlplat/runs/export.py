"""A model version for the world outside: its ONNX graph with what calls it, or the context of a server's image.

Both are the bytes that the gate judged, fetched by digest; neither needs the platform afterwards.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from mlplat.bundle import CONTRACT_FILE, UNKNOWN_TEXT, Contract, read_contract
from mlplat.errors import RefusedError, UsageError
from mlplat.files import writing
from mlplat.images import catalogue, context
from mlplat.runs.catalogue import Catalogue, Version

README = "README.md"
MODEL = "model"
PORT = 8080


def export(registry: Catalogue, version: Version, form: str, folder: Path) -> list[Path]:
    """Write a version as `onnx` or as `image` into a new folder; return its files, relative to it.

    Raises `UsageError` for a folder that holds something, `RefusedError` for a version without that form.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something already", hint="name a folder that is empty, or not there yet")
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that it gets there whole or not at all.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as near:
            bundle, made = Path(near, "bundle"), Path(near, "made")
            registry.fetch(version, bundle)
            made.mkdir()
            {"onnx": _onnx, "image": _image}[form](version, bundle, made)
            made.chmod(0o755)
            made.replace(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _onnx(version: Version, bundle: Path, made: Path) -> None:
    contract = read_contract(bundle)
    if contract.format != "onnx":
        raise RefusedError(
            f"{version.model} version {version.version} has no ONNX graph: it is served as {contract.format}"
            + (f", since {version.format_reason}" if version.format_reason else ""),
            hint="`--as image` takes any version; with `serving.format: onnx` the gate refuses a model like this one",
        )
    shutil.copy(bundle / contract.file, made / contract.file)
    shutil.copy(bundle / CONTRACT_FILE, made / CONTRACT_FILE)
    (made / README).write_text(_onnx_readme(version, contract), encoding="utf-8")


def _onnx_readme(version: Version, contract: Contract) -> str:
    made_with = contract.environment.get("onnxruntime")
    return f"""# {version.model}, version {version.version}

`{contract.file}` answers as the model that the gate judged: bundle `{version.digest}`.
`{CONTRACT_FILE}` holds its columns, classes, threshold, and a few rows with the answers that it gave.

Needs `numpy` and `onnxruntime`{f" (it was judged with {made_with})" if made_with else ""}. From this folder:

```python
import json

import numpy as np
import onnxruntime

contract = json.load(open("{CONTRACT_FILE}"))
session = onnxruntime.InferenceSession("{contract.file}", providers=["CPUExecutionProvider"])


{_feed(contract)}

{_answer(contract)}

for example in contract["examples"]:
    assert np.isclose(predict([example["row"]])[0], example["prediction"], rtol=1e-5, atol=1e-5)
print(predict([example["row"] for example in contract["examples"]]))
```
"""


def _feed(contract: Contract) -> str:
    if not contract.frame:
        return """def feed(rows):
    names = [column["name"] for column in contract["columns"]]
    values = [[np.nan if row[name] is None else row[name] for name in names] for row in rows]
    (tensor,) = session.get_inputs()
    return {tensor.name: np.array(values, dtype=np.float32 if tensor.type == "tensor(float)" else np.float64)}
"""
    return f'''def value(given, type_):
    """A null is NaN among numbers; among texts it is a text of its own, which no real row can mean."""
    if type_ != "tensor(string)":
        return np.nan if given is None else given
    if given is None:
        return contract["null_text"]
    return {json.dumps(UNKNOWN_TEXT)} if given == contract["null_text"] else given


def feed(rows):
    types = {{"tensor(string)": object, "tensor(float)": np.float32, "tensor(double)": np.float64}}
    types |= {{"tensor(int64)": np.int64, "tensor(bool)": np.bool_}}
    return {{
        tensor.name: np.array([[value(row[tensor.name], tensor.type)] for row in rows], dtype=types[tensor.type])
        for tensor in session.get_inputs()
    }}
'''


def _answer(contract: Contract) -> str:
    if contract.task == "regression":
        return '''def predict(rows):
    """Return the value of each row."""
    return session.run([session.get_outputs()[0].name], feed(rows))[0].reshape(-1)
'''
    return '''def predict(rows):
    """Return the probability of `classes[1]` for each row; from `threshold` on it is the label."""
    name = next(each.name for each in session.get_outputs() if each.type in ("tensor(float)", "tensor(double)"))
    place = sorted(contract["classes"]).index(contract["classes"][1])
    return session.run([name], feed(rows))[0][:, place]
'''


def _image(version: Version, bundle: Path, made: Path) -> None:
    context.write(catalogue.find("serving"), made)
    shutil.copytree(bundle, made / MODEL)
    dockerfile = made / context.DOCKERFILE
    dockerfile.write_text(dockerfile.read_text(encoding="utf-8") + _serving(version), encoding="utf-8")
    (made / README).write_text(_image_readme(version), encoding="utf-8")


def command(version: Version, *, bundle: str, port: int, host: str) -> list[str]:
    """Return the arguments of a model server of a version, whose bundle lies in the folder `bundle`."""
    options = {
        "--bundle": bundle,
        "--digest": str(version.digest),
        "--endpoint": version.model,
        "--revision": version.version,
        "--model-version": version.version,
        "--host": host,
        "--port": str(port),
    }
    return [word for option in options.items() for word in option]


def _serving(version: Version) -> str:
    arguments = command(version, bundle=f"/opt/{MODEL}", port=PORT, host="0.0.0.0")  # noqa: S104 - in a container
    return f"""# The model lies in the image: it starts without a registry, and refuses to if a byte of it was changed.
COPY {MODEL} /opt/{MODEL}
EXPOSE {PORT}
CMD {json.dumps(arguments)}
"""


def _image_readme(version: Version) -> str:
    tag = f"{version.model}:{version.version}"
    return f"""# {version.model}, version {version.version}, as an image

A model server with the bundle `{version.digest}` inside. docker, podman and buildah build it alike:

```sh
docker build --tag {tag} .
docker run --publish {PORT}:{PORT} {tag}
curl http://127.0.0.1:{PORT}/v2/health/ready
```

`model/{CONTRACT_FILE}` holds the columns, and a few rows with their answers.
"""
