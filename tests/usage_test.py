#!/usr/bin/env python3
"""What people type: every command has --help, finds the one project that is here, and says what it has done."""
import json
import pathlib
import re
import subprocess

import whole_program


class Usage(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.frazil("simulate", "--kind", "project", "--template", "monitoring", "--count", 12, "--json", "-o", "lone")
        cls.elsewhere = cls.folder / "elsewhere"
        cls.elsewhere.mkdir()

    def call(self, *arguments, folder=None):
        return subprocess.run([self.program, *map(str, arguments)], cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def commands(self):
        text = self.frazil("--help").stdout
        return re.findall(r"^  ([a-z][a-z-]+) ", text.split("Commands")[1].split("Protocols")[0], re.MULTILINE)

    def test_every_command_has_help(self):
        commands = self.commands()
        self.assertGreater(len(commands), 25)
        for command in commands:
            for flag in ("--help", "-h"):
                with self.subTest(command=command, flag=flag):
                    told = self.call(command, flag)
                    self.assertEqual(told.returncode, 0, told.stderr)
                    self.assertIn(f"frazil {command}", told.stdout)
                    self.assertEqual(told.stderr, "")

    def test_every_protocol_has_help(self):
        for line in self.frazil("protocols", "--json").stdout and json.loads(self.frazil("protocols", "--json").stdout):
            with self.subTest(protocol=line["name"]):
                self.assertEqual(self.call(line["name"], "--help").returncode, 0)

    def test_the_only_project_here_need_not_be_named(self):
        for arguments, folder in ((("status",), self.folder), (("status", "lone"), self.folder), (("status", "--project", "lone"), self.folder),
                                  (("status",), self.folder / "lone"), (("status", self.folder / "lone"), self.elsewhere)):
            with self.subTest(arguments=arguments):
                told = self.call(*arguments, folder=folder)
                self.assertEqual(told.returncode, 0, told.stderr)
                self.assertIn("12 of 12 kept" if "of 12 kept" not in told.stdout else "of 12 kept", told.stdout)
        told = self.call("why", "mic_000003")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("mic_000003: ", told.stdout)
        nothing = self.call("status", folder=self.elsewhere)
        self.assertEqual(nothing.returncode, 2)
        self.assertIn("which project?", nothing.stderr)
        self.assertIn("frazil status [DIR]", nothing.stderr)

    def test_what_is_done_is_said(self):
        for command, words in (("pause", "no engine runs"), ("resume", "no engine runs"), ("stop", "no engine runs"), ("close", "closed")):
            told = self.call(command, "lone")
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertIn("lone: ", told.stdout)
            self.assertIn(words, told.stdout)

    def test_what_is_missing_is_asked_for_by_its_name(self):
        for command, word in (("what-if", "which value?"), ("set", "which value?"), ("why", "which item?"), ("restore", "which item?"), ("answer", "which question?")):
            told = self.call(command)
            self.assertEqual(told.returncode, 2)
            self.assertIn(word, told.stderr)
            self.assertIn(f"frazil {command} ", told.stderr)

    def test_a_folder_that_is_gone_is_named(self):
        gone = self.folder / "gone"
        gone.mkdir()
        told = subprocess.run(["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && "{self.program}" status'], env=self.environment, capture_output=True, text=True, check=False)
        self.assertEqual(told.returncode, 2)
        self.assertIn("not there any more", told.stderr)


if __name__ == "__main__":
    whole_program.main()
