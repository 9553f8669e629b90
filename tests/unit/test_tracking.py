from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mlplat.errors import RefusedError, UnreachableError
from mlplat.tracking import AbsentError, Tracking, artifact_path


def tracking(answer: Callable[[httpx.Request], httpx.Response]) -> Tracking:
    return Tracking("http://tracking/", httpx.Client(transport=httpx.MockTransport(answer)))


def test_a_search_goes_on_until_the_last_page() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page_token", "0"))
        asked.append(request.url.params.get("filter"))
        return httpx.Response(200, json={"runs": [{"run": page}], "next_page_token": str(page + 1) if page < 2 else ""})

    assert list(tracking(answer).search("runs/search", "runs", filter="x")) == [{"run": 0}, {"run": 1}, {"run": 2}]
    assert asked == ["x", "x", "x"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, AbsentError),
        (400, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, AbsentError),
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}, RefusedError),
        (503, {}, UnreachableError),
    ],
)
def test_errors_tell_what_is_not_there_from_what_is_refused_and_what_is_down(
    status: int, body: dict[str, str], expected: type[Exception]
) -> None:
    with pytest.raises(expected) as caught:
        tracking(lambda _: httpx.Response(status, json=body)).get("runs/get", run_id="r")
    assert type(caught.value) is expected


@pytest.mark.parametrize("text", ["<html>another server</html>", "[]"])
def test_what_is_no_tracking_server_is_told_and_not_read(text: str) -> None:
    with pytest.raises(UnreachableError, match="no tracking server"):
        tracking(lambda _: httpx.Response(200, text=text)).get("runs/get", run_id="r")


def test_a_download_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "path" in request.url.params:
            return httpx.Response(200, json={"files": [{"path": "a"}]})
        raise httpx.ReadError("the server ended")

    with pytest.raises(UnreachableError, match="the server ended"):
        tracking(answer).download("mlflow-artifacts:/1/r/artifacts/model", tmp_path)


def test_only_the_servers_own_artifacts_have_a_path() -> None:
    assert artifact_path("mlflow-artifacts:/1/r/artifacts/model") == "1/r/artifacts/model"
    with pytest.raises(RefusedError, match="s3://elsewhere"):
        artifact_path("s3://elsewhere/model")


def test_one_file_of_an_artifact_is_asked_for_where_the_server_keeps_it() -> None:
    found = tracking(lambda request: httpx.Response(200, text=request.url.path))
    path = found.artifact("mlflow-artifacts:/1/run/artifacts/model", "mlplat.json").decode()
    assert path == "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/model/mlplat.json"
