"""Imports only point down, and no method knows another."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "skrep"

# From the ground up; what shares a line does not import one another.
FLOORS = [
    {"exceptions", "_version", "params"},
    {"persistence", "datasets"},
    {"data"},
    {"views", "backbones", "objectives", "solvers"},
    {"engine", "text"},
    {"base"},
    {"export"},
    {"decomposition", "sparse", "autoencoder", "energy", "contrastive", "words", "language", "supervised", "untrained"},
    {"patches", "stacks"},
    {"evaluation"},
    {"displays"},
    {"report"},
    {"__init__"},
    {"__main__"},
]
FAMILIES = next(floor for floor in FLOORS if "contrastive" in floor)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}


def imports():
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "skrep":
                assert node.level == 0
                below = node.module.split(".")[1:]
                yield room, path, below[0] if below else "__init__"
            elif isinstance(node, ast.Import):
                assert not any(name.name.startswith("skrep") for name in node.names), path


def test_imports_point_down():
    for room, path, below in imports():
        assert room in LEVEL, f"{room} has no floor"
        if room != below:
            assert LEVEL[below] < LEVEL[room], f"{path} reaches up, or across, to {below}"


def test_evaluation_knows_no_method():
    assert not [
        path for room, path, below in imports() if room == "evaluation" and below in {"base", "engine", *FAMILIES}
    ]


def test_methods_know_no_method():
    for family in FAMILIES:
        exported = ast.walk(ast.parse((PACKAGE / family / "__init__.py").read_text()))
        methods = {(node.module or "").split(".")[-1] for node in exported if isinstance(node, ast.ImportFrom)}
        assert methods
        for path in (PACKAGE / family).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and path.stem != "__init__":
                    assert (node.module or "").split(".")[-1] not in methods, path


def test_there_is_no_junk_drawer():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_importing_skrep_imports_no_plotting_and_no_torchvision():
    heavy = ["matplotlib", "torchvision", "timm", "pandas"]
    code = f"import sys, skrep, skrep.displays; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # scikit-learn or torch may import pandas themselves
    assert set(ast.literal_eval(done.stdout)) <= {"pandas"}
