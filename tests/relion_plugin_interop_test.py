#!/usr/bin/env python3
"""The RELION plugin against the real programs, on tiny simulated data: each protocol alone, and mixed with native steps."""
import json
import os
import shutil
import subprocess
import unittest

import whole_program

DIAMETER = 180  # of the simulated beta-galactosidase, Å

MIXED = {
    "name": "mixed", "parameters": [{"name": "movies", "type": "path", "title": "Movies", "required": True}],
    "steps": {
        "import": {"protocol": "import-movies", "params": {"movies": "${movies}", "pixel_size": 3, "dose_per_frame": 5, "expected": 2}},
        "motion": {"protocol": "relion-motion", "inputs": {"movies": "import.movies"}},
        "ctf": {"protocol": "estimate-ctf", "inputs": {"micrographs": "motion.micrographs"}},
        "filter": {"protocol": "filter-ctf", "params": {"max_fit_resolution": 30}, "inputs": {"ctf_fits": "ctf.ctf_fits"}},
        "pick": {"protocol": "relion-pick-log", "params": {"diameter_min": 150, "diameter_max": 190}, "inputs": {"micrographs": "motion.micrographs_dw"}},
        "extract": {"protocol": "extract", "inputs": {"micrographs": "motion.micrographs_dw", "coordinates": "pick.coordinates", "ctf_fits": "ctf.ctf_fits"}},
        "class": {"protocol": "relion-class-2d", "params": {"classes": 2, "iterations": 2, "psi_step": 30, "offset_range": 3}, "inputs": {"particles": "extract.particles"}},
        "select": {"protocol": "select-classes", "inputs": {"classes": "class.classes"}},
    },
}


class Relion(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.frazil("simulate", "-o", "scope", "--count", "2", "--nx", "448", "--ny", "384", "--pixel-size", "3", "--frames", "6", "--dose-per-frame", "5", "--particles", "14", "--hot-pixels", "0",
                   "--dead-pixels", "0", "--seed", "5")
        cls.frazil("simulate", "-o", "stack", "--kind", "particles", "--count", "60", "--pixel-size", "6", "--box", "48", "--seed", "5")
        cls.frazil("plugin", "install", whole_program.ROOT / "plugins" / "relion")

    def step(self, protocol, *arguments, out=None):
        done = self.frazil(protocol, *arguments, "-o", out or protocol, "--threads", "1", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_steps_of_both_kinds_in_one_workflow(self):
        """RELION's motion, native CTF on its sums, RELION's picks, native extraction, RELION's classes, native choice."""
        (self.folder / "mixed.json").write_text(json.dumps(MIXED), encoding="utf-8")
        self.frazil("run", "mixed.json", "--project", "mixed", "--set", f"movies={self.folder}/scope/*.mrc*", "--until-closed", "--quiet", "--threads", "2")
        status = {s["name"]: s for s in json.loads(self.frazil("status", "--project", "mixed", "--json").stdout)["steps"]}
        self.assertEqual([status[s]["failed"] for s in status], [0] * len(status))
        self.assertEqual([status[s]["done"] for s in ("motion", "ctf", "pick", "extract")], [2, 2, 2, 2])
        self.assertEqual(status["class"]["versions"], 1)
        truth = json.loads((self.folder / "scope" / "truth.json").read_text(encoding="utf-8"))
        fits = [line.split() for line in (self.folder / "mixed" / "star" / "ctf.star").read_text(encoding="utf-8").splitlines() if line.startswith("steps/motion")]
        self.assertEqual(len(fits), 2, "the CTF fits name RELION's sums inside the project")
        self.assertIn("steps/extract", (self.folder / "mixed" / "star" / "extract.star").read_text(encoding="utf-8"))
        self.assertTrue(truth)
        # A person who opens the tables with RELION finds every image.
        done = subprocess.run(["relion_star_printtable", "star/extract.star", "data_particles", "rlnImageName"], cwd=self.folder / "mixed", capture_output=True, text=True, check=True)
        stacks = {line.split("@")[1].strip() for line in done.stdout.splitlines() if "@" in line}
        self.assertTrue(stacks and all((self.folder / "mixed" / s).exists() for s in stacks), stacks)

    def test_motion_finds_the_track_that_native_alignment_finds(self):
        movie = sorted((self.folder / "scope").glob("*.mrc*"))[0]
        options = (movie, "--pixel-size", "3", "--dose-per-frame", "5")
        theirs, ours = self.step("relion-motion", *options)[0], self.step("align-movie", *options, out="native")[0]
        self.assertEqual(len(theirs["shifts_px"]), 6)
        mean = [[sum(s[axis] for s in track["shifts_px"]) / 6 for axis in (0, 1)] for track in (theirs, ours)]
        worst = max(abs((a[axis] - mean[0][axis]) - (b[axis] - mean[1][axis])) for a, b in zip(theirs["shifts_px"], ours["shifts_px"]) for axis in (0, 1))
        self.assertLess(worst, 1.0, "pixels of 3 Å; both see the same specimen move")

    @unittest.skipUnless(os.environ.get("FRAZIL_LONG_TESTS") == "1", "two minutes of RELION refinement")
    def test_particles_to_maps(self):
        """2D classes, initial model, 3D classes, refinement and postprocessing follow from one stack."""
        stack = sorted((self.folder / "stack").glob("*.star"))
        particles = next(s for s in stack if s.name != "truth.star") if len(stack) > 1 else stack[0]
        classes = self.step("relion-class-2d", particles, "--diameter", DIAMETER, "--classes", 2, "--iterations", 2, "--psi-step", 30, "--offset-range", 2)
        self.assertEqual(sum(line["count"] for line in classes), 60)
        first = self.step("relion-initial-model", particles, "--diameter", DIAMETER, "--iterations", 3, "--subset", 20, "--symmetry", "d2")[0]
        self.assertEqual(first["box"], 48)
        volume = self.folder / first["volume"]
        shares = self.step("relion-class-3d", particles, volume, "--diameter", DIAMETER, "--classes", 2, "--iterations", 1, "--order", 0, "--symmetry", "d2")
        self.assertGreaterEqual(shares[0]["particle_count"], 30, "the largest class comes first")
        refined = self.step("relion-refine-3d", particles, volume, "--diameter", DIAMETER, "--order", 0, "--max-iterations", 2, "--symmetry", "d2")[0]
        for key in ("volume", "half1", "half2", "star"):
            self.assertTrue((self.folder / refined[key]).exists(), key)
        (self.folder / "refined.json").write_text(json.dumps(refined), encoding="utf-8")
        post = self.step("relion-postprocess", "refined.json", "--mask-threshold", "0.002")[0]
        self.assertGreater(post["resolution_A"], 12 - 1e-3, "never finer than the Nyquist limit of 6 Å pixels")

    def test_picks_and_extraction_on_files(self):
        micrograph = sorted(self.folder.glob("scope/*.mrc*"))[0]
        self.step("relion-motion", micrograph, "--pixel-size", "3", "--dose-per-frame", "5", out="sums")
        image = next(p for p in sorted((self.folder / "sums").glob("*_DW.mrc")))
        blobs = self.step("relion-pick-log", image, "--diameter-min", 150, "--diameter-max", 190)[0]
        self.assertGreater(blobs["count"], 3)
        cut = self.step("relion-extract", image, blobs["coordinates"], "--box", 96, "--scale", 48, "--diameter", DIAMETER)[0]
        self.assertEqual((cut["box"], cut["pixel_size_A"]), (48, 6))
        self.assertLessEqual(cut["count"], blobs["count"])
        found = self.step("relion-pick-reference", image, "--references", self.folder / cut["stack"], "--references-pixel-size", 6, "--diameter", DIAMETER, "--distance", 120, "--max-noise", -1,
                          "--step", 90, "--threshold", 0.1)[0]
        self.assertGreater(found["count"], 0)

    def test_an_unreadable_movie_fails_with_the_programs_words(self):
        (self.folder / "bad.mrcs").write_bytes(b"no movie" * 500)
        line = {"path": str(self.folder / "bad.mrcs"), "name": "bad.mrcs", "nx": 10, "ny": 10, "frames": 3, "pixel_size_A": 3, "optics": {"voltage_kV": 300, "cs_mm": 2.7, "amplitude_contrast": 0.1}}
        (self.folder / "bad.json").write_text(json.dumps(line), encoding="utf-8")
        done = self.frazil("relion-motion", "bad.json", "-o", "bad", "--json", code=1)
        self.assertIn("error", json.loads(done.stdout))


if __name__ == "__main__":
    whole_program.main(lambda: None if shutil.which("relion_refine") else "relion is not installed")
