"""The OpenAPI document, made from the routes and the messages themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from rhdesk.server.route import Route
from rhdesk.server.routes import ALWAYS, ROUTES
from rhdesk.wire.store import API, Fault

_REFERENCES = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """What ``GET /v1/openapi.json`` answers: OpenAPI 3.1."""
    messages = [kind for route in ROUTES for kind in _messages(route)]
    schemas, components = msgspec.json.schema_components(
        [Fault, *messages], ref_template=_REFERENCES
    )
    by_message = dict(zip(map(_key, [Fault, *messages]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_message)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The remote store of rhdesk",
            "version": str(API),
            "description": f"Protocol {API}. Every route wants a token.",
        },
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.told,
        "parameters": [
            {
                "name": p.name,
                "in": p.where,
                "required": p.required,
                "schema": p.schema,
                **({"description": p.told} if p.told else {}),
            }
            for p in route.parameters
        ],
        "responses": _responses(route, schemas),
    }
    if route.takes is bytes:
        binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        told["requestBody"] = {"required": True, "content": binary}
    elif route.takes is not None:
        content = {"application/json": {"schema": schemas[_key(route.takes)]}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answers = [*((status, Fault) for status in ALWAYS), *route.answers]
    found: dict[str, Any] = {}
    for status, kind in answers:
        response = found.setdefault(
            str(status), {"description": ALWAYS.get(status, "As the schema tells.")}
        )
        for media, told in _content(route, kind, schemas).items():
            content = response.setdefault("content", {})
            before = content.get(media)
            content[media] = (
                {"schema": {"anyOf": [before["schema"], told["schema"]]}} if before else told
            )
    return found


def _content(route: Route, kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if kind is None or route.method == "HEAD":
        return {}
    if kind is bytes:
        schema = {"type": "string", "format": "binary"}
        return {"application/octet-stream": {"schema": schema}}
    if kind is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": schemas[_key(kind)]}}


def _messages(route: Route) -> list[Any]:
    kinds = [route.takes, *(kind for _, kind in route.answers)]
    return [kind for kind in kinds if kind not in (None, bytes, str)]


def _key(kind: Any) -> str:
    return repr(kind)
