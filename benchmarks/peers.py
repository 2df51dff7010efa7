"""What the peers and detjupyter add to a batch, measured in one run: CPU time per batch, compared with the bare loop.

    python benchmarks/peers.py [--model tiny_mlp] [--rounds 3] [--batches 2000]
    python benchmarks/peers.py --model small_cnn --rounds 3 --batches 400

A fresh process for every peer and round, in turn; in it the peer runs between two bare loops of ``loops.py``, once before to be warm. Every
loss is kept by the peer's own means, nothing is displayed. Peers that are not installed are left out: `pip install lightning transformers
accelerate pytorch-ignite skorch`, and `determined` in an environment that can hold it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from report import print_machine, print_table, spread

PEERS = {
    "bare_loader": "bare + torch's DataLoader",
    "detjupyter": "**detjupyter**",
    "ignite": "ignite",
    "skorch": "skorch",
    "determined": "Determined",
    "lightning": "Lightning",
    "transformers": "transformers",
}


def main() -> None:
    """Measure and print; with ``--one`` be the process of a peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny_mlp", "small_cnn"], default="tiny_mlp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure_one(arguments.one, arguments.batches)
        return
    print_machine("torch", "pytorch-ignite", "skorch", "determined", "lightning", "transformers")
    peers = [peer for peer in PEERS if peer == "bare_loader" or find_spec(peer) is not None]
    found: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for _ in range(arguments.rounds):
        for peer in peers:
            found[peer].append(run(peer, arguments.model, arguments.batches))
    rows = []
    for peer, runs in found.items():
        median, extent = spread([one["cpu_us"] / one["bare_us"] for one in runs], 3)
        added = spread([one["cpu_us"] - one["bare_us"] for one in runs], 0)[0]
        rows.append((PEERS[peer], spread([one["cpu_us"] for one in runs], 0)[0], median, extent, added))
    bare, extent = spread([one["bare_us"] for runs in found.values() for one in runs], 0)
    print(f"Bare loop: {bare} µs of CPU per batch ({extent}); {arguments.rounds} rounds of {arguments.batches:,} batches.\n")
    print_table(("every loss kept", "CPU µs/batch", "× bare", "min–max", "CPU µs added"), rows)


def run(peer: str, model: str, batches: int) -> dict[str, float]:
    """Return what one process measures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        here = {"DETJUPYTER_BENCH_MODEL": model, "DETJUPYTER_HOME": scratch, "TMPDIR": scratch, "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--one", peer, "--batches", str(batches)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **here}
        ended = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{peer} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def measure_one(peer: str, batches: int) -> None:
    """Print the peer's CPU time per batch, and that of the bare loops around it."""
    import loops

    skipped = batches // 8
    for loop in ("bare", peer):
        loops.measure(loop, 200, 0)
    bare = [loops.measure("bare", batches, skipped)[1]]
    cpu_us = loops.measure(peer, batches, skipped)[1]
    bare.append(loops.measure("bare", batches, skipped)[1])
    print(json.dumps({"cpu_us": cpu_us, "bare_us": sum(bare) / 2}))


if __name__ == "__main__":
    main()
