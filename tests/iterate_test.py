#!/usr/bin/env python3
"""An iterated sum in parts, each of which burns a time and memory, gives the same bytes whatever happens to it, and a live session
beside it starts its tasks within two seconds.

Runs with protocols that add numbers: on one worker, on two, on workers that join over a hub (a queue of this test's own, which
starts them as processes), and over and over with random SIGKILLs of the engine and of workers. At the size that facilities may
ask for: --parts 64 --burn 60 --memory 2048 --kills 50.
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

WORKFLOW = {
    "name": "iterated",
    "parameters": [{"name": "files", "type": "path", "required": True}, {"name": "live", "type": "path", "required": True},
                   {"name": "order", "default": "acquisition"}, {"name": "parts", "type": "integer", "default": 64},
                   {"name": "rounds", "type": "integer", "default": 2}, {"name": "burn", "type": "number", "default": 0.1},
                   {"name": "memory", "type": "integer", "default": 64}, {"name": "expected", "type": "integer", "default": 0}],
    "steps": {
        "in": {"protocol": "import-numbers", "params": {"files": "${files}", "expected": 40}},
        "sum": {"protocol": "iterate-sum", "params": {"parts": "${parts}", "rounds": "${rounds}", "burn_s": "${burn}", "memory_mib": "${memory}"},
                "inputs": {"numbers": "in.numbers"}},
        "session": {"protocol": "import-numbers", "params": {"files": "${live}", "expected": "${expected}"}},
        "add": {"protocol": "add", "params": {"sleep_ms": 50}, "inputs": {"left": "session.numbers"}}}}

# A queue in one file: submit starts workers in the background and waits until each has a session of its own, for who submits ends all that its
# command leaves behind; list names those that live, cancel ends them.
QUEUE = """#!/bin/sh
cd {folder}
case $1 in
  submit) i=0; while [ $i -lt $2 ]; do n=$(ls | grep -c '^job'); setsid sh -c 'echo $$ >job-$0; exec sh "$1"' $n "$3" >log-$n 2>&1 &
    until [ -s job-$n ]; do sleep 0.01; done; [ $i = 0 ] && echo $n; i=$((i+1)); done;;
  list) for f in job-*; do [ -e $f ] && kill -0 $(cat $f) 2>/dev/null && echo ${{f#job-}} RUNNING; done; exit 0;;
  cancel) for f in job-*; do [ -e $f ] && kill $(cat $f) 2>/dev/null; done; exit 0;;
esac
"""


def tell(*words):
    print(*words, flush=True)


def write_number(folder, number):
    hidden = folder / f".n_{number}"
    hidden.write_text(f"{number}\nend")
    hidden.rename(folder / f"n_{number:04}.num")


def rows(project, query):
    database = sqlite3.connect(f"file:{project / 'project.frazil'}?mode=ro", uri=True)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


class Runs:
    def __init__(self, program, folder, options):
        self.program, self.folder, self.options = program, folder, options
        self.files = folder / "in"
        self.files.mkdir()
        for number in range(1, 41):
            write_number(self.files, number)
        (folder / "nothing").mkdir()
        write_number(folder / "nothing", 9000)  # a stream without any file would be a failure
        self.workflow = folder / "workflow.json"
        self.workflow.write_text(json.dumps(WORKFLOW))

    def start(self, project, threads, live=None, expected=0, extra=()):
        o = self.options
        live = live or self.folder / "nothing"
        values = dict(files=self.files, live=live, parts=o.parts, rounds=o.rounds, burn=o.burn, memory=o.memory, expected=expected, threads=threads)
        log = open(self.folder / f"{project}.log", "ab")
        return subprocess.Popen([self.program, "run", self.folder / project, self.workflow, *(f"{k}={v}" for k, v in values.items()), *extra], stdout=log, stderr=log)

    def ask(self, project, command):
        done = subprocess.run([self.program, "ask", self.folder / project, command], capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def close_when_done(self, project, engine, limit_s=3600):
        """The live stream has no end of its own here: it is closed once the sum is there."""
        end = time.time() + limit_s
        while engine.poll() is None and time.time() < end:
            if self.outcome(project):
                self.ask(project, "close")
                try:
                    return engine.wait(20)
                except subprocess.TimeoutExpired:
                    continue
            time.sleep(0.1)
        return engine.wait(1)

    def outcome(self, project):
        for path in (self.folder / project / "steps" / "sum").glob("sum_v0001_????????/outcome.txt"):
            return path.read_text()
        return None

    def run(self, project, threads, extra=()):
        started = time.monotonic()
        code = self.close_when_done(project, self.start(project, threads, extra=extra))
        assert code == 0, f"{project}: exit code {code}\n" + (self.folder / f"{project}.log").read_text()
        tell(f"{project}: {time.monotonic() - started:.1f} s")
        return self.outcome(project)


def children_of(pid):
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def with_kills(runs, kills, rng):
    """The sum while the engine or one of its workers is killed again and again; parts computed beyond those needed."""
    project = "killed"
    engine, killed = runs.start(project, 2), {"engine": 0, "worker": 0}
    while engine.poll() is None and sum(killed.values()) < kills and not runs.outcome(project):
        time.sleep(rng.uniform(0.2, 0.6) + 1.5 * runs.options.burn)
        workers = children_of(engine.pid)
        if rng.random() < 0.5 and workers:
            try:
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed["worker"] += 1
            except ProcessLookupError:
                pass
        elif engine.poll() is None:
            engine.kill()
            engine.wait()
            killed["engine"] += 1
            engine = runs.start(project, 2)
    code = runs.close_when_done(project, engine)
    assert code == 0, (runs.folder / f"{project}.log").read_text()
    parts = rows(runs.folder / project, "SELECT count(*) FROM task WHERE label LIKE '%part%'")[0][0]
    assert parts == runs.options.parts * runs.options.rounds, f"{parts} parts are stored"
    tell(f"killed: the engine {killed['engine']} times, a worker {killed['worker']} times; {parts} parts stored, none twice")
    return runs.outcome(project)


def live_beside_it(runs, count):
    """Files come while the sum has all threads; from a file's being there to the end of its task of 50 ms."""
    live, waits = runs.folder / "live", []
    live.mkdir()
    engine = runs.start("beside", 2, live=live, expected=count)
    deadline = time.time() + 60
    while time.time() < deadline:  # until all threads are at parts
        steps = {s["name"]: s for s in runs.ask("beside", "status").get("status", {}).get("steps", [])}
        if steps.get("sum", {}).get("running", 0) >= 2:
            break
        time.sleep(0.05)
    for number in range(1, count + 1):
        started = time.monotonic()
        write_number(live, 1000 + number)
        while not list((runs.folder / "beside" / "steps" / "add").glob(f"n_{1000 + number}_*")):
            assert time.monotonic() - started < 60, f"live task {number} does not come to its end"
            assert engine.poll() is None, (runs.folder / "beside.log").read_text()
            time.sleep(0.01)
        waits.append(time.monotonic() - started)
        time.sleep(0.3)
    still_at_it = runs.outcome("beside") is None
    latency = runs.ask("beside", "status").get("status", {}).get("latency", {})
    code = engine.wait(3600)
    assert code == 0, (runs.folder / "beside.log").read_text()
    tell(f"live session beside it: {count} files, whole to done in {sorted(waits)[count // 2]:.2f} s (median), {max(waits):.2f} s (longest); "
         f"ready to start {latency.get('start_p50_ms', 0):.0f} ms (median), {latency.get('start_p99_ms', 0):.0f} ms (99 %)")
    assert still_at_it, "the sum was through before the live files came"
    assert latency.get("start_p99_ms", 1e9) < 2000, "a live task waited for more than 2 s"
    return runs.outcome("beside")


def on_hub_workers(runs):
    queue = runs.folder / "queue"
    queue.mkdir()
    script = runs.folder / "queue.sh"
    script.write_text(QUEUE.format(folder=queue))
    script.chmod(0o755)
    settings = {"address": "127.0.0.1", "submit": [str(script), "submit", "{count}", "{script}"], "list": [str(script), "list"], "cancel": [str(script), "cancel", "{job}"],
                "job_pattern": "^([0-9]+)", "poll_s": 0.5, "resources": {"threads": 1, "memory_mib": 512, "workers": 2}, "local_steps": ["in", "add", "session"]}
    (runs.folder / "site.json").write_text(json.dumps(settings))
    try:
        outcome = runs.run("hub", 2, extra=[f"cluster={runs.folder / 'site.json'}"])
    finally:
        subprocess.run([script, "cancel"], check=False)
    assert list(queue.glob("job-*")), "no worker was asked for"
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="frazil_numbers")
    long_run = os.environ.get("FRAZIL_LONG_TESTS", "") not in ("", "0")
    parser.add_argument("--parts", type=int, default=64 if long_run else 24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--burn", type=float, default=0.05, help="core seconds of a part")
    parser.add_argument("--memory", type=int, default=64, help="MiB of a part")
    parser.add_argument("--kills", type=int, default=50 if long_run else 8)
    parser.add_argument("--live", type=int, default=10, help="files of the live session")
    parser.add_argument("--seed", type=int, default=20262)
    parser.add_argument("--only", default="one,two,hub,killed" + (",beside" if long_run else ""))
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-iterate-")).resolve()
    runs, rng, found = Runs(options.program, folder, options), random.Random(options.seed), {}
    ways = {"one": lambda: runs.run("one", 1), "two": lambda: runs.run("two", 2), "hub": lambda: on_hub_workers(runs),
            "killed": lambda: with_kills(runs, options.kills, rng), "beside": lambda: live_beside_it(runs, options.live)}
    for name in options.only.split(","):
        found[name] = ways[name]()
    tell({name: text.strip() for name, text in found.items()})
    if len(set(found.values())) != 1 or None in found.values():
        tell("NOT THE SAME, left in", folder)
        return 1
    tell(f"{len(found)} ways, the same bytes")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
