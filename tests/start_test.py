#!/usr/bin/env python3
"""A session begun as people begin it: with the dose forgotten, in the wrong folder, with numbers that the microscope tells otherwise."""
import json
import re
import shutil
import sqlite3
import subprocess
import time

import whole_program

SCENE = dict(kind="movies", count=4, seed=7, format="tiff", nx=512, ny=512, pixel_size=2, frames=6, dose_per_frame=6, particles=20, ice_thickness=300, defocus_min=12000, carbon=0)
XML = """<MicroscopeImage xmlns:a="x"><CustomData><a:KeyValueOfstringanyType><a:Key>Dose</a:Key><a:Value>{dose}</a:Value></a:KeyValueOfstringanyType></CustomData>
<SpatialScale><pixelSize><x><numericValue>{pixel}</numericValue></x></pixelSize></SpatialScale><microscopeData><acquisition><camera><ReadoutArea><a:width>512</a:width></ReadoutArea></camera></acquisition>
<gun><AccelerationVoltage>{volt}</AccelerationVoltage></gun></microscopeData></MicroscopeImage>"""


class Start(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.frazil("simulate", "-o", "sim", *[text for key, value in SCENE.items() for text in ("--" + key.replace("_", "-"), value)])
        cls.movies = sorted((cls.folder / "sim").glob("*.tiff"))
        cls.gain = cls.folder / "sim" / "references" / "gain.mrc"
        (cls.folder / "movies").mkdir()
        for movie in cls.movies:
            shutil.copy(movie, cls.folder / "movies" / movie.name)

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1]
        self.project = self.folder / self.name

    def start(self, template, *options, **values):
        values = dict(dict(movies=self.folder / "movies", pixel_size=2, expected=4), **values)
        settings = [text for key, value in values.items() for text in ("--set", f"{key}={value}")]
        return subprocess.run([self.program, "run", template, "--project", self.project, "--until-closed", "--quiet", *options, *settings], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=500)

    def status(self):
        return json.loads(self.frazil("status", "--project", self.project, "--json").stdout)

    def step(self, name):
        return next(step for step in self.status()["steps"] if step["name"] == name)

    def items(self, name):
        snapshot = json.loads(self.frazil("snapshot", "--project", self.project).stdout)
        return next(step for step in snapshot["steps"] if step["name"] == name)["sets"][0]["items"]

    def alarms(self):
        return json.dumps(self.status()["alarms"], ensure_ascii=False)

    def test_without_a_dose_plain_sums_are_picked_and_an_alarm_says_so(self):
        done = self.start("picking", diameter=180, first_particles=1000000, fit_resolution_limit=40, **{"extract.box": 320})
        self.assertIn("the dose per frame is not known", done.stderr)
        self.assertGreater(self.step("pick")["done"], 0, done.stderr)
        picked, cut = (sum(item["record"]["count"] for item in self.items(name)) for name in ("pick", "extract"))
        self.assertLess(cut, picked, "some lie too near the edge for their box")
        why = "".join(self.frazil("why", movie.stem, "--project", self.project).stdout for movie in self.movies)
        self.assertEqual(sum(int(count) for count in re.findall(r"extract .*left out: (\d+) box over the edge", why)), picked - cut)
        self.assertEqual(self.step("pick")["note"], "")
        self.assertIn("the dose per frame is not known", self.alarms())

    def test_no_weighting_is_no_alarm(self):
        done = self.start("monitoring", dose_per_frame=0, fit_resolution_limit=40)
        self.assertNotIn("dose", done.stderr + self.alarms())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_step_that_cannot_have_an_input_says_why(self):
        workflow = {"name": "weighted", "steps": {
            "movies": {"protocol": "import-movies", "params": {"movies": str(self.folder / "movies"), "pixel_size": 2, "dose_per_frame": 0, "expected": 4}},
            "align": {"protocol": "align-movie", "inputs": {"movies": "movies.movies"}},
            "pick": {"protocol": "pick", "params": {"diameter": 180}, "inputs": {"micrographs": "align.micrographs_dw"}}}}
        (self.folder / "weighted.json").write_text(json.dumps(workflow))
        done = subprocess.run([self.program, "run", "weighted.json", "--project", self.project, "--until-closed", "--quiet"], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        said = "pick has no input on micrographs: align gives no micrographs_dw"
        self.assertIn(said, done.stderr)
        self.assertIn("has no input on micrographs", self.step("pick")["note"])
        self.assertIn(said, self.alarms())

    def test_what_the_xml_says_is_taken_or_contradicts(self):
        folder = self.folder / (self.name + "-epu")
        folder.mkdir()
        for i, movie in enumerate(self.movies):
            stem = f"FoilHole_{i}_Data_7_1_20240101_12000{i}"
            shutil.copy(movie, folder / (stem + "_fractions.tiff"))
            (folder / (stem + ".xml")).write_text(XML.format(dose=36e20, pixel=2e-10, volt=300000))
        seen = json.loads(self.start("monitoring", "--dry-run", "--json", movies=folder).stdout)
        dose = next(told for told in seen["told"] if told["parameter"] == "dose_per_frame")
        self.assertTrue(dose["taken"])
        self.assertAlmostEqual(dose["value"], 6)
        self.assertEqual(seen["findings"], [])
        self.assertFalse(self.project.exists(), "a try makes nothing")
        done = self.start("monitoring", movies=folder, pixel_size=1.6, voltage=200, dose_per_frame=36)
        for kind, words in (("pixel_size", "set to 1.6 Å, EPU's XML says 2 Å"), ("voltage", "set to 200 kV, EPU's XML says 300 kV"), ("dose", "of the whole movie?")):
            self.assertIn(words, done.stderr, kind)
            self.assertIn(words, self.alarms(), kind)

    def test_a_required_value_is_asked_for_with_what_the_files_say(self):
        done = self.start("monitoring", pixel_size="")
        self.assertEqual(done.returncode, 2)
        self.assertIn("pixel_size: is required", done.stderr)
        self.assertFalse(self.project.exists())

    def test_a_folder_that_is_not_there_is_refused_and_the_right_one_named(self):
        done = self.start("monitoring", movies=self.folder / "movis")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"there is no such folder, did you mean {self.folder / 'movies'}?", done.stderr)
        self.assertFalse(self.project.exists(), "a refused start leaves nothing")
        done = self.start("monitoring", movies=self.folder / "movies" / "Images-Disc1")
        self.assertIn(f"there are such files in {self.folder / 'movies'}", done.stderr)

    def test_a_pattern_without_a_hit_or_an_empty_folder_is_no_success(self):
        done = self.start("monitoring", movies=self.folder / "movies" / "*.eer", idle=1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no file fits; there are 4 *.tiff", done.stderr)
        self.assertIn("no file came in", done.stderr)

    def test_a_refused_value_leaves_nothing(self):
        done = self.start("picking", diameter=-5)
        self.assertEqual(done.returncode, 2)
        self.assertFalse(self.project.exists())

    def test_a_gain_reference_that_cannot_be_used_is_refused(self):
        self.frazil("simulate", "-o", "small", "--count", 1, "--nx", 384, "--ny", 256, "--frames", 2, "--pixel-size", 2, "--particles", 0)
        for gain, words in ((self.folder / "gone.mrc", "there is no such file"), (self.folder, "this is a folder"),
                            (self.folder / "small" / "references" / "gain.mrc", "the gain reference has 384 x 256 pixels")):
            done = self.start("monitoring", gain=gain)
            self.assertEqual(done.returncode, 2, gain)
            self.assertIn(words, done.stderr)
            self.assertFalse(self.project.exists())

    def test_a_gain_reference_that_goes_away_is_waited_for(self):
        gain, away = self.folder / "mounted.mrc", self.folder / "unmounted.mrc"
        shutil.copy(self.gain, gain)
        folder = self.folder / (self.name + "-movies")
        folder.mkdir()
        settings = [text for key, value in dict(movies=folder, pixel_size=2, dose_per_frame=6, expected=2, gain=gain, fit_resolution_limit=40).items() for text in ("--set", f"{key}={value}")]
        with open(self.folder / "gone.log", "w") as log:
            engine = subprocess.Popen([self.program, "run", "monitoring", "--project", self.project, "--until-closed", "--quiet", *settings], cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        self.addCleanup(engine.kill)
        self.wait(lambda: (self.project / "engine.lock").exists() and self.state() == "running")
        gain.rename(away)
        for movie in self.movies[:2]:
            shutil.copy(movie, folder / movie.name)
        self.wait(lambda: "is not there any more" in self.alarms())
        time.sleep(2)
        self.assertEqual(self.status()["failed"], 0)
        away.rename(gain)
        self.assertEqual(engine.wait(timeout=200), 0, (self.folder / "gone.log").read_text())
        self.assertEqual(self.step("align")["done"], 2)

    def test_a_folder_empty_at_the_start_is_looked_into_when_movies_come_and_later_ones_too(self):
        self.frazil("simulate", "-o", "narrow", "--count", 1, "--nx", 384, "--ny", 256, "--frames", 2, "--pixel-size", 2, "--particles", 0)
        folder = self.folder / (self.name + "-movies")
        folder.mkdir()
        values = dict(movies=folder, pixel_size=2, dose_per_frame=6, expected=4, gain=self.folder / "narrow" / "references" / "gain.mrc", fit_resolution_limit=40)
        settings = [text for key, value in values.items() for text in ("--set", f"{key}={value}")]
        with open(self.folder / "later.log", "w") as log:
            engine = subprocess.Popen([self.program, "run", "monitoring", "--project", self.project, "--until-closed", "--quiet", *settings], cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        self.addCleanup(engine.kill)
        self.wait(lambda: (self.project / "engine.lock").exists() and self.state() == "running")
        shutil.copy(self.movies[0], folder / self.movies[0].name)
        self.wait(lambda: "the gain reference has 384 x 256 pixels" in self.alarms())
        for i, movie in enumerate(self.movies[1:]):
            (folder / (movie.name + ".mdoc")).write_text(f"[FrameSet = 0]\nVoltage = {200 if i == 1 else 300}\n")
            shutil.copy(movie, folder / movie.name)
        engine.wait(timeout=120)
        self.assertIn(f"the voltage is set to 300 kV, the mdoc file says 200 kV (1 of the last 4 files, {self.movies[2].stem} was the last)", self.alarms())

    def test_a_project_in_which_nothing_ever_ran_says_so(self):
        self.start("monitoring", "--prepare")
        store = sqlite3.connect(self.project / "project.frazil")
        store.execute("DELETE FROM setting WHERE key = 'workflow'")
        store.commit()
        store.close()
        self.assertIn("nothing has ever run here: frazil run TEMPLATE", self.frazil("status", "--project", self.project, code=2).stderr)

    def test_from_a_folder_that_is_gone_one_sentence_says_so(self):
        gone = self.folder / "gone"
        gone.mkdir()
        done = subprocess.run(f"cd {gone}; rmdir {gone}; {self.program} status --project x", shell=True, env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("the current folder is not there any more", done.stderr)

    def test_misspelt_words_are_told_what_was_meant(self):
        for arguments, meant in ((["statsu"], "did you mean status?"), (["run", "pickin", "--project", "p"], "did you mean picking?"), (["run", "monitoring", "--projct", "p"], "did you mean --project?"),
                                 (["run", "monitoring", "--project", "p", "--set", "pixelsize=1"], "did you mean pixel_size?"), (["run", "monitoring", "--project", "p", "--set", "filtr-ctf.max_drift=1"], "did you mean filter-ctf?")):
            self.assertIn(meant, self.frazil(*arguments, code=2).stderr)

    def test_a_template_is_shown_as_a_table_or_whole(self):
        table = self.frazil("template", "show", "picking", "--table").stdout
        self.assertRegex(table, r"pixel_size +Pixel size \[Å\] \(required\)")
        self.assertRegex(table, r"motion_model .*\(.*global.*\)")
        self.assertEqual(json.loads(self.frazil("template", "show", "picking").stdout)["name"], "picking")

    def test_what_was_set_stays_set_and_the_line_says_what_it_changes(self):
        self.assertEqual(self.start("monitoring", dose_per_frame=6, fit_resolution_limit=40).returncode, 0)
        said = self.frazil("set", "filter-dose.max_deviation=0.2", "filter-ctf.max_fit_resolution=30", "--project", self.project).stdout
        self.assertIn("filter-dose.max_deviation: 0 → 0.2", said)
        self.assertIn("fit_resolution_limit: 40 → 30 Å", said)
        done = self.start("monitoring", dose_per_frame=6)
        settings = {row["name"]: row for row in json.loads(self.frazil("status", "--parameters", "--json", "--project", self.project).stdout)["settings"]}
        self.assertEqual(settings["filter-dose.max_deviation"]["value"], 0.2)
        self.assertEqual(settings["fit_resolution_limit"]["value"], 30)
        self.assertTrue(settings["fit_resolution_limit"]["actor"])
        done = self.start("monitoring", dose_per_frame=6, fit_resolution_limit=40)
        self.assertRegex(done.stderr, r"fit_resolution_limit: 30 → 40 Å \(\S+ set it at ")

    def state(self):
        try:
            return self.status()["state"]
        except (subprocess.CalledProcessError, AssertionError):
            return ""

    def wait(self, condition, seconds=60):
        end = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), end, "nothing happened")
            time.sleep(0.2)


if __name__ == "__main__":
    whole_program.main()
