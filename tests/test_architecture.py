"""The structure that docs/architecture.md describes is the one that the package has."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src/dualad"
HEAVY = {"h5py", "keras", "matplotlib", "numpy", "pandas", "scipy", "sklearn", "tensorflow"}


def module_name(path: Path) -> str:
    """Dotted name of a module of the package, from its file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Everything that a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in TREES else node.module


def names_at_the_start(tree: ast.Module) -> set[str]:
    """What a module imports when it is imported, not counting what only type checkers see."""
    statements = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return {name for statement in statements for name in imported_names(statement)}


IMPORTS = {module: set(imported_names(tree)) for module, tree in TREES.items()}
GRAPH = {module: names & set(TREES) for module, names in IMPORTS.items()}


def layers() -> list[str]:
    """The order of the layers, from the documentation."""
    section = (ROOT / "docs/architecture.md").read_text().split("## Layers")[1]
    block = re.search(r"```text\n(.*?)```", section, re.S)
    assert block is not None
    return block[1].replace(",", " ").split()


def layer(module: str) -> str:
    """First part of a module's name below `dualad`, or `dualad` for the public interface itself."""
    return module.split(".")[1] if "." in module else "dualad"


def test_the_documented_layers_are_those_of_the_package() -> None:
    documented = layers()
    assert len(documented) == len(set(documented))
    assert set(documented) >= {layer(module) for module in TREES}


def test_imports_point_one_way() -> None:
    order = {name: position for position, name in enumerate(layers())}
    wrong = [
        f"{module} imports {imported}"
        for module, names in GRAPH.items()
        for imported in sorted(names)
        if layer(imported) != layer(module) and order[layer(imported)] > order[layer(module)]
    ]
    assert wrong == []


def test_no_modules_import_each_other() -> None:
    TopologicalSorter(GRAPH).prepare()


def test_what_every_job_imports_is_light() -> None:
    """Snakemake reads the rules in every job, and the rules import `dualad.design`."""
    waiting = [module for module in TREES if layer(module) == "design"]
    reached: dict[str, set[str]] = {}
    while waiting:
        module = waiting.pop()
        if module not in reached:
            # Elsewhere, what is imported inside a function is not imported before it is called.
            late = layer(module) == "design"
            reached[module] = IMPORTS[module] if late else names_at_the_start(TREES[module])
            waiting += reached[module] & set(TREES)
    heavy = {
        module: {name.split(".")[0] for name in names} & HEAVY for module, names in reached.items()
    }
    assert {module: names for module, names in heavy.items() if names} == {}


def test_the_package_does_not_know_snakemake() -> None:
    assert [m for m, names in IMPORTS.items() if any("snakemake" in name for name in names)] == []


@pytest.mark.parametrize(
    "module", sorted(m for m in TREES if (PACKAGE.parent / m.replace(".", "/")).is_dir())
)
def test_only_the_top_package_has_code_in_its_init(module: str) -> None:
    tree = TREES[module]
    assert ast.get_docstring(tree)
    assert module == "dualad" or len(tree.body) == 1


def test_the_folders_of_the_tests_are_those_of_the_package() -> None:
    packages = {
        path.parent.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    tests = {
        path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")
    }
    beyond = {Path("workflow"), Path("cluster"), Path("faults")}
    assert tests - beyond == packages
