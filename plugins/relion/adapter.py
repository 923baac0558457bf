"""Runs RELION programs as protocols of frazil: `adapter.py describe`, `adapter.py run task.json`."""
import json
import math
import os
import struct
import subprocess
import sys

import star

HERE = os.path.dirname(os.path.abspath(__file__))


class Refused(Exception):
    """Input that no repeat will make better."""


def call(task, program, *arguments):
    """Runs a program with its arguments as they are; its own words go to the log."""
    words = [task["programs"][program], *map(str, arguments)]
    print(" ".join(words), flush=True)
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def one(task, port):
    return (task["inputs"].get(port) or [None])[0]


def link(path, folder, name=None):
    """A short, plain name for a file, which RELION may use in names of its own."""
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(path):
        raise Refused(f"{path}: there is no such file")
    place = os.path.join(folder, name or os.path.basename(path))
    if not os.path.lexists(place):
        os.symlink(path, place)
    return place


def optics_row(optics, **more):
    return {"rlnOpticsGroupName": "opticsGroup1", "rlnOpticsGroup": 1, "rlnVoltage": optics["voltage_kV"],
            "rlnSphericalAberration": optics["cs_mm"], "rlnAmplitudeContrast": optics["amplitude_contrast"], **more}


def micrograph_star(path, record, image, fit):
    """One micrograph with its optics and, if known, its CTF."""
    row = {"rlnMicrographName": image, "rlnOpticsGroup": 1}
    if fit:
        row.update(rlnDefocusU=fit["defocus_u_A"], rlnDefocusV=fit["defocus_v_A"], rlnDefocusAngle=fit["astigmatism_angle_deg"],
                   rlnPhaseShift=fit["phase_shift_deg"], rlnCtfMaxResolution=fit["fit_resolution_A"], rlnCtfFigureOfMerit=fit["score"])
    optics = (fit or record)["optics"]
    star.write(path, {"optics": star.table([optics_row(optics, rlnMicrographPixelSize=record["pixel_size_A"])]), "micrographs": star.table([row])})


def header(path):
    with open(path, "rb") as file:
        nx, ny, nz, _ = struct.unpack_from("<4i", head := file.read(1024))
    return nx, ny, nz, struct.unpack_from("<f", head, 40)[0] / max(1, struct.unpack_from("<i", head, 28)[0])


# ---- motion ---------------------------------------------------------------------------------------------------------


def motion(task):
    movie, params, name = one(task, "movies"), task["params"], task["name"]
    file = link(movie["path"], "movies", name + os.path.splitext(movie["path"])[1])
    optics = optics_row(movie["optics"], rlnMicrographOriginalPixelSize=movie["pixel_size_A"])
    star.write("movies.star", {"optics": star.table([optics]), "movies": star.table([{"rlnMicrographMovieName": file, "rlnOpticsGroup": 1}])})
    dose = movie["dose_per_frame_e_per_A2"]
    arguments = ["--i", "movies.star", "--o", "out/", "--use_own", "--j", task["threads"], "--bin_factor", params["binning"], "--bfactor", params["b_factor"],
                 "--first_frame_sum", params["first_frame"], "--last_frame_sum", params["last_frame"] or -1, "--patch_x", params["patches"], "--patch_y", params["patches"],
                 "--dose_per_frame", dose or 1, "--preexposure", movie["pre_exposure_e_per_A2"]]
    if movie.get("gain"):
        arguments += ["--gainref", link(movie["gain"], "movies", "gain" + os.path.splitext(movie["gain"])[1])]
    if movie.get("defects"):
        arguments += ["--defect_file", link(movie["defects"], "movies")]
    if dose > 0:
        arguments += ["--dose_weighting", "--save_noDW"]
    call(task, "relion_run_motioncorr", *arguments)
    made = f"out/movies/{name}"
    if not os.path.exists(made + ".mrc"):
        raise Refused(f"{movie['path']}: RELION wrote no sum")
    plain = f"{made}_noDW.mrc" if dose > 0 else f"{made}.mrc"
    os.makedirs("sums", exist_ok=True)  # beside the movie, which may have the same name
    kept_name = "sums/" + name
    image = {"path": kept_name + ".mrc", "name": movie["name"], "pixel_size_A": movie["pixel_size_A"] * params["binning"], "optics": movie["optics"], "dose_weighted": False}
    weighted = None
    if dose > 0:
        os.rename(made + ".mrc", kept_name + "_DW.mrc")
        weighted = dict(image, path=kept_name + "_DW.mrc", dose_weighted=True)
    os.rename(plain, kept_name + ".mrc")
    with open(made + ".star", encoding="utf-8") as told, open(kept_name + "_motion.star", "w", encoding="utf-8") as kept:
        kept.write(told.read().replace(file, movie["path"]))  # the movie itself, not the link it was given as
    tracks = star.read(kept_name + "_motion.star")["global_shift"]
    shifts = [[float(x), float(y)] for x, y in zip(star.column(tracks, "rlnMicrographShiftX"), star.column(tracks, "rlnMicrographShiftY"))]
    shifts = [[x - shifts[0][0], y - shifts[0][1]] for x, y in shifts]
    steps = [math.dist(a, b) * movie["pixel_size_A"] for a, b in zip(shifts, shifts[1:])] or [0.0]
    record = {"movie": movie["path"], "micrograph": kept_name + ".mrc", "micrograph_dw": weighted["path"] if weighted else "", "frames": len(shifts),
              "pixel_size_A": movie["pixel_size_A"], "shifts_px": shifts, "total_path_A": sum(steps), "max_step_A": max(steps),
              "net_drift_A": math.dist(shifts[0], shifts[-1]) * movie["pixel_size_A"], "star": kept_name + "_motion.star", "dose_e_per_A2": dose * len(shifts)}
    return {"motion": [record], "micrographs": [image], "micrographs_dw": [weighted] if weighted else []}


# ---- picking --------------------------------------------------------------------------------------------------------


def picks(task, record, diameter, *arguments):
    call(task, "relion_autopick", "--i", "micrographs.star", "--odir", "out/", "--pickname", "picks", "--angpix", record["pixel_size_A"],
         "--random_seed", task["seed"] % 100000, *arguments)
    name = task["name"] + "_picks.star"
    made = f"out/micrographs/{task['name']}_picks.star"
    rows = []
    if os.path.exists(made):
        table = next(iter(star.read(made).values()))
        for x, y, merit in zip(*(star.column(table, label) for label in ("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"))):
            x, y = float(x), float(y)
            if 0 <= x <= record["nx"] - 1 and 0 <= y <= record["ny"] - 1:  # RELION's peaks may lie on the padded edge
                rows.append({"rlnCoordinateX": x, "rlnCoordinateY": y, "rlnAutopickFigureOfMerit": float(merit), "rlnMicrographName": record["path"]})
    labels = ["rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnMicrographName"]
    star.write(name, {"": star.table(rows) if rows else {"labels": labels, "rows": []}})
    return {"coordinates": [{"micrograph": record["path"], "name": record["name"], "coordinates": name, "count": len(rows), "diameter_A": diameter, "pixel_size_A": record["pixel_size_A"]}]}


def pick_log(task):
    record, params = one(task, "micrographs"), task["params"]
    micrograph_star("micrographs.star", record, link(record["path"], "micrographs", task["name"] + ".mrc"), None)
    return picks(task, record, (params["diameter_min"] + params["diameter_max"]) / 2, "--LoG", "--LoG_diam_min", params["diameter_min"], "--LoG_diam_max", params["diameter_max"],
                 "--LoG_adjust_threshold", params["threshold"], "--LoG_upper_threshold", params["upper_threshold"], "--lowpass", params["max_resolution"], "--shrink", 0)


def pick_reference(task):
    record, fit, classes, params = one(task, "micrographs"), one(task, "ctf_fits"), one(task, "classes"), task["params"]
    micrograph_star("micrographs.star", record, link(record["path"], "micrographs", task["name"] + ".mrc"), fit)
    if not classes and not params["references"]:
        raise Refused("relion-pick-reference: connect classes, or give a stack as \"references\"")
    stack = link(classes["averages"] if classes else params["references"], "references", "stack.mrcs")
    pixel = classes["pixel_size_A"] if classes else params["references_pixel_size"] or header(stack)[3]
    images = range(1, header(stack)[2] + 1)
    if classes and any(classes["selected"]):
        images = [i + 1 for i, kept in enumerate(classes["selected"]) if kept]
    star.write("references.star", {"": star.table([{"rlnReferenceImage": f"{i:06d}@{stack}"} for i in images])})
    diameter = params["diameter"] or (classes or {}).get("diameter_A", 0)
    arguments = ["--ref", "references.star", "--angpix_ref", pixel, "--ang", params["step"], "--lowpass", params["low_pass"], "--threshold", params["threshold"],
                 "--min_distance", params["distance"], "--max_stddev_noise", params["max_noise"], "--shrink", 0]
    arguments += ["--particle_diameter", diameter] if diameter else []
    arguments += ["--invert"] if params["white"] else []
    arguments += ["--ctf"] if fit else []
    return picks(task, record, diameter or params["distance"], *arguments)


# ---- extraction -----------------------------------------------------------------------------------------------------


def extract(task):
    record, positions, fit, params, name = one(task, "micrographs"), one(task, "coordinates"), one(task, "ctf_fits"), task["params"], task["name"]
    micrograph_star("micrographs.star", record, link(record["path"], "micrographs", name + ".mrc"), fit)
    table = next(t for t in star.read(positions["coordinates"]).values() if "rlnCoordinateX" in t["labels"])
    ratio = (positions["pixel_size_A"] / record["pixel_size_A"]) if positions.get("pixel_size_A") else 1
    os.makedirs("coordinates/micrographs", exist_ok=True)
    star.write(f"coordinates/micrographs/{name}_picks.star", {"": {"labels": ["rlnCoordinateX", "rlnCoordinateY"],
               "rows": [[float(x) * ratio, float(y) * ratio] for x, y in zip(star.column(table, "rlnCoordinateX"), star.column(table, "rlnCoordinateY"))]}})
    size = params["scale"] or params["box"]
    pixel = record["pixel_size_A"] * params["box"] / size
    diameter = params["diameter"] or positions.get("diameter_A", 0) or 0.75 * params["box"] * record["pixel_size_A"]
    arguments = ["--i", "micrographs.star", "--coord_dir", "coordinates/", "--coord_suffix", "_picks.star", "--part_dir", "out/", "--part_star", "out/particles.star",
                 "--extract", "--extract_size", params["box"], "--norm", "--bg_radius", min(size // 2 - 1, round(diameter / 2 / pixel)), "--white_dust", -1, "--black_dust", -1]
    arguments += ["--scale", size] if size != params["box"] else []
    arguments += ["--invert_contrast"] if params["invert"] else []
    particles = {"star": name + "_particles.star", "stack": "", "micrograph": record["path"], "name": record["name"], "count": 0, "box": size, "pixel_size_A": pixel,
                 "diameter_A": diameter, "optics": (fit or record)["optics"]}
    if table["rows"]:
        call(task, "relion_preprocess", *arguments)
    made = f"out/micrographs/{name}.mrcs"
    if not os.path.exists(made):
        labels = ["rlnCoordinateX", "rlnCoordinateY", "rlnImageName", "rlnMicrographName", "rlnOpticsGroup"]
        optics = optics_row(particles["optics"], rlnImagePixelSize=pixel, rlnImageSize=size, rlnImageDimensionality=2)
        star.write(particles["star"], {"optics": star.table([optics]), "particles": {"labels": labels, "rows": []}})
        return {"particles": [particles]}
    os.rename(made, name + ".mrcs")
    tables = star.read("out/particles.star")
    count = len(tables["particles"]["rows"])
    star.set_column(tables["particles"], "rlnImageName", [f"{cell.split('@')[0]}@{name}.mrcs" for cell in star.column(tables["particles"], "rlnImageName")])
    star.set_column(tables["particles"], "rlnMicrographName", [record["path"]] * count)
    star.write(particles["star"], tables)
    return {"particles": [dict(particles, stack=name + ".mrcs", count=count)]}


# ---- particles: classes and maps ------------------------------------------------------------------------------------


def gather(task, extra=()):
    """particles.star in the working folder with all rows of all particle files, stacks under plain names; and what the records agree on."""
    records = [r for r in task["inputs"]["particles"] if r["count"] > 0]
    if not records:
        raise Refused("there are no particles")
    merged, groups, stacks = None, {}, {}
    for path in [*extra, *(r["star"] for r in records)]:
        tables = star.read(path)
        particles, optics = tables["particles"], tables["optics"]
        place = optics["labels"].index("rlnOpticsGroup")
        names = optics["labels"].index("rlnOpticsGroupName") if "rlnOpticsGroupName" in optics["labels"] else None
        renumber = {}
        for row in optics["rows"]:
            key = tuple(cell for i, cell in enumerate(row) if i not in (place, names))
            group = groups.setdefault(key, (len(groups) + 1, dict(zip(optics["labels"], row))))
            renumber[row[place]] = group[0]
        star.set_column(particles, "rlnOpticsGroup", [renumber[g] for g in star.column(particles, "rlnOpticsGroup")])
        images = []
        for cell in star.column(particles, "rlnImageName"):
            number, file = cell.split("@")
            stacks.setdefault(file, None)
            stacks[file] = stacks[file] or link(file, "stacks", f"{len(stacks):06d}.mrcs")
            images.append(f"{number}@{stacks[file]}")
        star.set_column(particles, "rlnImageName", images)
        if merged is None:
            merged = {"labels": list(particles["labels"]), "rows": []}
        shared = [label for label in merged["labels"] if label in particles["labels"]]
        keep = [merged["labels"].index(label) for label in shared]
        merged = {"labels": shared, "rows": [[row[i] for i in keep] for row in merged["rows"]]}
        order = [particles["labels"].index(label) for label in shared]
        merged["rows"] += [[row[i] for i in order] for row in particles["rows"]]
    rows = [dict(row, rlnOpticsGroup=number, rlnOpticsGroupName=f"opticsGroup{number}") for number, row in groups.values()]
    star.write("particles.star", {"optics": star.table(rows), "particles": merged})
    real = {plain: file for file, plain in stacks.items()}
    first = records[0]
    return first, len(merged["rows"]), "rlnDefocusU" in merged["labels"], real


def refine_arguments(task, first, has_ctf, zero_mask=True):
    diameter = task["params"]["diameter"] or first["diameter_A"]
    if not diameter > 0:
        raise Refused("the particle diameter is not known: give it")
    arguments = ["--i", "particles.star", "--o", "out/run", "--particle_diameter", diameter, "--norm", "--scale", "--oversampling", 1, "--flatten_solvent", "--pool", 3,
                 "--dont_combine_weights_via_disc", "--no_parallel_disc_io", "--random_seed", task["seed"] % 1000000 + 1, "--j", task["threads"]]
    arguments += ["--ctf"] if has_ctf else []
    arguments += ["--ctf_phase_flipped"] if has_ctf and first["phase_flipped"] else []
    arguments += ["--zero_mask"] if zero_mask else []
    os.makedirs("out", exist_ok=True)
    return arguments, diameter


def real_names(path, real, name):
    """Copies a table of particles with the stacks under their own names again. @return the particles"""
    tables = star.read(path)
    star.set_column(tables["particles"], "rlnImageName", ["@".join([(parts := cell.split("@"))[0], real[parts[1]]]) for cell in star.column(tables["particles"], "rlnImageName")])
    star.write(name, tables)
    return tables["particles"]


def number(text):
    value = float(text)
    return value if math.isfinite(value) and value < 999 else 999.0


def class_2d(task):
    params, previous = task["params"], (task.get("previous") or {}).get("classes", [None])[0]
    first, count, has_ctf, real = gather(task, [previous["particles"]] if previous else [])
    arguments, diameter = refine_arguments(task, first, has_ctf)
    call(task, "relion_refine", *arguments, "--K", params["classes"], "--iter", params["iterations"], "--tau2_fudge", params["tau2_fudge"],
         "--psi_step", params["psi_step"], "--offset_range", params["offset_range"], "--offset_step", 2)
    last = f"out/run_it{params['iterations']:03d}"
    os.rename(last + "_classes.mrcs", "averages.mrcs")
    model = star.read(last + "_model.star")["model_classes"]
    star.set_column(model, "rlnReferenceImage", [f"{i + 1:06d}@averages.mrcs" for i in range(len(model["rows"]))])
    star.set_column(model, "rlnClassNumber", range(1, len(model["rows"]) + 1))
    star.write("classes.star", {"model_classes": model})
    numbers = [int(n) for n in star.column(real_names(last + "_data.star", real, "particles.star"), "rlnClassNumber")]
    return {"classes": [{"star": "classes.star", "averages": "averages.mrcs", "particles": "particles.star", "version": previous["version"] + 1 if previous else 1,
                         "classes": params["classes"], "particle_count": count, "box": first["box"], "pixel_size_A": first["pixel_size_A"], "diameter_A": diameter,
                         "counts": [numbers.count(k + 1) for k in range(params["classes"])], "resolution_A": [number(r) for r in star.column(model, "rlnEstimatedResolution")],
                         "phase_flipped": first["phase_flipped"]}]}


def volume(first, name, file, count, symmetry, resolution, **more):
    os.rename(file, name)
    return {"volume": name, "box": first["box"], "pixel_size_A": first["pixel_size_A"], "particle_count": count, "symmetry": symmetry, "resolution_A": resolution, **more}


def initial_model(task):
    params, name = task["params"], task["name"]
    first, count, has_ctf, real = gather(task)
    arguments, _ = refine_arguments(task, first, has_ctf)
    ends = max(1, params["iterations"] // 6)
    call(task, "relion_refine", *arguments, "--denovo_3dref", "--sgd", "--sgd_ini_iter", ends, "--sgd_inbetween_iter", max(1, params["iterations"] - 2 * ends), "--sgd_fin_iter", ends,
         "--sgd_write_iter", params["iterations"], "--sgd_ini_subset", params["subset"], "--sgd_fin_subset", 5 * params["subset"], "--K", 1, "--sym", params["symmetry"],
         "--healpix_order", 1, "--offset_range", 6, "--offset_step", 2, "--pad", 1)
    last = sorted(f for f in os.listdir("out") if f.endswith("_model.star"))[-1].removesuffix("_model.star")
    real_names(f"out/{last}_data.star", real, name + "_poses.star")
    resolution = number(star.column(star.read(f"out/{last}_model.star")["model_classes"], "rlnEstimatedResolution")[0])
    return {"volumes": [volume(first, name + "_initial.mrc", f"out/{last}_class001.mrc", count, params["symmetry"], resolution, star=name + "_poses.star")]}


def refine_3d(task):
    params, name, reference = task["params"], task["name"], one(task, "volumes")
    first, count, has_ctf, real = gather(task)
    arguments, _ = refine_arguments(task, first, has_ctf)
    file = link(reference["volume"], "references", "map.mrc")
    mpi = ["-n", 3, "--oversubscribe", "--bind-to", "none"] + (["--allow-run-as-root"] if os.geteuid() == 0 else [])
    call(task, "mpirun", *mpi, task["programs"]["relion_refine_mpi"], *arguments, "--auto_refine", "--split_random_halves", "--ref", file, "--firstiter_cc", "--trust_ref_size",
         "--ref_angpix", reference["pixel_size_A"], "--ini_high", params["low_pass"], "--sym", params["symmetry"], "--healpix_order", params["order"], "--auto_local_healpix_order", 4,
         "--offset_range", 5, "--offset_step", 2, "--low_resol_join_halves", 40, "--auto_iter_max", params["max_iterations"], "--pad", 1)
    rounds = sorted(f for f in os.listdir("out") if f.startswith("run_it") and f.endswith("_half1_class001.mrc"))
    done = os.path.exists("out/run_class001.mrc")
    last = "out/run" if done else "out/" + rounds[-1].removesuffix("_half1_class001.mrc")
    halves = [f"out/run_half{h}_class001_unfil.mrc" if done else f"{last}_half{h}_class001.mrc" for h in (1, 2)]
    for half, to in zip(halves, (name + "_half1.mrc", name + "_half2.mrc")):
        os.rename(half, to)
    if not done:
        link(os.path.abspath(name + "_half1.mrc"), "out", "unfinished.mrc")
    real_names(last + "_data.star", real, name + "_poses.star")
    model = star.read(last + "_model.star" if done else last + "_half1_model.star")
    resolution = number(star.column(model["model_general"], "rlnCurrentResolution")[0])
    final = last + "_class001.mrc" if done else average(name + "_half1.mrc", name + "_half2.mrc")
    return {"volumes": [volume(first, name + "_refined.mrc", final, count, params["symmetry"], resolution, half1=name + "_half1.mrc", half2=name + "_half2.mrc", star=name + "_poses.star")]}


def average(first, second):
    """The mean of two maps of 32-bit floats, for a refinement that was stopped before it joined its halves."""
    import array
    with open(first, "rb") as a, open(second, "rb") as b, open("out/mean.mrc", "wb") as out:
        head = a.read(1024)
        b.read(1024)
        x, y = array.array("f", a.read()), array.array("f", b.read())
        out.write(head)
        array.array("f", ((p + q) / 2 for p, q in zip(x, y))).tofile(out)
    return "out/mean.mrc"


def class_3d(task):
    params, name, reference = task["params"], task["name"], one(task, "volumes")
    first, count, has_ctf, real = gather(task)
    arguments, _ = refine_arguments(task, first, has_ctf)
    file = link(reference["volume"], "references", "map.mrc")
    call(task, "relion_refine", *arguments, "--K", params["classes"], "--iter", params["iterations"], "--tau2_fudge", params["tau2_fudge"], "--ref", file, "--firstiter_cc", "--trust_ref_size",
         "--ref_angpix", reference["pixel_size_A"], "--ini_high", params["low_pass"], "--sym", params["symmetry"], "--healpix_order", params["order"], "--offset_range", 5, "--offset_step", 2, "--pad", 1)
    last = f"out/run_it{params['iterations']:03d}"
    numbers = [int(n) for n in star.column(real_names(last + "_data.star", real, name + "_particles.star"), "rlnClassNumber")]
    resolutions = [number(r) for r in star.column(star.read(last + "_model.star")["model_classes"], "rlnEstimatedResolution")]
    order = sorted(range(params["classes"]), key=lambda k: (-numbers.count(k + 1), k))
    outputs = {port: [] for port in ("first", "second", "third", "fourth")}
    for port, k in zip(outputs, order):
        outputs[port] = [volume(first, f"{name}_class{k + 1}.mrc", f"{last}_class{k + 1:03d}.mrc", numbers.count(k + 1), params["symmetry"], resolutions[k], score=numbers.count(k + 1) / count)]
    outputs["particles"] = [dict(first, star=name + "_particles.star", count=count, stack="" if len(real) > 1 else first["stack"])]
    return outputs


def postprocess(task):
    params, record, name = task["params"], one(task, "volumes"), task["name"]
    if not record["half1"] or not record["half2"]:
        raise Refused(f"{record['volume']}: postprocessing needs two half maps, this volume has none")
    halves = [link(record[key], "maps", key + ".mrc") for key in ("half1", "half2")]
    arguments = ["--i", halves[0], "--i2", halves[1], "--o", "out/post", "--angpix", record["pixel_size_A"]]
    mask = link(params["mask"], "maps", "mask.mrc") if params["mask"] else "maps/mask.mrc"
    if not params["mask"]:  # RELION 3.1 no longer makes one by itself
        call(task, "relion_mask_create", "--i", halves[0], "--o", mask, "--angpix", record["pixel_size_A"], "--ini_threshold", params["mask_threshold"],
             "--extend_inimask", 3, "--width_soft_edge", 6)
    arguments += ["--mask", mask]
    arguments += ["--adhoc_bfac", params["b_factor"]] if params["b_factor"] else ["--auto_bfac"] if record["resolution_A"] and record["resolution_A"] < 8 else []
    os.makedirs("out", exist_ok=True)
    call(task, "relion_postprocess", *arguments)
    tables = star.read("out/post.star")
    resolution = float(star.column(tables["general"], "rlnFinalResolution")[0])
    curve = {label: [float(v) for v in star.column(tables["fsc"], label)] for label in tables["fsc"]["labels"] if label.startswith("rln")}
    with open(name + "_fsc.json", "w", encoding="utf-8") as file:
        json.dump(curve, file)
    os.rename("out/post.mrc", name + "_post.mrc")
    return {"volumes": [dict(record, volume=name + "_post.mrc", resolution_A=resolution, fsc=name + "_fsc.json")]}


RUN = {"relion-motion": motion, "relion-pick-log": pick_log, "relion-pick-reference": pick_reference, "relion-extract": extract, "relion-class-2d": class_2d,
       "relion-initial-model": initial_model, "relion-refine-3d": refine_3d, "relion-class-3d": class_3d, "relion-postprocess": postprocess}


def main():
    if sys.argv[1] == "describe":
        with open(os.path.join(HERE, "plugin.json"), encoding="utf-8") as file:
            print(json.dumps({"protocols": json.load(file)["protocols"]}))
        return 0
    with open(sys.argv[2], encoding="utf-8") as file:
        task = json.load(file)
    result, code = {}, 1
    try:
        result, code = {"outputs": RUN[task["protocol"]](task)}, 0
    except Refused as refusal:
        result = {"error": {"code": "bad_input", "message": str(refusal)}}
    except FileNotFoundError as error:
        result = {"error": {"code": "not_found", "message": f"{task['protocol']}: {error.filename}: there is no such file"}}
    except subprocess.CalledProcessError as error:
        print(f"{os.path.basename(error.cmd[0])} ended with code {error.returncode}", flush=True)
    if result:
        with open("result.json", "w", encoding="utf-8") as file:
            json.dump(result, file)
    return code


sys.exit(main())
