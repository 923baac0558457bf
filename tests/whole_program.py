"""What the tests of the whole program share: the program in a folder of its own, away from the user's plugins, templates and sockets."""
import argparse
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


class WholeProgram(unittest.TestCase):
    program = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.environment = dict(os.environ, FRAZIL_PLUGINS=str(cls.folder / "plugins"), FRAZIL_TEMPLATES=str(cls.folder / "templates"), XDG_RUNTIME_DIR=str(cls.folder))

    @classmethod
    def frazil(cls, *arguments, code=0):
        done = subprocess.run([cls.program, *map(str, arguments)], cwd=cls.folder, env=cls.environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{arguments}: exit code {done.returncode}, not {code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    @classmethod
    def simulate_micrographs(cls, count=2):
        cls.frazil("simulate", "-o", "mics", "--kind", "micrographs", "--count", count, "--nx", 512, "--ny", 384, "--pixel-size", 3, "--particles", 12)


def main(needs=lambda: None):
    """Runs the tests of the calling file; `needs` tells what is missing, if anything: then they are skipped (exit code 77)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frazil", required=True)
    known, rest = parser.parse_known_args()
    WholeProgram.program = str(pathlib.Path(known.frazil).resolve())
    if missing := needs():
        print("skipped:", missing)
        raise SystemExit(77)
    unittest.main(argv=["test", *rest], module="__main__")
