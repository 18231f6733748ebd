"""Every hostile value in every field of every body, query and path: refused by name, nothing stored, nothing echoed."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.hostile.operations import Operation, Schema, Where, fields_of, path_of, sample_of
from tests.hostile.planted import Planted

MARK = "hunter2zz"
"""Part of every text that is sent, so that an echo is seen."""
UNCLEAN = {
    "NUL": f"{MARK}\0",
    "escape": f"{MARK}\x1b[31m",
    "lone high surrogate": f"{MARK}\ud800",
    "lone low surrogate": f"\udfff{MARK}",
    "right-to-left override": f"{MARK}\u202egpj",
    "isolate": f"\u2066{MARK}",
    "line separator": f"{MARK}\u2028{MARK}",
    "next line": f"{MARK}\x85{MARK}",
}
TEXTS = {
    **UNCLEAN,
    "empty": "",
    "blank": "   ",
    "digits": "12",
    "true in words": "true",
    "null in words": "null",
    "huge": MARK * 2_000,
    "many combining marks": "a" + "\u0301" * 3_000,
    "swelling when normalised": "\ufb2c" * 190,
    "beyond the basic plane": f"{MARK}\U0001f600",
    "year 1": "0001-01-01T00:00:00Z",
    "year 9999": "9999-12-31T23:59:59Z",
    "year 9999 elsewhere": "9999-12-31T23:59:59-14:00",
    "day of year 1": "0001-01-01",
    "day of year 9999": "9999-12-31",
    "no such day": "2026-02-30",
    "SQL": f"'; DROP TABLE customers; -- {MARK}",
    "template": "{{7*7}}${7*7}%s%n",
    "path": "../../../../etc/passwd",
    "not quite an id": "00000000-0000-0000-0000-00000000000g",
    "id of zeros": "00000000-0000-0000-0000-000000000000",
    "2^63 in words": str(2**63),
    "NaN in words": "NaN",
    "Infinity in words": "Infinity",
    "exponent in words": "1e400",
    "negative in words": "-1",
    "underscored": "1_0",
    "other digits": "١٢",
}
OTHERS = {
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -1,
    "fraction": 1.5,
    "NaN": math.nan,
    "Infinity": math.inf,
    "minus Infinity": -math.inf,
    "2^53": 2**53,
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "400 digits": 10**400,
    "list": [],
    "list of text": [MARK],
    "object": {},
    "object of another": {MARK: MARK},
    "deep": json.loads("[" * 200 + "]" * 200),
    "null": None,
}
JSON_VALUES = TEXTS | OTHERS
LONGEST_IN_URL = 2_000
YEAR_LIMITS = {"year 1", "year 9999", "year 9999 elsewhere", "day of year 1", "day of year 9999", "no such day"}


def must_be_refused(kind: str, value: Any, schema: Schema, *, as_text: bool) -> bool:
    """What no field takes, and what this field's schema does not allow."""
    if isinstance(value, float) and not math.isfinite(value):
        return True
    if kind in UNCLEAN:
        # In a URL or a form the bytes of a surrogate are no character, and are read as others.
        return not (as_text and "surrogate" in kind)
    if as_text and kind == "empty" and "anyOf" in schema:
        return False  # An empty field of a form is one that was left out.
    return not _fits(kind, value, schema)


def _fits(kind: str, value: Any, schema: Schema) -> bool:
    if "anyOf" in schema:
        return any(_fits(kind, value, each) for each in schema["anyOf"])
    if not Draft202012Validator(schema).is_valid(value):
        return False
    if schema.get("format") == "uuid" and isinstance(value, str):
        try:
            UUID(value)
        except ValueError:
            return False
    if schema.get("format") == "date-time" and isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return False
        return kind not in YEAR_LIMITS
    # A calendar day is a text with a pattern in a form.
    return not (schema.get("description") == "a day" and kind in YEAR_LIMITS)


def in_words(text: str, schema: Schema) -> Any:
    """What a query or path text stands for."""
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    if schema.get("type") in {"integer", "number"}:
        try:
            return json.loads(text.replace("_", ""))
        except ValueError:
            return text
    return text


def with_value(body: dict[str, Any], where: Where, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(body)
    inner = changed
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return dict(changed)


def dotted(where: Where) -> str:
    return ".".join(map(str, where))


def quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


class Sender:
    """Sends one operation with values put into its places."""

    def __init__(self, house: Planted, operation: Operation) -> None:
        self.operation, self.ids = operation, house.ids
        self.client = house.a_caller_of(operation)
        self.sample = sample_of(operation, house.ids)

    async def send(self, puts: dict[tuple[str, Where], Any]) -> httpx.Response:
        """`puts`: values by place (path, query, header, body) and field."""
        ids = {**self.ids, **{str(where[0]): _Raw(value) for (place, where), value in puts.items() if place == "path"}}
        path = path_of(self.operation, {name: _Raw.of(value) for name, value in ids.items()})
        query = "&".join(f"{where[0]}={quoted(value)}" for (place, where), value in puts.items() if place == "query")
        headers = {str(where[0]): value for (place, where), value in puts.items() if place == "header"}
        body = self.sample
        for (place, where), value in puts.items():
            if place == "body":
                assert body is not None
                body = with_value(body, where, value)
        url = httpx.URL(f"http://service{path}{'?' + query if query else ''}")
        method = self.operation.method
        if body is None:
            content = b"x" if self.operation.media_type else None
            typed = {"content-type": "application/octet-stream"} if content else {}
            return await self.client.request(method, url, content=content, headers={**typed, **headers})
        if self.operation.media_type == "multipart/form-data":
            fields = {name: str(value).encode("utf-8", "surrogatepass") for name, value in body.items()}
            files = {"evidence": ("receipt.pdf", b"%PDF-1.7\n", "application/pdf")}
            return await self.client.request(method, url, data=fields, files=files, headers=headers)
        typed = {"content-type": "application/json", **headers}
        return await self.client.request(method, url, content=json.dumps(body), headers=typed)


class _Raw:
    """A path part that is sent as it is, once quoted."""

    def __init__(self, value: Any) -> None:
        self._text = quoted(str(value))

    def __str__(self) -> str:
        return self._text

    @staticmethod
    def of(value: Any) -> Any:
        return value if isinstance(value, _Raw) else _Raw(value)


def places_of(operation: Operation) -> Iterator[tuple[tuple[str, Where], Schema]]:
    for (place, name), schema in operation.parameters.items():
        if place != "header":
            yield (place, (name,)), schema
    if operation.body is not None and operation.media_type != "application/octet-stream":
        for where, schema in fields_of(operation.body):
            if schema.get("format") != "binary" and where != ("evidence",):
                yield ("body", where), schema


def values_for(operation: Operation, place: str, schema: Schema) -> Iterator[tuple[str, Any, bool]]:
    """(kind, value, whether it must be refused)"""
    as_text = place in {"path", "query"} or operation.media_type == "multipart/form-data"
    for kind, long_value in (TEXTS if as_text else JSON_VALUES).items():
        value = long_value[:LONGEST_IN_URL] if place in {"path", "query"} else long_value
        if place == "path" and kind in {"empty", "path"}:
            continue  # Those are other paths.
        meant = in_words(value, schema) if as_text else value
        yield kind, value, must_be_refused(kind, meant, schema, as_text=as_text)


def inspect(answer: httpx.Response, label: Any) -> dict[str, Any]:
    """A refusal of the caller's fault that repeats nothing of what was sent."""
    assert 400 <= answer.status_code < 500, (label, answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json", label
    problem: dict[str, Any] = answer.json()
    shown = {name: value for name, value in problem.items() if name != "instance"}
    shown["errors"] = [error["reason"] for error in problem.get("errors", [])]
    shown.pop("detail")
    said = json.dumps([shown, [error["reason"] for error in problem.get("errors", [])]])
    assert MARK not in said, (label, said)
    assert "Traceback" not in said, label
    assert len(answer.content) < 20_000, label
    return problem


def named(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem.get("errors", [])}


async def test_what_no_field_takes_is_refused_by_its_name_and_leaves_nothing(house: Planted) -> None:
    wrong: list[Any] = []
    seen: set[str] = set()
    for operation in house.operations:
        sender, before = Sender(house, operation), await house.rows()
        leaves = list(places_of(operation))
        by_kind: dict[str, dict[tuple[str, Where], Any]] = {}
        for at, schema in leaves:
            shape = f"{at} {schema}"
            if operation.method == "GET" and shape in seen:
                continue  # Pages, ids and filters of the same name and form.
            seen.add(shape)
            for kind, value, refused in values_for(operation, at[0], schema):
                if refused:
                    by_kind.setdefault(kind, {})[at] = value
        for kind, puts in by_kind.items():
            # All fields at once that do not hold one another; those that the answer does not name, alone.
            together = {at: value for at, value in puts.items() if not any(_inside(at, other) for other in puts)}
            left = dict(puts)
            if len(together) > 1:
                answer = await sender.send(together)
                found = named(inspect(answer, (str(operation), kind)))
                left = {at: value for at, value in puts.items() if at not in together or not _names(found, at)}
            for at, value in left.items():
                answer = await sender.send({at: value})
                problem = inspect(answer, (str(operation), at, kind))
                if not _names(named(problem), at) and not (at[0] == "path" and answer.status_code == 404):
                    wrong.append((str(operation), at, kind, problem["code"], problem.get("errors")))
        assert await house.rows() == before, str(operation)
    assert not wrong, wrong[:10]


def _inside(at: tuple[str, Where], other: tuple[str, Where]) -> bool:
    return at != other and at[0] == other[0] and other[1][: len(at[1])] == at[1]


def _names(found: set[str], at: tuple[str, Where]) -> bool:
    return any(name == dotted(at[1]) or name.startswith(f"{dotted(at[1])}.") for name in found)


async def test_what_a_field_may_take_never_makes_a_fault(house: Planted) -> None:
    """Each alone in an otherwise good request: whatever the answer is, it is not ours to be sorry for."""
    seen: set[tuple[str, Where]] = set()
    for operation in house.operations:
        sender = Sender(house, operation)
        for at, schema in places_of(operation):
            if at in seen:
                continue
            if at[0] == "query":
                seen.add(at)  # Pages and filters are the same everywhere.
            for kind, value, refused in values_for(operation, at[0], schema):
                if not refused and at != ("query", ("wait_seconds",)):
                    answer = await sender.send({at: value})
                    assert answer.status_code < 500, (str(operation), at, kind, answer.text[:300])


async def test_an_unknown_field_is_refused_by_its_name(house: Planted) -> None:
    for operation in house.operations:
        sender, before = Sender(house, operation), await house.rows()
        if sender.sample is not None:
            for name in ("surplus", "__proto__", "constructor", "\ud800", "\0", "a" * 5_000):
                if operation.media_type == "multipart/form-data" and (not name.isprintable() or len(name) > 100):
                    continue
                answer = await sender.send({("body", (name,)): MARK})
                problem = inspect(answer, (str(operation), name))
                # A name that is no text at all is a fault of the whole body.
                known = "body" if name == "\ud800" else name[:100]
                assert known in named(problem), (str(operation), name, problem)
        if operation.method == "GET":
            answer = await sender.send({("query", ("surplus",)): MARK})
            assert "surplus" in named(inspect(answer, str(operation))), str(operation)
        assert await house.rows() == before, str(operation)


NOT_BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"hunter2zz"',
    "number": b"12",
    "NaN": b"NaN",
    "half": b'{"name": "hunter2zz',
    "two": b"{}{}",
    "not UTF-8": b'{"name": "\xff\xfehunter2zz"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "100,000 levels of lists": b"[" * 100_000,
    "20,000 levels of objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "100,000 items": b"[" + b"1," * 99_999 + b"1]",
    "an integer of 100,000 digits": b'{"name": ' + b"9" * 100_000 + b"}",
    "comments": b"/* hunter2zz */ {}",
    "a form": b"name=hunter2zz",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}


async def test_what_is_no_body_is_refused(house: Planted) -> None:
    for operation in house.operations:
        sender = Sender(house, operation)
        if sender.sample is None:
            continue
        before = await house.rows()
        path = path_of(operation, house.ids)
        optional = operation.name == "approve_payment"
        for kind, content in NOT_BODIES.items():
            for media_type in (operation.media_type or "", "text/plain", ""):
                if optional and kind in {"nothing", "null"}:
                    continue
                headers = {"content-type": media_type} if media_type else {}
                answer = await sender.client.request(operation.method, path, content=content, headers=headers)
                inspect(answer, (str(operation), kind, media_type))
        assert await house.rows() == before, str(operation)


async def test_the_fields_of_a_list_may_be_many_and_are_refused_at_once(house: Planted) -> None:
    """100,000 items where a list of a few is taken, within the size that a body may have."""
    for operation in house.operations:
        if operation.media_type != "application/json":
            continue
        sender = Sender(house, operation)
        for at, schema in places_of(operation):
            if schema.get("type") == "array":
                problem = inspect(await sender.send({at: [0] * 80_000}), (str(operation), at))
                assert _names(named(problem), at), (str(operation), at)


FILES: dict[str, tuple[Any, bytes, str]] = {
    "no name": ("", b"%PDF-1.7\n", "application/pdf"),
    "NUL in the name": (f"{MARK}\0.pdf", b"%PDF-1.7\n", "application/pdf"),
    "overriding name": (f"{MARK}\u202efdp.exe", b"%PDF-1.7\n", "application/pdf"),
    "a path for a name": ("../../../../etc/passwd", b"%PDF-1.7\n", "application/pdf"),
    "huge name": ("x" * 20_000 + ".pdf", b"%PDF-1.7\n", "application/pdf"),
    "name with line breaks": ("a\r\nX-Evil: 1\r\n.pdf", b"%PDF-1.7\n", "application/pdf"),
    "page": ("a.pdf", b"<html><script>alert(1)</script>", "application/pdf"),
    "program": ("a.pdf", b"MZ\x90\0", "application/pdf"),
    "declared otherwise": ("a.pdf", b"%PDF-1.7\n", "text/html"),
    "endless type": ("a.pdf", b"%PDF-1.7\n", "a/" + "b" * 5_000),
    "nothing": ("a.pdf", b"", "application/pdf"),
    "too large": ("a.pdf", b"%PDF-1.7\n" + b"x" * (5 * 1024 * 1024 + 1), "application/pdf"),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_hostile_file_is_refused_or_kept_harmlessly(house: Planted, kind: str) -> None:
    for operation in house.operations:
        if operation.media_type != "multipart/form-data":
            continue
        client, data = house.a_caller_of(operation), sample_of(operation, house.ids)
        assert data is not None
        data["bank_reference"] = f"file {kind}"
        answer = await client.post(operation.path, data=data, files={"evidence": FILES[kind]})
        assert answer.status_code < 500, answer.text
        if answer.status_code == 201:
            kept = await client.get(f"/v1/payments/{answer.json()['id']}/evidence")
            assert kept.status_code == 200
            assert kept.headers["content-disposition"].startswith("attachment;")
            assert "x-evil" not in kept.headers
            name = answer.json()["evidence"]["name"]
            assert "/" not in name
            assert name.isprintable()
            assert len(name) <= 255
        else:
            inspect(answer, kind)


async def test_forms_of_a_wrong_shape_are_refused(house: Planted) -> None:
    for operation in house.operations:
        if operation.media_type != "multipart/form-data":
            continue
        client, data, before = house.a_caller_of(operation), sample_of(operation, house.ids), await house.rows()
        assert data is not None
        pdf = ("a.pdf", b"%PDF-1.7\n", "application/pdf")
        for name in data:
            without = {key: value for key, value in data.items() if key != name}
            problem = inspect(await client.post(operation.path, data=without, files={name: pdf}), name)
            assert name in named(problem), (name, problem)
        problem = inspect(await client.post(operation.path, data=data | {"evidence": MARK}, files={"x": pdf}), "text")
        assert {"evidence", "x"} & named(problem), problem
        many = {**data, **{f"field{number}": "x" for number in range(2_000)}}
        inspect(await client.post(operation.path, data=many), "2,000 fields")
        inspect(await client.post(operation.path, files=[("evidence", pdf)] * 1_500), "1,500 files")
        long_field = {**data, "channel": "x" * 2_000_000}
        inspect(await client.post(operation.path, data=long_field, files={"evidence": pdf}), "a field of 2 MB")
        cut = b'--b\r\nContent-Disposition: form-data; name="channel"\r\n\r\nportal'
        headers = {"content-type": "multipart/form-data; boundary=b"}
        inspect(await client.post(operation.path, content=cut, headers=headers), "a form that stops")
        assert await house.rows() == before
