"""Every setting is known where unknown ones are refused, and described where an operator looks it up."""

from __future__ import annotations

import ast
import re

from deploy.docs.settings import reference
from deploy.variables import FOR_THE_TESTS, kinds, known
from shared.kit.secret_files import variables_of
from shared.kit.settings import SettingsAsGiven
from tests.structure.house import ROOT, modules, name_of, project_files, tree_of

# A prefix of variables, or one that a test makes up.
NAMED = re.compile(r"MAINSTAY_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_…])")
MADE_UP_IN = {
    "tests/deploy/doctor/test_examining.py",
    "tests/deploy/doctor/test_on_sqlite.py",
    "tests/deploy/test_environment.py",
    "tests/deploy/embedded/test_run.py",
    "tests/kit/test_secret_files.py",
}


def test_settings_are_read_by_classes_that_start_up_knows() -> None:
    listed = {kind.__name__ for kind in kinds().values()} | {"ServiceSettings", SettingsAsGiven.__name__}
    declared = {
        node.name
        for path in modules("shared", "services", "deploy")
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "").endswith("Settings") for base in node.bases)
    }
    assert declared - {"Settings"} == listed, "add the class to deploy/variables.py"


def test_every_setting_says_what_it_means() -> None:
    silent = [
        variable
        for kind in kinds().values()
        for name, variable in variables_of(kind).items()
        if not kind.model_fields[name].description
    ]
    assert not silent


def test_the_reference_of_the_settings_is_what_the_code_says() -> None:
    committed = (ROOT / "docs/operations/settings.md").read_text(encoding="utf-8")
    assert committed == reference(), "run `mainstay docs write`"
    assert all(f"`{variable}`" in committed for variable in known())


def test_every_variable_that_is_named_anywhere_exists() -> None:
    names = known().keys() | FOR_THE_TESTS
    strays = [
        f"{name_of(path)}: {named}"
        for path in project_files()
        if path.suffix in {".py", ".md"} and name_of(path) not in MADE_UP_IN
        for named in NAMED.findall(path.read_text(encoding="utf-8"))
        if named not in names
    ]
    assert not strays
