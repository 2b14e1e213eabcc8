"""Filter expressions: conditions on columns of objects, parsed and evaluated without running any code of the user's."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    Column = NDArray[np.float64] | NDArray[np.bool_] | NDArray[np.object_]
    Constant = float | str | bool | None
    Array = NDArray[np.generic]

_LONGEST = 10_000
_DEEPEST = 100
_NOT_FINITE = "a number is too large"
_HINT = "such as area_px > 50 and category == 'nucleus' and not touches_border"

_COMPARISONS: dict[type[ast.cmpop], Callable[[Array, Array], Array]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Is: np.equal,
    ast.IsNot: np.not_equal,
}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ARITHMETIC: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}


@dataclass(frozen=True)
class _Value:
    """Value of a part of an expression: numbers, text, truth values or None, one for all objects or one for each."""

    kind: str  # "number", "text", "truth" or "none"
    values: Array | Constant


class Expression:
    """A condition on columns, such as ``area_um2 > 50 and category == 'nucleus' and not touches_border``.

    It has the syntax of Python, of which these parts are allowed: names of columns, numbers, quoted text, None, True
    and False; ``and``, ``or``, ``not``; ``== != < <= > >= in not in is``; ``+ - * /``; parentheses and lists. Numbers
    that are missing fulfil no comparison except ``== None``. ``class`` stands for ``category``.

    Parameters
    ----------
    text : str
        The condition.

    Raises
    ------
    LabelsError
        If it cannot be parsed, or has another part of Python.

    Examples
    --------
    >>> expression = Expression("area_px >= 10 and class in ('cell', 'nucleus')")
    >>> sorted(expression.names)
    ['area_px', 'category']
    >>> columns = {"area_px": np.array([5.0, 20.0]), "category": np.array(["cell", "cell"], object)}
    >>> expression.evaluate(columns, 2).tolist()
    [False, True]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._body = _parsed(text)
        self.names = frozenset(node.id for node in ast.walk(self._body) if isinstance(node, ast.Name))

    def evaluate(self, columns: Mapping[str, Column], count: int) -> NDArray[np.bool_]:
        """Return whether each object fulfils the condition.

        Parameters
        ----------
        columns : mapping of str to ndarray
            (n,) numbers as float64 (NaN for missing), truth values as bool, text as objects (None for missing), by
            name; those in `names` at least.
        count : int
            Number of objects, n.

        Raises
        ------
        LabelsError
            If a name is unknown, values do not compare, or the result is not a truth value.
        """
        with np.errstate(all="ignore"):  # 1 / 0 is infinite or missing, as everywhere in numpy
            value = self._value(self._body, columns)
        if value.kind != "truth":
            raise _error(self.text, f"gives {_KINDS[value.kind]}, and no condition", f"compare it, {_HINT}")
        return np.broadcast_to(np.asarray(value.values, bool), (count,)).copy()

    def _value(self, node: ast.expr, columns: Mapping[str, Column]) -> _Value:
        if isinstance(node, ast.Name):
            return _column(self.text, node.id, columns)
        if isinstance(node, ast.Constant):
            return _constant(node.value)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, columns)
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            truth = self._truth(node.values[0], columns)
            for part in node.values[1:]:
                truth = join(truth, self._truth(part, columns))
            return _Value("truth", truth)
        if isinstance(node, ast.BinOp):
            left, right = self._number(node.left, columns), self._number(node.right, columns)
            return _Value("number", np.asarray(_ARITHMETIC[type(node.op)](left, right), np.float64))
        if isinstance(node, ast.Compare):
            return self._comparison(node, columns)
        raise _error(self.text, "has a list outside of 'in'", "write NAME in (VALUE, VALUE)")

    def _unary(self, node: ast.UnaryOp, columns: Mapping[str, Column]) -> _Value:
        if isinstance(node.op, ast.Not):
            return _Value("truth", np.logical_not(self._truth(node.operand, columns)))
        number = self._number(node.operand, columns)
        return _Value("number", -number if isinstance(node.op, ast.USub) else number)

    def _comparison(self, node: ast.Compare, columns: Mapping[str, Column]) -> _Value:
        left = self._value(node.left, columns)
        truth: NDArray[np.bool_] = np.asarray(True)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(comparator, ast.Tuple | ast.List):
                    raise _error(self.text, "needs a list after 'in'", "write NAME in (VALUE, VALUE)")
                members = [self._value(item, columns) for item in comparator.elts]
                found: NDArray[np.bool_] = np.asarray(False)
                for member in members:
                    found = np.logical_or(found, self._compared(left, ast.Eq(), member))
                truth = np.logical_and(truth, found if isinstance(op, ast.In) else np.logical_not(found))
                continue
            right = self._value(comparator, columns)
            truth = np.logical_and(truth, self._compared(left, op, right))
            left = right
        return _Value("truth", truth)

    def _compared(self, left: _Value, op: ast.cmpop, right: _Value) -> NDArray[np.bool_]:
        if "none" in (left.kind, right.kind):
            if isinstance(op, _ORDERED):
                raise _error(self.text, "orders None", "compare it with == or !=")
            missing = _missing(right if left.kind == "none" else left)
            return np.logical_not(missing) if isinstance(op, ast.NotEq | ast.IsNot) else missing
        if left.kind != right.kind:
            raise _error(
                self.text,
                f"compares {_KINDS[left.kind]} with {_KINDS[right.kind]}",
                "put quotes around text, and none around numbers and names",
            )
        compare = _COMPARISONS[type(op)]
        if left.kind == "text" and isinstance(op, _ORDERED):
            raise _error(self.text, "orders text", "compare text with ==, != or in")
        return np.asarray(compare(np.asarray(left.values), np.asarray(right.values)), bool)

    def _truth(self, node: ast.expr, columns: Mapping[str, Column]) -> NDArray[np.bool_]:
        value = self._value(node, columns)
        if value.kind != "truth":
            raise _error(self.text, f"uses {_KINDS[value.kind]} as a condition", f"compare it, {_HINT}")
        return np.asarray(value.values, bool)

    def _number(self, node: ast.expr, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        value = self._value(node, columns)
        if value.kind != "number":
            raise _error(self.text, f"calculates with {_KINDS[value.kind]}", "calculate with numbers only")
        return np.asarray(value.values, np.float64)


_KINDS = {"number": "a number", "text": "text", "truth": "a condition", "none": "None"}
_ALLOWED = (
    ast.Name, ast.Constant, ast.UnaryOp, ast.BoolOp, ast.BinOp, ast.Compare, ast.Tuple, ast.List, ast.Load,
    ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.In, ast.NotIn, *_COMPARISONS, *_ARITHMETIC,
)  # fmt: skip


def unknown_name(text: str, name: str, known: Iterable[str], remedy: str = "") -> LabelsError:
    """Return the error for a name that is no column, which names similar ones."""
    names = sorted(known)
    similar = difflib.get_close_matches(name, names, n=3)
    return _error(
        text,
        f"names {name!r}, which is no column",
        (f"did you mean {' or '.join(similar)}? " if similar else "") + f"use one of {', '.join(names)}{remedy}",
    )


def _parsed(text: object) -> ast.expr:
    """Return the syntax tree of an expression of which every part is allowed."""
    if not isinstance(text, str) or not text.strip():
        raise LabelsError("the filter is empty", parameter="where", remedy=f"give a condition, {_HINT}")
    if len(text) > _LONGEST:
        raise _error(text, f"has {len(text)} characters", f"give at most {_LONGEST}")
    try:
        with warnings.catch_warnings(action="ignore"):  # such as of \\d in text
            body = ast.parse(_without_keywords(text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        detail = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise _error(text, f"cannot be parsed ({detail})", f"write a condition, {_HINT}") from error
    waiting: list[tuple[ast.AST, int]] = [(body, 0)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, _ALLOWED) or depth > _DEEPEST:
            what = {"BitAnd": "&", "BitOr": "|", "Invert": "~"}.get(type(node).__name__, type(node).__name__)
            raise _error(
                text, f"has {what!r}, which a filter cannot have", f"use and, or, not and comparisons, {_HINT}"
            )
        if isinstance(node, ast.Constant):
            _constant(node.value, text)
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return body


def _without_keywords(text: str) -> str:
    """Return an expression in which ``class``, which Python keeps for itself, is ``category``."""
    tokens = [
        (token.type, "category" if token.type == tokenize.NAME and token.string == "class" else token.string)
        for token in tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline)
    ]
    return tokenize.untokenize(tokens).strip()


def _constant(value: object, text: str = "") -> _Value:
    if value is None:
        return _Value("none", None)
    if isinstance(value, bool):
        return _Value("truth", value)
    if isinstance(value, str):
        return _Value("text", value)
    if isinstance(value, int | float):
        try:
            return _Value("number", float(value))
        except OverflowError as error:
            raise _error(text, _NOT_FINITE, "give a smaller one") from error
    raise _error(text, f"has the value {value!r}", "use numbers and quoted text")


def _column(text: str, name: str, columns: Mapping[str, Column]) -> _Value:
    if name not in columns:
        raise unknown_name(text, name, columns)
    values = np.asarray(columns[name])
    return _Value({"b": "truth", "O": "text"}.get(values.dtype.kind, "number"), values)


def _missing(value: _Value) -> NDArray[np.bool_]:
    """Return where a value is missing."""
    if value.kind == "number":
        return np.isnan(np.asarray(value.values, np.float64))
    values = np.asarray(value.values)
    if value.kind == "text" and values.ndim:
        return np.array([item is None for item in values], bool)
    return np.full(values.shape, value.kind == "none")


def _error(text: str, what: str, remedy: str) -> LabelsError:
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    return LabelsError(f"the filter {shown!r} {what}", parameter="where", remedy=remedy)
