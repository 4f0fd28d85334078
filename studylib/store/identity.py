"""What a stage is: one hash of its params, its inputs and the code that decides its result.

The code is every definition that the stage's function reaches by name, wherever it stands: without file names, import
lines, comments, docstrings, annotations of functions and the texts of errors. A definition can move to another file,
and a sentence can be mended, without making a result anew.
"""

import ast
import hashlib
import importlib.metadata
import json
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from studylib.paths import ROOT

# Words, values and bookkeeping, not what is done with them.
NEUTRAL = ("studylib.errors", "studylib.paths", "studylib.params", "studylib.store.identity", "studylib.store.machine")
TRAINERS = ("torch", "transformers", "trl")  # their versions count where a stage trains, which is where it reaches trl


@dataclass(frozen=True)
class Stage:
    """One node of the plan. `inputs` go by role.

    `code`: the functions that make it, as "studylib.module:function" ("*": all of it); `unused`: functions that these
    would reach, but not under these params (the other engine).
    """

    name: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, "Stage"]
    code: tuple[str, ...]
    seed: int | None = None
    unused: tuple[str, ...] = ()

    @cached_property
    def identity(self) -> str:
        """sha256 of the resolved parameters, the inputs' identities and the code."""
        content = {
            "name": self.name,
            "kind": self.kind,
            "params": self.params,
            "seed": self.seed,
            "inputs": {role: stage.identity for role, stage in self.inputs.items()},
            "code": sorted(self.code_hashes().values()),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def code_hashes(self) -> dict[str, str]:
        return {function: code_hash(function, self.unused) for function in self.code}

    @property
    def label(self) -> str:
        return self.name if self.seed is None else f"{self.name}.s{self.seed}"


@cache
def code_hash(function: str, unused: tuple[str, ...] = ()) -> str:
    """Hash of all that a function reaches: definitions of the study, files beside them that they name, and, where it
    trains, the versions of the trainers. Raises KeyError if there is no such function."""
    texts, trains = reached(function, unused)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in TRAINERS] if trains else []
    return hashlib.sha256(json.dumps([sorted(texts), versions]).encode()).hexdigest()[:16]


def imported_by(source: str) -> list[str]:
    """What a script imports of the study, as "module:name"; "module:*" where it imports a whole module."""
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for statement in statements for _, name in _imported(statement)}
    return sorted(name.removesuffix("module") for name in names if name.startswith("studylib"))


def reached(function: str, unused: tuple[str, ...] = ()) -> tuple[set[str], bool]:
    """The texts of the definitions that a function reaches, and whether trl is among what they use."""
    for name in (function, *unused):
        module, _, definition = name.partition(":")
        known = _module(module)
        if definition != "*" and definition not in known.imports:
            known.definitions[definition]  # noqa: B018  (a function that was renamed raises here)
    todo, seen, modules, texts, packages = [function], set(unused), set(), set(), set()
    while todo:
        if (name := todo.pop()) in seen:
            continue
        seen.add(name)
        module, _, definition = name.partition(":")
        if module.partition(".")[0] != "studylib":
            packages.add(module.partition(".")[0])
            continue
        if module.startswith(NEUTRAL):
            continue
        source = _module(module)
        parts = source.definitions.get(definition, [])
        if definition in source.imports:
            todo.append(source.imports[definition])
        if module not in modules:  # what acts whenever the module is imported, in its packages too
            modules.add(module)
            parts = [*parts, *source.always]
            todo += [f"{module.rpartition('.')[0]}:"] if "." in module else []
        if definition == "*":
            todo += [f"{module}:{other}" for other in source.definitions]
        for part in parts:
            text, uses = _read(module, part)
            texts |= text
            todo += uses
    return texts, "trl" in packages


@dataclass
class _Module:
    """The top level of a file: what each name is bound by, where imported names come from, and what acts at once."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)


@cache
def _module(name: str) -> _Module:
    module, tree = _Module(), _Bare().visit(ast.parse(_file(name).read_text()))
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports |= dict(_imported(statement))
            continue
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [statement.name]
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
            if not all(isinstance(target, ast.Name | ast.Tuple) for target in targets):  # os.environ[...] = ...
                module.always.append(statement)
                continue
        else:
            module.always.append(statement)
            continue
        for bound in names:
            module.definitions.setdefault(bound, []).append(statement)
    return module


@cache
def _read(module: str, part: ast.stmt) -> tuple[set[str], list[str]]:
    """The text of a definition, with the hashes of files beside the module that it names, and what it uses."""
    local = {}
    for node in ast.walk(part):
        if isinstance(node, ast.Import | ast.ImportFrom):
            local |= dict(_imported(node))
    imports = _module(module).imports | local
    plain = _Plain(imports, _file(module).parent)
    tree = plain.visit(ast.parse(ast.unparse(part)))
    for node in ast.walk(tree):
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]
    text = ast.unparse(ast.fix_missing_locations(tree))
    own = _module(module).definitions
    uses = [*local.values(), *plain.uses]
    for name in _global_names(ast.unparse(part)):
        uses.append(imports[name] if name in imports else f"{module}:{name}" if name in own else ":")
    return {text, *plain.files}, [use for use in uses if use != ":" and not use.endswith(":*module")]


def _global_names(source: str) -> set[str]:
    """The names of a statement that are looked up in its module."""

    def visit(table: symtable.SymbolTable) -> Iterator[str]:
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_global() or (top and symbol.is_referenced()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from visit(child)

    return set(visit(symtable.symtable(source, "definition", "exec")))


def _file(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, with "module:name" that it stands for; ":*module" where it is a module."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            yield alias.asname or alias.name.partition(".")[0], f"{alias.name}:*module"
        elif _is_module(f"{statement.module}.{alias.name}"):
            yield alias.asname or alias.name, f"{statement.module}.{alias.name}:*module"
        else:
            yield alias.asname or alias.name, f"{statement.module}:{alias.name}"


def _is_module(name: str) -> bool:
    return name.partition(".")[0] == "studylib" and _file(name).exists()


class _Bare(ast.NodeTransformer):
    """A module without what decides no result."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        test = ast.unparse(node.test)
        return None if test in ("TYPE_CHECKING", "__name__ == '__main__'") else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """An error without its text; other exceptions, which may carry values, as they are."""
        if isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func).endswith("Error"):
            return ast.Raise(exc=node.exc.func)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self._without_docstring(node)

    def _without_docstring(self, node):
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        self.generic_visit(node)
        if not isinstance(node, ast.Module):
            node.body = node.body or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Module = visit_ClassDef = _without_docstring


class _Plain(ast.NodeTransformer):
    """A definition with every name of the study bare: `models.load(x)` is `load(x)`, wherever load stands.

    Collects the functions so named, the packages of others, and hashes of files that stand beside the module.
    """

    def __init__(self, imports: dict[str, str], folder: Path):
        self.imports, self.folder = imports, folder
        self.uses: list[str] = []
        self.files: list[str] = []

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        module = self._module_of(node.value)
        if module is None:
            return self.generic_visit(node)
        if not _is_module(module):
            self.uses.append(f"{module}:")
            return node
        if _is_module(f"{module}.{node.attr}"):
            return node
        self.uses.append(f"{module}:{node.attr}")
        return ast.Name(node.attr, node.ctx)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        module = self._module_of(node)
        if module is not None:  # the module itself is handed on: all of it counts
            self.uses.append(f"{module}:*" if _is_module(module) else f"{module}:")
            return node
        target = self.imports.get(node.id, "")
        return ast.Name(target.partition(":")[2], node.ctx) if target.startswith("studylib") else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and node.value.isprintable() and 0 < len(node.value) < 100:
            if _is_module(node.value):  # started as a process
                self.uses.append(f"{node.value}:*")
                return ast.Constant("")
            file = self.folder / node.value
            if "." in node.value and file.suffix != ".py" and file.is_file():
                self.files.append(f"{node.value} {file_hash(file)}")
        return node

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def _module_of(self, node: ast.AST) -> str | None:
        """The module that a name or a dotted name stands for."""
        if isinstance(node, ast.Attribute):
            outer = self._module_of(node.value)
            return f"{outer}.{node.attr}" if outer and _is_module(f"{outer}.{node.attr}") else None
        target = self.imports.get(node.id, "") if isinstance(node, ast.Name) else ""
        return target.removesuffix(":*module") if target.endswith(":*module") else None


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
