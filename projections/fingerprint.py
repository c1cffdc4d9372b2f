"""A fingerprint of what a group's projections do, so that a fold that was changed is noticed.

It covers the source of each projection's class and, from there, of every name used in it: functions, classes,
constants, tables of lambdas, in all modules of the class's own top-level package and of ``projections``. Left out are
other packages, SQLAlchemy tables and event types, which have versions of their own, and the framework itself.
Comments, docstrings, formatting and the version of Python make no difference.

What it cannot see: arguments that a projection was constructed with, what is looked up by a computed name, what other
packages do. There a projection's ``version`` has to be raised by hand. A rename or a move counts as a change, though
it is none: a rebuild too many harms nobody, one too few gives wrong rows.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from byjy_events.event import Event
from projections.source import FUNCTIONS, Import, Modules, NoSource, Scope, imported, public_name, value_of

FINGERPRINT_LENGTH = 16
"""Hexadecimal digits of a fingerprint."""

FRAMEWORK = "projections.projection"

_SKIPPED_FIELDS = frozenset({"ctx", "kind", "type_comment"})

_folds: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()
"""For each class what its folds consist of: names and digests."""


def fingerprint(classes: Iterable[type]) -> str:
    """The fingerprint of projection classes together, in whatever order; empty: the source of some is not there.

    A program without source (frozen, compiled, typed at a prompt) cannot tell whether its folds changed.
    """
    modules = Modules()
    parts: set[str] = set()
    try:
        for cls in classes:
            if cls not in _folds:
                _folds[cls] = frozenset(_Reading(modules, cls).parts())
            parts |= _folds[cls]
    except NoSource:
        return ""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:FINGERPRINT_LENGTH]


class _Definition(NamedTuple):
    """A name in a scope, or one statement of it."""

    scope: Scope
    name: str
    statement: ast.stmt | None = None

    @property
    def label(self) -> str:
        return f"{self.scope.module}:{self.scope.path}{self.name}"

    @property
    def statements(self) -> list[ast.stmt]:
        return [self.statement] if self.statement is not None else self.scope.statements(self.name)


class _Module(NamedTuple):
    """A module that is used as a value."""

    name: str


class _Foreign(NamedTuple):
    """Something of another package, or nothing at all."""

    label: str


_Target = _Definition | _Module | _Foreign


class _Reading:
    """What one class and everything it uses consists of."""

    def __init__(self, modules: Modules, cls: type) -> None:
        self._modules = modules
        self._cls = cls
        self._own = {_top(public_name(cls.__module__)), _top(__name__)}

    def parts(self) -> Iterator[str]:
        waiting = list(self._of_class())
        met = {definition.label for definition in waiting}
        while waiting:
            definition = waiting.pop()
            uses: set[str] = set()
            for used, target in self._targets(definition):
                for found in self._definitions(target):
                    uses.add(f"{used}={found.label}")
                    if isinstance(found, _Definition) and found.label not in met and not _left_out(found):
                        met.add(found.label)
                        waiting.append(found)
            text = "\n".join([*map(dumped, definition.statements), *sorted(uses)])
            yield f"{definition.label} {hashlib.sha256(text.encode()).hexdigest()}"

    # --- the class itself -----------------------------------------------------------------------------

    def _of_class(self) -> Iterator[_Definition]:
        module, path = self._cls.__module__, self._cls.__qualname__.split(".")
        scope = self._modules.scope(module)
        found = [_Definition(scope, path[0])] if len(path) == 1 else list(self._nested(scope, path))
        if not any(definition.statements for definition in found):
            raise NoSource(f"{module}.{self._cls.__qualname__}")
        yield from found

    def _nested(self, scope: Scope, path: list[str]) -> Iterator[_Definition]:
        """A class inside functions or classes; of several with one name those that hold this one's methods."""
        tree = self._modules.tree(self._cls.__module__)
        found = list(self._descend(tree, scope, "", [part for part in path if part != "<locals>"]))
        lines = {value.__code__.co_firstlineno for value in vars(self._cls).values() if hasattr(value, "__code__")}
        exact = [one for one in found if any(one[1].lineno <= line <= (one[1].end_lineno or 0) for line in lines)]
        for inner, node, name in exact or found:
            yield _Definition(inner, name, node)

    def _descend(
        self, node: ast.AST, scope: Scope, prefix: str, path: list[str]
    ) -> Iterator[tuple[Scope, ast.ClassDef, str]]:
        name, rest = path[0], path[1:]
        for child in _named(node, name):
            if not rest:
                if isinstance(child, ast.ClassDef):
                    yield scope, child, prefix + name
            elif isinstance(child, FUNCTIONS):
                inner = Scope(scope.module, f"{scope.path}{prefix}{name}.", scope)
                inner.add(child.body, self._modules.package(self._cls.__module__))
                yield from self._descend(child, inner, "", rest)
            else:
                yield from self._descend(child, scope, f"{prefix}{name}.", rest)

    # --- what names mean ------------------------------------------------------------------------------

    def _targets(self, definition: _Definition) -> Iterator[tuple[str, _Target]]:
        """Everything that a definition uses, and under which name."""
        package = self._modules.package(definition.scope.module)
        for statement in definition.statements:
            for used in _used(statement):
                for target in self._resolved(definition.scope, used):
                    yield ".".join(used), target
            for node in ast.walk(statement):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    for name, found in imported(node, package):
                        yield name, self._imported(found, set())

    def _resolved(self, scope: Scope, used: tuple[str, ...]) -> Iterator[_Target]:
        for target in self._looked_up(scope, used[0], set()):
            yield self._taken(target, used[1:])

    def _taken(self, target: _Target, attributes: tuple[str, ...]) -> _Target:
        """What an attribute of a module is, and an attribute of that, as long as it is a module."""
        if not attributes or not isinstance(target, _Module):
            return target
        return self._taken(self._imported(Import(target.name, attributes[0]), set()), attributes[1:])

    def _looked_up(self, scope: Scope | None, name: str, met: set[Import]) -> Iterator[_Target]:
        while scope is not None:
            if name in scope.bindings or name in scope.imports:
                if name in scope.bindings:
                    yield _Definition(scope, name)
                yield from (self._imported(found, met) for found in scope.imports.get(name, ()))
                return
            for star in scope.stars:
                target = self._imported(Import(star, name), met)
                if not isinstance(target, _Foreign):
                    yield target
                    return
            scope = scope.outer

    def _imported(self, found: Import, met: set[Import]) -> _Target:
        label = found.module if found.name is None else f"{found.module}:{found.name}"
        if _top(found.module) not in self._own or not self._modules.exists(found.module) or found in met:
            return _Foreign(label)
        if found.name is None:
            return _Module(found.module)
        if found.module == FRAMEWORK:
            return _Foreign(label)
        met.add(found)
        for target in self._looked_up(self._modules.scope(found.module), found.name, met):
            return target
        inner = f"{found.module}.{found.name}"
        return _Module(inner) if self._modules.exists(inner) else _Foreign(label)

    def _definitions(self, target: _Target) -> Iterator[_Definition | _Foreign]:
        if isinstance(target, _Module):
            yield _Foreign(target.name)
            scope = self._modules.scope(target.name)
            yield from (_Definition(scope, name) for name in scope.bindings)
        else:
            yield target


def _left_out(definition: _Definition) -> bool:
    """Tables and event types have versions of their own, and groups are not folds."""
    if definition.scope.path:
        return False
    value = value_of(definition.scope.module, definition.name)
    if isinstance(value, type):
        return issubclass(value, Event)
    return isinstance(value, (sa.Table, sa.MetaData)) or type(value).__module__ == FRAMEWORK


def _top(module: str) -> str:
    return module.partition(".")[0]


def _named(node: ast.AST, name: str) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, *FUNCTIONS)):
            if child.name == name:
                yield child
        else:
            yield from _named(child, name)


def _used(node: ast.AST) -> set[tuple[str, ...]]:
    """The names that a node uses, with the attributes taken from them: ``("decimal", "Decimal")``."""
    used: set[tuple[str, ...]] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        path = _path(node)
        if path:
            used.add(path)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return used


def _path(node: ast.AST) -> tuple[str, ...]:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


# --- a normal form --------------------------------------------------------------------------------


def dumped(node: Any) -> str:
    """A node as text, the same from Python 3.11 on: fields that are empty, as new ones are, do not show."""
    if isinstance(node, list):
        return f"[{','.join(dumped(one) for one in node if not _without_effect(one))}]"
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({','.join(_pieces(node))})"
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name not in _SKIPPED_FIELDS)
        shown = (f"{name}={dumped(value)}" for name, value in fields if not _empty(value))
        return f"{type(node).__name__}({','.join(shown)})"
    return ascii(node)  # repr shows more characters plainly with each version of Unicode


def _pieces(node: ast.JoinedStr) -> Iterator[str]:
    """Python 3.12 cuts the text of an f-string in other places than 3.11."""
    text = ""
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            text += str(piece.value)
            continue
        yield ascii(text)
        yield dumped(piece)
        text = ""
    yield ascii(text)


def _empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, ast.JoinedStr) and not value.values)


def _without_effect(node: Any) -> bool:
    """Docstrings, of attributes too, ``...`` and ``pass``."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
