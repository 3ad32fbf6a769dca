"""The description of the API fits OpenAPI 3.1, the routes and the answers."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from jsonschema import Draft202012Validator

from producer.cells.connections import one_cell
from producer.serving.application import Site
from producer.serving.changing import Changes
from producer.serving.openapi import openapi
from tests.producer.reading.writing import write
from tests.producer.serving.server import serving

FILLED = {"lecture": "l", "participant": "p01", "ending": "csv"}


def get(address: str, **headers: str) -> httpx.Response:
    return httpx.get(address, headers=headers, timeout=60)


def test_the_description_is_valid_openapi(site: str) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    answer = get(f"{site}/api/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"] == "3.1.0"
    validator.OpenAPIV31SpecValidator(answer.json()).validate()


def test_every_route_of_the_api_is_described(client: redis.Redis, tmp_path: Path) -> None:
    routes = Site(one_cell(client), None, None, tmp_path).application(Changes(tmp_path, None, paths=True)).routes
    paths = openapi(routes)["paths"]
    there = {(each.path, method) for each in routes for method in each.methods if method != "HEAD"}  # type: ignore[attr-defined]
    described = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert described <= there
    missing = {path for path, _ in there - described}
    assert missing == {"/", "/static/{name}", "/lectures/{lecture}", "/lectures/{lecture}/stream", "/api/openapi.json"}
    assert all(operation["summary"] for methods in paths.values() for operation in methods.values())


def test_real_answers_fit_their_schemas(site: str, client: redis.Redis) -> None:
    write(client, "l", [["p01", "p02"], ["p01"]])
    spec = get(f"{site}/api/openapi.json").json()
    seen = set()
    for path, methods in spec["paths"].items():
        if "get" not in methods:
            continue
        address = re.sub(r"{(\w+)}", lambda found: FILLED[found[1]], path)
        answer = get(site + address)
        content = methods["get"]["responses"][str(answer.status_code)]["content"]
        if "application/json" in content:
            assert answer.json()
            _check(spec, content["application/json"]["schema"], answer.json())
            seen.add(path)
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "api/lectures/no", {}, 404),
        ("GET", "api/nothing", {}, 404),
        ("POST", "api/lectures", {}, 405),
        ("PUT", "api/lectures", {}, 405),
        ("GET", "api/lectures", {"Host": "elsewhere"}, 421),
        ("DELETE", "api/lectures/l", {"Origin": "http://elsewhere"}, 403),
        ("POST", "api/recordings", {"Content-Type": "text/plain"}, 400),
    ],
)
def test_every_error_has_the_described_form(
    site: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{site}/{path}", headers=headers, timeout=60)
    assert answer.status_code == status
    assert "allow" in answer.headers or status != 405
    spec = get(f"{site}/api/openapi.json").json()
    default = spec["paths"]["/api/lectures"]["get"]["responses"]["default"]
    _check(spec, default["content"]["application/json"]["schema"], answer.json())


def test_a_person_in_a_browser_gets_a_refusal_as_text(site: str) -> None:
    answer = get(f"{site}/api/lectures", Host="elsewhere", Accept="text/html,*/*;q=0.8")
    assert answer.text == "use the name localhost or 127.0.0.1 in the address\n"


def test_an_error_of_the_server_is_printed_and_answered_in_the_described_form(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Site, "home", lambda *_: 1 // 0)
    application = Site(one_cell(client), None, None, tmp_path).application(None)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
            return await browser.get("/")

    answer = asyncio.run(asked())
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its log says why"})
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_schema_of_an_event_refuses_what_is_none(site: str, client: redis.Redis) -> None:
    write(client, "l", [["p01"]])
    spec = get(f"{site}/api/openapi.json").json()
    page = get(f"{site}/api/lectures/l/participants/p01/events").json()
    schema = {"$ref": "#/components/schemas/Page"}
    _check(spec, schema, page)
    page["events"][0]["event"]["type"] = "sound"
    with pytest.raises(Exception, match="not valid under any"):
        _check(spec, schema, page)


def test_a_server_of_one_lecture_describes_only_what_it_allows(redis_url: str) -> None:
    with serving(redis_url, "l") as address:
        paths = get(f"{address}api/openapi.json").json()["paths"]
    assert {method for methods in paths.values() for method in methods} == {"get"}
    assert "/api/recordings" not in paths


def _check(spec: dict[str, Any], schema: dict[str, Any], answer: object) -> None:
    Draft202012Validator({**schema, "components": spec["components"]}).validate(answer)
