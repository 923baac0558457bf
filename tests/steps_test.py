#!/usr/bin/env python3
"""Every step of the chain as a command on files, without a project: simulated movies become a volume, and the truth checker has a look.

The keys that scripts rely on (the command-line contract) must be in the --json lines, files must lie where the lines say, tables must
go from step to step, and what a step cannot do must fail for that item alone, in one sentence.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

SCENE = dict(kind="movies", count=5, seed=31, format="tiff", nx=768, ny=768, pixel_size=2, frames=8, dose_per_frame=5, particles=40, carbon=0)


class Steps:
    def __init__(self, frazil, folder):
        self.frazil, self.folder = frazil, folder

    def run(self, *arguments, code=0):
        done = subprocess.run([self.frazil, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == code, f"{arguments[0]}: exit code {done.returncode}, not {code}\n{done.stderr}"
        return done

    def step(self, protocol, *arguments, keys=(), code=0):
        """Runs a step into a folder of its name; the lines it printed, also kept as <protocol>.jsonl."""
        done = self.run(protocol, *arguments, "-o", protocol, "--json", code=code)
        (self.folder / f"{protocol}.jsonl").write_text(done.stdout)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, f"{protocol} printed no line"
        for line in lines:
            missing = [key for key in keys if key not in line] if "error" not in line else []
            assert not missing, f"{protocol}: {missing} missing in {line}"
        print(f"{protocol}: {len(lines)} lines")
        return lines

    def files(self, pattern):
        found = sorted(path.relative_to(self.folder) for path in self.folder.glob(pattern))
        assert found, f"nothing matches {pattern}"
        return found


def chain(steps):
    steps.run("simulate", "-o", "scope", *[text for key, value in SCENE.items() for text in (f"--{key.replace('_', '-')}", value)])
    optics = ("--voltage", 300, "--cs", 2.7)
    aligned = steps.step("align-movie", *steps.files("scope/*.tif*"), "--gain", "scope/references/gain.mrc", "--pixel-size", 2, "--dose-per-frame", 5, *optics,
                         keys=["movie", "micrograph", "micrograph_dw", "frames", "shifts_px", "shift_sigma_px", "total_path_A", "net_drift_A", "max_step_A", "motion_field",
                               "local_model", "local_amplitude_A", "spectra", "seconds"])
    assert len(aligned) == SCENE["count"]
    for line in aligned:
        for key in ("micrograph", "micrograph_dw", "motion_field"):
            assert (steps.folder / line[key]).is_file(), line[key]
    for line in steps.step("filter-motion", "align-movie.jsonl", keys=["accepted", "rule", "value", "limit"]):
        assert line["accepted"], line
    steps.step("estimate-ctf", *steps.files("align-movie/mic_000?.mrc"), *optics,
               keys=["micrograph", "defocus_u_A", "defocus_v_A", "astigmatism_angle_deg", "phase_shift_deg", "fit_resolution_A", "score", "sigma_defocus_A", "iceness",
                     "b_factor_A2", "tilt_deg", "seconds"])
    from_lines = steps.step("filter-ctf", "estimate-ctf.jsonl", keys=["accepted", "rule", "value", "limit"])
    assert len(from_lines) == SCENE["count"]
    picked = steps.step("pick", *steps.files("align-movie/*_DW.mrc"), "--diameter", 180, keys=["micrograph", "coordinates", "count"])
    (steps.folder / picked[0]["coordinates"]).rename(steps.folder / "taken away.star")
    # Tables of CTF fits name their micrographs too: the images given must not be joined by those.
    extracted = steps.step("extract", *steps.files("align-movie/*_DW.mrc"), *steps.files("pick/*.star"), *steps.files("estimate-ctf/*.star"), "--diameter", 180,
                           keys=["micrograph", "count"], code=1)
    assert len(extracted) == SCENE["count"], "one line a micrograph"
    failed = [line for line in extracted if "error" in line]
    assert len(failed) == 1 and "mic_0001" in failed[0]["error"] and "coordinates" in failed[0]["error"], failed
    assert all(line["micrograph"].endswith("_DW.mrc") for line in extracted if "error" not in line), extracted
    (steps.folder / "taken away.star").rename(steps.folder / picked[0]["coordinates"])
    extracted = steps.step("extract", *steps.files("align-movie/*_DW.mrc"), *steps.files("pick/*.star"), *steps.files("estimate-ctf/*.star"), "--diameter", 180)
    assert steps.run("screen-particles", *steps.files("extract/*.star"), "-o", "nowhere", code=1).stderr.count("give --diameter") == SCENE["count"]
    screened = steps.step("screen-particles", *steps.files("extract/*.star"), "--diameter", 180)
    assert 0 < sum(line["count"] for line in screened) <= sum(line["count"] for line in extracted)
    classes = steps.step("classify-2d", *steps.files("screen-particles/*_accepted_particles.star"), "--diameter", 180, "--classes", 5, "--epochs", 3,
                         keys=["class", "count", "resolution_A", "selected"])
    chosen = steps.step("select-classes", "classify-2d/classes.star", keys=["class", "count", "selected", "score"])
    assert [line["count"] for line in chosen] == [line["count"] for line in classes]
    assert any(line["selected"] for line in chosen) and all(line["selected"] or line["reason"] for line in chosen), chosen
    kept = sum(line["count"] for line in chosen if line["selected"])
    listed = (steps.folder / "select-classes/selected_particles.star").read_text().count("@")
    assert listed == kept, f"{kept} particles in chosen classes, {listed} in the table"
    volume = steps.step("initial-volume", "select-classes/selected_particles.star", "--diameter", 180, "--symmetry", "d2", "--starts", 1, "--iterations", 10, "--passes", 1,
                        keys=["volume", "score"])
    assert (steps.folder / volume[0]["volume"]).is_file()


def devices(steps):
    """Where the heavy part of a step computes is chosen by name, told by the result, and never mixed with another."""
    image = "align-movie/mic_0001_DW.mrc"
    arguments = (image, "--diameter", 320, "--json")
    counts = [json.loads(steps.run("pick", *arguments, "--device", device, "-o", f"pick-{device}").stdout)["count"] for device in ("cpu", "reference")]
    assert counts[0] == counts[1], counts
    assert "cpu, reference" in steps.run("pick", *arguments, "--device", "abacus", "-o", "nowhere", code=2).stderr
    assert "--device" in steps.run("estimate-ctf", image, "--device", "cpu", "-o", "nowhere", code=2).stderr, "it cannot choose"
    assert "reference" in steps.run("--version").stdout
    (steps.folder / "picks.json").write_text(json.dumps({"name": "picks", "steps": {
        "micrographs": {"protocol": "import-micrographs", "params": {"micrographs": str(steps.folder / image), "expected": 1}},
        "pick": {"protocol": "pick", "params": {"diameter": 320}, "inputs": {"micrographs": "micrographs.micrographs"}}}}))
    for chosen, targets in ((), ["avx"]), (("--device", "reference"), ["avx", "reference avx"]), (("--device", "reference"), ["avx", "reference avx"]):
        steps.run("run", "picks.json", "--project", "on-devices", "--until-closed", "--quiet", *chosen)
        made = sorted(json.loads(marker.read_text())["target"] for marker in (steps.folder / "on-devices/steps/pick").glob("*/.task.json"))
        assert len(made) == len(targets) and all(target.startswith(start) for target, start in zip(made, targets)), made
    assert "abacus" in steps.run("run", "picks.json", "--project", "elsewhere", "--device", "abacus", code=2).stderr
    print("devices: cpu and reference")


def refusals(steps):
    """Wrong use is told at once, with exit code 2."""
    twice = steps.run("pick", "align-movie/mic_0001.mrc", "align-movie/mic_0001_DW.mrc", "--diameter", 180, "-o", "nowhere", code=2)
    assert "mic_0001" in twice.stderr and "overwrite" in twice.stderr, twice.stderr
    own = steps.folder / "own"
    own.mkdir()
    shutil.copy(steps.folder / "align-movie/mic_0001.mrc", own / "mic_0001_preprocessed.mrc")
    before = (own / "mic_0001_preprocessed.mrc").read_bytes()
    kept = steps.run("preprocess-micrograph", "own/mic_0001_preprocessed.mrc", "-o", "own", "--invert", code=1)
    assert "would replace" in kept.stderr and (own / "mic_0001_preprocessed.mrc").read_bytes() == before, kept.stderr
    assert "no such file" in steps.run("pick", "absent.mrc", "--diameter", 180, "-o", "nowhere", code=2).stderr
    assert "holds nothing" in steps.run("extract", "estimate-ctf.jsonl", "scope/truth.json", "-o", "nowhere", code=2).stderr


def impossible_values(steps):
    """What cannot be is refused with the value's range, in every step and in tables too; errors begin with their file."""
    mic, movie = "align-movie/mic_0001.mrc", steps.files("scope/*.tif*")[0]
    for arguments, words in (((mic, "--pixel-size", 0), "0.05 to 100"), ((mic, "--pixel-size="), "--pixel-size"), ((mic, "--pixel-size=-1"), "0.05 to 100"),
                             ((mic, "--pixel-size", "nan"), "0.05 to 100"), ((mic, "--voltage", 0), "40 to 1500"), ((mic, "--voltage", 300000), "40 to 1500"),
                             ((mic, "--cs", 2700), "-10 to 20"), ((mic, "--amplitude-contrast", 7), "0 to 1"), ((mic, "--box", 513), "even"),
                             ((mic, "--threads", 0), "threads")):
        told = steps.run("estimate-ctf", *arguments, "-o", "nowhere", code=2).stderr
        assert words in told, (arguments, told)
    for step, *arguments in (("align-movie", movie, "--pixel-size", 2, "--dose-per-frame=-1"), ("align-movie", movie, "--pixel-size", 2, "--pre-exposure", "inf"),
                             ("pick", mic, "--diameter", 180, "--voltage", 0), ("preprocess-micrograph", mic, "--pixel-size", 1e9),
                             ("extract", mic, "pick/mic_0001_picks.star", "--pixel-size", 1e-9), ("classify-2d", "extract/mic_0001_particles.star", "--amplitude-contrast", 70)):
        assert "must lie in" in steps.run(step, *arguments, "-o", "nowhere", code=2).stderr, (step, arguments)
    table = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnAmplitudeContrast\n_rlnMicrographPixelSize\n1 300 {} 2\n\ndata_micrographs\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n" + mic + " 1\n"
    for contrast in ("7", "nan"):
        (steps.folder / "percent.star").write_text(table.format(contrast))
        told = steps.run("estimate-ctf", "percent.star", "-o", "nowhere", code=2).stderr
        assert "percent.star line 7" in told and "0 to 1" in told, told
    told = steps.run("align-movie", *steps.files("scope/*.tif*")[:2], "--pixel-size", 2, "--frames", "1-38", "-o", "nowhere", code=1).stderr
    assert all(path.name in line for path, line in zip(steps.files("scope/*.tif*"), [line for line in told.splitlines() if "error" in line])), told


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frazil", required=True)
    parser.add_argument("--keep", type=pathlib.Path, help="work here and leave everything")
    options = parser.parse_args()
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="frazil-steps-"))
    folder.mkdir(parents=True, exist_ok=True)
    steps = Steps(str(pathlib.Path(options.frazil).resolve()), folder.resolve())
    chain(steps)
    devices(steps)
    refusals(steps)
    impossible_values(steps)
    if not options.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
