"""Software bills of materials, read by the libraries of their formats: CycloneDX as JSON or XML, SPDX as JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from cyclonedx.model import bom
from cyclonedx.model.component import Component as CycloneComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import LicenseExpression
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from spdx_tools.spdx.model.package import Package
from spdx_tools.spdx.parser.jsonlikedict import json_like_dict_parser

from services.contracts.domain.software import (
    MOST_COMPONENTS,
    NO_ASSERTION,
    Component,
    Source,
    TooMuchSoftware,
    UnreadableBill,
)
from services.contracts.gateways import licences
from shared.kernel.errors import Refusal

LARGEST_BILL = 4 * 1024 * 1024
DEEPEST = 64
LONGEST_NAME, LONGEST_PURL = 200, 1000
FIELD = "body"

# What their libraries leave untyped.
_BOM: Any = bom.Bom
_SPDX: Any = json_like_dict_parser.JsonLikeDictParser

_NAMESPACE = re.compile(r"\{http://cyclonedx\.org/schema/bom/(1\.\d)\}bom")
_CYCLONE_VERSION = re.compile(r"1\.\d")
_SPDX_VERSION = re.compile(r"SPDX-2\.\d")

# What is read of a bill. The rest may be larger by far, and costs nothing when it never reaches a library.
_OF_CYCLONE = {"bomFormat", "specVersion", "version", "components"}
_OF_COMPONENT = {"type", "name", "group", "version", "purl", "licenses", "components"}
_OF_SPDX = {"SPDXID", "spdxVersion", "name", "dataLicense", "documentNamespace", "creationInfo", "packages"}
_OF_PACKAGE = {
    "SPDXID", "name", "versionInfo", "downloadLocation", "filesAnalyzed", "licenseConcluded", "licenseDeclared",
    "externalRefs",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Its components in the order in which it lists them, the same one once."""

    source: Source
    spec_version: str
    components: list[Component]


def read(content: bytes) -> Bill:
    """Takes processor time, up to seconds for the largest. Raises UnreadableBill, TooMuchSoftware, UnknownLicence."""
    if len(content) > LARGEST_BILL:
        raise TooMuchSoftware(field=FIELD)
    try:
        return _read_xml(content) if content.lstrip()[:1] == b"<" else _read_json(content)
    except RecursionError:
        raise _unreadable("It is nested too deeply.") from None


def _read_json(content: bytes) -> Bill:
    try:
        found: Any = json.loads(content)
    except ValueError:
        raise _unreadable("It is neither JSON nor XML.") from None
    if not isinstance(found, dict):
        raise _unreadable("It is no object.")
    if found.get("bomFormat") == "CycloneDX":
        version = _version(_CYCLONE_VERSION, found.get("specVersion"))
        reduced = _only(found, _OF_CYCLONE) | {"components": _components_in(found.get("components"))}
        components = _by_library(lambda: _of_cyclone(_BOM.from_json(reduced)))
        return Bill(source=Source.CYCLONEDX_JSON, spec_version=version, components=components)
    if "spdxVersion" in found:
        version = _version(_SPDX_VERSION, found["spdxVersion"]).removeprefix("SPDX-")
        packages = _listed(found.get("packages"))
        _insist_on_number(len(packages))
        reduced = _only(found, _OF_SPDX) | {"packages": [_only(package, _OF_PACKAGE) for package in packages]}
        components = _by_library(lambda: map(_of_package, _SPDX().parse(reduced).packages))
        return Bill(source=Source.SPDX_JSON, spec_version=version, components=components)
    raise _unreadable("It says neither bomFormat CycloneDX nor spdxVersion.")


def _read_xml(content: bytes) -> Bill:
    try:
        root: Element = ElementTree.fromstring(content, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError):
        raise _unreadable("It is no XML without a document type.") from None
    namespace = _NAMESPACE.fullmatch(root.tag)
    if namespace is None:
        raise _unreadable("Its root is no bom of CycloneDX 1.x.")
    _reduce(root)
    components = _by_library(lambda: _of_cyclone(_BOM.from_xml(root)))
    return Bill(source=Source.CYCLONEDX_XML, spec_version=namespace[1], components=components)


def _reduce(root: Element) -> None:
    """Takes out what is not read; raises as _components_in does."""
    prefix = root.tag.removesuffix("bom")
    left, number = [(root, {f"{prefix}components"}, 0)], 0
    wanted = {prefix + name for name in _OF_COMPONENT}
    while left:
        element, names, depth = left.pop()
        if depth > DEEPEST:
            raise _unreadable("It is nested too deeply.")
        for child in list(element):
            if child.tag not in names:
                element.remove(child)
            elif child.tag == f"{prefix}components":
                number += len(child)
                _insist_on_number(number)
                left.extend((component, wanted, depth + 1) for component in child)


def _components_in(found: Any, depth: int = 0, counted: list[int] | None = None) -> list[dict[str, Any]]:
    """What is read of the components and those inside them; raises UnreadableBill and TooMuchSoftware."""
    counted = [0] if counted is None else counted
    if depth > DEEPEST:
        raise _unreadable("It is nested too deeply.")
    components = _listed(found)
    counted[0] += len(components)
    _insist_on_number(counted[0])
    reduced = []
    for component in components:
        kept = _only(component, _OF_COMPONENT)
        if "components" in kept:
            kept["components"] = _components_in(kept["components"], depth + 1, counted)
        reduced.append(kept)
    return reduced


def _by_library(parse: Callable[[], Iterable[Component]]) -> list[Component]:
    """Each component once."""
    try:
        return list(dict.fromkeys(parse()))
    except (RecursionError, Refusal):
        raise
    except Exception:
        # Whatever a library raises of a document that is not what it says: their kinds are many, their texts quote it.
        raise _unreadable("It does not keep to its format.") from None


def _of_cyclone(read: Any) -> Iterator[Component]:
    listed: list[CycloneComponent] = list(read.components)
    while listed:
        component = listed.pop(0)
        listed[:0] = component.components
        if component.type is ComponentType.FILE:
            continue
        yield _component(
            f"{component.group}/{component.name}" if component.group else component.name,
            component.version,
            " AND ".join(sorted(_licence_of(licence) for licence in component.licenses)),
            str(component.purl) if component.purl else None,
        )


def _licence_of(licence: Any) -> str:
    """Expressions and ids have to be SPDX's; a name in words becomes a reference."""
    if isinstance(licence, LicenseExpression):
        return f"({licences.checked(licence.value, field=FIELD)})"
    if licence.id:
        return licences.checked(licence.id, field=FIELD)
    return licences.normal(licence.name) or licences.reference(licence.name)


def _of_package(package: Package) -> Component:
    said = [str(each) for each in (package.license_declared, package.license_concluded) if each is not None]
    known = [each for each in said if each not in {NO_ASSERTION, "NONE"}]
    purls = [each.locator for each in package.external_references if each.reference_type == "purl"]
    return _component(package.name, package.version, known[0] if known else "", purls[0] if purls else None)


def _component(name: str, version: str | None, licence: str, purl: str | None) -> Component:
    return Component(
        name=_line(name, LONGEST_NAME),
        version=_line(version, LONGEST_NAME) if version else None,
        licence=licences.checked(licence, field=FIELD) if licence else NO_ASSERTION,
        purl=_line(purl, LONGEST_PURL) if purl else None,
    )


def _line(text: str, longest: int) -> str:
    line = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(line) <= longest or not line.isprintable():
        raise _unreadable("A name, version or package URL is empty, too long or holds control characters.")
    return line


def _version(form: re.Pattern[str], said: Any) -> str:
    if not isinstance(said, str) or not form.fullmatch(said):
        raise _unreadable("Its version of the format is not known here.")
    return said


def _only(found: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _unreadable("It does not keep to its format.")
    return {name: value for name, value in found.items() if name in names}


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    if not isinstance(found, list):
        raise _unreadable("It does not keep to its format.")
    return found


def _insist_on_number(number: int) -> None:
    if number > MOST_COMPONENTS:
        raise TooMuchSoftware(field=FIELD)


def _unreadable(reason: str) -> UnreadableBill:
    return UnreadableBill(reason, field=FIELD)
