"""Closed forms and solvers for whole matrices; modules of machine code import numba, so import them one by one."""
