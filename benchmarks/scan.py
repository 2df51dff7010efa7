"""What deciding about every file costs, against a bare walk of the same tree, git, and Determined's own way of deciding.

    python benchmarks/scan.py [--rounds 3] [--most 1000000]

The trees are made of empty files in a temporary directory (TMPDIR chooses where) and removed afterwards. What is compared takes turns in
one process. CPU time is compared, which suffers less than wall time when others use the machine; Determined's walk runs once. Peak memory
is of a fresh process each.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from report import print_machine, print_table

from detjupyter.bundle import determined_files, scan, survey
from detjupyter.bundle.ignore import IgnoreFile, IgnoreRules
from detjupyter.bundle.walk import Walk

IGNORE = """\
# what does not ship
*.log
*.tmp
*.csv
*.py[cod]
/data/
build/
dist/
*.egg-info/
.cache/
docs/_build/
checkpoints/**/*.pt
*~
!keep.log
"""
_ENDINGS = (".py", ".py", ".txt", ".json", ".md", ".yaml", ".png", ".log", ".csv", ".bin")  # two of ten are left out
_PER_FOLDER = 100
_HOSTILE = (
    ("`*a*a*a*a*a*a*a*b`, a name of 10,000 bytes", b"*a*a*a*a*a*a*a*b", "a" * 10_000),
    ("`a/**/b/**/…/c`, 12 `**`, 1,000 directories", b"a/" + b"**/b/" * 12 + b"c", "a/" + "b/x/" * 500 + "d"),
)


def fill(folder: Path, files: int) -> None:
    """Create empty files, of which one in five is left out by `IGNORE`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        os.close(os.open(f"{folder}/f{number:07d}{_ENDINGS[number % len(_ENDINGS)]}", os.O_CREAT | os.O_WRONLY))


def folders(root: Path, files: int) -> Path:
    """Create files, a hundred to a folder and a hundred folders to a folder."""
    for number in range(files // _PER_FOLDER):
        fill(root / f"g{number // 100:04d}" / f"h{number % 100:02d}", _PER_FOLDER)
    (root / ".detignore").write_text(IGNORE)
    return root


def bare(root: Path, *, sizes: bool) -> int:
    """Walk a tree by os.scandir and do nothing else, or also ask for the size of each file."""
    pending, count = [os.fspath(root)], 0
    while pending:
        with os.scandir(pending.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif sizes:
                    count += entry.stat(follow_symlinks=False).st_size
                else:
                    count += 1
    return count


def git_listing(root: Path, repository: Path) -> int:
    """List what git would, parsed to a list."""
    where = ["git", "--git-dir", str(repository), "--work-tree", str(root), "-c", "core.excludesFile=/dev/null"]
    done = subprocess.run([*where, "ls-files", "-z", "--others", "-X", str(root / ".detignore")], cwd=root, capture_output=True, check=True)
    return len(done.stdout.split(b"\0"))


def cpu_s() -> float:
    """Return the CPU seconds that this process and those it has started have used, the kernel's work for them included."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def seconds(measured: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each, those of processes it starts included, the rounds taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, call in measured.items():
            start = cpu_s()
            call()
            times[name].append(cpu_s() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def measure(label: str, root: Path, repository: Path, rounds: int) -> tuple[str, ...]:
    """Return one row of the table of trees."""
    times = seconds(
        {
            "names floor": lambda: bare(root, sizes=False),
            "names": lambda: survey(root, names_only=True),
            "git": lambda: git_listing(root, repository),
            "sizes floor": lambda: bare(root, sizes=True),
            "sizes": lambda: survey(root),
            "scan": lambda: scan(root),
        },
        rounds,
    )
    determined = seconds({"determined": lambda: determined_files(root)}, 1)["determined"]
    names, sizes = times["names floor"], times["sizes floor"]
    ratios = (times["names"] / names, times["git"] / names, times["sizes"] / sizes, times["scan"] / sizes, determined / sizes)
    cells = [f"{ratio:.2f}" for ratio in ratios]
    return (label, f"{names:.3f}", cells[0], cells[1], f"{sizes:.3f}", *cells[2:])


def peak_megabytes(code: str, root: Path) -> str:
    """Return the peak memory of a fresh process that does ``code``, in MB; Linux only, since ru_maxrss counts the parent's, too."""
    if not Path("/proc/self/status").exists():
        return "–"
    start = f"from pathlib import Path; from detjupyter.bundle import scan, survey; root = Path({str(root)!r}); {code}"
    command = [sys.executable, "-c", f"{start}; print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"{int(done.stdout) / 1024:.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=1_000_000, help="files in the largest trees")
    options = parser.parse_args()
    print_machine("pathspec")
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        repository = scratch / "git"
        subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
        rows, memory = [], []
        for files in [count for count in (10_000, 100_000, 1_000_000) if count <= options.most]:
            root = folders(scratch / "tree", files)
            rows.append(
                measure(f"{files:,} files, 100 a folder", root, repository, options.rounds if files > 100_000 else 3 * options.rounds)
            )
            memory.append(
                (
                    f"{files:,} files",
                    *(peak_megabytes(code, root) for code in ("pass", "survey(root, names_only=True)", "survey(root)")),
                    *(peak_megabytes(code, root) for code in ("report = scan(root)", "report = scan(root); sum(1 for _ in report)")),
                )
            )
            shutil.rmtree(root)
        root = scratch / "tree"
        fill(root, options.most)
        (root / ".detignore").write_text(IGNORE)
        rows.append(measure(f"{options.most:,} files in one folder", root, repository, options.rounds))
        shutil.rmtree(root)
        print_table(
            ("tree", "scandir CPU s", "names only ×", "git ×", "scandir and stat CPU s", "with sizes ×", "scan ×", "Determined's way ×"),
            rows,
        )
        print_table(("peak MB", "imports only", "survey, names", "survey", "scan", "scan, iterated"), memory)
        folders(root, 100)
        fill(root / "data", options.most)
        times = seconds({"scan": lambda: scan(root), "bare": lambda: bare(root, sizes=False)}, 9)
        took = f"scan {1000 * times['scan']:.2f} ms, bare walk {1000 * times['bare']:.0f} ms"
        print(f"{options.most:,} files under an excluded `data/`: {took}.\n")
        shutil.rmtree(root)
        root = folders(scratch / "tree", min(100_000, options.most))
        numbers, compiled = {}, {}
        for lines in (1, 13, 100, 1000, 10_000, 100_000):
            text = "".join(f"*.x{number}\n/dir{number}/\nname{number}\n!pre{number}*\n" for number in range(lines // 4 + 1))
            file = IgnoreFile(IgnoreFile.parse(text.encode()).lines[:lines])
            compiled[lines] = seconds({"compile": lambda file=file: IgnoreRules(file)}, 3)["compile"]
            rules = IgnoreRules(file)
            walk = {"names": lambda rules=rules: sum(len(found.names) for found in Walk(os.fsencode(root), rules, sizes=False))}
            numbers[lines] = seconds({"bare": lambda: bare(root, sizes=False), **walk}, 3)
        print_table(
            ("lines of `.detignore`", "compiling ms", "names of 100,000 files × scandir"),
            [(f"{n:,}", f"{1000 * compiled[n]:.2f}", f"{times['names'] / times['bare']:.2f}") for n, times in numbers.items()],
        )
        shutil.rmtree(root)
    rows = []
    for label, line, path in _HOSTILE:
        rules = IgnoreRules(IgnoreFile((line,)))
        took = seconds({"decide": lambda rules=rules, path=path: rules.decide(path, is_directory=False)}, 9)["decide"]
        rows.append((label, f"{1000 * took:.2f}"))
    print_table(("hostile lines", "ms"), rows)


if __name__ == "__main__":
    main()
