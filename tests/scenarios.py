#!/usr/bin/env python3
"""Sessions with one fault each, and clean ones: is the fault noticed, is it named rightly, after how many movies, and what does it cost?

The simulator records sessions; every scenario runs the shipped template "monitoring" over one of them, told what an operator would have told it,
and reads the alarms from `frazil status --json`. Prints a table: fault, its size, the alarm that names it, movies until then, good
micrographs set aside, other alarms. Clean sessions count false alarms and good micrographs set aside, with the upper 95 % limit of the rate.

    scenarios.py --frazil build/release/frazil                  all of it (about an hour of two cores)
    scenarios.py --frazil build/release/frazil --only dose      those whose name holds "dose"
    scenarios.py --frazil build/release/frazil --quick          a few of each kind, as the tests run it
"""
import argparse
import concurrent.futures
import dataclasses
import json
import math
import os
import pathlib
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

SIZE, FRAMES, PIXEL, DOSE = 768, 10, 1.5, 3.0
SCENE = dict(nx=SIZE, ny=SIZE, frames=FRAMES, pixel_size=PIXEL, dose_per_frame=DOSE, particles=25, ice_thickness=300, contrast=1, threads=1)


@dataclasses.dataclass
class Scenario:
    """One session and what must be said of it."""

    name: str
    size: str  # of the fault, in words
    kinds: tuple  # of alarms, any of which names it rightly; none: clean
    scene: dict = dataclasses.field(default_factory=dict)  # beyond SCENE
    told: dict = dataclasses.field(default_factory=dict)  # beyond the truth; None: not told
    later: dict = dataclasses.field(default_factory=dict)  # what the scene becomes half-way
    prepare: object = None  # called with the session's folder before the run: changes files
    deed: object = None  # called while it runs, with Session and its process
    metadata: dict = dataclasses.field(default_factory=dict)  # what an mdoc beside every movie says
    movies: int = 24
    code: object = 0  # exit code; None: any
    refused: str = ""  # a word of the sentence with which the start must be refused
    within: int = 50  # movies


# ---- files that are changed -------------------------------------------------------------------------------------


def read_mrc(path):
    data = path.read_bytes()
    nx, ny, nz, mode = struct.unpack("<4i", data[:16])
    extra = struct.unpack("<i", data[92:96])[0]
    return data[: 1024 + extra], data[1024 + extra :], nx, ny, nz, {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}[mode]


def with_rows(path, change):
    """The image with its list of rows changed."""
    head, body, nx, ny, nz, width = read_mrc(path)
    rows = [body[i * nx * width : (i + 1) * nx * width] for i in range(ny * nz)]
    path.write_bytes(head + b"".join(change(rows)))


def gain_of(folder):
    return folder / "references" / "gain.mrc"


def shift_gain(folder):
    with_rows(gain_of(folder), lambda rows: rows[1:] + rows[:1])


def flip_gain(folder):
    with_rows(gain_of(folder), lambda rows: rows[::-1])


def map_gain(folder, change):
    head, body, *_ = read_mrc(gain_of(folder))
    values = struct.unpack(f"<{len(body) // 4}f", body)
    gain_of(folder).write_bytes(head + struct.pack(f"<{len(values)}f", *change(values)))


def invert_gain(folder):
    map_gain(folder, lambda values: [1 / v if v else 0 for v in values])


def transpose_gain(folder):
    map_gain(folder, lambda values: [values[x * SIZE + y] for y in range(SIZE) for x in range(SIZE)])


def constant_gain(folder):
    map_gain(folder, lambda values: [1.0] * len(values))


def foreign_gain(folder):
    """That of another camera of the same make."""
    other = folder.parent / f"{folder.name}-other"
    simulate(other, dict(count=1, seed=99, frames=1))
    shutil.copyfile(gain_of(other), gain_of(folder))
    shutil.rmtree(other)


def half_gain(folder):
    other = folder.parent / f"{folder.name}-half"
    simulate(other, dict(count=1, nx=SIZE // 2, ny=SIZE // 2, particles=5, frames=1))
    shutil.copyfile(gain_of(other), gain_of(folder))
    shutil.rmtree(other)


def no_gain(folder):
    gain_of(folder).unlink()


def cut_short(folder):
    """A third of the files stays half a file."""
    for path in sorted(folder.glob("*.mrc"))[::3]:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])


def empty(folder):
    for path in folder.glob("*.mrc"):
        path.unlink()


def other_names(folder):
    for path in folder.glob("*.mrc"):
        path.rename(path.with_suffix(".dat"))


def no_content(folder):
    """From half-way on the camera gives the same number everywhere."""
    files = sorted(folder.glob("*.mrc"))
    for path in files[len(files) // 2 :]:
        head, body, *_ = read_mrc(path)
        path.write_bytes(head + body[:1] * len(body))


# ---- deeds while it runs ----------------------------------------------------------------------------------------


def kill_workers(session, process):
    """Workers die again and again, as for want of memory."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.4)


def lose_gain(session, process):
    """The mount with the gain goes away half-way."""
    session.wait_for(process, 6)
    gain_of(session.folder).rename(gain_of(session.folder).with_suffix(".away"))


# ---- the scenarios ----------------------------------------------------------------------------------------------

TRUTH_MDOC = dict(PixelSpacing=PIXEL, Voltage=300)


def faults():
    """At least one of each kind; mild ones say how mild."""
    yield Scenario("gain transposed", "", ("gain",), prepare=transpose_gain)
    yield Scenario("gain flipped", "", ("gain",), prepare=flip_gain)
    yield Scenario("gain inverted", "", ("gain",), prepare=invert_gain)
    yield Scenario("gain shifted", "by one row", ("gain",), prepare=shift_gain)
    yield Scenario("gain of another camera", "", ("gain",), prepare=foreign_gain)
    yield Scenario("gain of half the size", "", ("gain",), prepare=half_gain, code=None, refused="gain")
    yield Scenario("gain constant", "", ("gain",), prepare=constant_gain, code=None, refused="gain")
    yield Scenario("gain missing at start", "", ("gain",), prepare=no_gain, code=None, refused="gain")
    yield Scenario("gain not told", "", ("gain",), told=dict(gain=None))
    yield Scenario("gain lost under way", "after 6 movies", ("gain", "task", "files"), deed=lose_gain, code=None)
    yield Scenario("dose ten times too high", "x 10", ("dose",), told=dict(dose_per_frame=10 * DOSE))
    yield Scenario("dose per movie typed", f"x {FRAMES}", ("dose",), told=dict(dose_per_frame=FRAMES * DOSE))
    yield Scenario("dose ten times too low", "x 0.1", ("dose",), told=dict(dose_per_frame=DOSE / 10))
    yield Scenario("dose per pixel typed", f"x {PIXEL**2:g}", ("dose", "pixel_size"), told=dict(dose_per_frame=DOSE * PIXEL**2))
    yield Scenario("dose mildly high", "+ 20 %", ("dose",), told=dict(dose_per_frame=1.2 * DOSE))
    yield Scenario("dose mildly low", "- 20 %", ("dose",), told=dict(dose_per_frame=0.8 * DOSE))
    yield Scenario("dose not told", "", ("dose",), told=dict(dose_per_frame=None))
    yield Scenario("beam fades half-way", "to 70 %", ("dose",), later=dict(dose_per_frame=0.7 * DOSE))
    yield Scenario("beam grows half-way", "by 30 %", ("dose",), later=dict(dose_per_frame=1.3 * DOSE))
    yield Scenario("voltage 200 typed", "for 300", ("voltage",), told=dict(voltage=200), movies=40)
    yield Scenario("voltage 300 typed", "for 200", ("voltage",), scene=dict(voltage=200), movies=40)
    yield Scenario("voltage against mdoc", "200 for 300", ("voltage",), told=dict(voltage=200), metadata=TRUTH_MDOC, movies=8)
    yield Scenario("cs 2.7 typed", "for 0", ("cs",), scene=dict(cs=0), movies=40)
    yield Scenario("cs 2.7 typed", "for 1.4", ("cs",), scene=dict(cs=1.4), movies=40)
    yield Scenario("pixel 20 % high", "+ 20 %", ("pixel_size",), told=dict(pixel_size=1.2 * PIXEL), movies=40)
    yield Scenario("pixel twice", "super-resolution not told", ("pixel_size", "frames"), told=dict(pixel_size=2 * PIXEL), movies=40)
    yield Scenario("pixel mildly high", "+ 3 %, a crystal ring in a third", ("pixel_size",), told=dict(pixel_size=1.03 * PIXEL), scene=dict(crystalline_ice=0.33), movies=50)
    yield Scenario("pixel mildly low", "- 3 %, a crystal ring in a third", ("pixel_size",), told=dict(pixel_size=0.97 * PIXEL), scene=dict(crystalline_ice=0.33), movies=50)
    yield Scenario("pixel against mdoc", "1.2 for 1.5", ("pixel_size",), told=dict(pixel_size=1.2), metadata=TRUTH_MDOC, movies=8)
    yield Scenario("defocus not as asked", "0.3 um off", ("defocus",), metadata=dict(TRUTH_MDOC, TargetDefocus="asked+0.3"), movies=40)
    yield Scenario("tilt not told", "30 degrees", ("tilt",), scene=dict(tilt=30), movies=30)
    yield Scenario("frames change half-way", "10 to 6", ("frames",), later=dict(frames=6))
    yield Scenario("size changes half-way", "768 to 640", ("frames", "files", "gain"), later=dict(nx=640, ny=640), code=None)
    yield Scenario("drift begins half-way", "x 25", ("drift",), later=dict(drift=75, burst=60))
    yield Scenario("astigmatism changes half-way", "by 2500 A", ("astigmatism",), later=dict(astigmatism=2500), movies=40)
    yield Scenario("phase shift not told", "60 to 90 degrees", ("phase", "defocus"), scene=dict(phase_shift_min=60, phase_shift_max=90), movies=30)
    yield Scenario("ice crystallises half-way", "every micrograph", ("ice",), later=dict(crystalline_ice=1))
    yield Scenario("grid square without ice", "half-way", ("ice", "ctf", "filter", "dose"), later=dict(ice_thickness=0, particles=0, carbon=0))
    yield Scenario("files cut short", "a third", ("copy", "files"), prepare=cut_short, code=None)
    yield Scenario("folder empty", "", ("files", "arrival"), prepare=empty, code=None, refused="movies")
    yield Scenario("folder missing", "", ("files", "arrival"), told=dict(movies="/no/such/folder"), code=None, refused="folder")
    yield Scenario("files of another kind", "*.dat", ("files", "arrival"), prepare=other_names, code=None, refused="movies")
    yield Scenario("camera dead half-way", "all pixels equal", ("dose", "files", "task", "ctf", "filter"), prepare=no_content, code=None)
    yield Scenario("workers die", "every 0.4 s", ("worker", "memory", "task"), deed=kill_workers, code=None, movies=8)


def clean():
    """Specimens, ices, doses and cameras; some change grid square and ice half-way."""
    for specimen in ("5a1a", "1oel", "4v1w"):
        for ice, later in ((150, 400), (300, None), (600, 300)):
            yield Scenario(f"clean {specimen}, ice {ice}" + (f" then {later}" if later else ""), "", (),
                           scene=dict(specimens=specimen, ice_thickness=ice), later=dict(ice_thickness=later) if later else {}, movies=30)
    for name, scene in (("low dose", dict(dose_per_frame=1)), ("high dose", dict(dose_per_frame=6)), ("pixel 1.06", dict(pixel_size=1.06)), ("pixel 2.2", dict(pixel_size=2.2)),
                        ("200 kV", dict(voltage=200)), ("cs 0.01", dict(cs=0.01)), ("few particles", dict(particles=3)), ("no particles", dict(particles=0)),
                        ("much motion", dict(drift=10, burst=8)), ("carbon in some", dict(carbon=0.3)), ("some crystals", dict(crystalline_ice=0.1)), ("phase plate", dict(phase_shift_min=40, phase_shift_max=110)),
                        ("strong gain", dict(gain_sigma=0.1)), ("integrating blur", dict(detector=0.5)), ("wide defocus", dict(defocus_min=5000, defocus_max=35000))):
        told = dict(fit_phase_shift="true") if "phase" in name else {}
        yield Scenario("clean, " + name, "", (), scene=scene, told=told, movies=30)


# ---- running ----------------------------------------------------------------------------------------------------

PROGRAM = None


def simulate(folder, scene):
    options = [text for key, value in dict(SCENE, **scene).items() for text in (f"--{key.replace('_', '-')}", str(value))]
    subprocess.run([PROGRAM, "simulate", "-o", folder, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Session:
    def __init__(self, scenario, folder, number):
        self.scenario, self.folder, self.number = scenario, folder / f"s{number}", number
        self.project = folder / f"p{number}"

    def record(self):
        """Writes the movies, those after a change with the gain of those before."""
        s = self.scenario
        first = s.movies // 2 if s.later else s.movies
        simulate(self.folder, dict(s.scene, count=first, seed=100 + self.number, prefix="a"))
        if s.later:
            second = self.folder.parent / f"l{self.number}"
            simulate(second, {**s.scene, **s.later, "count": s.movies - first, "seed": 100 + self.number, "prefix": "b"})  # the seed makes the camera
            for path in second.glob("*.mrc"):
                path.rename(self.folder / path.name)
            truth = json.loads((second / "truth.json").read_text())
            shutil.rmtree(second)
            own = json.loads((self.folder / "truth.json").read_text())
            own["areas"] += truth["areas"]
            (self.folder / "truth.json").write_text(json.dumps(own))
        if s.metadata:
            self.describe()
        if s.prepare:
            s.prepare(self.folder)

    def describe(self):
        for area in json.loads((self.folder / "truth.json").read_text())["areas"]:
            values = dict(self.scenario.metadata)
            if "TargetDefocus" in values:
                values["TargetDefocus"] = -(area["defocus_u_A"] + area["defocus_v_A"]) / 2e4 + float(values["TargetDefocus"].removeprefix("asked"))
            (self.folder / (area["file"] + ".mdoc")).write_text("[FrameSet = 0]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))

    def start(self, log):
        s = self.scenario
        scene = dict(SCENE, **s.scene)
        told = dict(movies=self.folder, gain=gain_of(self.folder), pixel_size=scene["pixel_size"], dose_per_frame=scene["dose_per_frame"], voltage=scene.get("voltage", 300), cs=2.7 if "cs" in s.name else scene.get("cs", 2.7),
                    expected=s.movies, idle=8, order="acquisition", backlog="oldest")
        if s.scene.get("voltage") and "voltage" in s.name:
            told["voltage"] = 300
        told.update(s.told)
        settings = [text for key, value in told.items() if value is not None for text in ("--set", f"{key}={value}")]
        return subprocess.Popen([PROGRAM, "run", "monitoring", "--project", self.project, "--until-closed", "--quiet", "--threads", "1", *settings], stdout=log, stderr=log)

    def wait_for(self, process, count):
        """Until so many movies are aligned."""
        while process.poll() is None and len(self.aligned()) < count:
            time.sleep(0.1)

    def query(self, text):
        try:
            database = sqlite3.connect(f"file:{self.project / 'project.frazil'}?mode=ro", uri=True)
            try:
                return database.execute(text).fetchall()
            finally:
                database.close()
        except sqlite3.Error:
            return []

    def aligned(self):
        return sorted(time for (time,) in self.query("SELECT finished FROM task WHERE step = 'align'"))

    def run(self):
        self.record()
        log_path = self.project.parent / f"log{self.number}"
        with open(log_path, "ab") as log:
            process = self.start(log)
            if self.scenario.deed:
                self.scenario.deed(self, process)
            try:
                code = process.wait(900)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = "no end"
        result = self.judge(code, log_path.read_text(errors="replace"))
        shutil.rmtree(self.folder, ignore_errors=True)
        if not result["kept"]:
            shutil.rmtree(self.project, ignore_errors=True)
        return result

    def alarms(self):
        """All that were ever raised."""
        done = subprocess.run([PROGRAM, "log", "--project", self.project, "--alarms", "--json"], capture_output=True, text=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] if done.returncode == 0 else []

    def judge(self, code, log):
        s = self.scenario
        alarms = self.alarms()
        times = self.aligned()
        right = [a for a in alarms if a["kind"] in s.kinds]
        refused = bool(s.refused) and not times and s.refused in log
        first = min((a["since"] for a in right), default=None)
        aside = {label for (label,) in self.query("SELECT DISTINCT label FROM decision WHERE accepted = 0 AND held = 0")}
        return dict(scenario=s, code=code, refused=refused, right=right[:1], after=sum(t <= first for t in times) if first else None, movies=len(times), aside=len(aside),
                    others=[a for a in alarms if a["kind"] not in s.kinds], kept=not (refused or right) if s.kinds else bool(alarms or aside))


def upper_limit(events, trials):
    """95 % upper limit of a rate (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404)."""
    if trials == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        log_terms = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * math.log(p) + (trials - k) * math.log1p(-p) for k in range(events + 1)]
        low, high = (p, high) if sum(map(math.exp, log_terms)) > 0.05 else (low, p)
    return high


def tell(result):
    s = result["scenario"]
    verdict = "refused" if result["refused"] else "named" if result["right"] else "something" if result["others"] else "MISSED"
    if not s.kinds:
        verdict = "FALSE ALARM" if result["others"] else "clean"
    said = result["right"][0]["text"] if result["right"] else "; ".join(a["kind"] + ": " + a["text"] for a in result["others"][:2])
    after = "" if result["after"] is None else result["after"]
    print(f"{verdict:11} {s.name:34} {s.size:26} {str(after):>4} of {result['movies']:<3} aside {result['aside']:<3} others {','.join(sorted({a['kind'] for a in result['others']})):18} {said[:150]}", flush=True)


def main():
    global PROGRAM
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frazil", required=True)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--quick", action="store_true", help="seven that matter, with few movies")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, help="work here; projects that were judged wrongly stay")
    options = parser.parse_args()
    PROGRAM = str(pathlib.Path(options.frazil).resolve())
    folder = (options.keep or pathlib.Path(tempfile.mkdtemp(prefix="frazil-scenarios-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    scenarios = [s for s in [*faults(), *clean()] if options.only in s.name]
    if options.quick:
        wanted = ("gain shifted", "gain of another camera", "dose mildly high", "voltage against mdoc", "folder missing", "dose not told", "clean 5a1a, ice 300")
        scenarios = [dataclasses.replace(s, movies=min(s.movies, 12)) for s in scenarios if s.name in wanted]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = []
        for result in pool.map(lambda pair: Session(pair[1], folder, pair[0]).run(), enumerate(scenarios)):
            tell(result)
            results.append(result)
    faulty = [r for r in results if r["scenario"].kinds]
    named = [r for r in faulty if r["right"] or r["refused"]]
    told = [r for r in faulty if r not in named and r["others"]]
    late = [r["scenario"].name for r in named if r["after"] is not None and r["after"] > r["scenario"].within]
    clean_ones = [r for r in results if not r["scenario"].kinds]
    movies, false = sum(r["movies"] for r in clean_ones), sum(len(r["others"]) for r in clean_ones)
    aside = sum(r["aside"] for r in clean_ones)
    print(f"faults: {len(named)} of {len(faulty)} named rightly, {len(told)} more said to be something, {len(faulty) - len(named) - len(told)} missed; late: {', '.join(late) or 'none'}")
    print(f"clean: {false} false alarms in {movies} movies (95 % upper limit {upper_limit(false, movies):.2g} a movie), {aside} micrographs set aside ({100 * aside / max(1, movies):.2f} %)")
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if len(named) == len(faulty) and false == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
