"""Draw the sample of mutants, and find them again in the source of today."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from .operators import OPERATORS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "flask_ssr_session"
FOLDERS = (".", "sansio", "config", "upstream", "pages")
# Command and test plugin have tests of their own kind, and wrappers of a process around them.
LEFT_OUT = {"cli", "pytest_plugin"}
# Without these decorators, the code fails at once or only type checkers see a difference.
_NOISY_DECORATORS = {
    *("property", "staticmethod", "classmethod", "dataclass", "overload", "setter"),
    *("contextmanager", "abstractmethod", "final", "override", "runtime_checkable"),
}


class Mutant(NamedTuple):
    """One small change.

    :ivar module: path below the package.
    :ivar number: counts the places for this operator in all lines of *module* with this text, so
        that a change elsewhere in the module leaves it as it is.
    :ivar line: the text of the line.
    """

    module: str
    operator: str
    number: int
    line: str


class Place(NamedTuple):
    """Where a mutant is in the source of today.

    :ivar rank: counts the places for the operator in the whole module, as Cosmic Ray does.
    """

    rank: int
    line_number: int


def module_names() -> list[str]:
    """Return the modules to mutate, as paths below the package."""
    paths = [path for folder in FOLDERS for path in sorted((PACKAGE / folder).glob("*.py"))]
    return [path.relative_to(PACKAGE).as_posix() for path in paths if path.stem not in LEFT_OUT]


def draw(seed: int, total: int) -> list[Mutant]:
    """Return about *total* mutants, by module in proportion to its statements.

    The order within a module depends on each mutant alone, so that a mutant stays in the sample as
    long as its line stays, whatever happens to other lines.
    """
    statements = {module: _count_statements(module) for module in module_names()}
    share = total / sum(statements.values())
    sample: list[Mutant] = []
    for module, count in statements.items():
        wanted = -(-count * share // 1)
        seen = {ast.dump(ast.parse(source(module)))}
        places = find(module)
        for mutant in sorted(places, key=lambda mutant: _rank(seed, mutant)):
            if wanted <= 0:
                break
            try:
                tree = ast.dump(ast.parse(mutate(mutant, places[mutant])))
            except SyntaxError:
                continue
            if tree not in seen:
                seen.add(tree)
                sample.append(mutant)
                wanted -= 1
    return sorted(sample)


def in_fair_order(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """Return an order whose every prefix has its share of each module."""
    positions: dict[Mutant, float] = {}
    by_module: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_module.setdefault(mutant.module, []).append(mutant)
    for part in by_module.values():
        for position, mutant in enumerate(sorted(part, key=lambda m: _rank(seed, m))):
            positions[mutant] = (position + 0.5) / len(part)
    return sorted(positions, key=lambda mutant: (positions[mutant], mutant))


def _rank(seed: int, mutant: Mutant) -> str:
    return hashlib.sha256(repr((seed, *mutant)).encode()).hexdigest()


def find(module: str) -> dict[Mutant, Place]:
    """Return every mutant of *module* that is not noise by construction, with its place."""
    text = source(module)
    lines = text.splitlines()
    noise = list(_noise(ast.parse(text)))
    nodes = list(ast_nodes(get_ast(text)))
    places: dict[Mutant, Place] = {}
    for name, operator in OPERATORS.items():
        occurrences: Counter[str] = Counter()
        positions = [p for node in nodes for p in operator.mutation_positions(node)]
        for index, (start, _) in enumerate(positions):
            line = lines[start[0] - 1].strip()
            mutant = Mutant(module, name, occurrences[line], line)
            occurrences[line] += 1
            # Cosmic Ray's second way to change a number says little after the first.
            is_twin = index and positions[index - 1][0] == start and name == "NumberReplacer"
            # In a signature, it marks keyword arguments; Cosmic Ray takes it for a product.
            is_star = lines[start[0] - 1].startswith(("*,", "*)"), start[1])
            if (
                not is_twin
                and not is_star
                and not any(begin <= start < end for begin, end in noise)
            ):
                places[mutant] = Place(index, start[0])
    return places


def source(module: str) -> str:
    """Return the source of a module."""
    return (PACKAGE / module).read_text(encoding="utf-8")


def mutate(mutant: Mutant, place: Place) -> str:
    """Return the source of the module with this one change."""
    return str(mutate_code(source(mutant.module), OPERATORS[mutant.operator], place.rank))


def _count_statements(module: str) -> int:
    """Count the statements that do something, without imports and docstrings."""
    count = 0
    for node in ast.walk(ast.parse(source(module))):
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue
            case ast.stmt():
                count += 1
    return count


def _noise(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the spans of annotations, docstrings, imports and what only type checkers read."""
    for node in ast.walk(tree):
        for part in _noisy_parts(node):
            yield (
                (part.lineno, part.col_offset),
                (part.end_lineno or part.lineno, part.end_col_offset or 0),
            )


def _noisy_parts(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            yield node
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            yield node
        case ast.AnnAssign() | ast.arg(annotation=ast.expr()):
            yield node.annotation  # type: ignore[misc]
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.If(test=ast.UnaryOp(operand=ast.Name(id="TYPE_CHECKING"))):
            yield node.test
        case ast.ClassDef(bases=bases) if any(_name(base) == "Protocol" for base in bases):
            yield node
        case ast.Call(func=ast.Name(id="TypeVar" | "cast")):
            yield node.args[0]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        if "overload" in map(_name, node.decorator_list):
            yield node
        yield from (d for d in node.decorator_list if _name(d) in _NOISY_DECORATORS)
    if isinstance(node, ast.FunctionDef) and node.returns:
        yield node.returns


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name, or of the name of what is called."""
    match node:
        case ast.Call():
            return _name(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
    return ""
