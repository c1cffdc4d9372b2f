"""What the names in a program's source mean: statements of its modules, or imports.

A module's source is taken as it lies on the disk now; a program whose files are exchanged under it while it starts is
not told from the new one.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OWN_SCOPE = (*FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class NoSource(Exception):
    """A module has no source: a frozen program, a compiled module, an interactive session."""


class Import(NamedTuple):
    """What an import brings: a name of a module, or with None the module itself."""

    module: str
    name: str | None


@dataclass(eq=False)
class Scope:
    """The names of a module, or of a function with those around it.

    Attributes:
        module: the module's name, as others import it.
        path: the function's qualified name with a point behind it; empty: the module itself.
        bindings: for each name the outermost statements that bind it.
        changes: those that change its value: ``TABLE[key] = …``, ``TABLE.update(…)`` and ``@TABLE.register``.
        imports: for each imported name where it comes from.
        stars: modules of which everything is imported.
    """

    module: str
    path: str = ""
    outer: Scope | None = None
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    changes: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, list[Import]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def add(self, body: Sequence[ast.stmt], package: str) -> Scope:
        """Take the names of a body in."""
        for statement in body:
            for node in _within(statement):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    self._add_import(node, package)
                else:
                    _note(self.bindings, _bound(node), statement)
                    for name in _changed(node):
                        _note(self.changes, name, statement)
        return self

    def statements(self, name: str) -> list[ast.stmt]:
        """What makes a name what it is, in the order of the source; empty: nothing here does."""
        bound = self.bindings.get(name, [])
        changes = self.changes.get(name, []) if bound else []  # what a module does to others is not looked at
        return sorted({*bound, *changes}, key=lambda statement: (statement.lineno, statement.col_offset))

    def _add_import(self, node: ast.Import | ast.ImportFrom, package: str) -> None:
        for name, found in imported(node, package):
            if name == "*":
                self.stars.append(found.module)
            else:
                self.imports.setdefault(name, []).append(found)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Import]]:
    """The names that an import binds, and what to."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, Import(alias.name, None)) if alias.asname else (top, Import(top, None))
        return
    module = node.module or ""
    if node.level:
        try:
            module = importlib.util.resolve_name("." * node.level + module, package)
        except ImportError:  # beyond the top: it would not have been imported either
            return
    for alias in node.names:
        yield alias.asname or alias.name, Import(module, alias.name)


class Modules:
    """Modules by name, each read once."""

    def __init__(self) -> None:
        self._trees: dict[str, ast.Module] = {}
        self._scopes: dict[str, Scope] = {}

    def exists(self, name: str) -> bool:
        """Whether there is such a module; it is imported if it was not yet."""
        return _loaded(name) is not None

    def tree(self, name: str) -> ast.Module:
        """
        Raises:
            NoSource: see there.
        """
        if name not in self._trees:
            self._trees[name] = _parsed(name)
        return self._trees[name]

    def scope(self, name: str) -> Scope:
        """The names of a module. Raises as :meth:`tree`."""
        if name not in self._scopes:
            self._scopes[name] = Scope(public_name(name)).add(self.tree(name).body, self.package(name))
        return self._scopes[name]

    def package(self, name: str) -> str:
        """What a module's relative imports start from."""
        return getattr(_loaded(name), "__package__", None) or ""


def public_name(module: str) -> str:
    """What others call a module: ``__main__`` has another name for whoever imports it."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    return Path(getattr(main, "__file__", None) or "__main__").stem


def value_of(module: str, name: str) -> Any:
    """What a module's name stands for now; None: nothing."""
    return getattr(_loaded(module), name, None)


def _loaded(name: str) -> ModuleType | None:
    if name in sys.modules:
        return sys.modules[name]
    main = sys.modules.get("__main__")
    if main is not None and name == public_name("__main__"):
        return main
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - an optional module of somebody else, which may fail in any way
        return None


def _parsed(name: str) -> ast.Module:
    module = _loaded(name)
    if module is None:
        raise NoSource(name)
    try:
        text = _text(module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were shown when it was compiled
            return ast.parse(text)
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        raise NoSource(name) from error


def _text(module: ModuleType) -> str:
    spec = getattr(module, "__spec__", None)
    get_source = getattr(getattr(module, "__loader__", None), "get_source", None)
    if get_source is not None:
        text = get_source(module.__name__ if spec is None else spec.name)
        if text is not None:
            return str(text)
    file = getattr(module, "__file__", None) or ""
    if not file.endswith(".py"):
        raise NoSource(module.__name__)
    return importlib.util.decode_source(Path(file).read_bytes())


def _within(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement that are in the same scope; not what is for type checkers only."""
    yield statement
    if isinstance(statement, _OWN_SCOPE):
        return
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        for child in _children(node):
            yield child
            if not isinstance(child, _OWN_SCOPE):
                waiting.append(child)


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        return node.orelse
    return ast.iter_child_nodes(node)


def _note(names: dict[str, list[ast.stmt]], name: str | None, statement: ast.stmt) -> None:
    if name is not None and statement not in names.setdefault(name, []):
        names[name].append(statement)


def _bound(node: ast.AST) -> str | None:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return node.name
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else None


def _changed(node: ast.AST) -> Iterator[str | None]:
    if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
        yield _root(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield _owner(node.value)
    elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield from map(_owner, node.decorator_list)


def _owner(node: ast.AST) -> str | None:
    """The name whose method is called or taken: ``TABLE`` in ``TABLE.update(…)``."""
    called = node.func if isinstance(node, ast.Call) else node
    return _root(called) if isinstance(called, ast.Attribute) else None


def _root(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
