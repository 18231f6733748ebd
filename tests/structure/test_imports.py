"""Imports point down: the contracts of pyproject.toml hold, and would not if somebody broke them."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.house import ROOT, SERVICES, modules, name_of, tree_of

STRAYS = {
    "services/one/use_cases/a_stranger.py": "import services.two.domain",
    "services/one/loose.py": "",
    "services/one/domain/looks_up.py": "import services.one.db",
    "services/one/use_cases/looks_up.py": "import services.one.api",
    "services/one/domain/in_a_framework.py": "import sqlalchemy",
    "services/one/api/writes_sql.py": "import sqlalchemy",
    "services/one/use_cases/knows_http.py": "import fastapi",
    "shared/kit/knows_a_service.py": "import services.one",
    "shared/kernel/knows_events.py": "import shared.events",
    "services/one/app.py": "import deploy",
    "services/one/worker.py": "import services.one.api",
    "shared/fourth_room.py": "",
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_every_import_contract_is_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """A project of empty packages under the same contracts."""
    folder = tmp_path
    shutil.copy(ROOT / "pyproject.toml", folder)
    packages = ["deploy", "tests", "services", "shared", "shared/kit", "shared/events", "shared/kernel"]
    for service in ("one", "two"):
        layers = ("domain", "db", "gateways", "use_cases", "api", "migrations")
        packages += [f"services/{service}", *(f"services/{service}/{layer}" for layer in layers)]
    for package in packages:
        (folder / package).mkdir(parents=True, exist_ok=True)
        (folder / package / "__init__.py").touch()
    return folder


def test_the_contracts_hold_where_nothing_is_wrong_and_notice_what_is(small_house: Path) -> None:
    clean = lint_imports(small_house)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    for path, content in STRAYS.items():
        (small_house / path).write_text(content)
    broken = lint_imports(small_house)
    assert "0 kept" in broken.stdout, broken.stdout + broken.stderr
    passed = [path for path in STRAYS if not re.search(rf"\b{Path(path).stem}\b", broken.stdout)]
    assert not passed, broken.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_imports_the_standard_library_and_the_kernel_and_nothing_else(service: str) -> None:
    allowed = (f"services.{service}.domain", "shared.kernel", "stdnum")  # stdnum: pure rules of tax ids, no framework
    strays = [
        f"{name_of(path)} imports {name}"
        for path in modules("services")
        if name_of(path).startswith(f"services/{service}/domain/")
        for name in _imported(tree_of(path))
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(allowed)
    ]
    assert not strays


def _imported(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "." * node.level)
    return names
