#!/usr/bin/env python3
"""The sample plugins, installed and used as their users would: checked, on files, in a workflow beside native steps."""
import json
import pathlib
import shutil

import whole_program

ROOT = whole_program.ROOT

WORKFLOW = {
    "name": "mixed", "parameters": [{"name": "folder", "type": "path", "title": "Micrographs", "required": True}],
    "steps": {
        "import": {"protocol": "import-micrographs", "params": {"micrographs": "${folder}", "expected": 2}},
        "bin": {"protocol": "bin-micrograph", "params": {"factor": 2}, "inputs": {"micrographs": "import.micrographs"}},
        "pick": {"protocol": "pick", "params": {"diameter": 150}, "inputs": {"micrographs": "bin.micrographs"}},
        "enough": {"protocol": "few-picks", "params": {"minimum": 1}, "inputs": {"coordinates": "pick.coordinates"}},
        "extract": {"protocol": "extract", "inputs": {"micrographs": "bin.micrographs", "coordinates": "enough.accepted"}},
    },
}


class Plugins(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.simulate_micrographs()
        for name in ("bin-micrograph", "few-picks"):
            cls.frazil("plugin", "install", ROOT / "examples" / "plugins" / name)

    def micrographs(self):
        return sorted((self.folder / "mics").glob("*.mrc"))

    def run_project(self, name):
        (self.folder / "mixed.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")
        self.frazil("run", "mixed.json", "--project", name, "--set", f"folder={self.folder / 'mics'}/*.mrc", "--until-closed", "--quiet")

    def test_samples_pass_the_conformance_test(self):
        for name in ("bin-micrograph", "few-picks"):
            findings = [json.loads(line) for line in self.frazil("plugin", "check", name, "--json").stdout.splitlines()]
            self.assertGreater(len(findings), 5)
            self.assertTrue(all(f["state"] == "ok" for f in findings), findings)

    def test_protocols_are_described_like_built_in_ones(self):
        described = json.loads(self.frazil("protocols", "bin-micrograph", "--json").stdout)
        self.assertEqual(described["parameters"][0]["range"], [2, 8])
        self.assertIn("few-picks", self.frazil("protocols").stdout)
        self.assertIn("--factor", self.frazil("bin-micrograph", "--help").stdout)

    def test_single_steps_on_files(self):
        line = json.loads(self.frazil("bin-micrograph", self.micrographs()[0], "--factor", "4", "-o", "binned", "--json").stdout)
        self.assertEqual((line["nx"], line["ny"], line["pixel_size_A"]), (128, 96, 12))
        self.assertTrue(pathlib.Path(self.folder / line["path"]).exists())
        refused = self.frazil("bin-micrograph", self.micrographs()[0], "--factor", "9", "-o", "binned", code=2)
        self.assertIn("factor must lie in 2 to 8", refused.stderr)

    def test_steps_in_a_workflow_beside_native_ones(self):
        self.run_project("project")
        status = {s["name"]: s for s in json.loads(self.frazil("status", "--project", "project", "--json").stdout)["steps"]}
        self.assertEqual([status[s]["done"] for s in ("bin", "pick", "enough", "extract")], [2, 2, 2, 2])
        self.assertEqual(status["enough"]["accepted"], 2)
        verified = self.frazil("verify", "--project", "project", "--sample", "100", "--json").stdout
        states = [json.loads(line)["state"] for line in verified.splitlines()]
        self.assertEqual(states, ["same"] * 8)

    def test_a_changed_plugin_is_not_used_until_it_is_updated_and_makes_results_outdated(self):
        self.run_project("changed")
        installed = self.folder / "plugins" / "bin-micrograph" / "bin.py"
        text = installed.read_text(encoding="utf-8")
        installed.write_text(text + "# tampered with\n", encoding="utf-8")
        refused = self.frazil("protocols", "bin-micrograph", code=2)
        self.assertIn("its files are not those that were installed", refused.stderr)
        source = self.folder / "source"
        shutil.copytree(ROOT / "examples" / "plugins" / "bin-micrograph", source)
        (source / "bin.py").write_text(text.replace("_bin.mrc", "_small.mrc"), encoding="utf-8")
        self.frazil("plugin", "remove", "bin-micrograph")
        self.frazil("plugin", "install", source)
        try:
            self.run_project("changed")
            names = {path.name for path in (self.folder / "changed" / "steps" / "bin").rglob("*.mrc")}
            self.assertEqual(len([n for n in names if n.endswith("_small.mrc")]), 2, "another checksum is another result")
        finally:
            self.frazil("plugin", "remove", "bin-micrograph")
            self.frazil("plugin", "install", ROOT / "examples" / "plugins" / "bin-micrograph")

    def test_disabled_and_removed_plugins_have_no_protocols(self):
        self.frazil("plugin", "disable", "few-picks")
        self.assertNotIn("few-picks", self.frazil("protocols").stdout)
        self.frazil("plugin", "enable", "few-picks")
        self.assertIn("few-picks", self.frazil("protocols").stdout)
        self.assertIn("installed already", self.frazil("plugin", "install", ROOT / "examples" / "plugins" / "few-picks", code=2).stderr)

    def bad_plugin(self, name, script, **more):
        """A plugin whose adapter is a shell script."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "run.sh").write_text("#!/bin/sh\n" + script, encoding="utf-8")
        (folder / "run.sh").chmod(0o755)
        protocol = {"name": name, "inputs": [{"kind": "Micrograph"}], "outputs": [{"kind": "Micrograph"}], **more}
        (folder / "plugin.json").write_text(json.dumps({"id": name, "version": "1", "adapter": ["{plugin}/run.sh"], "protocols": [protocol]}), encoding="utf-8")
        return folder

    def findings(self, folder):
        return {f["check"]: f for f in map(json.loads, self.frazil("plugin", "check", folder, "--json", code=1).stdout.splitlines())}

    def failure(self, name, script, **more):
        return self.findings(self.bad_plugin(name, '[ "$1" = describe ] && exit 1\n' + script, **more))[name + ": runs, results complete and finite"]["remark"]

    def test_wrong_results_are_refused_with_a_reason(self):
        result = "cat > result.json <<END\n{}\nEND\n"
        self.assertIn("exit code 3: out of luck", self.failure("fails", "echo out of luck; exit 3\n"))
        self.assertIn("wrote no result.json", self.failure("silent", "exit 0\n"))
        self.assertIn("was not written", self.failure("promises", result.format('{"outputs": {"micrographs": [{"path": "no.mrc"}]}}')))
        self.assertIn("gave nothing on micrographs", self.failure("empty", result.format('{"outputs": {}}')))
        self.assertIn("that it does not declare", self.failure("more", result.format('{"outputs": {"volumes": []}}')))
        nan = "head -c 1024 \"$FILE\" > x.mrc; printf '\\000\\000\\300\\177' | head -c 4 >> x.mrc; tail -c +1029 \"$FILE\" >> x.mrc\n"
        find = "FILE=$(sed -n 's/.*\"path\": \"\\(.*\\)\",*/\\1/p' \"$2\" | head -n 1)\n"
        self.assertIn("not finite", self.failure("nan", find + nan + result.format('{"outputs": {"micrographs": [{"path": "x.mrc"}]}}')))
        self.assertIn("the result says nx is 7", self.failure("size", find + 'cp "$FILE" x.mrc\n' + result.format('{"outputs": {"micrographs": [{"path": "x.mrc", "nx": 7}]}}')))
        self.assertIn("is no JSON", self.failure("odd", result.format('{"outputs": {"micrographs": [{"path": "x.mrc", "pixel_size_A": NaN}]}}')))
        deep = "{ printf '{\"outputs\": '; head -c 300000 /dev/zero | tr '\\0' '['; } > result.json\n"
        self.assertIn("is no JSON", self.failure("deep", deep))
        self.assertIn("no regular file", self.failure("pipe", "mkfifo result.json\n"))
        self.assertIn("at most", self.failure("endless", "truncate -s 40G result.json\n"))
        self.assertIn("not finished after", self.failure("hangs", "sleep 100\n", resources={"time_limit_s": 0.5}))

    def test_a_link_among_the_results_becomes_the_file_that_it_leads_to(self):
        script = """[ "$1" = describe ] && exit 1
cp "$(sed -n 's/.*"path": "\\(.*\\)",*/\\1/p' "$2" | head -n 1)" made.mrc
ln -s made.mrc linked.mrc
echo '{"outputs": {"micrographs": [{"path": "linked.mrc"}]}}' > result.json
"""
        self.frazil("plugin", "install", self.bad_plugin("links", script))
        try:
            line = json.loads(self.frazil("links", self.micrographs()[0], "-o", "linked", "--json").stdout)
            path = self.folder / line["path"]
            self.assertTrue(path.is_file() and not path.is_symlink())
            self.assertEqual(path.read_bytes(), self.micrographs()[0].read_bytes())
        finally:
            self.frazil("plugin", "remove", "links")

    def test_a_picker_with_swapped_axes_is_found_out(self):
        script = """[ "$1" = describe ] && exit 1
printf 'data_\\nloop_\\n_rlnCoordinateX\\n_rlnCoordinateY\\n' > picks.star
for y in 50 155 260; do for x in 60 170 280; do echo "$y $x" >> picks.star; done; done
echo '{"outputs": {"coordinates": [{"coordinates": "picks.star"}]}}' > result.json
"""
        found = self.findings(self.bad_plugin("swaps", script, outputs=[{"kind": "Coordinates"}]))
        self.assertEqual(found["swaps: x and y are not swapped"]["state"], "FAILS")

    def test_a_bad_manifest_is_told_all_at_once(self):
        folder = self.folder / "badly"
        folder.mkdir()
        (folder / "plugin.json").write_text(json.dumps({"id": "Bad Name", "surprise": 1, "protocols": [{"name": "x", "shape": "cube", "parameters": [{"name": "p", "type": "float"}]}]}), encoding="utf-8")
        told = self.frazil("plugin", "install", folder, code=2).stderr
        for part in ("id must be", "version is missing", '"surprise" is not known', "shape must be", "type must be one of", "needs inputs", "has no command"):
            self.assertIn(part, told)


if __name__ == "__main__":
    whole_program.main()
