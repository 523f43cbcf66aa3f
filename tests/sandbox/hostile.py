"""Lets programs that attack do so in the sandbox, among canaries, and says what they got away with.

The rows of the file: id, kind, task_id, completion, must (fail, timeout, pass_ok), probe, danger.
"""
import argparse
import gzip
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

LIMIT_S = 3


class Canaries:
    """What a program that gets out would touch: files where the user's own lie, a secret, ports that listen."""

    def __init__(self):
        self.folder = os.path.expanduser("~/attnlab-canary-" + secrets.token_hex(4))
        self.file = os.path.join(self.folder, "thesis.txt")
        self.text, self.secret = "file " + secrets.token_hex(16), "env " + secrets.token_hex(16)
        self.sockets, self.heard = [], []
        self.renew()
        self.port = self._listen()
        threading.Thread(target=self._hear, daemon=True).start()

    def renew(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "notes"))
        for name in ("thesis.txt", "notes/more.txt"):
            with open(os.path.join(self.folder, name), "w") as file:
                file.write(self.text)

    def _listen(self):
        """One number for TCP and UDP, IPv4 and IPv6."""
        port = 0
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                try:
                    end = socket.socket(family, kind)
                    end.bind((address, port))
                except OSError as error:
                    print(f"no canary on {address}: {error}")
                    continue
                port = end.getsockname()[1]
                if kind == socket.SOCK_STREAM:
                    end.listen()
                self.sockets.append(end)
        return port

    def _hear(self):
        while True:
            for end in select.select(self.sockets, [], [])[0]:
                if end.type == socket.SOCK_STREAM:
                    end.accept()[0].close()
                else:
                    end.recv(100)
                self.heard.append(end)

    def put_into(self, text):
        return (text.replace("$CANARY_FILE", self.file).replace("$CANARY_DIR", self.folder)
                .replace("$PORT", str(self.port)))  # fmt: skip


class Harness:
    """The program that judges; started again should it die."""

    def __init__(self, program, environment):
        self.program, self.environment, self.process = program, environment, None

    def judge(self, task):
        """The verdict; nothing if none came in good time."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [self.program, "-", str(LIMIT_S)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env=self.environment, text=True)  # fmt: skip
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            ready = select.select([self.process.stdout], [], [], LIMIT_S + 30)[0]
            line = self.process.stdout.readline() if ready else ""
        except OSError:
            line = ""
        if not line:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            return None
        return json.loads(line)

    def resident_mib(self):
        if self.process is None:
            return 0
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024

    def command_line(self):
        with open(f"/proc/{self.process.pid}/cmdline") as line:
            return line.read()


def look(path):
    """Content, mode, owner, size, time and kind; the names below a folder."""
    if not os.path.lexists(path):
        return "absent"
    found = os.lstat(path)
    facts = [found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns]
    if os.path.islink(path):
        return facts + [os.readlink(path)]
    if os.path.isdir(path):
        return facts + [(name, look(os.path.join(path, name))) for name in sorted(os.listdir(path))]
    with open(path, "rb") as file:
        return facts + [found.st_size, file.read()]


def python_path():
    command = "import sys; print('\\n'.join(p for p in sys.path if p))"
    return subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout.split()


def someone_has_argument(word):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                if int(pid) != os.getpid() and word.encode() in line.read():
                    return True
        except OSError:
            pass
    return False


def walled_processes():
    """Those in a process namespace other than ours."""
    ours, found = os.readlink("/proc/self/ns/pid"), set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") != ours:
                found.add(pid)
        except OSError:
            pass
    return found


def new_after_a_while(before):
    """Processes that a program has left behind; others may use namespaces too, but not for as long."""
    for _ in range(20):
        left = walled_processes() - before
        if not left:
            break
        time.sleep(0.1)
    return left


def host_state():
    """What no program may change, whatever its row asks to look at."""
    return socket.gethostname(), look("/proc/sys/kernel/core_pattern"), look("/etc/hosts"), os.path.exists("/tmp/attnlab_hostile_tmp")


class Before:
    """Measured before a program runs, for those probes that compare."""

    def __init__(self, harness, probe):
        self.looks = {path: look(path) for key, path in probe.items() if key in ("path_unchanged", "tree_unchanged")}
        self.hostname, self.resident = socket.gethostname(), harness.resident_mib()
        self.used = shutil.disk_usage("/").used


def broken(row, probe, verdict, before, canaries, harness):
    """What is wrong after the program, in words."""
    shown = json.dumps(verdict, ensure_ascii=False)
    if verdict is None:
        return ["no verdict, or the harness died"]
    problems = []
    if row["must"] in ("fail", "timeout") and verdict["outcome"] == "passed":
        problems.append("passed")
    if row["must"] == "timeout" and verdict["outcome"] != "timed out" and verdict["seconds"] > LIMIT_S + 5:
        problems.append("not ended by the limit")
    time.sleep(probe.get("wait_s", 0))
    growth = {"harness_rss_growth_mib_at_most": harness.resident_mib() - before.resident,
              "disk_growth_mib_at_most": (shutil.disk_usage("/").used - before.used) / 2**20,
              "seconds_over_limit_at_most": verdict["seconds"] - LIMIT_S}  # fmt: skip
    holds = {
        "path_unchanged": lambda path: look(path) == before.looks[path],
        "tree_unchanged": lambda path: look(path) == before.looks[path],
        "path_must_not_exist": lambda path: not os.path.lexists(path),
        "python_path_must_not_hold": lambda name: not any(os.path.lexists(os.path.join(p, name)) for p in python_path()),
        "port_must_stay_silent": lambda port: not canaries.heard,
        "no_process_with_argument": lambda word: not someone_has_argument(word),
        "output_must_not_hold_content_of": lambda path: canaries.text not in shown,
        "output_must_not_hold_env": lambda name: canaries.secret not in shown,
        "output_must_not_match": lambda pattern: not re.search(pattern, shown),
        "output_must_not_hold_own_pid_cmdline": lambda _: harness.command_line().strip("\0") not in shown,
        "hostname_unchanged": lambda _: socket.gethostname() == before.hostname,
        "harness_must_answer": lambda _: True,  # looked at below, for all
        "verdict_only": lambda _: True,
        "wait_s": lambda _: True,
    }
    for key, value in probe.items():
        if key in growth:
            if growth[key] > value:
                problems.append(f"{key} {value}: {growth[key]:.1f}")
        elif not holds[key](value):
            problems.append(f"{key} {value}")
    return problems


def judges_rightly(harness):
    """A right program passes and a wrong one does not."""
    tests = "def check(candidate):\n    assert candidate(20) == 21\n"
    return all(
        (harness.judge({"program": f"def f(n):\n    return n + {n}\n", "tests": tests, "entry_point": "f"})
         or {}).get("outcome") == outcome
        for n, outcome in ((1, "passed"), (2, "failed")))  # fmt: skip


def attack(row, problem, canaries, harness):
    canaries.renew()
    canaries.heard.clear()
    probe = json.loads(canaries.put_into(json.dumps(row["probe"])))
    probe = {key: int(value) if key == "port_must_stay_silent" else value for key, value in probe.items()}
    before, state, processes = Before(harness, probe), host_state(), walled_processes()
    verdict = harness.judge({"program": problem["prompt"] + canaries.put_into(row["completion"]),
                             "tests": problem["test"], "entry_point": problem["entry_point"]})  # fmt: skip
    problems = broken(row, probe, verdict, before, canaries, harness)
    if not judges_rightly(harness):
        problems.append("the next programs are judged wrongly")
    if host_state() != state:
        problems.append(f"the host has changed: {state} -> {host_state()}")
    if new_after_a_while(processes):
        problems.append("processes are left")
    return verdict, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", required=True, help="the program judge_programs")
    parser.add_argument("--problems", required=True, help="HumanEval.jsonl.gz")
    parser.add_argument("--danger", action="store_true", help="also those that hurt the machine if they get out")
    parser.add_argument("--only", default="", help="rows whose kind contains this")
    parser.add_argument("file")
    options = parser.parse_args()
    with gzip.open(options.problems, "rt") as file:
        problems = {row["task_id"]: row for row in map(json.loads, file)}
    with open(options.file) as file:
        rows = [row for row in map(json.loads, file) if options.only in row["kind"]]
    rows = [row for row in rows if options.danger or not row.get("danger")]
    canaries = Canaries()
    harness = Harness(options.judge, {**os.environ, "CANARY_SECRET": canaries.secret})
    bad = 0
    if not judges_rightly(harness):
        sys.exit("the harness judges nothing rightly before the first program")
    try:
        for row in rows:
            verdict, found = attack(row, problems[row["task_id"]], canaries, harness)
            bad += bool(found)
            shown = f"{verdict['outcome']}, {verdict['seconds']:.2f} s" if verdict else "none"
            print(f"{'BAD' if found else 'ok ':4}{row['id']:>4}  {row['kind']:30}{row['must']:8} {shown:18} {'; '.join(found)}",
                  flush=True)  # fmt: skip
    finally:
        shutil.rmtree(canaries.folder, ignore_errors=True)
    print(f"{len(rows)} programs, {bad} got away with something")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
