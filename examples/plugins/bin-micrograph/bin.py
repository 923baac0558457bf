"""Sample plugin: averages blocks of pixels of a micrograph. Needs nothing but Python."""
import array
import json
import os
import struct
import sys

DESCRIPTION = {"protocols": [{
    "name": "bin-micrograph",
    "title": "Binning by averages",
    "help": "Average blocks of factor x factor pixels of each micrograph.",
    "inputs": [{"name": "micrographs", "kind": "Micrograph"}],
    "outputs": [{"name": "micrographs", "kind": "Micrograph"}],
    "parameters": [{"name": "factor", "type": "integer", "default": 2, "range": [2, 8], "help": "Side of a block in pixels"}],
}]}


def read_mrc(path):
    with open(path, "rb") as file:
        header = bytearray(file.read(1024))
        nx, ny, _, mode = struct.unpack_from("<4i", header)
        if mode != 2:
            raise ValueError(f"{path}: expected an MRC of mode 2 (float), found mode {mode}")
        file.seek(struct.unpack_from("<i", header, 92)[0], 1)
        pixels = array.array("f")
        pixels.fromfile(file, nx * ny)
    return header, nx, ny, pixels


def run(task):
    record = task["inputs"]["micrographs"][0]
    factor = task["params"]["factor"]
    header, nx, ny, pixels = read_mrc(record["path"])
    width, height = nx // factor, ny // factor
    binned = array.array("f", (
        sum(sum(pixels[(y * factor + j) * nx + x * factor:(y * factor + j) * nx + (x + 1) * factor]) for j in range(factor)) / factor ** 2
        for y in range(height) for x in range(width)))
    pixel_size = record["pixel_size_A"] * factor
    struct.pack_into("<2i", header, 0, width, height)
    struct.pack_into("<2i", header, 28, width, height)
    struct.pack_into("<2f", header, 40, width * pixel_size, height * pixel_size)
    struct.pack_into("<i", header, 92, 0)
    name = task["name"] + "_bin.mrc"
    with open(name, "wb") as file:
        file.write(header)
        binned.tofile(file)
    record.update(path=name, nx=width, ny=height, pixel_size_A=pixel_size, thumbnail="")
    return {"outputs": {"micrographs": [record]}}


if sys.argv[1] == "describe":
    json.dump(DESCRIPTION, sys.stdout)
else:
    try:
        result, code = run(json.load(open(sys.argv[2], encoding="utf-8"))), 0
    except (OSError, EOFError, ValueError) as error:
        result, code = {"error": {"code": "bad_input", "message": str(error)}}, 1
    json.dump(result, open("result.json", "w", encoding="utf-8"))
    os._exit(code)
