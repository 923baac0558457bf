#!/usr/bin/env python3
"""Projects as a whole: steps that have too little to work on, and several projects on one machine."""
import json

import whole_program


class Projects(whole_program.WholeProgram):
    WORKFLOW = {"name": "few", "parameters": [{"name": "particles", "type": "path", "required": True}, {"name": "expected", "type": "integer", "default": 1}],
                "steps": {"particles": {"protocol": "import-particles", "params": {"particles": "${particles}", "expected": "${expected}", "diameter": 100}},
                          "classes": {"protocol": "classify-2d", "params": {"classes": 20, "epochs": 1}, "inputs": {"particles": "particles.particles"}},
                          "volume": {"protocol": "initial-volume", "inputs": {"particles": "particles.particles"}}}}

    def test_steps_that_have_too_little_wait_and_say_so_and_two_projects_share_the_machine(self):
        for number, seed in ((1, 1), (2, 2)):
            self.frazil("simulate", "-o", f"sim{number}", "--kind", "particles", "--count", 30, "--pixel-size", 4, "--box", 32, "--seed", seed)
        (self.folder / "few.json").write_text(json.dumps(self.WORKFLOW), encoding="utf-8")
        (self.folder / "in").mkdir()
        (self.folder / "in" / "first").symlink_to(self.folder / "sim1")
        options = ("few.json", "--set", f"particles={self.folder}/in/*/particles.star", "--until-closed", "--quiet", "--project")
        done = self.frazil("run", *options, "one")
        self.assertIn("volume: did not start: 30 particles came, it needs 50", done.stdout)
        self.assertIn("classes: did not start: 30 particles came, it needs 44", done.stdout)
        status = json.loads(self.frazil("status", "--project", "one", "--json").stdout)
        self.assertEqual((status["state"], status["failed"]), ("finished", 0))
        self.frazil("run", *options, "two", "--prepare")
        done = self.frazil("run-all", "one", "two", "--until-closed", "--quiet")
        self.assertEqual(done.stdout.count("classes: did not start"), 2)
        # The stream goes on: there are enough for classes now, still not at once for a volume.
        (self.folder / "in" / "second").symlink_to(self.folder / "sim2")
        done = self.frazil("run", *options, "one", "--set", "expected=2")
        self.assertNotIn("classes: did not start", done.stdout)
        status = json.loads(self.frazil("status", "--project", "one", "--json").stdout)
        self.assertEqual({step["name"]: step["versions"] for step in status["steps"]}["classes"], 1)


if __name__ == "__main__":
    whole_program.main()
