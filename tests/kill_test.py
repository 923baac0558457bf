#!/usr/bin/env python3
"""Kills real runs over and over and asks for the same project as without.

Movies are simulated; a shipped template ("volume" in the tests) runs over them once undisturbed and then --runs times while the engine,
one of its workers, or the engine with all of them gets SIGKILL at random instants, a third each, at least twice the longest
task apart. Each time the project must equal the undisturbed one: every item, task, member list and decision in the store,
and every byte under star/ and steps/. At the size that facilities may ask for: --movies 200 --kills 45 --runs 20.
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
# Images of 288 pixels show few rings: limits that let most of them through.
CHEAP = {"filter-ctf": dict(min_confidence=0.2, max_sigma_defocus=900, max_agreement=8),
         "classify-2d": dict(epochs=2, final_passes=1, resolution=20),
         "initial-volume": dict(starts=1, iterations=5, passes=1, first_batch=20, last_batch=20, max_particles=50, angular_step=45, final_resolution=20)}


# Filters whose reference runs with the session: which version of it they met depends on when they ran, what they decide does not.
RUNNING = ("filter-dose",)


class Runs:
    """The program, its movies and the projects made from them, in one folder."""

    def __init__(self, frazil, template, folder):
        self.frazil, self.folder = frazil, folder
        self.source, self.incoming = folder / "microscope", folder / "incoming"
        workflow = json.loads(template.read_text())
        for step in workflow["steps"].values():
            step.setdefault("params", {}).update(CHEAP.get(step["protocol"], {}))
        self.steps = {name for name, step in workflow["steps"].items() if not step["protocol"].startswith("import-")}
        self.declared = {parameter["name"] for parameter in workflow["parameters"]}
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
                      expected=len(self.movies), diameter=180, fit_resolution_limit=30, first_particles=60, classes=3, and_particles=60, or_particles=80, batch_particles=60)
        settings = [text for key, value in values.items() if key in self.declared for text in ("--set", f"{key}={value}")]
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
    running = ", ".join(f"'{step}'" for step in RUNNING)
    for key, *rest in rows(project, f"SELECT key, step, protocol, version, subject, label, ord, failed, code, message, {outputs} FROM task t WHERE step NOT IN ({running})"):
        result[f"task {rest[0]} {rest[4]} {key}"] = rest
    for step, number, members in rows(project, "SELECT step, number, members FROM batch"):
        result[f"batch {step} {number}"] = members
    for step, item, by, *rest in rows(project, "SELECT step, item, by, subject, label, accepted, rule, value, bound, reason, key FROM decision"):
        result[f"decision {step} {item} {by}"] = rest[:3] if step in RUNNING else rest
    for step, path, *rest in rows(project, "SELECT step, path, size, state, hash, subject, reason FROM file WHERE state <> 'gone'"):  # gone before it was whole: remembered by runs that saw it
        result[f"file {step} {path}"] = rest
    for top in ("star", "steps"):
        for path in (project / top).rglob("*"):
            if path.is_file() and path.name != ".task.json":  # tells of the run, not of the result
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


class Kills:
    """What was killed so far, and how much of it met work."""

    def __init__(self):
        self.by_kind = dict.fromkeys(("engine", "worker", "both"), 0)
        self.at_work = self.lost_tasks = 0

    def total(self):
        return sum(self.by_kind.values())

    def add(self, other):
        for kind, count in other.by_kind.items():
            self.by_kind[kind] += count
        self.at_work += other.at_work
        self.lost_tasks += other.lost_tasks

    def __str__(self):
        return (f"{self.total()} kills ({self.by_kind['engine']} of the engine, {self.by_kind['worker']} of a worker, {self.by_kind['both']} of the engine "
                f"and all its workers at once), {self.at_work} of them at work")


def tell(*words):
    print(*words, flush=True)


def victims_of(kills, rng):
    victims = [kind for kind, count in (("engine", (kills + 2) // 3), ("worker", (kills + 1) // 3), ("both", kills // 3)) for _ in range(count)]
    rng.shuffle(victims)
    return victims


class Disturbance:
    """One run that is killed and started again."""

    def __init__(self, runs, project, rng):
        self.runs, self.project, self.rng = runs, project, rng
        self.killed, self.started = Kills(), time.monotonic()
        self.engine = runs.start(project)

    def strike(self, kind):
        """@return False if there was no worker to kill"""
        workers = children_of(self.engine)
        if kind != "engine" and not workers:
            return False
        works = any(is_busy(worker) for worker in workers)
        doomed = {"engine": [self.engine.pid], "worker": workers and [self.rng.choice(workers)], "both": [self.engine.pid, *workers]}[kind]
        self.rng.shuffle(doomed)
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # a worker that ended with its engine
                pass
        self.killed.by_kind[kind] += 1
        self.killed.at_work += works
        if kind != "worker":
            self.engine.wait()
            self.engine = self.runs.start(self.project)
        return True

    def while_movies_come(self, kills, gap_s, chain_s):
        """Some movies are left for `until_the_end`."""
        movies = self.runs.movies
        delivered, regular = 0, len(movies) * 7 // 8  # the others come when a worker's turn finds none alive
        early = 0  # a movie is wanted ahead of its time
        victims = victims_of(kills, self.rng)
        while victims:
            time.sleep(gap_s)
            while delivered < len(movies) - 1 and (early or delivered * kills < (self.killed.total() + 1) * regular):
                self.runs.deliver(movies[delivered])
                delivered += 1
                early = 0
            time.sleep(self.rng.uniform(0, chain_s))
            if self.engine.poll() is not None:
                raise SystemExit(f"the engine ended by itself with {self.engine.returncode} after {self.killed}")
            if not self.strike(victims[-1]):
                if delivered < len(movies) - 1:
                    early = 1  # the next movie brings workers to life
                elif "engine" in victims:  # nobody will come to life before an engine's turn
                    victims.remove("engine")
                    victims.append("engine")
                else:
                    break
                continue
            victims.pop()
            if self.killed.total() % 10 == 0:
                tell(f"  {self.project}: {self.killed.total()} of {kills} kills, {delivered} of {len(movies)} movies, {time.monotonic() - self.started:.0f} s")
        for movie in movies[delivered:]:  # the rest, which closes the stream
            self.runs.deliver(movie)

    def until_the_end(self, gap_s, chain_s):
        """Kills go on while the last movies and the steps that wait for the end are at work."""
        while self.engine.poll() is None:
            try:
                self.engine.wait(timeout=gap_s + self.rng.uniform(0, chain_s))
            except subprocess.TimeoutExpired:
                self.strike(self.rng.choice(("engine", "worker", "both")))
        return self.engine.returncode


def compare(expected, found):
    differences = [f"{what}: {'is missing' if what not in found else 'is too much' if what not in expected else 'differs'}"
                   for what in sorted(expected.keys() | found.keys()) if expected.get(what) != found.get(what)]
    for line in differences[:40]:
        tell(line)
    return not differences


def task_times(project):
    """Step, number of tasks, the longest and all of them in seconds."""
    return rows(project, "SELECT step, count(*), max(seconds), sum(seconds) FROM task GROUP BY step")


def longest_of(tasks):
    return max(longest for _, _, longest, _ in tasks)


def undisturbed(runs):
    """@return result, longest task and mean time of a movie's chain in seconds; None if something is wrong"""
    for movie in runs.movies:
        runs.deliver(movie)
    started = time.monotonic()
    if runs.start("undisturbed").wait() != 0:
        tell((runs.folder / "undisturbed.log").read_text())
        return None
    tell(f"undisturbed: {len(runs.movies)} movies, {time.monotonic() - started:.1f} s")
    tasks = task_times(runs.folder / "undisturbed")
    for step, count, longest, _ in tasks:
        tell(f"  {step:14} {count:4} tasks, longest {longest:.3f} s")
    missing = runs.steps - {step for step, *_ in tasks}
    if missing:
        tell("these steps never ran:", missing)
        return None
    chain_s = sum(total / count for step, count, _, total in tasks if not step.startswith(("class", "volume", "region")))
    return result_of(runs.folder / "undisturbed"), longest_of(tasks), chain_s


def disturbed(runs, project, expected, kills, gap_s, chain_s, rng):
    """One run with kills, compared. @return kills, longest task in seconds, whether all is equal"""
    shutil.rmtree(runs.incoming)
    runs.incoming.mkdir()
    started = time.monotonic()
    run = Disturbance(runs, project, rng)
    run.while_movies_come(kills, gap_s, chain_s)
    code, killed = run.until_the_end(gap_s, chain_s), run.killed
    took = time.monotonic() - started
    killed.lost_tasks = rows(runs.folder / project, "SELECT count(*) FROM event WHERE kind = 'retry'")[0][0]
    longest = longest_of(task_times(runs.folder / project))
    found = result_of(runs.folder / project)
    if code != 0:
        tell((runs.folder / f"{project}.log").read_text())
    equal = compare(expected, found) and code == 0
    tell(f"{project}: {killed}, at least {gap_s:.2f} s apart (longest task {longest:.2f} s), {killed.lost_tasks} tasks lost with their worker; "
         f"{took:.1f} s; {'equal' if equal else 'NOT EQUAL, left in ' + str(runs.folder / project)}")
    return killed, longest, equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frazil", required=True)
    parser.add_argument("--template", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--keep", type=pathlib.Path, help="work here and leave everything")
    long_run = os.environ.get("FRAZIL_LONG_TESTS", "") not in ("", "0")
    parser.add_argument("--kills", type=int, default=100 if long_run else 16, help="in each run while movies come; a few more follow until its end")
    parser.add_argument("--movies", type=int, default=60 if long_run else 24, help="in each run")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="no further run begins after so long")
    options = parser.parse_args()
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="frazil-kill-"))
    (folder / "incoming").mkdir(parents=True)
    runs = Runs(options.frazil, options.template, folder.resolve())
    runs.simulate(options.movies)
    reference = undisturbed(runs)
    if reference is None:
        return 1
    expected, longest, chain_s = reference
    kinds = {}
    for what in expected:
        kind = what.split(" ")[0].split("/")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    tell("compared each time:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))

    started, killed, unequal, count, rng = time.monotonic(), Kills(), 0, 0, random.Random(options.seed)
    for run in range(1, options.runs + 1):
        if time.monotonic() - started > 60 * options.minutes:
            break
        project, count = f"disturbed-{run}", run
        done, longest_here, equal = disturbed(runs, project, expected, options.kills, 2 * longest, chain_s, rng)
        killed.add(done)
        unequal += not equal
        longest = max(longest, longest_here)  # of a busier machine: the next run keeps twice that distance
        if equal and not options.keep:
            shutil.rmtree(folder / project)
    tell(f"in all: {count} runs of {options.movies} movies, {killed}, {killed.lost_tasks} tasks lost with their worker, longest task {longest:.2f} s, "
         f"{(time.monotonic() - started) / max(1, killed.total()):.2f} s a kill; {unequal or 'no'} runs differ from the undisturbed one")
    if not options.keep and not unequal:
        shutil.rmtree(folder)
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
