#!/usr/bin/env python3
"""A project of 20,000 movies with 4,000,000 particles while movies still come, 1,500 an hour: what people wait for, and what it costs.

Prints a table with what is wanted beside what was measured; nothing here fails for its time, since other work may run on the machine.
What must hold on any machine is asserted: counts, orders, and that answers agree with each other.

How long the engine's loop is held by readers is measured in the loop itself: it shares nothing with them but the connection to the
database, and notes how long it waits for that (`latency` of the status)."""
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time

import whole_program

MOVIES = int(os.environ.get("FRAZIL_SCALE_MOVIES", "20000"))
PARTICLES = 200
PER_MINUTE = 25


class Line:
    """One connection to the engine's socket."""

    def __init__(self, project):
        path = json.loads((project / "engine.lock").read_text(encoding="utf-8"))["socket"]
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, command, **more):
        self.socket.sendall(json.dumps({"command": command, **more}).encode() + b"\n")

    def ask(self, command, **more):
        self.send(command, **more)
        return self.answer(command)

    def answer(self, command):
        answer = json.loads(self.file.readline())
        if not answer.get("ok"):
            raise AssertionError(f"{command}: {answer.get('error')}")
        return answer

    def status(self):
        return self.ask("status")["status"]

    def step(self, name):
        return next(step for step in self.status()["steps"] if step["name"] == name)


def resident_mib(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0


class Table:
    """What was measured beside what is wanted."""

    def __init__(self):
        self.lines = [f"{'':44} {'wanted':>8} {'median':>8} {'p90':>8} {'loop held':>10}"]

    def add(self, what, wanted, values, held=None):
        values = sorted(values)
        p90 = values[min(len(values) - 1, int(0.9 * len(values)))]
        self.lines.append(f"{what:44} {wanted:>8} {statistics.median(values):8.1f} {p90:8.1f}"
                          + ("" if held is None else f" {held:7.2f} ms"))

    def text(self):
        return "\n".join(self.lines) + "\n"


def milliseconds(call):
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


class Scale(whole_program.WholeProgram):
    def simulate(self, *more):
        return subprocess.Popen(
            [self.program, "simulate", "--kind", "project", "--count", str(MOVIES), "--particles", str(PARTICLES), "--no-pictures",
             "-o", "project", "--json", *more], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def connect(self, within_s=60):
        end = time.monotonic() + within_s
        while True:
            try:
                return Line(self.folder / "project")
            except (OSError, ValueError, KeyError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def wait_until(self, is_so, within_s=60, pause_s=0.002):
        end = time.perf_counter() + within_s
        while not is_so():
            self.assertLess(time.perf_counter(), end, "this does not happen")
            time.sleep(pause_s)

    def read(self, line, table, what, wanted, requests):
        """Answers of 40 requests, and how long the loop was held meanwhile: the most of all times, if it rose."""
        before = line.status()["latency"]
        times = [milliseconds(lambda i=i: line.ask(**requests[i % len(requests)])) for i in range(40)]
        after = line.status()["latency"]
        held = after["held_total_ms"] - before["held_total_ms"]  # of 40 requests: an upper bound for one
        table.add(what, wanted, times, min(held, after["held_most_ms"]))

    def read_everything(self, line, table):
        page = {"command": "items", "step": "ctf-consensus", "port": "ctf_fits", "count": 100}
        first = line.ask(**page)
        self.assertGreaterEqual(first["total"], 0.8 * MOVIES)
        numbers = list(first["items"][0]["values"])
        self.assertGreater(len(numbers), 15)
        self.read(line, table, "status", "5 ms", [{"command": "status"}])
        self.read(line, table, "page of 100 items sorted by any number", "20 ms",
                  [dict(page, sort=sign + name, **{"from": 100 * i}) for i, name in enumerate(numbers) for sign in ("", "-")])
        names = [f"square_{i // 500:03}_mic_{i:06}" for i in range(7, MOVIES, MOVIES // 40)]
        self.read(line, table, "one item whole", "5 ms", [{"command": "item", "item": name} for name in names])
        last = line.ask("events", since=0, count=1)["last"]
        self.read(line, table, "events since N", "5 ms", [{"command": "events", "since": last - 50 * i} for i in range(5)])
        rows = line.ask(**dict(page, sort="-fit_resolution_A"))["items"]
        values = [row["values"]["fit_resolution_A"] for row in rows]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertEqual(line.ask("item", item=names[3])["items"][0]["label"], names[3])

    def decide_one_by_one(self, line, table):
        """From a person's wish to a task at the next step, and from what is noted to what a reader has."""
        # Of the last that came: what is taken back of an early one, folds make anew from there on.
        aside = [row["label"] for row in line.ask("items", step="filter-ctf", port="set_aside", sort="-time", count=10)["items"]]
        starts, changes = [], []
        for label in aside:
            since = line.ask("events", since=0, count=1)["last"]
            begin = time.perf_counter()
            line.ask("restore", item=label)
            state = {"step": "mask", "where": [f"label = {label}"], "count": 1, "columns": ["state"]}
            self.wait_until(lambda state=state: any(row["state"] in ("running", "done") for row in line.ask("items", **state)["items"]))
            starts.append(1000 * (time.perf_counter() - begin))
            noted = [event for event in line.ask("events", since=since)["events"] if event["kind"] == "restored"]
            self.assertEqual([event["label"] for event in noted], [label])
        self.wait_until(lambda: line.status()["running"] == 0, pause_s=0.05)
        for label in aside:
            since = line.ask("events", since=0, count=1)["last"]
            with Line(self.folder / "project") as asking:
                asking.send("set-aside", item=label)
                found = []
                while not found:
                    found = [event for event in line.ask("events", since=since)["events"] if event["kind"] == "set aside"]
                changes.append(1000 * (time.time() - found[0]["time"]))
                asking.answer("set-aside")
        table.add("restore one item → task downstream starts", "50 ms", starts)
        table.add("noted, committed → change at a reader", "100 ms", changes)

    def decide_on_all(self, line, table):
        times, asked = [], []
        for limit in (9.5, 12.0, 10.5):
            foreseen = {}
            asked.append(milliseconds(lambda limit=limit, foreseen=foreseen: foreseen.update(
                line.ask("what-if", values={"filter-ctf.max_fit_resolution": limit}))))
            filtered = next(step for step in foreseen["steps"] if step["step"] == "filter-ctf")
            times.append(milliseconds(lambda limit=limit: line.ask("set", values={"filter-ctf.max_fit_resolution": limit})))
            now = line.step("filter-ctf")
            self.assertLess(abs(now["accepted"] - filtered["kept_then"]), 50, "what was foreseen, but for the movies that came meanwhile")
            self.assertLess(abs(now["accepted"] + now["set_aside"] - filtered["of"]), 50, "all are decided when the answer comes")
            with_limit = line.ask("items", step="filter-ctf", port="set_aside", where=["rule = max_fit_resolution_A", f"decision.limit != {limit}"], count=1)
            self.assertEqual(with_limit["total"], 0, "by the limit that holds now")
        table.add("what another limit would keep", "", asked)
        table.add(f"new limit decided for {MOVIES} items", "300 ms", times)

    def test_people_do_not_wait(self):
        start = time.monotonic()
        with self.simulate() as making:
            made = json.loads(making.communicate()[0])
        made_s = time.monotonic() - start
        self.assertEqual(made["movies"], MOVIES)
        table = Table()
        start = time.monotonic()
        with self.simulate("--live", "1000", "--rate", str(PER_MINUTE)) as engine:
            try:
                self.look_at(engine, start, table)
            finally:
                engine.send_signal(signal.SIGINT)
                engine.wait(60)
                table.lines.append(f"{'made in s':44} {'':>8} {made_s:8.1f}")
                print("\n" + table.text(), file=sys.stderr)
        if os.environ.get("FRAZIL_SCALE_TABLE"):
            pathlib.Path(os.environ["FRAZIL_SCALE_TABLE"]).write_text(table.text(), encoding="utf-8")

    def look_at(self, engine, start, table):
        with self.connect() as line:
            self.assertGreaterEqual(line.status()["found"], MOVIES)
            restart_s = time.monotonic() - start
            self.wait_until(lambda: line.ask("items", step="ctf-consensus", port="ctf_fits", count=1)["read"] >= 1, pause_s=0.05)
            read_s = time.monotonic() - start
            particles = sum(line.ask("series", step="pick", port="coordinates", columns=["count"])["columns"]["count"])
            self.assertGreater(particles, 0.75 * PARTICLES * MOVIES)
            self.read_everything(line, table)
            self.decide_one_by_one(line, table)
            self.decide_on_all(line, table)
            memory = resident_mib(engine.pid, "VmRSS"), resident_mib(engine.pid, "VmHWM")
            held = line.status()["latency"]["held_most_ms"]
        table.lines += [f"{'longest that readers held the loop':44} {'1 ms':>8} {held:8.2f}",
                        f"{'restart until it answers; numbers read':44} {'3 s':>8} {restart_s:8.1f} {read_s:8.1f}",
                        f"{'memory of the engine, most; MiB':44} {'572':>8} {memory[0]:8.0f} {memory[1]:8.0f}",
                        f"{'movies; particles':44} {'':>8} {MOVIES:8} {particles:8.0f}"]
        self.assertLess(memory[1], 2000, "nothing that grows with what was ever done is kept twice")


if __name__ == "__main__":
    whole_program.main()
