#!/usr/bin/env python3
"""The Python client builds, runs and watches a project; its requests are those of docs/api/engine-socket.json. Templates come and go."""
import json
import os
import shutil
import subprocess
import sys
import time

import whole_program

sys.path.insert(0, str(whole_program.ROOT / "clients" / "python"))
import frazil  # noqa: E402  pylint: disable=wrong-import-position

API = json.loads((whole_program.ROOT / "docs" / "api" / "engine-socket.json").read_text(encoding="utf-8"))


class Client(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ.update(cls.environment)
        cls.simulate_micrographs()
        cls.known = frazil.Program(cls.program)

    def build(self, name, **more):
        project = frazil.Project(self.folder / name, self.known)
        micrographs = project.add("import-micrographs", micrographs=self.folder / "mics" / "*.mrc", **more)
        fits = project.add("estimate-ctf", micrographs=micrographs.micrographs)
        good = project.add("filter-ctf", ctf_fits=fits.ctf_fits, max_fit_resolution=30.0)
        picks = project.add("pick", "find", micrographs=micrographs.micrographs, diameter=150, where=[good.accepted])
        project.add("extract", micrographs=micrographs.micrographs, coordinates=picks.coordinates, ctf_fits=good.accepted)
        return project

    def test_a_project_from_nothing_to_its_records(self):
        project = self.build("made", expected=2)
        project.start(until_closed=True)
        last = list(project.watch(0.2))[-1]
        self.assertEqual((last.state, last.found, last.step("extract").done), ("finished", 2, 2))
        self.assertEqual(len(project.items("extract.particles")), 2)
        self.assertEqual(project.why("mic_0001")["items"][0]["label"], "mic_0001")
        with self.assertRaisesRegex(frazil.FrazilError, "knows no item"):
            project.why("nothing")

    def test_watching_ends_when_the_stream_has_closed_although_the_engine_goes_on(self):
        project = self.build("closed", expected=2)
        project.start()
        last = list(project.watch(0.2))[-1]
        self.assertTrue(last.done)
        self.assertEqual(last.step("extract").done, 2)
        self.assertIsNone(project.engine.poll(), "more could come")
        project.stop()

    def test_requests_are_those_of_the_description(self):
        project = self.build("live")
        project.start()
        while not project.status().step("extract").done == 2:
            time.sleep(0.1)
        more = {"items": {"step": "estimate-ctf"}, "series": {"step": "estimate-ctf", "columns": ["defocus_u_A"]}, "decide": {"items": ["mic_0001"], "accept": False}}
        for command, described in API["commands"].items():
            if command in ("stop", "approve"):  # at the end; no step here waits for a person
                continue
            if command == "restore":
                project.set_aside("mic_0001")
            values = {"filter-ctf.max_fit_resolution": 25.0} if described.get("takes_values") else {}
            answer = project._over_socket({"command": command, "values": values, "item": "mic_0002" if described["takes_item"] and command != "restore" else "mic_0001", **more.get(command, {})})  # pylint: disable=protected-access
            self.assertIsNotNone(answer, f"{command}: no engine answered")
            if command in ("answer", "cancel", "acknowledge"):  # nothing is asked, runs, or is wrong here
                self.assertEqual(sorted(answer), sorted(API["refusal"]), command)
                self.assertIn(answer["code"], ("not_found", "bad_input"), command)
                continue
            self.assertTrue(answer["ok"], f"{command}: {answer}")
            self.assertEqual(sorted(answer), sorted(described["answer"]), command)
            while command == "set" and project.status().step("filter-ctf").done < 2:  # decided anew under the new limit
                time.sleep(0.02)
        self.assertEqual(project.what_if({"filter-ctf.max_fit_resolution": 3.0})["items"]["kept_then"], 1, "what a person has restored stays")
        refused = project._over_socket({"command": "dance"})  # pylint: disable=protected-access
        self.assertEqual(sorted(refused), sorted(API["refusal"]))
        project.stop()
        self.assertEqual(project.status().steps[0].name, "import-micrographs", "answered without an engine")

    def test_mistakes_are_refused_when_they_are_made(self):
        project = frazil.Project(self.folder / "wrong", self.known)
        micrographs = project.add("import-micrographs", micrographs="x")
        for keywords, words in ((dict(protocol="nothing"), "no protocol"), (dict(protocol="pick", diameter=150), "needs an input micrographs"),
                                (dict(protocol="extract", micrographs=micrographs.micrographs, coordinates=micrographs.micrographs), "takes Coordinates"),
                                (dict(protocol="pick", micrographs=micrographs.micrographs, diameter="150"), "must be of type number"),
                                (dict(protocol="pick", micrographs=micrographs.micrographs, diameter=1e9), "must lie in"),
                                (dict(protocol="pick", micrographs=micrographs.micrographs, diameter=150, colour=1), "no parameter or input colour"),
                                (dict(protocol="import-micrographs", name="again"), "needs the parameter micrographs")):
            with self.assertRaisesRegex(frazil.FrazilError, words):
                project.add(**keywords)
        with self.assertRaises(AttributeError):
            _ = micrographs.movies
        with self.assertRaisesRegex(frazil.FrazilError, "a step import-micrographs already"):
            project.add("import-micrographs", micrographs="y")


class Templates(whole_program.WholeProgram):
    WORKFLOW = {"name": "ours", "title": "Ours", "parameters": [], "steps": {"import": {"protocol": "import-micrographs", "params": {"micrographs": "x"}}}}

    def write(self, folder, workflow):
        folder.mkdir(exist_ok=True)
        (folder / "ours.json").write_text(json.dumps(workflow), encoding="utf-8")

    def test_what_is_no_workflow_hinders_no_other_template(self):
        folder = self.folder / "templates"
        folder.mkdir(exist_ok=True)
        damaged = {"cut.json": "[1", "number.json": '{"title": 3}', "deep.json": "[" * 300000, "list.json": "[]"}
        try:
            for name, text in damaged.items():
                (folder / name).write_text(text, encoding="utf-8")
            self.assertIn("monitoring", self.frazil("template", "list").stdout)
            for name in damaged:
                self.frazil("workflow", "check", folder / name, code=2)
        finally:
            for name in damaged:
                (folder / name).unlink()

    def test_folder_and_git_repository_as_source(self):
        self.write(self.folder / "shared", self.WORKFLOW)
        added = self.frazil("template", "add", "shared").stdout
        listed = {t["name"]: t for t in map(json.loads, self.frazil("template", "list", "--json").stdout.splitlines())}
        self.assertIn(listed["ours"]["checksum"], added)
        self.assertEqual(listed["ours"]["source"], str((self.folder / "shared").resolve()))
        self.assertEqual(json.loads(self.frazil("template", "show", "ours").stdout), self.WORKFLOW)
        self.frazil("template", "remove", "ours")
        self.frazil("template", "show", "ours", code=2)
        git = {**self.environment, "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
        type(self).environment = git
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(self.folder / "pool.git")], check=True, capture_output=True)
        self.assertIn("published to", self.frazil("template", "publish", "shared/ours.json", self.folder / "pool.git").stdout)
        self.assertIn("was there already", self.frazil("template", "publish", "shared/ours.json", self.folder / "pool.git").stdout)
        self.frazil("template", "add", self.folder / "pool.git")
        self.assertEqual(json.loads(self.frazil("template", "show", "ours").stdout), self.WORKFLOW)

    def test_what_is_no_good_template_is_refused(self):
        self.write(self.folder / "bad", {**self.WORKFLOW, "steps": {"x": {"protocol": "nothing"}}})
        self.assertIn("nothing", self.frazil("template", "add", "bad", code=2).stderr)
        self.write(self.folder / "bad", {**self.WORKFLOW, "name": "picking"})
        self.assertIn("comes with a template picking itself", self.frazil("template", "add", "bad", code=2).stderr)


if __name__ == "__main__":
    if shutil.which("git") is None:
        raise SystemExit("git is needed")
    whole_program.main()
