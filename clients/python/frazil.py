"""Builds workflows and follows projects from Python, with nothing to install but Python 3.9 or later.

    import frazil
    project = frazil.Project("/data/session1.frazil")
    movies = project.add("import-movies", movies="/data/movies", pixel_size=0.83, idle=1800)
    aligned = project.add("align-movie", movies=movies.movies)
    fits = project.add("estimate-ctf", micrographs=aligned.micrographs)
    good = project.add("filter-ctf", ctf_fits=fits.ctf_fits, max_fit_resolution=5)
    project.start()
    for status in project.watch():
        print(status.found, status.step("filter-ctf").accepted)
    project.stop()

What a protocol takes and gives is what `frazil protocols --json` says: a wrong name, type, range or link is refused when the step is added.
A running engine is spoken to over its Unix socket, one line of JSON each way (docs/api/engine-socket.json); without one the command-line program answers.
"""
from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Sequence, Union


class FrazilError(Exception):
    """What frazil refused, in its own words; `code` as in docs/api/engine-socket.json."""

    def __init__(self, message: str, code: str = "bad_input"):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Output:
    """An output port of a step: what other steps take as input."""
    step: str
    port: str
    kind: str

    def __str__(self) -> str:
        return f"{self.step}.{self.port}"


class Step:
    """A step of a workflow; its outputs are attributes named as its ports: `step.micrographs`."""

    def __init__(self, name: str, protocol: Mapping[str, Any]):
        self.name, self.protocol = name, protocol["name"]
        self.outputs = {port["name"]: Output(name, port["name"], port["kind"]) for port in protocol["outputs"]}

    def __getattr__(self, port: str) -> Output:
        try:
            return self.__dict__["outputs"][port]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('protocol')} has no output {port}; it has {', '.join(self.__dict__.get('outputs', {}))}") from None


@dataclasses.dataclass(frozen=True)
class StepStatus:
    name: str
    protocol: str
    waiting: int
    queued: int
    running: int
    done: int
    failed: int
    accepted: int
    set_aside: int
    versions: int
    closed: bool
    note: str


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a project is; `state` is running, paused, stopping, finished or stopped."""
    project: str
    state: str
    found: int
    behind: int
    failed: int
    steps: Sequence[StepStatus]

    def step(self, name: str) -> StepStatus:
        return next(step for step in self.steps if step.name == name)

    @property
    def done(self) -> bool:
        """All streams have closed, and nothing runs or waits any more."""
        return all(step.closed for step in self.steps) and not any(step.running or step.queued for step in self.steps)

    @staticmethod
    def parse(answer: Mapping[str, Any]) -> "Status":
        names = [field.name for field in dataclasses.fields(StepStatus)]
        steps = tuple(StepStatus(**{name: step[name] for name in names}) for step in answer["steps"])
        return Status(answer["project"], answer["state"], answer["found"], answer["behind"], answer["failed"], steps)


_PYTHON_TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": (str, os.PathLike), "array": (list, tuple), "object": dict}


class Program:
    """The frazil program on this machine and what its protocols are."""

    def __init__(self, path: Optional[Union[str, Path]] = None):
        found = str(path) if path else shutil.which("frazil")
        if not found:
            raise FrazilError("the program frazil is not on PATH; say where it is: Program('/…/frazil')", "not_found")
        self.path = found
        self._protocols: Optional[dict[str, dict[str, Any]]] = None

    def run(self, *arguments: Union[str, Path]) -> str:
        """Runs a command to its end. :raises FrazilError: with what it wrote to standard error"""
        done = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise FrazilError(done.stderr.strip() or f"exit code {done.returncode}")
        return done.stdout

    @property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """Descriptions by name, plugins included."""
        if self._protocols is None:
            self._protocols = {protocol["name"]: protocol for protocol in json.loads(self.run("protocols", "--json"))}
        return self._protocols


class Project:
    """One project: its workflow while it is built, its engine while it runs."""

    def __init__(self, folder: Union[str, Path], program: Optional[Program] = None, name: str = "project", title: str = ""):
        self.folder = Path(folder).absolute()
        self.program = program or Program()
        self.workflow: dict[str, Any] = {"name": name, "title": title or name, "parameters": [], "steps": {}}
        self.engine: Optional[subprocess.Popen[bytes]] = None

    # ---- building ----

    def add(self, protocol: str, name: Optional[str] = None, *, where: Sequence[Output] = (), trigger: Any = None, threads: int = 0, **values: Any) -> Step:
        """Adds a step. Keywords are its parameters and its inputs: an Output, or a list of them to take from several steps.

        :param name: of the step, by default the protocol's; every name may be used once
        :param where: only items that are present in all of these outputs
        :param trigger: for folds: "closed", {"batches": N}, {"static": N}
        :raises FrazilError: for an unknown protocol, parameter or port, a wrong type, range or kind, a missing input
        """
        described = self.program.protocols.get(protocol)
        if described is None:
            raise FrazilError(f"there is no protocol {protocol}", "not_found")
        name = name or protocol
        if name in self.workflow["steps"]:
            raise FrazilError(f"there is a step {name} already; give this one another name")
        inputs, params = self._inputs(described, values), self._params(described, values)
        entry: dict[str, Any] = {"protocol": protocol}
        for key, value in (("params", params), ("inputs", inputs), ("where", [str(output) for output in where]), ("trigger", trigger), ("threads", threads)):
            if value:
                entry[key] = value
        self.workflow["steps"][name] = entry
        return Step(name, described)

    @staticmethod
    def _inputs(described: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        ports = {port["name"]: port for port in described["inputs"]}
        inputs: dict[str, Any] = {}
        for key, value in values.items():
            outputs = value if isinstance(value, (list, tuple)) else [value]
            if not outputs or not all(isinstance(output, Output) for output in outputs):
                continue
            if key not in ports:
                raise FrazilError(f"{described['name']} has no input {key}; it has {', '.join(ports) or 'none'}")
            for output in outputs:
                if output.kind != ports[key]["kind"]:
                    raise FrazilError(f"{described['name']}.{key} takes {ports[key]['kind']}, but {output} gives {output.kind}")
            inputs[key] = str(value) if isinstance(value, Output) else [str(output) for output in outputs]
        missing = [key for key, port in ports.items() if key not in inputs and not port["optional"]]
        if missing:
            raise FrazilError(f"{described['name']} needs an input {missing[0]} ({ports[missing[0]]['kind']})")
        return inputs

    @staticmethod
    def _params(described: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        fields = {field["name"]: field for field in described["parameters"]}
        ports = {port["name"] for port in described["inputs"]}
        params: dict[str, Any] = {}
        for key, value in values.items():
            outputs = value if isinstance(value, (list, tuple)) else [value]
            if key in ports and all(isinstance(output, Output) for output in outputs):
                continue
            if key not in fields:
                raise FrazilError(f"{described['name']} has no parameter or input {key}")
            field = fields[key]
            wrong = not isinstance(value, _PYTHON_TYPES[field["type"]]) or (isinstance(value, bool) and field["type"] != "boolean")
            if value is not None and wrong:
                raise FrazilError(f"{key} must be of type {field['type']}, not {value!r}")
            if "range" in field and isinstance(value, (int, float)) and not field["range"][0] <= value <= field["range"][1]:
                raise FrazilError(f"{key} must lie in {field['range'][0]} to {field['range'][1]} {field['unit']}, not {value}")
            if "choices" in field and value not in field["choices"]:
                raise FrazilError(f"{key} must be one of {', '.join(field['choices'])}, not {value!r}")
            params[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
        missing = [key for key, field in fields.items() if field["required"] and key not in params]
        if missing:
            raise FrazilError(f"{described['name']} needs the parameter {missing[0]}: {fields[missing[0]]['help']}")
        return params

    def save(self, path: Union[str, Path]) -> Path:
        """Writes the workflow as a file that `frazil run` takes."""
        path = Path(path)
        path.write_text(json.dumps(self.workflow, indent=2) + "\n", encoding="utf-8")
        return path

    def check(self) -> None:
        """:raises FrazilError: with everything that frazil finds wrong with the workflow as a whole"""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        path = self.save(self.folder.parent / f".{self.folder.name}.check.json")
        try:
            self.program.run("workflow", "check", path)
        finally:
            path.unlink()

    # ---- running ----

    def start(self, *options: str, until_closed: bool = False) -> None:
        """Starts the engine, which goes on after this program has ended. Without steps it goes on with what the project holds.

        :param options: further ones of `frazil run`, e.g. "--threads", "4"
        """
        arguments = [self.program.path, "run"]
        if self.workflow["steps"]:
            self.check()
            self.folder.mkdir(parents=True, exist_ok=True)
            arguments.append(str(self.save(self.folder / "from-python.json")))
        arguments += ["--project", str(self.folder), "--quiet", *options] + (["--until-closed"] if until_closed else [])
        log = open(self.folder / "engine.log", "ab")  # pylint: disable=consider-using-with
        self.engine = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()

    def request(self, command: str, item: str = "", **more: Any) -> dict[str, Any]:
        """One request to the engine, over its socket when it runs, else through the program.

        :raises FrazilError: when it is refused
        """
        answer = self._over_socket({"command": command, "item": item, **more})
        deadline = time.monotonic() + 10  # an engine that has just started does not listen yet
        while answer is None and self.engine is not None and self.engine.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            answer = self._over_socket({"command": command, "item": item, **more})
        if answer is None:
            return self._through_program(command, item, more.get("values", {}))
        if not answer.get("ok"):
            raise FrazilError(answer.get("error", "the engine gave no reason"), answer.get("code", "bug"))
        return answer

    def _over_socket(self, request: Mapping[str, Any]) -> Optional[dict[str, Any]]:
        try:
            path = json.loads((self.folder / "engine.lock").read_text(encoding="utf-8")).get("socket")
            if not path:
                return None
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(60)
                line.connect(path)
                line.sendall(json.dumps(request).encode() + b"\n")
                with line.makefile("rb") as answers:
                    text = answers.readline()
            return json.loads(text) if text else None
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError, json.JSONDecodeError):
            return None

    def _through_program(self, command: str, item: str, values: Mapping[str, Any]) -> dict[str, Any]:
        settings = [f"{key}={json.dumps(value) if isinstance(value, bool) else value}" for key, value in values.items()]
        if command == "status":
            return {"ok": True, "status": json.loads(self.program.run("status", "--project", self.folder, "--json"))}
        if command == "snapshot":
            return {"ok": True, "snapshot": json.loads(self.program.run("snapshot", "--project", self.folder))}
        if command == "why":
            return json.loads(self.program.run("why", item, "--project", self.folder, "--json"))
        if command == "what-if":
            return json.loads(self.program.run(command, *settings, "--project", self.folder, "--json"))
        self.program.run(command, *([item] if item else []), *settings, "--project", self.folder)
        return {"ok": True}

    def status(self) -> Status:
        return Status.parse(self.request("status")["status"])

    def watch(self, every_s: float = 1.0) -> Iterator[Status]:
        """Statuses until the project is finished or stopped, or its streams have closed and all is done; the last one included.

        A stream closes after `expected` files, after `idle` seconds without one, or by `close`; without any of these it goes on for ever.
        """
        while True:
            ended = self.engine is not None and self.engine.poll() is not None
            if self.engine is None or ended or (self.folder / "engine.lock").exists():
                try:
                    status = self.status()
                except FrazilError:
                    if ended or self.engine is None:
                        raise
                else:
                    yield status
                    if ended or (self.engine is None and status.state in ("finished", "stopped")) or status.done:
                        return
            time.sleep(every_s)

    def items(self, output: Union[Output, str]) -> list[dict[str, Any]]:
        """Records of an output as they are now, in acquisition order; file names are relative to the project."""
        step_name, port = str(output).split(".")
        for step in self.request("snapshot")["snapshot"]["steps"]:
            if step["name"] == step_name:
                for one in step["sets"]:
                    if one["port"] == port:
                        return [item["record"] for item in one["items"]]
        raise FrazilError(f"there is no output {output}", "not_found")

    def why(self, item: str) -> dict[str, Any]:
        """Where an item is and which decisions led there."""
        return self.request("why", item)

    def restore(self, item: str) -> None:
        self.request("restore", item)

    def set_aside(self, item: str) -> None:
        self.request("set-aside", item)

    def what_if(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """How many items other values would keep; keys are parameters of the workflow, or "step.parameter"."""
        return self.request("what-if", values=values)

    def set(self, values: Mapping[str, Any]) -> None:
        """Changes parameters, at work or not; keys as in `what_if`."""
        self.request("set", values=values)

    def approve(self, step: Union[Step, str]) -> None:
        """Lets a step start that waits for a person."""
        self.request("approve", step if isinstance(step, str) else step.name)

    def pause(self) -> None:
        self.request("pause")

    def resume(self) -> None:
        self.request("resume")

    def close(self) -> None:
        """No more files will come."""
        self.request("close")

    def stop(self) -> None:
        """Ends the engine in order; the project can be started again."""
        self.request("stop")
        if self.engine is not None:
            self.engine.wait()
