"""What a rule declares is what its script loads, and imports point one way."""

import ast
import json
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hessian_rmt.dependencies import PACKAGE, library_modules

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))

LOADED = """
import ast, json, sys

imports = [
    node for node in ast.parse(open(sys.argv[1]).read()).body
    if isinstance(node, (ast.Import, ast.ImportFrom))
]
exec(compile(ast.Module(imports, []), sys.argv[1], "exec"), {})
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print(json.dumps(files))
"""


def loaded(script: Path) -> dict[str, str | None]:
    """The modules, with their files, that are there after a script's import statements."""
    return all_loaded()[script].result()


@cache
def all_loaded() -> dict[Path, Future[dict[str, str | None]]]:
    """Of every script, in as many processes at once as there are processors."""
    pool = ThreadPoolExecutor(os.cpu_count())
    return {script: pool.submit(_loaded, script) for script in SCRIPTS}


def _loaded(script: Path) -> dict[str, str | None]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, script],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


# Imported inside functions, where they are needed: declared, but not loaded by the imports alone.
DEFERRED = {"fetch_data": {str(PACKAGE / "vision.py")}}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_modules_loaded_are_those_declared(script):
    ours = {file for name, file in loaded(script).items() if name.split(".")[0] == PACKAGE.name}
    assert ours | DEFERRED.get(script.stem, set()) == set(library_modules(script))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts_import_the_library_at_their_top_level(script):
    """Imports further down would escape the test above."""
    tree = ast.parse(script.read_text())
    top = {id(node) for node in tree.body}
    inner = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top
    ]
    assert not inner


WITHOUT_TORCH = [
    script.stem
    for script in SCRIPTS
    if script.stem.startswith(
        (
            "outlier_fits",
            "merge_outliers",
            "universality_",
            "claims",
            "front",
            "training_t",
            "timel",
        )
    )
]


@pytest.mark.parametrize("stem", WITHOUT_TORCH)
def test_analysis_and_figures_import_no_torch(stem):
    names = {name.partition(".")[0] for name in loaded(ROOT / "workflow/scripts" / f"{stem}.py")}
    assert not names & {"torch", "torchvision", "seaborn"}


def test_there_are_such_scripts():
    assert len(SCRIPTS) >= 8
    assert len(WITHOUT_TORCH) >= 4


# Rules --------------------------------------------------------------------------------------------


def rules() -> dict[str, str]:
    """The text of each rule by its name."""
    texts = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^\s*rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            name = re.match(r"\s*(\w+)\s*:", block) or re.search(r"name:\s*f?\"(\w+)", block)
            assert name, block
            texts[name[1]] = block
    return texts


WITH_SCRIPT = {
    name: text for name, text in rules().items() if re.search(r"^\s+script:", text, re.M)
}


def test_every_script_belongs_to_a_rule():
    named = {script for text in WITH_SCRIPT.values() for script in re.findall(r"(\w+\.py)", text)}
    assert named == {script.name for script in SCRIPTS}


@pytest.mark.parametrize("rule", WITH_SCRIPT)
def test_rules_declare_the_library_of_their_script(rule):
    text = WITH_SCRIPT[rule]
    (script,) = re.findall(r'script:\s+"\.\./scripts/(\w+\.py)"', text)
    if rule.startswith("fetch_"):  # fetched files are checked against the manifest
        assert "library=" not in text
        return
    inputs = re.search(r"^( +)input:\n((?:\1 .*\n)+)", text, re.MULTILINE)
    assert inputs, f"{rule} has no inputs"
    assert f'library=library("{script}")' in inputs[2]


def test_rules_whose_jobs_build_networks_declare_the_network_module():
    for rule, text in WITH_SCRIPT.items():
        (script,) = re.findall(r"scripts/(\w+\.py)", text)
        source = (ROOT / "workflow/scripts" / script).read_text()
        builds = re.search(r"\b(trained_run|initial_checkpoint|train_segment)\b", source)
        assert bool(builds) == ("network=network_module" in text), rule


def test_rules_that_take_a_hessian_say_what_batch_norm_does():
    """`trained_run` leaves the averages of the training in place where `hessian` is not given."""
    common = (ROOT / "workflow/rules/common.smk").read_text()
    functions = dict(re.findall(r"^def (\w+)\((.*?)(?=^\S|\Z)", common, re.MULTILINE | re.DOTALL))
    rules_of_runs = 0
    for rule, text in WITH_SCRIPT.items():
        (script,) = re.findall(r"scripts/(\w+\.py)", text)
        if "trained_run" in (ROOT / "workflow/scripts" / script).read_text():
            (settings,) = re.findall(r"settings=(\w+)", text)
            given = '"hessian"' in functions[settings]
            assert given == (rule not in ("embeddings", "iterates")), rule
            rules_of_runs += 1
    assert rules_of_runs >= 5


# The direction of imports -------------------------------------------------------------------------


def packages_imported(path: Path) -> set[str]:
    """The parts of the library (packages, modules beside them) that a module imports anywhere."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}
    return parts


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


BASE = {"_lazy", "errors", "seeds", "storage", "jobs", "provenance"}
MAY_IMPORT = {
    "figures": BASE | {"rmt", "generalisation", "timeline", "figures"},
    "generalisation": BASE | {"generalisation"},
    "rmt": BASE | {"rmt"},
    "geometry": BASE | {"rmt", "geometry"},
    "data": BASE | {"data", "vision"},
    "networks": BASE | {"networks", "vision"},
    "averaging": BASE,
    "training": BASE | {"averaging", "networks", "data"},
    "trained": BASE | {"networks", "data", "training"},
    "curvature": BASE | {"networks", "data", "curvature"},
    "errors": set(),
    "seeds": set(),
    "_lazy": set(),
    "storage": {"errors"},
    "jobs": {"errors"},
    "timeline": {"jobs"},
    "provenance": {"errors", "storage"},
    "claims": BASE | {"rmt", "claims", "config_schema"},
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = part_of(path)
    imported = packages_imported(path)
    if part in MAY_IMPORT:
        assert imported <= MAY_IMPORT[part]
    if part not in ("figures", "claims"):
        assert "figures" not in imported
    assert "__init__" not in imported


def third_parties(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_their_packages_import_torch_and_torchvision(path):
    part, names = part_of(path), third_parties(path)
    if part not in ("averaging", "data", "networks", "training", "trained", "curvature", "vision"):
        assert not names & {"torch", "torchvision"}
    if part != "vision":
        assert "torchvision" not in names


def test_the_snakefile_needs_no_torch():
    """Every `snakemake` call would wait for it."""
    code = (
        "import json, sys;"
        "import hessian_rmt.config, hessian_rmt.data.catalogue, hessian_rmt.dependencies;"
        "import hessian_rmt.errors, hessian_rmt.networks;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded_names: Any = json.loads(done.stdout)
    assert not {"torch", "torchvision", "scipy", "matplotlib"} & set(loaded_names)


# The reader of imports itself ---------------------------------------------------------------------


def test_import_statements_of_every_form(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import hessian_rmt.rmt.outlier_table as table\n"
        "from hessian_rmt.rmt import outlier_statistics\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from hessian_rmt.figures import style\n"
    )
    found = {str(Path(module).relative_to(PACKAGE)) for module in library_modules(script)}
    assert found >= {
        "__init__.py",
        "_lazy.py",
        "errors.py",
        "seeds.py",
        "rmt/__init__.py",
        "rmt/outlier_model.py",
        "rmt/outlier_statistics.py",
        "rmt/outlier_table.py",
    }
    assert not any(module.startswith("figures/") for module in found)


def test_no_module_is_imported_lazily_behind_the_readers_back():
    """`from package import Name` through a lazy export names no file: so nothing here uses it."""
    for path in [*MODULES, *SCRIPTS]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            parts = node.module.split(".")
            folder = PACKAGE.joinpath(*parts[1:])
            if parts[0] != PACKAGE.name or not (folder / "__init__.py").is_file():
                continue
            if "lazy_exports(" not in (folder / "__init__.py").read_text():
                continue
            for alias in node.names:
                names_a_file = (folder / f"{alias.name}.py").is_file()
                assert names_a_file or (folder / alias.name).is_dir(), f"{path}: {alias.name}"
