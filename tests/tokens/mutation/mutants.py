"""Takes one check at a time out of the verifier's source: every `raise`, every demand, every listed name.

Run as a script it proves mutants against the tests beside it and prints one JSON line per survivor; the
package on disk is never touched, each mutant lives in a folder of its own. See `prove.py`.
"""

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MODULES = (
    "verify", "jws", "jwk", "jwk_set", "strict_json", "base64url", "policy", "algorithms", "claims", "kind",
    "shared_secret", "verified",
)  # fmt: skip
BOUNDARIES = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


class Mutant(NamedTuple):
    """One changed module and what was changed in it."""

    module: str
    change: str
    source: str


def mutants(tokens: Path) -> Iterator[Mutant]:
    """Make every mutant of the modules that a verdict passes through, in a stable order."""
    for module in MODULES:
        tree = ast.parse((tokens / f"{module}.py").read_text())
        for index, node in enumerate(ast.walk(tree)):
            for what, edit in changes(node):
                changed = copy.deepcopy(tree)
                twin = next(n for i, n in enumerate(ast.walk(changed)) if i == index)
                edit(twin, changed)
                ast.fix_missing_locations(changed)
                yield Mutant(module, f"{module}: {what}", ast.unparse(changed))


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield what can be taken out of this node: a name for it, and the edit."""
    if isinstance(node, ast.If) and refuses(node.body):
        yield f"never {short(node.test)}", lambda n, _: setattr(n, "test", ast.Constant(False))
        yield from conditions(node.test, lambda n: n.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and demands(node.value):
        yield f"no call {short(node.value)}", replace_with_pass
    if isinstance(node, ast.ExceptHandler) and refuses(node.body):
        yield (
            f"let {short(node.type)} through in: {short(node.body[-1])}",
            lambda n, _: setattr(n, "body", [ast.Raise()]),
        )
        if short(node.type) == "InvalidSignature":
            yield "forgive InvalidSignature", lambda n, _: setattr(n, "body", [ast.Pass()])
    if (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.simple
        and typed_claim(node)
    ):
        yield (
            f"untyped {node.target.id}: {short(node.annotation)}",
            lambda n, _: setattr(n, "annotation", ast.Name("Any")),
        )
    if isinstance(node, ast.IfExp) and not isinstance(node.test, ast.Constant):
        yield (
            f"always {short(node.body)} in {short(node)}",
            lambda n, _: setattr(n, "test", ast.Constant(True)),
        )
        yield (
            f"never {short(node.body)} in {short(node)}",
            lambda n, _: setattr(n, "test", ast.Constant(False)),
        )
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.col_offset == 0 and node.value is not None:
        yield from listed(node, node.targets[0] if isinstance(node, ast.Assign) else node.target)


def refuses(body: list[ast.stmt]) -> bool:
    """Whether a branch says no: it raises, yields a problem, or returns nothing usable."""
    last = body[-1]
    if isinstance(last, ast.Return):
        # the kinds of tokens are told by returning their names
        names_a_kind = isinstance(last.value, ast.Constant) and isinstance(last.value.value, str)
        return last.value is None or names_a_kind or short(last.value) in ("None", "frozenset()", "kind")
    if isinstance(last, ast.Expr):
        return isinstance(last.value, ast.Yield) or (
            isinstance(last.value, ast.Call) and short(last.value.func) == "problems.append"
        )
    return isinstance(last, ast.Raise)


def demands(call: ast.Call) -> bool:
    name = short(call.func).rpartition(".")[2]
    return name.lstrip("_").startswith(("demand", "refuse", "check", "remember"))


def conditions(test: ast.expr, at: object) -> Iterator[tuple[str, object]]:
    """Take out each part of a condition, and move each boundary by one."""
    for index, node in enumerate(ast.walk(test)):
        if isinstance(node, ast.BoolOp):
            for place, part in enumerate(node.values):

                def drop(n: ast.AST, _: ast.AST, index: int = index, place: int = place) -> None:
                    del nth(at(n), index).values[place]

                yield f"without {short(part)} in {short(test)}", drop
        if isinstance(node, ast.Compare):
            for place, operator in enumerate(node.ops):
                if type(operator) in BOUNDARIES:

                    def move(n: ast.AST, _: ast.AST, index: int = index, place: int = place) -> None:
                        ops = nth(at(n), index).ops
                        ops[place] = BOUNDARIES[type(ops[place])]()

                    yield f"boundary {place} of {short(node)}", move


def nth(root: ast.AST, index: int) -> ast.AST:
    return next(node for i, node in enumerate(ast.walk(root)) if i == index)


def typed_claim(node: ast.AnnAssign) -> bool:
    own = node.col_offset == 4 and not short(node.target).startswith("_")
    return own and any(
        word in short(node.annotation)
        for word in ("Text", "int | float", "Actor", "dict[str, Any] |", "list[str] |", "str | Unset")
    )


def listed(assign: ast.Assign | ast.AnnAssign, target: ast.expr) -> Iterator[tuple[str, object]]:
    """Take each element out of a list of names that a module knows by heart."""
    name = short(target)
    if not name.isupper() or assign.value is None:
        return
    for index, node in enumerate(ast.walk(assign.value)):
        elements = (
            node.values
            if isinstance(node, ast.Dict)
            else node.elts
            if isinstance(node, ast.Set | ast.Tuple)
            else []
        )
        for place, element in enumerate(elements):

            def drop(n: ast.AST, _: ast.AST, index: int = index, place: int = place) -> None:
                holder = nth(n.value, index)  # type: ignore[attr-defined]
                if isinstance(holder, ast.Dict):
                    del holder.keys[place], holder.values[place]
                else:
                    del holder.elts[place]  # type: ignore[attr-defined]

            key = short(node.keys[place]) + ": " if isinstance(node, ast.Dict) and node.keys[place] else ""
            yield f"{name} without {key}{short(element)}", drop


def replace_with_pass(node: ast.AST, tree: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and node in block:
                block[block.index(node)] = ast.Pass()
                return


def short(node: ast.AST | None) -> str:
    return "" if node is None else " ".join(ast.unparse(node).split())[:100]
