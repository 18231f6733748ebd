"""Small files with names of the business, and nothing in them that belongs to one machine or one person."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.structure.house import CODE, ROOT, modules, name_of, project_files, tree_of

LONGEST_MODULE = 600
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base", "stuff"}
POLLING = "tests/infrastructure/waiting.py"
LARGEST_FILE = 1_000_000

# Each is written so that it does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.$}-])/(?:home|Users)/[a-z]\w+/|(?<![\w.])/roo[t]/\.|(?<![\w./-])/wor[k]/",
    "the address of a package index": r"pypi\.or[g]|pythonhosted\.or[g]|--(?:extra-)?index-ur[l]|--trusted-hos[t]",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KE[Y]-----",
    "a signed token": r"\bey[J][\w-]{12,}\.ey[J][\w-]{12,}\.[\w-]{12,}",
    "an access key": r"\b(?:AKI[A][0-9A-Z]{16}|gh[p]_[A-Za-z0-9]{36}|xox[b]-[0-9A-Za-z-]{20,}|sk_liv[e]_\w{16,})",
    "a working paper": r"\b(?:brie[f]|design/\w+)\.md\b",
}


def test_no_file_names_a_machine_an_index_or_a_secret() -> None:
    strays = [
        f"{name_of(path)}:{number}: {what}"
        for path in project_files()
        for number, line in enumerate(_lines_of(path), 1)
        for what, pattern in FORBIDDEN.items()
        if re.search(pattern, line)
    ]
    assert not strays, "\n".join(strays)


def test_no_file_is_huge() -> None:
    """But what is generated whole: an OpenAPI document repeats every refusal of every endpoint."""
    huge = [name_of(path) for path in project_files() if path.stat().st_size > LARGEST_FILE]
    assert not [name for name in huge if not name.startswith("docs/api/openapi-")]


def test_no_module_has_outgrown_its_screenfuls() -> None:
    long = {name_of(path): len(_lines_of(path)) for path in modules() if len(_lines_of(path)) > LONGEST_MODULE}
    assert not long, "split by story, as in invoices/issuing.py"


def test_no_module_is_named_after_nothing() -> None:
    nameless = [
        name_of(path)
        for path in modules()
        if NAMELESS & {path.stem, path.stem.split("_")[-1], path.parent.name} and path.stem != "__main__"
    ]
    assert not nameless, "name it after its noun in the business"


def test_every_package_has_an_init_and_a_docstring() -> None:
    strays = []
    for folder in sorted({path.parent for path in modules()}):
        if folder == ROOT or "migrations" in folder.relative_to(ROOT).parts:
            continue
        init = folder / "__init__.py"
        if not init.exists() or not ast.get_docstring(tree_of(init)):
            strays.append(f"{name_of(folder)}/__init__.py")
    assert not strays, "a package says in one line what it holds"


def test_every_module_opens_with_what_it_holds() -> None:
    silent = [
        name_of(path)
        for path in modules("shared", "services", "deploy")
        if "migrations" not in path.parts and not ast.get_docstring(tree_of(path))
    ]
    assert not silent


def test_tests_wait_in_one_place_only() -> None:
    # Measurements keep a pace, which is no wait for a condition.
    strays = [
        f"{name_of(path)}:{node.lineno}: wait for the condition with {POLLING}"
        for path in modules("tests")
        if name_of(path) != POLLING and not name_of(path).startswith("tests/performance/")
        for node in _pauses(tree_of(path))
    ]
    assert not strays, "\n".join(strays)


def test_tests_are_sentences() -> None:
    short = [
        f"{name_of(path)}: {node.name}"
        for path in modules("tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    ]
    assert not short, "a test's name is a sentence about behaviour"


def test_code_lives_in_its_four_folders() -> None:
    strays = [path for path in project_files() if path.suffix == ".py" and name_of(path).split("/")[0] not in CODE]
    assert not strays


def _lines_of(path: Path) -> list[str]:
    content = path.read_bytes()
    return [] if b"\0" in content else content.decode("utf-8", "replace").splitlines()


def _pauses(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of `time.sleep` and `asyncio.sleep`; `asyncio.sleep(0)` waits for nothing and is fine."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        turn = [argument.value for argument in node.args if isinstance(argument, ast.Constant)] == [0]
        if name == "sleep" and not turn:
            yield node
