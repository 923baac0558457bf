"""STAR tables, as much of them as the adapter needs."""


def read(path):
    """{"name": {"labels": […], "rows": [[…]]}} of a file; a list of label-value pairs has one row."""
    tables, table, loop = {}, None, False
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0].startswith("data_"):
                table = tables[words[0][5:]] = {"labels": [], "rows": []}
                loop = False
            elif words[0] == "loop_":
                loop = True
            elif words[0].startswith("_") and loop and not table["rows"]:
                table["labels"].append(words[0][1:])
            elif words[0].startswith("_"):
                table["labels"].append(words[0][1:])
                table["rows"] = [(table["rows"] or [[]])[0] + [words[1]]]
            else:
                table["rows"].append(words)
    return tables


def write(path, tables):
    with open(path, "w", encoding="utf-8") as file:
        for name, table in tables.items():
            file.write(f"\n# version 30001\n\ndata_{name}\n\nloop_\n")
            for i, label in enumerate(table["labels"]):
                file.write(f"_{label} #{i + 1}\n")
            for row in table["rows"]:
                file.write(" ".join(str(cell) for cell in row) + "\n")
            file.write("\n")


def table(rows):
    """A table from a list of {label: value}."""
    return {"labels": list(rows[0]), "rows": [list(row.values()) for row in rows]}


def column(table_, label):
    place = table_["labels"].index(label)
    return [row[place] for row in table_["rows"]]


def set_column(table_, label, values):
    if label not in table_["labels"]:
        table_["labels"].append(label)
        for row in table_["rows"]:
            row.append("0")
    place = table_["labels"].index(label)
    for row, value in zip(table_["rows"], values):
        row[place] = str(value)
