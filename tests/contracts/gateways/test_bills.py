"""Software bills of materials as tools write them, and as nobody should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.contracts.domain.software import (
    MOST_COMPONENTS,
    Component,
    Source,
    TooMuchSoftware,
    UnknownLicence,
    UnreadableBill,
)
from services.contracts.gateways import bills
from shared.kernel.errors import Refusal

CYCLONE: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {"component": {"type": "application", "name": "the server itself"}},
    "components": [
        {
            "type": "library",
            "group": "@angular",
            "name": "core",
            "version": "18.0.0",
            "purl": "pkg:npm/%40angular/core@18.0.0",
            "licenses": [{"license": {"id": "MIT", "text": {"content": "Permission is hereby granted"}}}],
            "components": [{"type": "library", "name": "inner", "licenses": [{"expression": "mit or apache-2.0"}]}],
        },
        {"type": "application", "name": "shop", "licenses": [{"license": {"name": "Our own, 2024"}}]},
        {"type": "file", "name": "/etc/passwd"},
        {"type": "operating-system", "name": "debian", "version": "12", "properties": [{"name": "a", "value": "b"}]},
        {"type": "operating-system", "name": "debian", "version": "12"},
    ],
    "dependencies": [{"ref": "nobody"}],
}
LISTED = [
    Component(name="@angular/core", version="18.0.0", licence="MIT", purl="pkg:npm/%40angular/core@18.0.0"),
    Component(name="inner", licence="MIT OR Apache-2.0"),
    Component(name="shop", licence="LicenseRef-Our-own-2024"),
    Component(name="debian", version="12", licence="NOASSERTION"),
]
XML = """<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1">
  <components>
    <component type="library"><group>@angular</group><name>core</name><version>18.0.0</version>
      <licenses><license><id>MIT</id></license></licenses><purl>pkg:npm/%40angular/core@18.0.0</purl>
      <components><component type="library"><name>inner</name>
        <licenses><expression>MIT OR Apache-2.0</expression></licenses></component></components>
    </component>
    <component type="application"><name>shop</name>
      <licenses><license><name>Our own, 2024</name></license></licenses></component>
    <component type="operating-system"><name>debian</name><version>12</version>
      <properties><property name="a">b</property></properties></component>
  </components>
  <vulnerabilities/>
</bom>"""


def package(name: str, **said: Any) -> dict[str, Any]:
    values = {"SPDXID": f"SPDXRef-{name}", "name": name, "downloadLocation": "NOASSERTION", "copyrightText": "NONE"}
    return {**values, **said}


SPDX: dict[str, Any] = {
    "SPDXID": "SPDXRef-DOCUMENT",
    "spdxVersion": "SPDX-2.3",
    "name": "the server",
    "dataLicense": "CC0-1.0",
    "documentNamespace": "https://example.org/spdx/1",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: example"]},
    "packages": [
        package(
            "core",
            versionInfo="18.0.0",
            licenseDeclared="MIT",
            licenseConcluded="NOASSERTION",
            externalRefs=[
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": "pkg:npm/core@18.0.0",
                }
            ],
        ),
        package("shop", licenseDeclared="NOASSERTION", licenseConcluded="LicenseRef-ours"),
        package("debian", filesAnalyzed=False),
    ],
    "relationships": [{"spdxElementId": "nonsense"}],
}


def read(document: Any) -> bills.Bill:
    return bills.read(document if isinstance(document, bytes) else json.dumps(document).encode())


def test_cyclonedx_as_json() -> None:
    """Components inside components, without files, the same one once; the subject of the bill is none of them."""
    bill = read(CYCLONE)
    assert (bill.source, bill.spec_version) == (Source.CYCLONEDX_JSON, "1.6")
    assert sorted(bill.components, key=str) == sorted(LISTED, key=str)


def test_cyclonedx_as_xml() -> None:
    bill = read(XML.encode())
    assert (bill.source, bill.spec_version) == (Source.CYCLONEDX_XML, "1.5")
    assert sorted(bill.components, key=str) == sorted(LISTED, key=str)


def test_spdx_as_json() -> None:
    """What was declared counts before what somebody concluded."""
    bill = read(SPDX)
    assert (bill.source, bill.spec_version) == (Source.SPDX_JSON, "2.3")
    assert bill.components == [
        Component(name="core", version="18.0.0", licence="MIT", purl="pkg:npm/core@18.0.0"),
        Component(name="shop", licence="LicenseRef-ours"),
        Component(name="debian", licence="NOASSERTION"),
    ]


def test_as_many_components_as_are_taken() -> None:
    listed = [{"type": "library", "name": f"lib{number}"} for number in range(MOST_COMPONENTS)]
    assert len(read(CYCLONE | {"components": listed}).components) == MOST_COMPONENTS


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "library", "name": "innermost"}
    for level in range(levels):
        found = {"type": "library", "name": f"level {level}", "components": [found]}
    return CYCLONE | {"components": [found]}


def nested_xml(levels: int) -> bytes:
    opened = "<components><component type='library'><name>x</name>" * levels
    closed = "</component></components>" * levels
    return f"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'>{opened}{closed}</bom>".encode()


def one(**said: Any) -> dict[str, Any]:
    return CYCLONE | {"components": [{"type": "library", "name": "x", **said}]}


BOMB = (
    b"<?xml version='1.0'?><!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
    b"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'><components><component type='library'><name>&b;</name>"
    b"</component></components></bom>"
)
ELSEWHERE = (
    b"<?xml version='1.0'?><!DOCTYPE b [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
    b"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'><components><component type='library'><name>&a;</name>"
    b"</component></components></bom>"
)
REFUSED: dict[str, tuple[Any, type[Refusal]]] = {
    "nothing": (b"", UnreadableBill),
    "no document": (b"\x00\xff\xfe", UnreadableBill),
    "cut short": (json.dumps(CYCLONE).encode()[:-20], UnreadableBill),
    "not UTF-8": (b'{"bomFormat": "\xff"}', UnreadableBill),
    "a list": ([CYCLONE], UnreadableBill),
    "of no format": ({"components": []}, UnreadableBill),
    "of an unknown version": (CYCLONE | {"specVersion": "9"}, UnreadableBill),
    "of a version that is no text": (CYCLONE | {"specVersion": 1.6}, UnreadableBill),
    "SPDX 3": ({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}, UnreadableBill),
    "SPDX of an unknown version": (SPDX | {"spdxVersion": "SPDX-1.2"}, UnreadableBill),
    "SPDX without its creation": ({"spdxVersion": "SPDX-2.3", "packages": []}, UnreadableBill),
    "SPDX with packages that are none": (SPDX | {"packages": ["x"]}, UnreadableBill),
    "SPDX with a licence that is none": (
        SPDX | {"packages": [package("x", licenseDeclared="MIT AND")]},
        UnreadableBill,
    ),
    "SPDX with an unknown licence": (SPDX | {"packages": [package("x", licenseDeclared="Mine")]}, UnknownLicence),
    "components that are none": (CYCLONE | {"components": {"name": "x"}}, UnreadableBill),
    "a component that is none": (CYCLONE | {"components": ["x"]}, UnreadableBill),
    "a component without a name": (CYCLONE | {"components": [{"type": "library"}]}, UnreadableBill),
    "a component of no type": (CYCLONE | {"components": [{"name": "x", "type": "spell"}]}, UnreadableBill),
    "a name that is a number": (one(name=5), UnreadableBill),
    "a name with a control character": (one(name="bell\x07"), UnreadableBill),
    "a name that turns the line": (one(name="a\u202eb"), UnreadableBill),
    "a long name": (one(name="x" * 201), UnreadableBill),
    "a long version": (one(version="1" * 201), UnreadableBill),
    "a purl that is none": (one(purl="x"), UnreadableBill),
    "a long purl": (one(purl="pkg:npm/" + "x" * 1000), UnreadableBill),
    "an unknown licence id": (one(licenses=[{"license": {"id": "Mine"}}]), UnknownLicence),
    "an expression that is none": (one(licenses=[{"expression": "MIT AND"}]), UnknownLicence),
    "an expression of unknown licences": (one(licenses=[{"expression": "MIT OR Mine"}]), UnknownLicence),
    "a long expression": (one(licenses=[{"expression": " OR ".join(["MIT"] * 2000)}]), UnknownLicence),
    "XML that is no bill": (b"<html/>", UnreadableBill),
    "XML cut short": (XML.encode()[:-20], UnreadableBill),
    "XML of an unknown encoding": (b"<?xml version='1.0' encoding='x-none'?><bom/>", UnreadableBill),
    "XML with a bomb": (BOMB, UnreadableBill),
    "XML with a file of ours": (ELSEWHERE, UnreadableBill),
    "nested deeply": (nested(80), UnreadableBill),
    "nested more deeply than Python can": (b'{"a":' * 100_000, UnreadableBill),
    "XML nested deeply": (nested_xml(80), UnreadableBill),
    "XML nested very deeply": (nested_xml(30_000), UnreadableBill),
    "too much": (CYCLONE | {"components": [{"type": "library", "name": "x"}] * 5_001}, TooMuchSoftware),
    "too much inside": (
        CYCLONE | {"components": [{"type": "library", "name": "x", "components": [{"name": "y"}] * 2_500}] * 3},
        TooMuchSoftware,
    ),
    "too much XML": (
        b"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'><components>"
        + b"<component/>" * 5_001
        + b"</components></bom>",
        TooMuchSoftware,
    ),
    "too much SPDX": (SPDX | {"packages": [package("x")] * 5_001}, TooMuchSoftware),
    "too large": (b" " * (bills.LARGEST_BILL + 1), TooMuchSoftware),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_bill_of_materials_is_refused_without_repeating_it(case: str) -> None:
    document, refusal = REFUSED[case]
    with pytest.raises(refusal) as refused:
        read(document)
    assert (refused.value.clause, refused.value.field) == ("4.1", "body")
    assert not any(part in str(refused.value) for part in ("bell", "Mine", "passwd", "aaaa"))
