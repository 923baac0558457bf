#!/usr/bin/env python3
"""Projects that move: by mv, by export; what is in a bundle, and how a change in it is found."""
import json
import os
import shutil
import subprocess
import sys

import whole_program

try:
    import numpy
except ImportError:  # another python came first: Debian's has it
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

WORKFLOW = {
    "name": "small", "parameters": [{"name": "folder", "type": "path", "title": "Micrographs", "required": True}],
    "steps": {
        "import": {"protocol": "import-micrographs", "params": {"micrographs": "${folder}", "expected": 2}},
        "ctf": {"protocol": "estimate-ctf", "inputs": {"micrographs": "import.micrographs"}},
        "filter": {"protocol": "filter-ctf", "params": {"max_fit_resolution": 30}, "inputs": {"ctf_fits": "ctf.ctf_fits"}},
        "pick": {"protocol": "pick", "params": {"diameter": 150}, "inputs": {"micrographs": "import.micrographs"}},
        "extract": {"protocol": "extract", "inputs": {"micrographs": "import.micrographs", "coordinates": "pick.coordinates", "ctf_fits": "ctf.ctf_fits"}},
    },
}


class Bundles(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.simulate_micrographs()
        (cls.folder / "small.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")
        cls.frazil("run", "small.json", "--project", "made", "--set", f"folder={cls.folder}/mics/*.mrc", "--until-closed", "--quiet")

    def tasks(self, project):
        status = json.loads(self.frazil("status", "--project", project, "--json").stdout)
        return {step["name"]: step["done"] for step in status["steps"]}

    def copy_of(self, name):
        shutil.copytree(self.folder / "made", self.folder / name, symlinks=True)
        return self.folder / name

    def events(self, project):
        """How many tasks the project has ever run: nothing may be computed again after a move."""
        return len(self.frazil("verify", "--project", project, "--sample", "1000", "--json").stdout.splitlines())

    def test_a_project_opens_after_mv(self):
        before = self.copy_of("before")
        (self.folder / "elsewhere").mkdir()
        after = before.rename(self.folder / "elsewhere" / "after")
        self.assertEqual(self.tasks(after), self.tasks("made"))
        self.frazil("run", "--project", after, "--until-closed", "--quiet")
        self.assertEqual(self.events(after), self.events("made"))

    def test_a_bundle_opens_elsewhere_and_holds_everything(self):
        self.frazil("export", "--project", "made", "-o", "bundle")
        self.assertIn("0 problems", self.frazil("verify", "bundle").stderr)
        (self.folder / "far" / "away").mkdir(parents=True)
        moved = (self.folder / "bundle").rename(self.folder / "far" / "away" / "bundle")
        broken = self.frazil("verify", moved, code=1)
        self.assertEqual(broken.stdout.count("the acquired file is not where the link points"), 2, "relative links went along")
        self.assertIn("2 links set", self.frazil("repoint", self.folder / "mics", "--project", moved).stdout)
        self.assertIn("0 problems", self.frazil("verify", moved).stderr)
        self.assertEqual(self.tasks(moved), self.tasks("made"))
        states = [json.loads(line)["state"] for line in self.frazil("verify", "--project", moved, "--sample", "100", "--json").stdout.splitlines()]
        self.assertEqual(set(states), {"same"})
        listed = json.loads((moved / "bundle.json").read_text(encoding="utf-8"))
        self.assertEqual(len(next(s for s in listed["steps"] if s["name"] == "filter")["decisions"]), 2)
        self.assertIn("(", listed["program"])
        tasks = [json.loads(line) for line in (moved / "tasks.jsonl").read_text(encoding="utf-8").splitlines()]
        self.assertEqual(sorted(t["step"] for t in tasks), sorted(["ctf", "filter", "pick", "extract"] * 2))
        self.assertTrue(all(t["programs"].startswith("frazil ") and len(t["key"]) == 32 for t in tasks), "what computed it, and the seed")
        crate = json.loads((moved / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
        ids = {entry["@id"] for entry in crate}
        root = next(entry for entry in crate if entry["@id"] == "./")
        self.assertTrue({part["@id"] for part in root["hasPart"]} <= ids and set(listed["files"]) <= ids)
        self.assertTrue(all((moved / part["@id"]).exists() for part in root["hasPart"]))

    def test_movies_can_go_along(self):
        self.frazil("export", "--project", "made", "-o", "whole", "--with-movies")
        files = [p for p in (self.folder / "whole" / "raw").rglob("*.mrc")]
        self.assertTrue(len(files) == 2 and not any(p.is_symlink() for p in files))

    def test_a_change_in_a_bundle_is_found(self):
        self.frazil("export", "--project", "made", "-o", "touched")
        stack = next((self.folder / "touched" / "steps" / "extract").rglob("*.mrcs"))
        data = bytearray(stack.read_bytes())
        data[-1] ^= 1
        stack.write_bytes(data)
        next((self.folder / "touched" / "star").glob("pick.star")).unlink()
        found = self.frazil("verify", "touched", code=1).stdout
        self.assertIn("has other content", found)
        self.assertIn("star/pick.star: is missing", found)

    def test_a_changed_result_in_a_project_is_found_by_computing_it_again(self):
        project = self.copy_of("forged")
        stack = next((project / "steps" / "extract").rglob("*.mrcs"))
        data = bytearray(stack.read_bytes())
        data[-2] ^= 64
        stack.write_bytes(data)
        lines = [json.loads(line) for line in self.frazil("verify", "--project", project, "--sample", "100", "--json", code=1).stdout.splitlines()]
        self.assertEqual([line["step"] for line in lines if line["state"] == "DIFFERS"], ["extract"])

    def test_cryosparc_and_relion_read_the_tables(self):
        self.frazil("export", "--project", "made", "-o", "tables")
        particles = numpy.load(self.folder / "tables" / "cryosparc" / "extract.cs")
        text = (self.folder / "tables" / "star" / "extract.star").read_text(encoding="utf-8")
        rows = [line.split() for line in text.split("data_particles")[1].splitlines() if "@" in line]
        labels = [line.split()[0][1:] for line in text.split("data_particles")[1].splitlines() if line.startswith("_rln")]
        self.assertEqual(len(particles), len(rows))
        self.assertEqual(len(set(particles["uid"])), len(rows))
        column = {label: [row[i] for row in rows] for i, label in enumerate(labels)}
        self.assertEqual([p.decode() for p in particles["blob/path"]], [cell.split("@")[1] for cell in column["rlnImageName"]])
        self.assertTrue((particles["blob/idx"] == numpy.array([int(cell.split("@")[0]) - 1 for cell in column["rlnImageName"]])).all())
        numpy.testing.assert_allclose(particles["ctf/df1_A"], numpy.array(column["rlnDefocusU"], float), rtol=1e-6)
        numpy.testing.assert_allclose(numpy.degrees(particles["ctf/df_angle_rad"]), numpy.array(column["rlnDefocusAngle"], float), rtol=1e-5)
        shape = particles["location/micrograph_shape"]
        self.assertTrue((shape == [384, 512]).all())
        numpy.testing.assert_allclose(particles["location/center_x_frac"] * shape[:, 1], numpy.array(column["rlnCoordinateX"], float), rtol=1e-5)
        self.assertTrue((particles["blob/psize_A"] > 0).all() and (particles["blob/shape"] == particles["blob/shape"][0]).all())
        if shutil.which("relion_star_printtable"):
            done = subprocess.run(["relion_star_printtable", "star/extract.star", "data_particles", "rlnImageName"], cwd=self.folder / "tables", capture_output=True, text=True, check=True)
            self.assertEqual(done.stdout.count("@"), len(rows))

    def test_what_cannot_be_exported_is_said(self):
        (self.folder / "there").mkdir()
        self.assertIn("is there already", self.frazil("export", "--project", "made", "-o", "there", code=2).stderr)
        self.assertIn("is no bundle", self.frazil("verify", "there", code=2).stderr)
        self.assertIn("there is no project here", self.frazil("export", "--project", "there", "-o", "new", code=2).stderr)


if __name__ == "__main__":
    whole_program.main()
