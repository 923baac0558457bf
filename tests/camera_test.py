#!/usr/bin/env python3
"""What the shipped monitoring does about the camera: a gain reference that lies upside down raises the alarm, is used as it fits only
when told so; one of another camera is named; a movie whose beam was cut is set aside with a reason and can be taken back, and thicker ice is
no reason, in whichever order the movies come."""
import argparse
import array
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

SCENE = dict(count=6, nx=288, ny=288, pixel_size=3, frames=6, dose_per_frame=5, particles=6, ice_thickness=300, contrast=1, defocus_min=12000, seed=11)
HEADER = 1024


def rewrite(source, target, kind, change):
    """Copies an MRC file with its numbers changed."""
    data = source.read_bytes()
    numbers = array.array(kind, data[HEADER:])
    target.write_bytes(data[:HEADER] + change(numbers).tobytes())


def correlation(first, second):
    """Of the pixels of two MRC files of floats, hot ones left out."""
    a, b = (array.array("f", path.read_bytes()[HEADER:]) for path in (first, second))
    limit = 2 * sum(a) / len(a)
    pairs = [(x, y) for x, y in zip(a, b) if x < limit and y < limit]
    mean_a, mean_b = (sum(side) / len(pairs) for side in zip(*pairs))
    products = [sum((p[i] - m) * (p[j] - n) for p in pairs) for i, j, m, n in ((0, 1, mean_a, mean_b), (0, 0, mean_a, mean_a), (1, 1, mean_b, mean_b))]
    return products[0] / (products[1] * products[2]) ** 0.5


class Project:
    def __init__(self, frazil, folder, name, movies, **values):
        self.frazil, self.folder = frazil, folder / name
        settings = [text for key, value in dict(movies=movies, pixel_size=3, dose_per_frame=5, order="acquisition", expected=SCENE["count"], fit_resolution_limit=30, **values).items()
                    for text in ("--set", f"{key}={value}")]
        subprocess.run([frazil, "run", "monitoring", "--project", self.folder, "--until-closed", "--quiet", *settings], check=True, stdout=subprocess.DEVNULL)

    def ask(self, *words):
        return subprocess.run([self.frazil, *words, "--project", self.folder, *(["--json"] if words[0] in ("status", "why") else [])], check=True, capture_output=True, text=True).stdout

    def alarms(self):
        """What is said of the camera; that few of these small micrographs show rings is said too."""
        return [alarm["text"] for alarm in json.loads(self.ask("status"))["alarms"] if alarm["kind"] != "filter"]

    def step(self, name):
        return next(step for step in json.loads(self.ask("status"))["steps"] if step["name"] == name)


def simulated(**changes):
    """Flags of the simulator for the scene with some changes."""
    return [text for key, value in (SCENE | changes).items() for text in (f"--{key.replace('_', '-')}", str(value))]


def check(condition, what):
    print("ok  " if condition else "FAIL", what)
    return condition


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frazil", required=True)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="frazil-camera-"))
    subprocess.run([options.frazil, "simulate", "-o", folder / "microscope", *simulated()], check=True, stderr=subprocess.DEVNULL)
    movies = sorted((folder / "microscope").glob("*.mrc"))
    weak = movies[4]
    rewrite(weak, weak, "h", lambda counts: array.array("h", (4 * n // 10 for n in counts)))
    gain = folder / "microscope" / "references" / "gain.mrc"
    turned = folder / "turned.mrc"
    rewrite(gain, turned, "f", lambda factors: array.array("f", reversed(factors)))

    good = True
    right = Project(options.frazil, folder, "right", folder / "microscope" / "*.mrc", gain=gain)
    good &= check(right.alarms() == [], f"no alarm with the right gain reference: {right.alarms()}")
    aside = right.step("filter-dose")
    good &= check(aside["set_aside"] == 1, f"one movie is set aside for its dose: {aside}")
    why = right.ask("why", weak.name)
    good &= check("dose_deviation" in why and "usual in this session" in why, "and the reason is told")
    right.ask("restore", weak.name)
    good &= check(right.step("filter-dose")["set_aside"] == 0, "a person takes it back")

    asked = Project(options.frazil, folder, "asked", folder / "microscope" / "*.mrc", gain=turned)
    good &= check(any("orientation rotate-180" in alarm for alarm in asked.alarms()), f"a turned reference raises the alarm: {asked.alarms()}")
    report = (asked.folder / "report" / "report.html").read_text()
    good &= check("fits the movies only in orientation rotate-180" in report, "which the report shows")
    applied = Project(options.frazil, folder, "applied", folder / "microscope" / "*.mrc", gain=turned, gain_correction="apply")
    good &= check(applied.alarms() == [], "with consent it is turned")
    likeness = {name: min(correlation(image, next(other.folder.glob(f"steps/align/**/{image.name}"))) for image in right.folder.glob("steps/align/**/*.mrc"))
                for name, other in (("applied", applied), ("asked", asked))}
    good &= check(likeness["applied"] > 0.97 and likeness["asked"] < likeness["applied"] - 0.05, f"and gives the sums of the right one: {likeness}")
    foreign = pathlib.Path(folder / "another" / "references" / "gain.mrc")
    subprocess.run([options.frazil, "simulate", "-o", folder / "another", *simulated(count=1, seed=12)], check=True, stderr=subprocess.DEVNULL)
    unrelated = Project(options.frazil, folder, "unrelated", folder / "microscope" / "*.mrc", gain=foreign)
    good &= check(any("nothing in common" in alarm for alarm in unrelated.alarms()), f"a reference of another camera raises the alarm: {unrelated.alarms()}")
    for name, first, second in (("thicker", 250, 500), ("thinner", 500, 250)):
        session = folder / name / "movies"
        for prefix, ice, count in (("a", first, 3), ("b", second, 3)):
            subprocess.run([options.frazil, "simulate", "-o", folder / name / prefix, *simulated(count=count, ice_thickness=ice, prefix=prefix)], check=True, stderr=subprocess.DEVNULL)
            session.mkdir(exist_ok=True)
            for movie in (folder / name / prefix).glob("*.mrc"):
                movie.rename(session / movie.name)
        project = Project(options.frazil, folder, f"{name}-project", session / "*.mrc", gain=gain)
        dose = project.step("filter-dose")
        good &= check(dose["accepted"] == 6 and dose["set_aside"] == 0, f"ice that becomes {name} sets no movie aside: {dose}")
        good &= check(project.alarms() == [], f"and raises no alarm: {project.alarms()}")
    none = Project(options.frazil, folder, "none", folder / "microscope" / "*.mrc")
    good &= check(any("no gain reference was given" in alarm for alarm in none.alarms()), f"no reference at all raises the alarm: {none.alarms()}")
    if good:
        shutil.rmtree(folder)
    else:
        print("left in", folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
