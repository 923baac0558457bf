#!/usr/bin/env python3
"""Fails on an #include that goes against the direction of the data, on include cycles between folders, and on clamps that
hide what is not a number."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "src" / "frazil"

# folder -> folders it may include, besides itself and what those may include
MAY_USE = {
    "base": [],
    "params": ["base"],
    "image": ["base"],
    "model": ["params"],
    "io": ["image", "model"],
    "sim": ["image", "model"],
    "algo": ["image", "model", "params"],
    "flow": ["params"],  # and so store, exec and engine have never heard of cryo-EM
    "protocols": ["algo", "io", "flow"],
    "plugin": ["protocols"],
    "store": ["flow"],
    "exec": ["flow"],
    "engine": ["flow", "store", "exec"],
    "report": ["engine", "io", "model"],
    "bundle": ["engine", "plugin", "io"],
    "cli": ["*"],
    "check": ["io", "image", "model"],  # the truth checker stands outside the pipeline
}
# Tests may also use the simulator and the protocols' neighbours.
TEST_EXTRA = ["sim", "io"]
CLAMP = re.compile(r"std::max\(0\.[0fF]*,|std::max<(double|float)>\(0[.,]")
INCLUDE = re.compile(r'^\s*#\s*include\s+"frazil/([a-z0-9_]+)/', re.M)


def closure(folder, seen=None):
    seen = seen if seen is not None else set()
    for used in MAY_USE.get(folder, []):
        if used not in seen:
            seen.add(used)
            closure(used, seen)
    return seen


def clamps():
    """std::max(0.0, x) makes a 0 of NaN, which every upper limit accepts: base/finite.hpp has at_least_zero."""
    top = ROOT.parent.parent
    found = []
    for path in sorted(p for folder in ("src", "bench", "examples") for p in (top / folder).rglob("*.[ch]pp")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if CLAMP.search(line) and not line.lstrip().startswith("//"):
                found.append(f"{path.relative_to(top)}:{number}: at_least_zero(x) keeps NaN, std::max(0.0, x) hides it")
    return found


def main():
    problems = []
    for path in sorted(ROOT.rglob("*.[ch]pp")):
        folder = path.relative_to(ROOT).parts[0]
        if folder not in MAY_USE:
            problems.append(f"{path}: folder {folder} is not in the table of scripts/check_layers.py")
            continue
        allowed = closure(folder) | {folder}
        if path.name.endswith("_test.cpp"):
            for extra in TEST_EXTRA:
                allowed |= closure(extra) | {extra}
        if "*" in MAY_USE[folder]:
            continue
        for used in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if used not in allowed:
                problems.append(f"{path.relative_to(ROOT)}: {folder} may not include {used}")
    problems += clamps()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"layers: {'%d problems' % len(problems) if problems else 'in order'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
