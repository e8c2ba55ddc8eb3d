"""Imports only point down, no method knows another, and a method is its hooks."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import skrep
from skrep.base import HOOKS, Encoder, TorchTransformer
from skrep.contrastive.two_views import TwoViews
from skrep.energy.boltzmann import BoltzmannTransformer
from skrep.language.model import LanguageModel
from skrep.supervised.fine_tuning import FineTuning
from skrep.text import DocumentInput, TokenReader

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


# Family classes, of which there is one between a method and the base.
ABSTRACT = {
    *(Encoder, TorchTransformer, TwoViews, BoltzmannTransformer, LanguageModel, TokenReader, DocumentInput),
    FineTuning,
}

NETWORKS = [cls for name in skrep.__all__ if inspect.isclass(cls := getattr(skrep, name)) and issubclass(cls, Encoder)]
METHODS = [cls for cls in NETWORKS if cls not in ABSTRACT]


def test_no_file_is_long():
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 500}
    assert not long


def base_members():
    given = ("__", "_sklearn_", "set_")  # by Python and by scikit-learn
    return {name for base in (Encoder, TorchTransformer) for name in vars(base) if not name.startswith(given)}


# What scikit-learn's API has beside the hooks, where a method says more of it than its base.
API = {"fit", "partial_fit", "transform", "score", "n_features_out_"}


def test_a_method_defines_hooks_and_nothing_else_of_the_base():
    parameters = {field for cls in METHODS for field in inspect.signature(cls).parameters}
    for cls in METHODS:
        own = {name for name in vars(cls) if name in base_members()} - parameters
        assert own <= {*HOOKS, *API}, cls


def test_hooks_are_those_of_the_base():
    assert set(HOOKS) <= base_members()
    assert len(set(HOOKS)) == len(HOOKS) == 16
    page = (PACKAGE.parent / "docs" / "add_a_method.md").read_text()
    assert all(f"`{hook}" in page for hook in HOOKS)


def test_no_hook_reads_the_net_in_training():
    for cls in {*METHODS, *ABSTRACT}:
        for name in set(HOOKS) & vars(cls).keys():
            member = vars(cls)[name]
            function = member.fget if isinstance(member, property) else member
            if callable(function):
                assert "self.net_" not in inspect.getsource(function), f"{cls.__name__}.{name}"


def test_no_method_is_derived_from_another():
    for cls in METHODS:
        family = [
            base for base in cls.__mro__[1:] if base.__module__.startswith("skrep.") and issubclass(base, Encoder)
        ]
        assert set(family) <= ABSTRACT, cls
        assert len(set(family) - {Encoder, TorchTransformer}) <= 1, cls
