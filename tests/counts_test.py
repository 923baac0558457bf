#!/usr/bin/env python3
"""Counts that add up. Sessions of all shipped templates, with files that are broken, grow, come twice, are written anew or come late, with
tasks that fail, and with people who set aside and take back: what terminal, JSON, report and STAR tables say is held against what
the store holds, and every sum must come out."""
import collections
import json
import os
import random
import re
import subprocess
import time

import whole_program

TEMPLATES = ["monitoring", "picking", "volume", "consensus", "paper", "from-micrographs"]
SESSIONS = int(os.environ.get("FRAZIL_SESSIONS", "24"))


def latest_files(snapshot, step):
    """The last that is stored about each file of a source."""
    return {file["path"]: file for file in snapshot["files"] if file["step"] == step}


class Oracle:
    """What has become of each item, found from the stored sets, decisions and failures alone."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.source = next(step for step in snapshot["steps"] if step["shape"] == "source")
        self.subjects = {f["subject"] for f in snapshot["files"] if f["step"] == self.source["name"] and f["state"] == "item"}
        self.sets = {(step["name"], s["port"]): {i["subject"]: i for i in s["items"]} for step in snapshot["steps"] for s in step["sets"]}
        self.fates = {subject: self.fate(subject) for subject in self.subjects}
        self.counts = collections.Counter(self.fates.values())

    def fate(self, subject):
        per_item = [step for step in self.snapshot["steps"] if step["shape"] in ("source", "map", "filter")]
        if any(f["subject"] == subject for step in per_item for f in step["failures"]):
            return "failed"
        for step in per_item:
            in_set = any(subject in self.sets[(step["name"], s["port"])] for s in step["sets"])
            if step["shape"] == "filter":
                if subject in self.sets[(step["name"], "set_aside")]:
                    return "set_aside"
                continue
            people = [d for d in step["decisions"] if d["subject"] == subject and (d["by"] == "person" or d["rule"] == "replaced")]
            if people and not people[-1]["accepted"] and not in_set:
                return "replaced" if people[-1]["rule"] == "replaced" else "set_aside"
        filters = [step["name"] for step in per_item if step["shape"] == "filter"]
        return "kept" if all(subject in self.sets[(name, "accepted")] for name in filters) else "in_work"

    def amount(self, step, port):
        """What comes by the number in a set: of sets of versions the latest counts."""
        items = list(self.sets[(step, port)].values())
        numbers = [i["record"].get("count", i["record"].get("particle_count")) for i in items]
        of_items = [n for i, n in zip(items, numbers) if i["subject"] in self.subjects]
        return sum(of_items) if of_items or not numbers else numbers[-1]


class Session:
    def __init__(self, test, number):
        self.test, self.rng = test, random.Random(number)
        self.template = TEMPLATES[number % len(TEMPLATES)]
        self.name = f"{self.template}-{number}"
        self.movies = test.folder / (self.name + ".movies") / "square_000"
        self.log = test.folder / (self.name + ".log")
        self.count = self.rng.randint(12, 24)
        self.added = 0

    def frazil(self, *arguments, code=0):
        return self.test.frazil(*arguments, code=code)

    def snapshot(self):
        return json.loads(self.frazil("snapshot", "--project", self.name).stdout)

    def status(self):
        return json.loads(self.frazil("status", "--project", self.name, "--json").stdout)

    def write(self, name, text):
        hidden = self.movies / ("." + name)
        hidden.write_text(text)
        hidden.rename(self.movies / name)

    def odd_files(self):
        """Before the engine is there: some of each kind of file. The session expects as many movies as there are files, which it never gets:
        it ends when it is told so."""
        for kind, least in (("broken", 0), ("growing", 0), ("twice", 10), ("refused", 0)):
            for i in range(least + self.rng.randint(0, 2)):
                name = f"mic_{900 + self.added:06}_{kind}.mrc"
                self.write(name, {"broken": f"broken {i}", "growing": f"growing {i}", "twice": "3\n", "refused": f"refused {self.added}\n"}[kind])
                self.added += 1

    def start(self):
        self.movies.mkdir(parents=True)
        for i in range(self.count):
            self.write(f"mic_{i:06}.mrc", f"{i}\n")
        self.odd_files()
        with open(self.log, "ab") as log:
            self.engine = subprocess.Popen([self.test.program, "simulate", "--kind", "project", "--template", self.template, "--count", str(self.count), "--particles", "40",
                                            "--json", "-o", self.name], cwd=self.test.folder, env=self.test.environment, stdout=log, stderr=log)

    def settle(self):
        """Waits until nothing moves any more."""
        before, still, end = None, 0, time.monotonic() + 120
        while still < 3:
            self.test.assertLess(time.monotonic(), end, self.log.read_text()[-2000:])
            time.sleep(0.25)
            try:
                status = self.status()
            except AssertionError:
                continue
            quiet = status["found"] > 0 and status["running"] == status["queued"] == 0
            now = json.dumps([status["counts"], [s["done"] for s in status["steps"]]])
            still = still + 1 if quiet and now == before else 0
            before = now

    def decide(self):
        """People set some aside, and take some back."""
        oracle = Oracle(self.snapshot())
        names = {i["subject"]: i["label"] for s in oracle.sets.values() for i in s.values()}
        for subject in self.rng.sample(sorted(oracle.subjects), k=min(6, len(oracle.subjects))):
            fate = oracle.fates[subject]
            command = "restore" if fate in ("set_aside", "replaced", "failed") else "set-aside"
            if subject in names:  # what a filter has decided otherwise meanwhile is refused
                done = subprocess.run([self.test.program, command, names[subject], "--project", self.name], cwd=self.test.folder, env=self.test.environment,
                                      capture_output=True, text=True, check=False)
                self.test.assertIn(done.returncode, (0, 2), done.stderr)

    def late_files(self):
        for i in range(self.rng.randint(1, 4)):
            self.write(f"mic_{700 + i:06}_late.mrc", f"late {i}\n")
        for i in self.rng.sample(range(self.count), k=self.rng.randint(0, 2)):
            self.write(f"mic_{i:06}.mrc", f"{i} anew, and longer\n")

    # ---- what must hold

    def check(self, moment):
        test = self.test
        status, snapshot = self.status(), self.snapshot()
        oracle = Oracle(snapshot)
        source = status["counts"]["sources"][0]
        with test.subTest(session=self.name, moment=moment):
            test.assertEqual(source["files"], sum(source[k] for k in ("items", "replaced", "duplicates", "broken", "incomplete", "left_out")))
            test.assertEqual(source["items"], sum(source[k] for k in ("kept", "set_aside", "held", "failed", "in_work")))
            for key in ("kept", "set_aside", "failed", "in_work", "replaced"):
                test.assertEqual(source[key], oracle.counts[key], f"{key}: {source}")
            for key, reasons in (("set_aside", "set_aside_by"), ("held", "held_by"), ("failed", "failed_at"), ("in_work", "in_work_at")):
                test.assertEqual(source[key], sum(r["count"] for r in source[reasons]))
            test.assertEqual((status["found"], status["files"]), (source["items"], source["files"]))
            states = collections.Counter(f["state"] for f in latest_files(snapshot, source["step"]).values())
            test.assertEqual((source["broken"], source["duplicates"]), (states["broken"], states["duplicate"]))
            self.check_amounts(status, snapshot, oracle)
            self.check_terminal(source)
            self.check_report(status, source)

    def check_amounts(self, status, snapshot, oracle):
        test = self.test
        amounts = {a["step"]: a for a in status["counts"]["amounts"]}
        for a in amounts.values():
            test.assertEqual(a["entered"], a["passed"] + a["set_aside"] + a["left_out"] + a["waiting"] + a["failed"], a)
            test.assertGreaterEqual(min(a[k] for k in ("passed", "set_aside", "left_out", "waiting", "failed")), 0, a)
            test.assertFalse([r for r in a["reasons"] if r["reason"] == ""], f"not explained: {a}")
            ports = [s["port"] for s in snapshot_step(snapshot, a["step"])["sets"] if s["kind"] == a["kind"] and s["port"] != "set_aside"]
            test.assertEqual(a["passed"], sum(oracle.amount(a["step"], port) for port in ports), a)
        for step in snapshot["steps"]:  # what a step gives is what comes to the next
            if step["name"] not in amounts or amounts[step["name"]]["first"]:
                continue
            came = [amounts[e.split(".")[0]] for port in step["inputs"].values() for e in port if e.split(".")[0] in amounts and not e.endswith(".set_aside")]
            if len(came) == 1 and came[0]["kind"] != "Classes" and not snapshot_step(snapshot, came[0]["step"])["shape"] == "filter":
                test.assertEqual(amounts[step["name"]]["entered"], came[0]["passed"], step["name"])

    def check_terminal(self, source):
        test = self.test
        text = self.frazil("status", "--project", self.name).stdout.replace(",", "")
        seen, items = re.search(r"files +(\d+) seen: (\d+) ", text).groups()
        test.assertEqual((int(seen), int(items)), (source["files"], source["items"]))
        kept, of = re.search(r"(\d+) of (\d+) kept", text).groups()
        test.assertEqual((int(kept), int(of)), (source["kept"], source["items"]))
        test.assertEqual(int(re.search(r"(\d+) set aside", text).group(1)), source["set_aside"])

    def check_report(self, status, source):
        test = self.test
        if self.engine is not None:
            return  # the engine writes it in its own time
        page = (test.folder / self.frazil("report", self.name, "-o", self.name + ".html").stdout.strip()).read_text()
        data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL).group(1).replace("<\\/", "</"))
        test.assertEqual(data["counts"], status["counts"])
        rows = collections.Counter(m["status"] for m in data["micrographs"])
        test.assertEqual({k: rows[k] for k in ("kept", "set_aside", "failed", "held")}, {k: source[k] for k in ("kept", "set_aside", "failed", "held")})
        test.assertEqual(rows["pending"], source["in_work"])
        test.assertEqual(sum(1 for m in data["micrographs"] if m.get("restored")), source["restored"])
        funnel = data["funnels"][0]
        test.assertEqual((funnel[0]["count"], funnel[1]["count"], funnel[-1]["count"]), (source["files"], source["items"], source["kept"]))
        for before, row in zip(funnel, funnel[1:]):
            lost = sum(r["count"] for r in (before if row is funnel[1] else row)["reasons"])
            test.assertEqual(before["count"] - lost, row["count"], row)

    def run(self):
        self.engine = None
        self.start()
        self.settle()
        self.check("first files")
        self.decide()
        self.settle()
        self.check("people decided")
        self.late_files()
        time.sleep(1)
        self.settle()
        self.check("late files")
        self.decide()
        self.frazil("close", "--project", self.name)
        self.test.assertIn(self.engine.wait(timeout=120), (0, 1), self.log.read_text()[-2000:])
        self.engine = None
        self.check("at the end")
        self.decide()
        self.check("decided while nothing ran")


def snapshot_step(snapshot, name):
    return next(step for step in snapshot["steps"] if step["name"] == name)


class Counts(whole_program.WholeProgram):
    def test_all_counts_add_up_in_mixed_sessions(self):
        for number in range(SESSIONS):
            session = Session(self, number)
            try:
                session.run()
            finally:
                if session.engine and session.engine.poll() is None:
                    session.engine.kill()
                    session.engine.wait()


if __name__ == "__main__":
    whole_program.main()
