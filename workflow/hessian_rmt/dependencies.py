"""Which modules of the library a script is made of, for the rules to declare as inputs.

Snakemake reruns a job when its script changes, but does not look into what the script imports. The
imports are read, not executed, so this costs milliseconds and no torch.
"""

import ast
import importlib.util
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
    try:
        spec = importlib.util.find_spec(import_path.partition(":")[0])
    except (ImportError, ValueError):
        return []
    return [spec.origin] if spec is not None and spec.origin else []


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
