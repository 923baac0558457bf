#!/usr/bin/env python3
"""What hardware and administrators do to a running project must not change its result.

Workflows of number protocols run undisturbed and under one fault each: power cuts (all that was not synced is lost, or any part of
it), a full and a read-only disk, a slow mount, a kernel that does not tell of new files, wrong time stamps, a clock that
jumps, processes that stand still, input files that vanish. Then both projects must be equal in every item, task, list and decision.
"""
import argparse
import errno
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from kill_test import children_of, compare, result_of, rows

WORKFLOW = """{"name": "numbers",
  "parameters": [{"name": "files", "type": "path", "required": true}, {"name": "expected", "type": "integer", "default": 0}, {"name": "order", "default": "acquisition"}],
  "steps": {
    "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": "${expected}", "patience": 60}},
    "add": {"protocol": "add", "params": {"sleep_ms": 5}, "inputs": {"left": "in.numbers"}},
    "even": {"protocol": "even", "inputs": {"numbers": "add.numbers"}},
    "join": {"protocol": "add", "params": {"add": 0}, "inputs": {"left": "add.numbers", "right": "in.numbers"}, "where": ["even.accepted"]},
    "total": {"protocol": "total", "inputs": {"numbers": "join.numbers"}, "trigger": {"mode": "batches", "count": 4}},
    "last": {"protocol": "report-total", "inputs": {"totals": "total.totals"}, "trigger": {"mode": "closed"}}}}"""
LONG = os.environ.get("FRAZIL_LONG_TESTS", "") not in ("", "0")


class Runs:
    """Projects over the same numbers in one folder."""

    def __init__(self, program, preload, folder, count):
        self.program, self.preload, self.folder, self.count = program, preload, folder, count
        self.files = folder / "in"
        (folder / "workflow.json").write_text(WORKFLOW)
        self.fresh()

    def fresh(self):
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()

    def write(self, first, last):
        for number in range(first, last + 1):
            hidden = self.files / f".{number}"
            hidden.write_text(f"{number}\nend")
            hidden.rename(self.files / f"n_{number}.num")

    def start(self, name, **faults):
        environment = dict(os.environ, **faults)
        if faults:
            environment["LD_PRELOAD"] = str(self.preload)
        log = open(self.folder / f"{name}.log", "ab")
        return subprocess.Popen([self.program, "run", self.folder / name, self.folder / "workflow.json", f"files={self.files}", f"expected={self.count}"],
                                env=environment, stdout=log, stderr=log)

    def run(self, name, **faults):
        return self.start(name, **faults).wait(timeout=300)

    def tasks(self, name):
        return rows(self.folder / name, "SELECT count(*) FROM task")[0][0]


def end(process):
    """SIGKILL to the engine; its workers follow it."""
    workers = children_of(process)
    process.kill()
    process.wait()
    while any(os.path.exists(f"/proc/{pid}") for pid in workers):
        time.sleep(0.01)


def restore(shadow, inode, now, to, rng, mixed):
    """Builds what a power cut leaves of a folder. mixed: what was not synced may have reached the disk all the same."""
    to.mkdir()
    entries = {}
    if (shadow / f"d{inode}").exists():
        for line in (shadow / f"d{inode}").read_text().splitlines():
            kind, number, name, link = line.split("\t")
            entries[name] = (kind, int(number), link)
    if mixed and now.is_dir():
        for entry in os.scandir(now):
            if rng.random() < 0.5:
                kind = "l" if entry.is_symlink() else "d" if entry.is_dir() else "f"
                entries[entry.name] = (kind, entry.inode(), os.readlink(entry.path) if kind == "l" else "")
    for name, (kind, number, link) in entries.items():
        if kind == "l":
            os.symlink(link, to / name)
        elif kind == "d":
            restore(shadow, number, now / name, to / name, rng, mixed)
        elif (shadow / f"f{number}").exists():
            shutil.copyfile(shadow / f"f{number}", to / name)
        else:
            (to / name).touch()  # named, but its bytes were never synced


def power_cuts(runs, cuts, rng):
    project, shadow = runs.folder / "power", runs.folder / "shadow"
    shadow.mkdir()
    runs.write(1, runs.count // 2)
    for cut in range(cuts):
        engine = runs.start("power", FAULT_ROOT=str(runs.folder / "power"), FAULT_SHADOW=str(shadow))
        if cut == cuts // 2:
            runs.write(runs.count // 2 + 1, runs.count)
        time.sleep(rng.uniform(0.2, 1.2))
        end(engine)
        left = runs.folder / "left"
        inode = project.stat().st_ino if project.exists() else 0
        restore(shadow, inode, project, left, rng, cut % 2 == 1)
        if not (left / "project.frazil").exists():  # the cut came before the project was made
            shutil.rmtree(left)
        shutil.rmtree(project, ignore_errors=True)
        shutil.rmtree(shadow)
        shadow.mkdir()
        if left.exists():
            left.rename(project)
            done = runs.tasks("power")  # first: whoever closes a database moves its log into it
            for path in [project, *project.rglob("*")]:  # what is on the disk after a cut is durable
                if not path.is_symlink():
                    (shadow / f"{'f' if path.is_file() else 'd'}{path.stat().st_ino}").write_bytes(path.read_bytes() if path.is_file() else listing(path))
            print(f"  power cut {cut + 1}: {done} tasks left")
    return runs.run("power")


def listing(folder):
    lines = []
    for entry in os.scandir(folder):
        kind = "l" if entry.is_symlink() else "d" if entry.is_dir() else "f"
        lines.append(f"{kind}\t{entry.inode()}\t{entry.name}\t{os.readlink(entry.path) if kind == 'l' else ''}\n")
    return "".join(lines).encode()


def refusing_disk(runs, name, error):
    """The disk refuses for a second; an engine that gives up is started again when it does not any more."""
    flag = runs.folder / f"{name}.errno"
    runs.write(1, runs.count // 2)
    engine = runs.start(name, FAULT_ROOT=str(runs.folder / name), FAULT_ERRNO=str(flag))
    time.sleep(0.6)
    flag.write_text(str(error))
    time.sleep(1)
    runs.write(runs.count // 2 + 1, runs.count)
    time.sleep(0.5)
    flag.unlink()
    code = engine.wait(timeout=300)
    print(f"  the engine {'went on' if code in (0, 1) else 'ended with ' + str(code)}:", (runs.folder / f"{name}.log").read_text().strip()[-200:] or "without a word")
    return code if code == 0 else runs.run(name)


def full_disk(runs, rng):
    return refusing_disk(runs, "full", errno.ENOSPC)


def read_only_disk(runs, rng):
    return refusing_disk(runs, "readonly", errno.EROFS)


def slow_mount(runs, rng):
    runs.write(1, runs.count)
    return runs.run("slow", FAULT_ROOT=str(runs.files), FAULT_SLOW_MS="20")


def blind_kernel(runs, rng):
    engine = runs.start("blind", FAULT_BLIND="1")
    time.sleep(0.5)
    for number in range(1, runs.count + 1):
        runs.write(number, number)
        time.sleep(0.01)
    return engine.wait(timeout=300)


def wrong_times(runs, rng):
    engine = runs.start("times")
    for number in range(1, runs.count + 1):
        runs.write(number, number)
        when = rng.choice([0, 946684800, time.time() + 86400 * 365, time.time() - 3600])
        os.utime(runs.files / f"n_{number}.num", (when, when))
    return engine.wait(timeout=300)


def jumping_clock(runs, rng):
    clock = runs.folder / "clock"
    clock.write_text("0")
    engine = runs.start("clock-jumps", FAULT_CLOCK=str(clock))
    for number in range(1, runs.count + 1):
        runs.write(number, number)
        if number % 5 == 0:
            clock.write_text(str(rng.choice([-86400 * 400, -3600, 0, 7200, 86400 * 400])))
        time.sleep(0.02)
    return engine.wait(timeout=300)


def standing_still(runs, rng):
    runs.write(1, runs.count)
    engine = runs.start("still")
    time.sleep(0.5)
    workers = children_of(engine)
    for victims in ([engine.pid], workers, [engine.pid, *workers]):
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(60 if LONG else 1)
        for pid in victims:
            os.kill(pid, signal.SIGCONT)
    return engine.wait(timeout=300)


def vanishing_input(runs, rng):
    engine = runs.start("vanished")
    for number in range(1, runs.count + 1):
        if number % 7 == 0:  # begun, and gone before it was whole
            (runs.files / f"n_{number}_part.num").write_text(f"{number}\n")
        runs.write(number, number)
        if number % 7 == 3 and number > 7:
            (runs.files / f"n_{number - 3}_part.num").unlink()
        time.sleep(0.02)
    for path in runs.files.glob("*_part.num"):
        path.unlink()
    return engine.wait(timeout=300)


FAULTS = {"power": power_cuts, "full": full_disk, "readonly": read_only_disk, "slow": slow_mount, "blind": blind_kernel, "times": wrong_times,
          "clock-jumps": jumping_clock, "still": standing_still, "vanished": vanishing_input}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="frazil_numbers")
    parser.add_argument("--preload", type=pathlib.Path, required=True, help="library made from faults.c")
    parser.add_argument("--only", choices=FAULTS, action="append")
    parser.add_argument("--cuts", type=int, default=100 if LONG else 8)
    parser.add_argument("--seed", type=int, default=20262)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-faults-")).resolve()
    runs = Runs(options.program, options.preload.resolve(), folder, 200 if LONG else 60)
    runs.write(1, runs.count)
    if runs.run("undisturbed") != 0:
        print((folder / "undisturbed.log").read_text())
        return 1
    expected = result_of(folder / "undisturbed")
    print(f"undisturbed: {runs.tasks('undisturbed')} tasks")
    failed = []
    for name in options.only or FAULTS:
        runs.fresh()
        started = time.monotonic()
        rng = random.Random(options.seed)
        code = power_cuts(runs, options.cuts, rng) if name == "power" else FAULTS[name](runs, rng)
        good = code == 0 and compare(expected, result_of(folder / name))
        print(f"{name}: {'equal' if good else f'NOT equal (exit code {code})'} after {time.monotonic() - started:.1f} s")
        if not good:
            failed.append(name)
            print((folder / f"{name}.log").read_text()[-2000:])
    if failed:
        print("left in", folder)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
