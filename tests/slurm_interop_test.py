#!/usr/bin/env python3
"""Runs on a real Slurm (munge, slurmctld, two slurmd on this host, loopback, no systemd, as root): the same bytes as locally, whatever
happens to jobs and nodes. Skipped where Slurm is not installed or this is not root."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import whole_program

TOOLS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")

WORKFLOW = {
    "name": "small", "parameters": [{"name": "folder", "type": "path", "title": "Micrographs", "required": True}],
    "steps": {
        "import": {"protocol": "import-micrographs", "params": {"micrographs": "${folder}", "expected": 6}},
        "ctf": {"protocol": "estimate-ctf", "inputs": {"micrographs": "import.micrographs"}},
        "filter": {"protocol": "filter-ctf", "params": {"max_fit_resolution": 30}, "inputs": {"ctf_fits": "ctf.ctf_fits"}},
        "pick": {"protocol": "pick", "params": {"diameter": 150}, "inputs": {"micrographs": "import.micrographs"}},
        "extract": {"protocol": "extract", "inputs": {"micrographs": "import.micrographs", "coordinates": "pick.coordinates", "ctf_fits": "ctf.ctf_fits"}},
    },
}


def find(tool):
    return shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


class Slurm:
    """A cluster of two nodes in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []
        for name in ("munge", "state", "log", "spool-n1", "spool-n2"):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o700)
        folder.chmod(0o755)
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.socket = tempfile.mkdtemp(prefix="m-") + "/s"  # its path must be short, and others must be able to enter its folder
        os.chmod(os.path.dirname(self.socket), 0o755)
        self.port = self.free_ports(4)
        host = socket.gethostname().split(".")[0]
        total = pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").split("MemTotal:")[1].split()[0]
        memory = int(total) // 1024 * 9 // 20
        nodes = "".join(f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.port[i]} CPUs={os.cpu_count()} RealMemory={memory} State=UNKNOWN\n" for i in (1, 2))
        (folder / "slurm.conf").write_text(f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={self.socket}
SlurmctldPort={self.port[0]}
SlurmctldPidFile={folder}/ctl.pid
SlurmctldLogFile={folder}/log/ctl
SlurmdLogFile={folder}/log/%n
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
MinJobAge=20
KillWait=2
SlurmctldTimeout=30
SlurmdTimeout=10
JobRequeue=1
{nodes}PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
""", encoding="utf-8")
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")
        self.environment = dict(os.environ, SLURM_CONF=str(folder / "slurm.conf"))
        self.start("munged", "--force", "--foreground", "--num-threads=2", f"--key-file={key}", f"--socket={self.socket}", f"--pid-file={folder}/munge/pid", f"--log-file={folder}/log/munge",
                   f"--seed-file={self.socket}eed")
        self.wait_for(lambda: pathlib.Path(self.socket).exists(), "munge")
        self.start("slurmctld", "-D", "-i")
        self.node = {i: self.start("slurmd", "-D", "-N", f"n{i}") for i in (1, 2)}
        self.wait_for(lambda: self.tool("sinfo", "-h", "-o", "%D %t") == "2 idle", "two idle nodes")

    @staticmethod
    def free_ports(count):
        sockets = [socket.socket() for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        ports = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        return ports

    def start(self, tool, *arguments):
        with open(self.folder / "log" / (tool + ".out"), "ab") as log:
            process = subprocess.Popen([find(tool), *arguments], env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.started.append(process)
        return process

    def tool(self, name, *arguments):
        return subprocess.run([name, *arguments], env=self.environment, capture_output=True, text=True, timeout=30, check=False).stdout.strip()

    def wait_for(self, condition, what, limit_s=60):
        end = time.time() + limit_s
        while not condition():
            if time.time() > end:
                logs = "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in sorted((self.folder / "log").iterdir()))
                raise AssertionError(f"no {what} within {limit_s} s\n{logs}")
            time.sleep(0.1)

    def stop(self):
        self.tool("scancel", "--user=root")
        time.sleep(1)
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(os.path.dirname(self.socket), ignore_errors=True)


class OnACluster(whole_program.WholeProgram):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.folder / "slurm").mkdir()
        cls.slurm = Slurm(cls.folder / "slurm")
        cls.addClassCleanup(cls.slurm.stop)  # also when what follows fails
        cls.environment["SLURM_CONF"] = cls.slurm.environment["SLURM_CONF"]
        cls.simulate_micrographs(6)
        (cls.folder / "small.json").write_text(json.dumps(WORKFLOW), encoding="utf-8")
        cls.run_frazil("local")
        cls.expected = cls.digest("local")

    @classmethod
    def site(cls, **more):
        settings = {"address": "127.0.0.1", "poll_s": 1, "resources": {"threads": 1, "memory_mib": 256, "workers": 2, "partition": "main", "time": "10"}, "local_steps": ["filter"]}
        settings.update(more)
        path = cls.folder / "site.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return path

    @classmethod
    def start_frazil(cls, project, *more):
        return subprocess.Popen([cls.program, "run", "small.json", "--project", project, "--set", f"folder={cls.folder}/mics/*.mrc", "--until-closed", "--quiet", *map(str, more)], cwd=cls.folder,
                                env=cls.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @classmethod
    def finish(cls, process, code=0):
        output = process.communicate(timeout=240)[0]
        assert process.returncode == code, f"exit code {process.returncode}\n{output}"
        return output

    @classmethod
    def run_frazil(cls, project, *more, code=0):
        return cls.finish(cls.start_frazil(project, *more), code)

    @classmethod
    def digest(cls, project):
        """Names and bytes of everything that was made."""
        root = cls.folder / project
        files = sorted(p for part in ("steps", "star") for p in (root / part).rglob("*") if p.is_file() and p.name != ".task.json")  # tells of the run
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def jobs(self):
        return [line.split() for line in self.slurm.tool("squeue", "-h", "-r", "-o", "%i %T %N").splitlines()]

    def wait_for_worker(self):
        self.slurm.wait_for(lambda: any(state == "RUNNING" for _, state, *_ in self.jobs()), "running worker")
        return next(job for job in self.jobs() if job[1] == "RUNNING")

    def assert_as_local(self, project):
        self.assertEqual(self.digest(project), self.expected)
        self.slurm.wait_for(lambda: not self.jobs(), "empty queue after the run")

    def test_same_bytes_as_on_one_machine(self):
        output = self.run_frazil("plain", "--cluster", self.site())
        self.assertIn("jobs submitted", output)
        self.assert_as_local("plain")

    def test_steps_may_have_workers_of_their_own(self):
        own = {"ctf": {"threads": 1, "memory_mib": 300, "workers": 1, "options": ["--comment=own"]}}
        self.run_frazil("steps", "--cluster", self.site(steps=own))
        self.assert_as_local("steps")

    def test_cancelled_and_requeued_jobs_and_a_node_that_dies(self):
        for name, harm in (("cancelled", lambda job: self.slurm.tool("scancel", job[0])), ("requeued", lambda job: self.slurm.tool("scontrol", "requeue", job[0])), ("node", self.kill_node)):
            with self.subTest(name):
                process = self.start_frazil(name, "--cluster", self.site())
                job = self.wait_for_worker()
                time.sleep(0.5)
                harm(job)
                self.finish(process)
                self.assert_as_local(name)

    def kill_node(self, job):
        """Kills slurmd and everything on the node without a word, as a power cut does."""
        number = int(job[2].removeprefix("n")) if len(job) > 2 else 1
        node = self.slurm.node[number]
        for pid in self.descendants(node.pid) + self.workers_of(job[0]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        node.wait()
        self.slurm.node[number] = self.slurm.start("slurmd", "-D", "-N", f"n{number}")

    @staticmethod
    def descendants(root):
        children = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except (OSError, IndexError):
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found, queue = [], [root]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += children.get(pid, [])
        return found

    @staticmethod
    def workers_of(job):
        """Workers of one job of this test, told by their environment."""
        wanted = f"SLURM_ARRAY_JOB_ID={job.split('_')[0]}".encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def test_a_restart_after_a_kill_leaves_no_jobs_behind(self):
        process = self.start_frazil("killed", "--cluster", self.site())
        self.wait_for_worker()
        process.kill()
        process.communicate()
        self.run_frazil("killed", "--cluster", self.site())
        self.assert_as_local("killed")

    @unittest.skipUnless(os.environ.get("FRAZIL_LONG_TESTS") == "1", "waits half a minute for repeats")
    def test_jobs_that_cannot_start_end_the_wait_with_a_reason(self):
        output = self.run_frazil("broken", "--cluster", self.site(script="#!/bin/sh\nexit 1\n", give_up_after=3), code=1)
        self.assertIn("jobs have ended without doing a task", output)

    def test_a_site_may_put_its_own_commands_between(self):
        wrapper = self.folder / "submit.sh"
        wrapper.write_text('#!/bin/sh\necho "Your job is $(sbatch --parsable "$@")."\n', encoding="utf-8")
        wrapper.chmod(0o755)
        site = self.site(submit=[str(wrapper), "--array=1-{count}", "--cpus-per-task={threads}", "--mem={memory_mib}M", "--output=/dev/null", "{script}"], job_pattern="job is ([0-9]+)")
        self.run_frazil("site", "--cluster", site)
        self.assert_as_local("site")


def missing():
    absent = [tool for tool in TOOLS if find(tool) is None]
    return f"{', '.join(absent)} not installed" if absent else None if os.geteuid() == 0 else "Slurm's daemons are started as root only"


if __name__ == "__main__":
    whole_program.main(missing)
