"""Measures leak mode: `make bench-leaks`, or python3 benches/leaks/run.py [--quick] [--rounds N] [--skip-valgrind].

Rounds are interleaved, so that all sides see the same machine. Times are CPU time (user and system, of all
processes of a program and of the check) unless the heading says otherwise; ratios are of minima, and medians
stand beside. Writes target/bench/leaks.md and leaks.json.
"""

import argparse
import json
import math
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
OUT = ROOT / "target" / "bench"
WORK = OUT / "leaks"
LIBRARY = ROOT / "target" / "release" / "libbesom.so"
WORKLOADS = ROOT / "benches" / "workloads"
LEAK = "leak=1:exitcode=0"


def say(text):
    print(text, file=sys.stderr, flush=True)


def compile_c(source, output, *flags):
    subprocess.run(["gcc", "-O2", *flags, "-o", WORK / output, HERE / source, "-ldl"], check=True)
    return WORK / output


def lsan_library():
    path = subprocess.check_output(["gcc", "-print-file-name=liblsan.so"], text=True).strip()
    return f"{path}:{compile_c('lsan_start.c', 'lsan_start.so', '-shared', '-fPIC')}" if "/" in path else None


def run(command, variables, limit=900):
    """CPU seconds, and what it wrote on standard output and standard error."""
    environment = {**os.environ, **variables}
    with open(WORK / "out", "w+b") as out, open(WORK / "err", "w+b") as err:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        end = time.monotonic() + limit
        while True:
            pid, status, use = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                process.kill()
                os.wait4(process.pid, 0)
                raise TimeoutError(f"{command} took more than {limit} s")
            time.sleep(0.002)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            err.seek(0)
            raise RuntimeError(f"{command} with {variables}: {process.returncode} {err.read()[-500:]}")
        out.seek(0)
        err.seek(0)
        return use.ru_utime + use.ru_stime, out.read().decode(errors="replace"), err.read().decode(errors="replace")


def interleaved(rounds, sides):
    """Runs each side once a round; returns for each the list of what it gave. One that fails is left out."""
    results = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            if results[name] is None:
                continue
            try:
                results[name].append(side())
            except (RuntimeError, TimeoutError, FileNotFoundError) as error:
                say(f"  {name}: {error}")
                results[name] = None
    return results


def pair(values):
    return {"min": min(values), "median": statistics.median(values), "rounds": len(values)}


# a) Real programs


def make_repository():
    """A repository of 1,500 commits in which 120 files change a little each."""
    chance = random.Random(2)
    words = ["alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta"]
    line = lambda: " ".join(chance.choice(words) for _ in range(8))
    files = [[line() for _ in range(60)] for _ in range(120)]
    stream = ["reset refs/heads/master"]
    for commit in range(1500):
        stream.append(f"commit refs/heads/master\ncommitter A <a@b.c> {1600000000 + commit} +0000\ndata 4\nc{commit % 1000:03d}")
        for change in range(4 if commit else 120):
            file = chance.randrange(120) if commit else change
            files[file][chance.randrange(60)] = line()
            text = "\n".join(files[file])
            stream.append(f"M 644 inline d{file % 10}/f{file}.txt\ndata {len(text)}\n{text}")
    folder = WORK / "repository"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input="\n".join(stream).encode() + b"\n", check=True)
    return folder


def make_source(functions):
    """A C file of so many functions with loops, a switch and floating point."""
    lines = ["#include <stdio.h>", "#include <string.h>", "struct node { struct node *next; long key; double weight; char name[24]; };"]
    for i in range(functions):
        rest = f" + step{i - 1}(list, n - 1)" if i else ""
        lines.append(
            f"static long step{i}(struct node *list, long n) {{ long total = {i};"
            f" for (struct node *node = list; node; node = node->next) switch (node->key % {5 + i % 7}) {{"
            f" case 0: total += node->key * {i + 3}; break;"
            f" case 1: total ^= n << {i % 13}; node->weight *= 1.{i}; break;"
            f" case 2: total -= (long)strlen(node->name) + {i}; break;"
            f" case 3: for (long k = 0; k < n; k++) total += k * node->key % {i + 11}; break;"
            f' default: node->weight += total * 0.{i + 1}; snprintf(node->name, sizeof node->name, "%ld", total); }}'
            f" return total{rest}; }}"
        )
    lines.append(f"long run(struct node *list, long n) {{ return step{functions - 1}(list, n); }}")
    path = WORK / "large.c"
    path.write_text("\n".join(lines))
    return path


def real_python():
    """The interpreter itself: a version manager's shim would be measured with it."""
    return os.path.realpath(subprocess.check_output(["python3", "-c", "import sys; print(sys.executable)"], text=True).strip())


def measure_programs(options, lsan):
    scale = 1 if options.quick else 4
    repository = make_repository()
    source = make_source(60 if options.quick else 200)
    programs = {
        "python3": [real_python(), WORKLOADS / "objects.py", str(2 * scale)],
        "sqlite3": ["sqlite3", ":memory:", f".read {WORKLOADS / 'bulk.sql'}"],
        "git": ["git", "-C", repository, "-c", "pack.threads=1", "repack", "-adfq"],
        "perl": ["perl", WORKLOADS / "tables.pl", str(scale)],
        "gcc": ["gcc", "-O2", "-c", source, "-o", "/dev/null"],
        "python3, PYTHONMALLOC=malloc": [real_python(), WORKLOADS / "objects.py", str(scale)],
        "true": ["/bin/true"],
    }
    rows = {}
    for name, command in programs.items():
        say(f"programs: {name}")
        own = {"PYTHONMALLOC": "malloc"} if "PYTHONMALLOC" in name else {}
        side = lambda variables: (lambda: run(command, {**own, **variables})[0])
        sides = {
            "libc": side({}),
            "besom": side({"LD_PRELOAD": str(LIBRARY)}),
            "besom leak=1": side({"LD_PRELOAD": str(LIBRARY), "BESOM_OPTIONS": LEAK}),
        }
        if lsan:
            sides["LeakSanitizer"] = side({"LD_PRELOAD": lsan, "LSAN_OPTIONS": "exitcode=0"})
        results = interleaved(options.rounds, sides)
        if not options.skip_valgrind and shutil.which("valgrind"):
            checked = ["valgrind", "-q", "--leak-check=full", "--trace-children=yes", f"--log-file={WORK}/valgrind.%p"]
            results |= interleaved(1, {"valgrind": lambda: run([*checked, *command], own, 300)[0]})
        rows[name] = {side: pair(times) for side, times in results.items() if times}
    for left in WORK.glob("valgrind.*"):
        left.unlink()
    return rows


def ratios(rows, side, base):
    return {name: row[side]["min"] / row[base]["min"] for name, row in rows.items() if side in row and base in row}


FIVE = ["python3", "sqlite3", "git", "perl", "gcc"]


def mean_of_five(rows, side, base):
    found = ratios(rows, side, base)
    return math.exp(statistics.mean(math.log(found[name]) for name in FIVE)) if all(n in found for n in FIVE) else None


# b) and c) Checks of made heaps

# The option `thp`: its default first.
HUGE_PAGES = ["auto", "always", "never"]

TRACE = re.compile(r"pause ([\d.]+) ms; \d+ workers scanned (\d+) bytes in ([\d.]+) ms of CPU")


def checks(heap, shape, size, blocks, count, options):
    """For each check, as the trace says: milliseconds of the pause by the clock, CPU of the marking, bytes scanned."""
    variables = {"LD_PRELOAD": str(LIBRARY), "BESOM_OPTIONS": f"{LEAK}:leak_at_exit=0:trace=1:{options}"}
    _, out, err = run([heap, shape, str(size), str(blocks), str(count)], variables)
    found = []
    for line in TRACE.findall(err):
        pause, scanned, cpu = map(float, line)
        found.append({"mark_cpu_ms": cpu, "pause_ms": pause, "scanned": scanned})
    read = re.search(r"^read ([\d.]+)", out, re.M)
    resident = int(re.search(r"^resident (\d+)", out, re.M)[1])
    return found, read and float(read[1]), resident


def measure_pauses(options, heap):
    gib = (1 << 30) // (8 if options.quick else 1)
    rows = []
    for thp in HUGE_PAGES:
        for size in [64, 1 << 10, 1 << 20]:
            say(f"pause: blocks of {size} bytes, thp={thp}")
            found, _, _ = checks(heap, "array", size, gib // size, 3, f"thp={thp}")
            rows.append({"thp": thp, "block": size, "heap": gib, "pause_ms": pair([check["pause_ms"] for check in found])})
    return rows


def measure_marks(options, heap, lsan):
    blocks = 500_000 if options.quick else 4_000_000
    small = []
    for shape in ["array", "random", "tree", "hash", "list", "shuffled-list"]:
        for size in [32, 64]:
            say(f"mark: {shape} of blocks of {size} bytes")
            per_block = lambda: [c["mark_cpu_ms"] * 1e6 / blocks for c in checks(heap, shape, size, blocks, 2, "leak_workers=1")[0]]
            sides = {"besom": per_block}
            if lsan and size == 64:
                variables = {"LD_PRELOAD": lsan, "LSAN_OPTIONS": "exitcode=0:detect_leaks=1"}
                command = [heap, shape, str(size), str(blocks), "1"]
                cpu = lambda text: [float(v) * 1e6 / blocks for v in re.findall(r"^cpu ([\d.]+)", text, re.M)]
                sides["LeakSanitizer"] = lambda: cpu(run(command, variables)[1])
            found = interleaved(options.rounds, sides)
            small.append({"shape": shape, "block": size, "blocks": blocks, **{s: pair(sum(v, [])) for s, v in found.items() if v}})
    large = []
    for thp in HUGE_PAGES:
        say(f"mark: large blocks, thp={thp}")
        found, read, _ = checks(heap, "large", 1 << 20, 128 if options.quick else 1024, 4, f"leak_workers=1:thp={thp}")
        speeds = [check["scanned"] / 1e6 / check["mark_cpu_ms"] for check in found]
        large.append({"thp": thp, "mark": max(speeds), "mark_median": statistics.median(speeds), "read": read})
    return small, large


def measure_memory(options, heap):
    """Resident bytes more for each block, stacks included (there are few)."""
    blocks = 500_000 if options.quick else 4_000_000
    rows = []
    for size in [32, 64, 256]:
        resident = []
        for mode in ["", LEAK + ":leak_at_exit=0"]:
            out = run([heap, "array", str(size), str(blocks), "0"], {"LD_PRELOAD": str(LIBRARY), "BESOM_OPTIONS": mode})[1]
            resident.append(int(re.search(r"^resident (\d+)", out, re.M)[1]) * 1024)
        rows.append({"block": size, "bytes": (resident[1] - resident[0]) / blocks})
    return rows


# d) Recording a stack


def measure_stacks(options, lsan):
    program = compile_c("stack.c", "stack", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
    rounds = "3000" if options.quick else "20000"
    rows = []
    for paths in [1, 64, 4096]:
        say(f"stacks: {paths}")
        side = lambda variables: (lambda: float(run([program, "20", str(paths), rounds], variables)[1]))
        preload = {"LD_PRELOAD": str(LIBRARY)}
        sides = {
            "besom, tracked without stacks": side({**preload, "BESOM_OPTIONS": "check=1"}),
            "besom leak=1": side({**preload, "BESOM_OPTIONS": LEAK}),
        }
        if lsan:
            sides["LeakSanitizer without stacks"] = side({"LD_PRELOAD": lsan, "LSAN_OPTIONS": "exitcode=0:malloc_context_size=0"})
            sides["LeakSanitizer"] = side({"LD_PRELOAD": lsan, "LSAN_OPTIONS": "exitcode=0"})
        found = {name: pair(values) for name, values in interleaved(options.rounds, sides).items() if values}
        row = {"stacks": paths, "sides": found}
        row["besom"] = found["besom leak=1"]["min"] - found["besom, tracked without stacks"]["min"]
        if "LeakSanitizer" in found:
            row["LeakSanitizer"] = found["LeakSanitizer"]["min"] - found["LeakSanitizer without stacks"]["min"]
        rows.append(row)
    return rows


# The report


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    gcc = subprocess.check_output(["gcc", "--version"], text=True).splitlines()[0]
    return {
        "cpu": model[1] if model else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "gcc": gcc,
        "load_before": os.getloadavg()[0],
    }


def table(header, rows):
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |"
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def bar(value, limit, what):
    verdict = "met" if value is not None and value <= limit else "missed"
    return f"Bar: {what}. {verdict.capitalize()}: {number(value)}."


def markdown(result):
    m, rows = result["machine"], result["programs"]
    sides = ["libc", "besom", "besom leak=1", "LeakSanitizer", "valgrind"]
    cell = lambda row, side: f"{row[side]['min']:.3f} ({row[side]['median']:.3f})" if side in row else "-"
    ratio = {side: ratios(rows, side, "besom") for side in sides}
    programs = [
        [name, *(cell(row, side) for side in sides), number(ratio["besom leak=1"].get(name)), number(ratio["LeakSanitizer"].get(name)), number(ratio["valgrind"].get(name), 1)]
        for name, row in rows.items()
    ]
    mean = mean_of_five(rows, "besom leak=1", "besom")
    usual = [row for row in result["small"] if row["shape"] != "shuffled-list"]
    worst_mark = max(row["besom"]["min"] for row in usual)
    pauses = lambda settings: max(row["pause_ms"]["min"] for row in result["pauses"] if row["thp"] in settings)
    worst_speed = min(row["mark"] / row["read"] for row in result["large"])
    worst_stack = max((row["besom"] / row["LeakSanitizer"] for row in result["stacks"] if "LeakSanitizer" in row), default=None)
    worst_memory = max(row["bytes"] for row in result["memory"])
    parts = [
        "# Leak mode, measured",
        "By `make bench-leaks`, all in one run; rounds of the sides are interleaved. "
        f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['gcc']}; load average {m['load_before']:.1f} before, {m['load_after']:.1f} after, "
        "other jobs included. Times are CPU time where nothing else is said, minimum and (median).",
        "## Slow-down of real programs",
        "Seconds of CPU, all processes of the program and the checks at their ends, and the ratio to besom without leak mode.",
        table(["program", *sides, "leak=1 ratio", "LeakSanitizer ratio", "valgrind ratio"], programs),
        f"Geometric mean of the first five: besom leak=1 {number(mean)}, LeakSanitizer {number(mean_of_five(rows, 'LeakSanitizer', 'besom'))}, "
        f"valgrind {number(mean_of_five(rows, 'valgrind', 'besom'), 1)}, libc's malloc {number(mean_of_five(rows, 'libc', 'besom'))}. "
        + bar(mean, 1.5, "at most 1.5, goal 1.15")
        + " LeakSanitizer follows frame pointers, which these programs do not keep: its stacks have one or two frames.",
        "## Pause of a check on demand",
        "Milliseconds by the clock for which the program stands still, heap of 1 GiB.",
        table(["huge pages", "block", "heap MiB", "pause ms (median)"], [[r["thp"], r["block"], r["heap"] >> 20, f"{r['pause_ms']['min']:.1f} ({r['pause_ms']['median']:.1f})"] for r in result["pauses"]]),
        bar(pauses(HUGE_PAGES[:1]), 25, "25 ms by default, goal 5 ms"),
        bar(pauses(HUGE_PAGES), 25, "25 ms with any setting of `thp`"),
        "## Marking by one worker",
        "Nanoseconds for each small block; LeakSanitizer's whole check beside. The next block of a list is known only when the last one has been read: "
        "where lists run through memory in any order, as the shuffled one, each block costs a wait for memory.",
        table(["shape", "block", "blocks", "besom (median)", "LeakSanitizer"], [[r["shape"], r["block"], r["blocks"], f"{r['besom']['min']:.1f} ({r['besom']['median']:.1f})", number(r.get("LeakSanitizer", {}).get("min"), 0)] for r in result["small"]]),
        bar(worst_mark, 40, "40 ns for each block of the usual shapes (all but the shuffled list)"),
        "GB/s on blocks of 1 MiB, beside one thread that adds up the same memory.",
        table(["huge pages", "mark (median)", "read", "share"], [[r["thp"], f"{r['mark']:.1f} ({r['mark_median']:.1f})", number(r["read"], 1), number(r["mark"] / r["read"])] for r in result["large"]]),
        f"Bar: half of the read speed. {'Met' if worst_speed >= 0.5 else 'Missed'}: {worst_speed:.2f}.",
        "## Recording a stack 20 frames deep",
        "Nanoseconds for a malloc and its free, in a program with frame pointers that besom does not use; recording is the difference to the same without stacks.",
        table(
            ["different stacks", "besom, no stacks", "besom leak=1", "LeakSanitizer, no stacks", "LeakSanitizer", "recording: besom", "recording: LeakSanitizer"],
            [
                [r["stacks"], *(number(r["sides"].get(s, {}).get("min"), 1) for s in ["besom, tracked without stacks", "besom leak=1", "LeakSanitizer without stacks", "LeakSanitizer"]), number(r["besom"], 1), number(r.get("LeakSanitizer"), 1)]
                for r in result["stacks"]
            ],
        ),
        bar(worst_stack, 1, "no slower than LeakSanitizer; the worst ratio"),
        "## Memory",
        table(["block", "resident bytes more for each block"], [[r["block"], number(r["bytes"], 1)] for r in result["memory"]]),
        bar(worst_memory, 16, "16 bytes for each object, and the stacks"),
    ]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small heaps and inputs: a minute or two")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-valgrind", action="store_true")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    lsan = lsan_library()
    if not lsan:
        say("no liblsan.so: measured without LeakSanitizer")
    heap = compile_c("heap.c", "heap", "-fno-omit-frame-pointer", "-rdynamic")
    result = {"machine": machine(), "programs": measure_programs(options, lsan)}
    result["stacks"] = measure_stacks(options, lsan)
    result["small"], result["large"] = measure_marks(options, heap, lsan)
    result["memory"] = measure_memory(options, heap)
    result["pauses"] = measure_pauses(options, heap)
    result["machine"]["load_after"] = os.getloadavg()[0]
    (OUT / "leaks.json").write_text(json.dumps(result, indent=1) + "\n")
    (OUT / "leaks.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
