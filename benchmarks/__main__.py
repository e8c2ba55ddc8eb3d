"""``python -m benchmarks NAME [options]``: run one benchmark."""

import importlib
import pkgutil
import sys

import benchmarks


def main() -> int:
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"usage: python -m benchmarks NAME [options]; NAME is one of {', '.join(names)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"benchmarks.{sys.argv[1]}")
    print((module.__doc__ or "").strip(), end="\n\n")
    module.main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
