"""The OpenAPI description of the API, made from the routes and from the types of the answers."""

import inspect
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.routing import BaseRoute
from starlette.schemas import BaseSchemaGenerator

from producer.reading.formats.choice import FORMATS
from producer.serving.answers import Problem
from worker.contract.keys import ID
from worker.contract.messages import Event

JSON = "application/json"
EVENT_STREAM = "text/event-stream"

Schema = dict[str, Any]
Method = TypeVar("Method", bound=Callable[..., Any])

_ATTRIBUTE = "_described"

_PATH: dict[str, Schema] = {
    "lecture": {"type": "string", "pattern": f"^{ID}$"},
    "participant": {"type": "string", "pattern": f"^{ID}$"},
    "ending": {"enum": list(FORMATS)},
}
"""The schemas of names in an address; others are any text."""


class Body(Struct, frozen=True):
    """A body of a request or an answer: the media type, and the type of its JSON; None if it is not JSON."""

    media: str
    type: Any = None


class _Described(Struct, frozen=True):
    answers: Sequence[Body]
    status: int
    query: dict[str, Schema]
    body: Sequence[Body]


def described(
    *answers: Body, status: int = 200, query: dict[str, Schema] | None = None, body: Sequence[Body] = ()
) -> Callable[[Method], Method]:
    """Describe the endpoint of a route: its `answers`, with their `status`, the `query`, and the `body` that it takes.

    The first line of the endpoint's docstring is the summary, the rest is the description.
    """

    def describe(method: Method) -> Method:
        setattr(method, _ATTRIBUTE, _Described(answers, status, query or {}, body))
        return method

    return describe


def openapi(routes: list[BaseRoute]) -> Schema:
    """The OpenAPI 3.1 description of those `routes` whose endpoints are `described`."""
    found = [
        (each.path, each.http_method, each.func, getattr(each.func, _ATTRIBUTE))
        for each in BaseSchemaGenerator().get_endpoints(routes)
        if hasattr(each.func, _ATTRIBUTE)
    ]
    types = [each.type for *_, one in found for each in (*one.answers, *one.body) if each.type is not None]
    named = dict.fromkeys([*types, Problem, Event])
    schemas, components = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    for schema in components.values():
        if "description" in schema:  # a docstring
            schema["description"] = inspect.cleandoc(schema["description"])
    by_type = dict(zip(named, schemas, strict=True))
    paths: Schema = {}
    for path, method, endpoint, one in found:
        paths.setdefault(path, {})[method] = _operation(path, method, endpoint, one, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LecturePulse",
            "version": version("lecturepulse"),
            "description": "What faces display in a lecture, not what people feel. On loopback nothing is needed to "
            "read; elsewhere the token that `producer serve` prints.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _operation(path: str, method: str, endpoint: Any, one: _Described, by_type: dict[Any, Schema]) -> Schema:
    summary, _, more = (endpoint.__doc__ or "").strip().partition("\n\n")
    named = [
        {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, {"type": "string"})}
        for name in re.findall(r"{(\w+)}", path)
    ]
    asked = [{"name": name, "in": "query", "schema": schema} for name, schema in one.query.items()]
    answer: Schema = {"description": "Done" if one.answers else "Done, without a body"}
    if one.answers:
        answer["content"] = _content(one.answers, by_type)
    operation: Schema = {
        "operationId": f"{method}_{endpoint.__name__}",
        "summary": " ".join(summary.split()),
        "parameters": [*named, *asked],
        "responses": {
            str(one.status): answer,
            "default": {"description": "What is wrong", "content": {JSON: {"schema": by_type[Problem]}}},
        },
    }
    if any(each.media == EVENT_STREAM for each in one.answers):
        operation["responses"]["204"] = {"description": "The stream is over"}
    if more:
        operation["description"] = " ".join(more.split())
    if one.body:
        operation["requestBody"] = {"required": True, "content": _content(one.body, by_type)}
    return operation


def _content(bodies: Sequence[Body], by_type: dict[Any, Schema]) -> Schema:
    return {each.media: {} if each.type is None else {"schema": by_type[each.type]} for each in bodies}
