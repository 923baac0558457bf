#!/usr/bin/env python3
"""Metadata files of the microscope that come late, never or not at all, and a list of files to leave out that is not there."""
import json
import shutil
import sqlite3
import subprocess
import time

import whole_program

WORKFLOW = {
    "name": "import",
    "parameters": [{"name": "movies", "type": "path", "required": True}, {"name": "wait", "type": "number", "default": 60}, {"name": "exclude", "default": ""},
                   {"name": "expected", "type": "integer", "default": 0}],
    "steps": {"movies": {"protocol": "import-movies", "title": "Movies of the session", "params": {
        "movies": "${movies}", "pixel_size": 3, "dose_per_frame": 5, "metadata_wait": "${wait}", "exclude": "${exclude}", "expected": "${expected}"}}}}
MDOC = "[FrameSet = 0]\nStagePosition = 792.824 -213.633\nNavigatorLabel = 12-3\n"


class Metadata(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.frazil("simulate", "-o", "microscope", "--count", 3, "--nx", 96, "--ny", 96, "--pixel-size", 3, "--frames", 2, "--particles", 0)
        cls.stored = sorted((cls.folder / "microscope").glob("*.mrc"))
        (cls.folder / "import.json").write_text(json.dumps(WORKFLOW))

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1]
        self.incoming = self.folder / (self.name + "-movies")
        self.incoming.mkdir()
        self.project = self.folder / self.name
        self.engine = None
        self.addCleanup(self.end)

    def end(self):
        if self.engine and self.engine.poll() is None:
            self.engine.kill()
            self.engine.wait()

    def start(self, **values):
        settings = [text for key, value in dict(values, movies=self.incoming).items() for text in ("--set", f"{key}={value}")]
        with open(self.folder / (self.name + ".log"), "ab") as log:
            self.engine = subprocess.Popen([self.program, "run", "import.json", "--project", self.project, "--until-closed", "--quiet", *settings], cwd=self.folder, env=self.environment, stdout=log, stderr=log)

    def deliver(self, number):
        hidden = self.incoming / f".{number}"
        shutil.copyfile(self.stored[number], hidden)
        hidden.rename(self.incoming / f"m_{number}.mrc")

    def describe(self, number):
        hidden = self.incoming / f".{number}"
        hidden.write_text(MDOC)
        hidden.rename(self.incoming / f"m_{number}.mrc.mdoc")

    def status(self):
        return json.loads(self.frazil("status", "--project", self.project, "--json").stdout)

    def answers(self, what):
        try:
            return what(self.status())
        except AssertionError:  # there is no project yet, or an engine that does not listen yet
            return False

    def wait_until(self, what, limit_s=20):
        end = time.monotonic() + limit_s
        while not self.answers(what):
            self.assertLess(time.monotonic(), end, (self.folder / (self.name + ".log")).read_text())
            time.sleep(0.1)

    def finish(self, code=0):
        self.assertEqual(self.engine.wait(timeout=30), code)

    def described(self):
        """Numbers of the movies whose records know where they were taken."""
        database = sqlite3.connect(self.project / "project.frazil")
        records = [json.loads(text) for (text,) in database.execute("SELECT record FROM item")]
        database.close()
        return sorted(int(record["name"].removesuffix(".mrc")[-1]) for record in records if record["exposure"].get("stage_x_um") is not None)

    def test_a_movie_waits_for_its_metadata_as_others_had_theirs_after_a_restart_too(self):
        self.describe(0)
        self.deliver(0)
        self.start(expected=2)
        self.wait_until(lambda status: status["found"] == 1)
        self.frazil("stop", "--project", self.project)
        self.finish(code=130)
        self.start(expected=2)
        self.deliver(1)
        self.wait_until(lambda status: status["growing"] == 1)
        end = time.monotonic() + 20  # first it is looked at whether it still grows
        while "waits for its metadata file" not in (told := self.frazil("why", "m_1.mrc", "--project", self.project).stdout):
            self.assertLess(time.monotonic(), end, told)
            time.sleep(0.1)
        time.sleep(1.5)
        self.assertEqual(self.status()["found"], 1)
        self.describe(1)
        self.finish()
        self.assertEqual(self.described(), [0, 1])

    def test_metadata_that_always_come_late_are_waited_for_from_the_second_movie_on(self):
        self.start(expected=2)
        self.deliver(0)
        self.wait_until(lambda status: status["found"] == 1)
        self.describe(0)
        self.deliver(1)
        self.wait_until(lambda status: status["growing"] == 1)
        self.describe(1)
        self.finish()
        self.assertEqual(self.described(), [1])

    def test_what_never_comes_is_waited_for_no_longer_than_said(self):
        self.describe(0)
        self.deliver(0)
        self.start(expected=2, wait=3)
        self.wait_until(lambda status: status["found"] == 1)
        self.deliver(1)
        started = time.monotonic()
        self.finish()
        self.assertGreater(time.monotonic() - started, 2.5)
        self.assertIn("m_1.mrc: item at movies: is taken without its metadata file, which did not come within 3 s", self.frazil("why", "m_1.mrc", "--project", self.project).stdout)
        self.assertEqual(self.described(), [0])

    def test_nothing_waits_where_no_metadata_are_or_none_are_wanted(self):
        for number in range(3):
            self.deliver(number)
        self.start(expected=3)
        self.finish()
        self.describe(0)
        self.project = self.project.with_name("unwanted")
        self.start(expected=3, wait=0)
        self.finish()
        self.assertEqual(self.described(), [0])

    def test_a_list_of_files_that_is_not_there_is_told_and_the_project_opens(self):
        gone = self.folder / "gone.txt"
        gone.write_text("m_1.mrc\n")
        for number in range(2):
            self.deliver(number)
        self.start(expected=1, exclude=gone)
        self.finish()
        gone.unlink()
        self.start(expected=2, exclude=gone)
        self.finish()
        sentence = f"exclude: there is no list {gone}, and no file that is watched can have this name: it leaves nothing out"
        self.assertEqual([(alarm["source"], alarm["text"]) for alarm in self.status()["alarms"]], [("movies", sentence)])
        self.assertIn(f"movies: {sentence}", self.frazil("status", "--project", self.project).stdout)
        page = self.frazil("report", "--project", self.project, "-o", "report.html").stdout.strip()
        text = (self.folder / page).read_text()
        self.assertIn(sentence, text)
        self.assertIn("Movies of the session", text)
        self.assertEqual(self.status()["found"], 2)


if __name__ == "__main__":
    whole_program.main()
