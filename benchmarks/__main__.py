"""``python -m benchmarks NAME [options]``: run one benchmark; ``python -m benchmarks all --quick``: each, in small."""

import importlib
import pkgutil
import sys
import time
import traceback
import warnings

import torch

import benchmarks

NAMES = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))


def run(name: str, arguments: list[str]) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    print((module.__doc__ or "").strip(), end="\n\n")
    module.main(arguments)


def run_all(arguments: list[str]) -> int:
    """All benchmarks one after the other, whatever fails; the exit status is that of a shell."""
    seconds: dict[str, float] = {}
    failed = []
    threads = torch.get_num_threads()
    for name in NAMES:
        print(f"== {name}\n", flush=True)
        begin = time.perf_counter()
        try:
            with warnings.catch_warnings():
                run(name, arguments)
        except (Exception, SystemExit):
            traceback.print_exc()
            failed.append(name)
        torch.set_num_threads(threads)
        seconds[name] = time.perf_counter() - begin
        print(f"\n== {name}: {seconds[name]:.1f} s{', FAILED' if name in failed else ''}\n", flush=True)
    for name, taken in seconds.items():
        print(f"{name:20} {taken:6.1f} s{'  FAILED' if name in failed else ''}")
    print(f"{'all':20} {sum(seconds.values()):6.1f} s")
    print(f"failed: {', '.join(failed)}" if failed else f"none of {len(seconds)} failed")
    return int(bool(failed))


def main(arguments: list[str]) -> int:
    if arguments == ["all", "--quick"]:
        return run_all(arguments[1:])
    if not arguments or arguments[0] not in NAMES:
        print(
            "usage: python -m benchmarks NAME [options]\n       python -m benchmarks all --quick\n"
            f"NAME is one of {', '.join(NAMES)}",
            file=sys.stderr,
        )
        return 2
    run(arguments[0], arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
