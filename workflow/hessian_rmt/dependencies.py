"""Modules looked at without importing them: what a script is made of, what a user's module defines.

Snakemake reruns a job when its script changes, but does not look into what the script imports: so
rules declare the library's modules as inputs. Sources are read, not executed, which costs
milliseconds and no torch.
"""

import ast
import importlib.machinery
import importlib.util
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def library_modules(script: str | Path) -> list[str]:
    """The files of `hessian_rmt` that a script imports, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = list(_imported(Path(script)))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(str(path) for path in found)


def module_of(import_path: str) -> list[str]:
    """The file of a builder's module (``package.module:function``), in a list; empty if unknown."""
    spec = module_spec(import_path.partition(":")[0])
    return [spec.origin] if spec is not None and spec.origin else []


def module_spec(module: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module lies, without importing it or its packages (they may import torch)."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):  # ValueError: a module without a specification, as __main__
        return None
    name = first
    for part in rest:
        name = f"{name}.{part}"
        places = (spec and spec.submodule_search_locations) or []
        finders = [finder for finder in map(pkgutil.get_importer, places) if finder]
        spec = next((found for finder in finders if (found := finder.find_spec(name))), None)
    # a folder without __init__.py is found as a package, but holds no functions
    return spec if spec and spec.loader and spec.origin else None


def module_names(spec: importlib.machinery.ModuleSpec) -> list[str] | None:
    """Names that a module binds by its source; None where the source does not tell.

    Raises SyntaxError, ValueError or OSError where there is no valid source.
    """
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        names = list(dict.fromkeys(_bound_names(ast.parse(Path(spec.origin).read_bytes()))))
    except RecursionError:
        return None
    return None if "*" in names or "__getattr__" in names else names


def _bound_names(node: ast.AST) -> Iterator[str]:
    """Names bound at a module's top level, also below its if, try and with."""
    for child in ast.iter_child_nodes(node):
        match child:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case (
                ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp()
            ):
                pass  # scopes of their own
            case _:
                yield from _bound_names(child)


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    """The library's files that one file imports when it is executed."""
    found: list[Path] = []
    for node in _executed_imports(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names]
        for name in names:
            found += _files_of(name)
    return tuple(found)


def _executed_imports(tree: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    imports: list[ast.Import | ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif not (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            imports += _executed_imports(node)
    return imports


def _files_of(name: str) -> list[Path]:
    """The files that ``import name`` executes: the packages on the way, and the module."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return []
    files = []
    for depth in range(1, len(parts) + 1):
        base = PACKAGE.joinpath(*parts[1:depth])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                files.append(candidate)
                break
    return files
