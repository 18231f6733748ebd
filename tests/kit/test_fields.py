"""Hostile values are refused at the edge, alike on SQLite and PostgreSQL, and honest ones come back whole."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.kit.auth import Role
from shared.kit.fields import Line, Paragraph
from tests.kit.support import count
from tests.support.service import ServiceUnderTest

HOSTILE: list[tuple[str, str]] = [
    ("whole", "true"),
    ("whole", '"12"'),
    ("whole", "12.0"),
    ("whole", "1e3"),
    ("whole", "NaN"),
    ("whole", "Infinity"),
    ("whole", str(2**53)),
    ("whole", str(2**63)),
    ("whole", "9" * 5000),
    ("flag", "1"),
    ("flag", '"true"'),
    ("amount", '{"minor": true, "currency": "EUR"}'),
    ("amount", '{"minor": 0, "currency": "EUR"}'),
    ("amount", '{"minor": -1, "currency": "EUR"}'),
    ("amount", f'{{"minor": {10**15 + 1}, "currency": "EUR"}}'),
    ("amount", '{"minor": 1, "currency": "eur"}'),
    ("amount", '{"minor": 1, "currency": "XXX"}'),
    ("amount", '{"minor": 1, "currency": "EUR\\n"}'),
    ("amount", '{"minor": 1.5, "currency": "EUR"}'),
    ("line", r'"a\u0000b"'),
    ("line", r'"a\ud800b"'),
    ("line", r'"a\u202eb"'),
    ("line", r'"a\nb"'),
    ("line", r'"a\u2028b"'),
    ("line", r'"a\u0085b"'),
    ("line", '"   "'),
    ("line", "12"),
    ("line", f'"{"x" * 201}"'),
    ("line", f'"{chr(0xFB2C) * 200}"'),  # three times as long once it is normalised
    ("paragraph", r'"a\u0000b"'),
    ("paragraph", r'"a\ud800b"'),
    ("paragraph", f'"{"x" * 4001}"'),
    ("code", '"Backup"'),
    ("code", '"../etc"'),
    ("code", r'"backup\n"'),
    ("sha256", f'"{"A" * 64}"'),
    ("when", "1893456000"),
    ("when", '"1893456000"'),
    ("when", '"2030-01-01"'),
    ("when", '"2030-01-01T00:00:00"'),
    ("when", '"2030-02-30T00:00:00Z"'),
    ("when", '"0001-01-01T00:00:00+14:00"'),
    ("when", '"0001-01-01T00:00:00Z"'),
    ("when", '"9999-12-31T23:59:59Z"'),
    ("when", '"9999-12-31T23:59:59-12:00"'),
    ("when", '"1969-12-31T23:59:59Z"'),
    ("unknown", "1"),
]
HONEST: list[tuple[str, str, Any]] = [
    ("line", '"  Ärzte 你好 👩‍👩‍👧  "', "Ärzte 你好 👩‍👩‍👧"),
    ("line", r'"e\u0301"', "é"),
    ("line", f'"{chr(0x1F600) * 200}"', "😀" * 200),
    ("paragraph", r'"one\n\ttwo"', "one\n\ttwo"),
    ("whole", str(2**53 - 1), 2**53 - 1),
    ("when", '"2030-01-01T01:00:00.123456+01:00"', "2030-01-01T00:00:00.123456Z"),
    ("when", '"1970-01-01T00:00:00Z"', "1970-01-01T00:00:00Z"),
    ("amount", '{"minor": 1, "currency": "JPY"}', {"minor": 1, "currency": "JPY", "text": "1 JPY"}),
]


async def send(service: ServiceUnderTest, name: str, value: str) -> Any:
    return await service.as_role(Role.SUPPORT).post(
        "/v1/parcels/everything",
        content=f'{{"{name}": {value}}}'.encode(),
        headers={"content-type": "application/json"},
    )


async def test_a_hostile_value_is_refused_and_not_stored(service: ServiceUnderTest) -> None:
    let_through = []
    for name, value in HOSTILE:
        answer = await send(service, name, value)
        if answer.status_code not in {400, 422} or answer.json()["code"] != "MalformedRequest":
            let_through.append((name, value[:40], answer.status_code))
    assert not let_through
    assert await count(service) == 0


async def test_an_honest_value_comes_back_whole(service: ServiceUnderTest) -> None:
    changed = []
    for name, value, expected in HONEST:
        answer = await send(service, name, value)
        if answer.status_code != 200 or answer.json()[name] != expected:
            changed.append((name, value, answer.text))
    assert not changed


@given(st.text(max_size=300))
def test_a_line_that_gets_in_fits_its_column_and_one_line(text: str) -> None:
    try:
        line = TypeAdapter(Line).validate_python(text)
    except ValidationError:
        return
    assert 1 <= len(line) <= 200
    assert len(line.splitlines()) == 1
    assert "\0" not in line
    line.encode()
    assert TypeAdapter(Line).validate_python(line) == line


@given(st.text(max_size=300))
def test_a_paragraph_that_gets_in_can_be_stored(text: str) -> None:
    try:
        paragraph = TypeAdapter(Paragraph).validate_python(text)
    except ValidationError:
        return
    assert "\0" not in paragraph
    paragraph.encode()
