"""Every MAINSTAY_ variable that there is, out of the classes that read it; and what else was set by mistake."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

from deploy.demo.settings import DemoSettings
from deploy.services import SERVICES, settings_class_of
from deploy.site.settings import SiteSettings
from deploy.split.settings import FrontSettings
from shared.kit.secret_files import PREFIX, files_in, folder_named, variables_of
from shared.kit.settings import CommonSettings, Settings

FOR_THE_TESTS = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "REQUIRE", "TEST_POSTGRES_URL", "TEST_KAFKA", "ADVISORIES_URL", "SCHEMATHESIS_EXAMPLES",
        "SIMULATION_SEED", "SIMULATION_CUSTOMERS", "SIMULATION_YEARS",
    )
)  # fmt: skip
"""Read by `make test` and `make check`, which start processes of ours; no process of ours reads them."""

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes puts into every container about every Service beside it."""


def kinds() -> dict[str, type[Settings]]:
    """Every class of settings, by who reads it."""
    return {
        "Every process": CommonSettings,
        **{f"The {name} service": settings_class_of(name) for name in SERVICES},
        "APIs and the front": SiteSettings,
        "`mainstay front`": FrontSettings,
        "`mainstay demo`": DemoSettings,
    }


def known(asked: Iterable[str] = ()) -> dict[str, type[Settings]]:
    """Variable → the class that reads it; of a service only when one of `asked` could be its, or nothing is asked."""
    asked = set(asked)
    found: list[type[Settings]] = [CommonSettings, SiteSettings, FrontSettings, DemoSettings]
    for name in SERVICES:
        if not asked or any(variable.startswith(f"{PREFIX}{name.upper()}_") for variable in asked):
            found.append(settings_class_of(name))
    return {variable: kind for kind in found for variable in variables_of(kind).values()}


def unknown() -> list[str]:
    """A line for each variable, or file of a secret, that nothing here reads; it tells nothing of the value.

    Raises ValueError when the folder of the secrets cannot be read.
    """
    variables = {name.upper(): "" for name in os.environ if name.upper().startswith(PREFIX)}
    folder = folder_named()
    files = {} if folder is None else {name: f"{path}: " for name, path in files_in(folder).items()}
    strays = set(variables) | set(files)
    strays -= known(strays).keys() | FOR_THE_TESTS
    if not strays:
        return []
    names = list(known())
    lines = [f"{name}: {_advice(name, names)}" for name in strays & variables.keys()]
    lines += [f"{name}: {files[name]}{_advice(name, names)}" for name in strays & files.keys()]
    return sorted(lines)


def _advice(name: str, names: list[str]) -> str:
    if _SERVICE_LINK.search(name) or _SERVICE_ADDRESS.match(os.environ.get(name, "")):
        return "is not a setting; Kubernetes sets it unless the pod has enableServiceLinks: false"
    closest = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if closest:
        return f"is not a setting; did you mean {closest[0]}?"
    return "is not a setting; docs/operations/settings.md lists them all"
