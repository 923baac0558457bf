#!/usr/bin/env python3
"""Kills a real run over and over and asks for the same project as without.

Movies are simulated, the shipped template "volume" runs over them once undisturbed and once while the engine or one of
its workers gets SIGKILL at random instants, half each, at least twice the longest task apart. Then both projects must be
equal: every item, task, member list and decision in the store, and every byte under star/ and steps/.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

SCENE = dict(count=60, nx=288, ny=288, pixel_size=3, frames=6, dose_per_frame=5, particles=12, ice_thickness=300, empty=0.1,
             contrast=1, defocus_min=12000, seed=5)
CHEAP = {"classify": dict(epochs=2, final_passes=1, resolution=20),
         "volume": dict(starts=1, iterations=5, passes=1, first_batch=20, last_batch=20, max_particles=50, angular_step=45, final_resolution=20)}


class Runs:
    """The program, its movies and the projects made from them, in one folder."""

    def __init__(self, frazil, template, folder):
        self.frazil, self.folder = frazil, folder
        self.source, self.incoming = folder / "microscope", folder / "incoming"
        workflow = json.loads(template.read_text())
        for step, params in CHEAP.items():
            workflow["steps"][step].setdefault("params", {}).update(params)
        self.workflow = folder / "workflow.json"
        self.workflow.write_text(json.dumps(workflow))

    def simulate(self, movies):
        options = [text for key, value in dict(SCENE, count=movies).items() for text in (f"--{key.replace('_', '-')}", str(value))]
        subprocess.run([self.frazil, "simulate", "-o", self.source, *options], check=True, stderr=subprocess.DEVNULL)
        self.movies = sorted(self.source.glob("*.mrc"))

    def deliver(self, movie):
        hidden = self.incoming / ("." + movie.name)
        shutil.copyfile(movie, hidden)
        hidden.rename(self.incoming / movie.name)

    def start(self, project):
        values = dict(movies=self.incoming, gain=self.source / "references" / "gain.mrc", pixel_size=3, dose_per_frame=5, order="acquisition",
                      expected=len(self.movies), diameter=180, fit_resolution_limit=30, first_particles=60, classes=3)
        settings = [text for key, value in values.items() for text in ("--set", f"{key}={value}")]
        log = open(self.folder / f"{project}.log", "ab")
        return subprocess.Popen([self.frazil, "run", self.workflow, "--project", self.folder / project, "--until-closed", "--quiet", *settings], stdout=log, stderr=log)


def rows(project, query):
    database = sqlite3.connect(project / "project.frazil")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def result_of(project):
    """What must not depend on how the run went: name → content."""
    result = {}
    for item, *rest in rows(project, "SELECT id, kind, step, port, subject, ord, label, record FROM item"):
        result[f"item {rest[1]} {rest[5]} {item}"] = rest
    outputs = "(SELECT group_concat(o.port || ' ' || i.id) FROM (SELECT * FROM output WHERE task = t.n ORDER BY place) o JOIN item i ON i.n = o.item)"
    for key, *rest in rows(project, f"SELECT key, step, protocol, version, subject, label, ord, failed, code, message, {outputs} FROM task t"):
        result[f"task {rest[0]} {rest[4]} {key}"] = rest
    for step, number, members in rows(project, "SELECT step, number, members FROM batch"):
        result[f"batch {step} {number}"] = members
    for step, item, by, *rest in rows(project, "SELECT step, item, by, subject, label, accepted, rule, value, bound, reason, key FROM decision"):
        result[f"decision {step} {item} {by}"] = rest
    for step, path, *rest in rows(project, "SELECT step, path, size, state, hash, subject, reason FROM file"):
        result[f"file {step} {path}"] = rest
    for top in ("star", "steps"):
        for path in (project / top).rglob("*"):
            if path.is_file():
                result[str(path.relative_to(project))] = path.read_bytes()
    result["left in tmp"] = sorted(os.listdir(project / "tmp"))
    return result


def children_of(process):
    try:
        return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except OSError:
        return []


def is_busy(pid):
    """A worker that computes or writes, not one that waits for a task."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in ("R", "D")
    except OSError:
        return False


def disturb(runs, kills, gap_s, chain_s, rng):
    """Runs with kills. @return the last engine, how many engines and workers were killed, and how many of the kills met work"""
    engine, delivered, killed, busy = runs.start("disturbed"), 0, {"engine": 0, "worker": 0}, 0
    regular = len(runs.movies) * 7 // 8  # the others come when a worker's turn finds none alive
    early = 0  # a movie is wanted ahead of its time
    victims = ["engine"] * (kills - kills // 2) + ["worker"] * (kills // 2)
    rng.shuffle(victims)
    while sum(killed.values()) < kills:
        time.sleep(gap_s)
        # The last movie comes with the last kill, lest the run ends before.
        most = len(runs.movies) - (sum(killed.values()) + 1 < kills)
        while delivered < most and (early or delivered * kills < (sum(killed.values()) + 1) * regular):
            runs.deliver(runs.movies[delivered])
            delivered += 1
            early = 0
        time.sleep(rng.uniform(0, chain_s))
        if engine.poll() is not None:
            raise SystemExit(f"the engine ended by itself with {engine.returncode} after {killed}")
        workers = children_of(engine)
        works = any(is_busy(worker) for worker in workers)
        if victims[-1] == "worker" and not workers and "engine" in victims and delivered == most:
            victims.remove("engine")  # nobody will come to life before an engine's turn
            victims.append("engine")
        if victims[-1] == "worker" and workers:
            victims.pop()
            os.kill(rng.choice(workers), signal.SIGKILL)
            killed["worker"] += 1
            busy += works
        elif victims[-1] == "engine":
            victims.pop()
            engine.kill()
            engine.wait()
            killed["engine"] += 1
            busy += works
            engine = runs.start("disturbed")
        elif delivered == most:
            break
        else:
            early = 1  # the next movie brings workers to life
    for movie in runs.movies[delivered:]:
        runs.deliver(movie)
    return engine, killed, busy


def compare(expected, found):
    differences = [f"{what}: {'is missing' if what not in found else 'is too much' if what not in expected else 'differs'}"
                   for what in sorted(expected.keys() | found.keys()) if expected.get(what) != found.get(what)]
    for line in differences[:40]:
        print(line)
    return not differences


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frazil", required=True)
    parser.add_argument("--template", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--keep", type=pathlib.Path, help="work here and leave everything")
    long_run = os.environ.get("FRAZIL_LONG_TESTS", "") not in ("", "0")
    parser.add_argument("--kills", type=int, default=100 if long_run else 16)
    parser.add_argument("--movies", type=int, default=60 if long_run else 24)
    options = parser.parse_args()
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="frazil-kill-"))
    (folder / "incoming").mkdir(parents=True)
    runs = Runs(options.frazil, options.template, folder.resolve())

    runs.simulate(options.movies)
    for movie in runs.movies:
        runs.deliver(movie)
    started = time.monotonic()
    if runs.start("undisturbed").wait() != 0:
        print((folder / "undisturbed.log").read_text())
        return 1
    print(f"undisturbed: {time.monotonic() - started:.1f} s")
    expected = result_of(folder / "undisturbed")
    tasks = rows(folder / "undisturbed", "SELECT step, count(*), max(seconds), sum(seconds) FROM task GROUP BY step")
    for step, count, longest, total in tasks:
        print(f"  {step:14} {count:4} tasks, longest {longest:.3f} s")
    missing = {"align", "ctf", "pick", "extract", "screen", "classify", "select", "volume"} - {step for step, *_ in tasks}
    if missing:
        print("these steps never ran:", missing)
        return 1
    gap_s = 2 * max(longest for _, _, longest, _ in tasks)
    chain_s = sum(total / count for step, count, _, total in tasks if step not in ("classify", "volume"))

    shutil.rmtree(folder / "incoming")
    (folder / "incoming").mkdir()
    started = time.monotonic()
    engine, killed, busy = disturb(runs, options.kills, gap_s, chain_s, random.Random(options.seed))
    code = engine.wait(timeout=600)
    print(f"disturbed: {time.monotonic() - started:.1f} s, killed {killed['engine']} engines and {killed['worker']} workers, {busy} of them at work, at least {gap_s:.2f} s apart")
    print("tasks lost with their worker:", rows(folder / "disturbed", "SELECT count(*) FROM event WHERE kind = 'retry'")[0][0])
    if code != 0:
        print((folder / "disturbed.log").read_text())
        return 1
    found = result_of(folder / "disturbed")
    kinds = {}
    for what in expected:
        kinds[what.split(" ")[0].split("/")[0]] = kinds.get(what.split(" ")[0].split("/")[0], 0) + 1
    print("compared:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    if not compare(expected, found):
        print("left in", folder)
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
