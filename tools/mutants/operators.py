"""The operators that make mutants: a choice of Cosmic Ray's, and some that it lacks.

An operator names the positions in a node of the parso tree that it can change, and changes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import parso
from cosmic_ray.operators.provider import OperatorProvider

Node = Any
Position = tuple[tuple[int, int], tuple[int, int]]


class Operator(Protocol):
    """What Cosmic Ray's visitor expects of an operator."""

    def mutation_positions(self, node: Node) -> Iterator[Position]:
        """Return where this operator can change *node*; one entry for each way."""

    def mutate(self, node: Node, index: int) -> Node:
        """Change *node* in the way with this index, and return what takes its place."""


# One replacement for each operator, as ten others in its place would fail for the same reason.
_OF_COSMIC_RAY = (
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)


class TextOperator:
    """An operator that puts a text in place of a node."""

    def __init__(self, replacements: Callable[[Node], Iterator[tuple[Node, str]]]) -> None:
        self._replacements = replacements

    def mutation_positions(self, node: Node) -> Iterator[Position]:
        """Return where a text can be put in place of *node*."""
        for part, _ in self._replacements(node):
            yield part.start_pos, part.end_pos

    def mutate(self, node: Node, index: int) -> Node:
        """Return the text in place of *node*, as a tree."""
        text = list(self._replacements(node))[index][1]
        return parso.parse(node.get_first_leaf().prefix + text)


def _code(node: Node) -> str:
    return str(node.get_code(include_prefix=False))


def drop_statement(node: Node) -> Iterator[tuple[Node, str]]:
    """Leave out a call, a raise, an assignment to an attribute or item, or a deletion."""
    if node.type != "expr_stmt" and (node.parent is None or node.parent.type != "simple_stmt"):
        return
    is_store = node.type == "expr_stmt" and node.children[0].type in ("power", "atom_expr")
    is_call = node.type in ("power", "atom_expr") and _code(node).endswith(")")
    if is_store or is_call or node.type in ("raise_stmt", "del_stmt"):
        yield node, "pass"


def drop_operand(node: Node) -> Iterator[tuple[Node, str]]:
    """Leave out one operand of ``and`` or ``or``."""
    if node.type in ("and_test", "or_test"):
        operands = node.children[::2]
        for dropped in operands:
            rest = [_code(operand) for operand in operands if operand is not dropped]
            yield dropped, f" {_code(node.children[1])} ".join(rest)


def drop_element(node: Node) -> Iterator[tuple[Node, str]]:
    """Leave out one element of a list, a tuple, a set or a dictionary with several."""
    if node.type not in ("testlist_comp", "dictorsetmaker") or "," not in node.children:
        return
    if any(getattr(child, "type", "") in ("sync_comp_for", "comp_for") for child in node.children):
        return
    elements: list[list[Node]] = [[]]
    for child in node.children:
        if child == ",":
            elements.append([])
        else:
            elements[-1].append(child)
    elements = [element for element in elements if element]
    for dropped in elements if len(elements) > 1 else []:
        rest = [" ".join(map(_code, element)) for element in elements if element is not dropped]
        yield dropped[0], ", ".join(rest) + ","


def drop_keyword_argument(node: Node) -> Iterator[tuple[Node, str]]:
    """Leave out one keyword argument of a call."""
    if node.type == "arglist":
        arguments = [child for child in node.children if child != ","]
        for dropped in arguments:
            if dropped.type == "argument" and dropped.children[1] == "=":
                yield dropped, ", ".join(_code(a) for a in arguments if a is not dropped)


def drop_string_method(node: Node) -> Iterator[tuple[Node, str]]:
    """Leave out a call such as ``.strip()``, which usually changes nothing."""
    if node.type in ("power", "atom_expr"):
        for index, part in enumerate(node.children[1:-1], 1):
            if part.type == "trailer" and _code(part) in _STRING_METHODS:
                kept = node.children[:index] + node.children[index + 2 :]
                yield part, "".join(map(_code, kept))


_STRING_METHODS = {
    *(".strip", ".lstrip", ".rstrip", ".lower", ".upper", ".casefold"),
    *(".removeprefix", ".removesuffix", ".title"),
}


def replace_in(node: Node) -> Iterator[tuple[Node, str]]:
    """Turn ``in`` into ``not in``, and back."""
    if node.type == "comparison" and len(node.children) == 3:
        left, relation, right = map(_code, node.children)
        other = {"in": "not in", "not in": "in"}.get(relation)
        if other:
            yield node.children[1], f"{left} {other} {right}"


def replace_string(node: Node) -> Iterator[tuple[Node, str]]:
    """Change a string that is a name or a value; prose may say what it likes."""
    if node.type == "string" and " " not in node.value and len(node.value) > 2:
        prefix, quote, rest = node.value.partition(node.value[-1])
        yield node, f"{prefix}{quote}XX{rest}"


OPERATORS: dict[str, Operator] = {name: OperatorProvider()[name]() for name in _OF_COSMIC_RAY}
OPERATORS |= {
    "".join(part.title() for part in function.__name__.split("_")): TextOperator(function)
    for function in (
        drop_statement,
        drop_operand,
        drop_element,
        drop_keyword_argument,
        drop_string_method,
        replace_in,
        replace_string,
    )
}
