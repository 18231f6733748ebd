"""A status is assigned under domain/ and nowhere else."""

import ast

import pytest

from tests.structure.house import modules, name_of, tree_of


def assigned_statuses(tree: ast.Module) -> list[int]:
    """Lines that give something a status: `x.status = …`, `status="paid"`, `status=InvoiceStatus.PAID`, setattr."""
    lines: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Attribute) and _is_status(target.attr) for target in targets):
                lines.append(node.lineno)
        elif isinstance(node, ast.keyword) and node.arg and _is_status(node.arg) and _is_literal(node.value):
            lines.append(node.value.lineno)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            lines += [value.lineno for key, value in pairs if _is_status(_text(key)) and _is_literal(value)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            lines += [node.lineno for argument in node.args[1:2] if _is_status(_text(argument))]
    return sorted(lines)


def _is_status(name: str) -> bool:
    return name == "status" or name.endswith("_status")


def _is_literal(value: ast.expr) -> bool:
    """A string, or a member of a Status enum: somebody here decides which state it is."""
    if isinstance(value, ast.Attribute):
        return isinstance(value.value, ast.Name) and value.value.id.endswith("Status")
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_a_status_is_assigned_only_under_domain() -> None:
    strays = [
        f"{name_of(path)}:{line}: let the lifecycle in domain/ decide"
        for path in modules("services")
        if "domain" not in path.parts and "migrations" not in path.parts
        for line in assigned_statuses(tree_of(path))
    ]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize(
    "line",
    [
        "invoice.status = after",
        "sa.update(invoices).values(status='paid')",
        "replace(invoice, status=InvoiceStatus.PAID)",
        "await tx.insert(invoices, {'id': 1, 'status': InvoiceStatus.PAID})",
        "setattr(invoice, 'status', 'paid')",
        "payment.audit_status = 'approved'",
    ],
)
def test_the_rule_notices(line: str) -> None:
    assert assigned_statuses(ast.parse(f"async def f():\n    {line}")) == [2]


@pytest.mark.parametrize(
    "line",
    [
        "query.where(invoices.c.status == 'paid')",
        "sa.update(invoices).values(status=invoice.status)",
        "Problem(status=404)",
        "status = invoice.status",
    ],
)
def test_the_rule_lets_pass(line: str) -> None:
    assert assigned_statuses(ast.parse(f"async def f():\n    {line}")) == []
