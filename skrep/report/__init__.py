"""The command line: which representation lets a probe work with few labels on your data."""

from skrep.report.cli import main

__all__ = ["main"]
