"""Run all benchmarks with their defaults, or those that are named: ``python -m benchmarks``."""

import subprocess
import sys

NAMES = ("hook", "throughput", "start", "script_size", "refresh_page", "day")

for name in sys.argv[1:] or NAMES:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
