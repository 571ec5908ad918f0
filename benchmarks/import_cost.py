"""What it costs to import the provider in a DAG file, beside the official Alibaba provider.

Airflow imports a package such as ours anew at every parse of every DAG file that uses it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# Run by its path, a script has its own directory on the path and not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.get_provider_info import get_provider_info
from benchmarks.rounds import (
    MIB,
    MILLI,
    arguments,
    heading,
    interleave,
    measure,
    median,
    ratio,
    table,
    verdict,
    write,
)

if TYPE_CHECKING:
    from benchmarks.rounds import Sample

GOAL_CPU_MS = 50.0
GOAL_FORBIDDEN_MODULES = 0
FORBIDDEN = ("alibabacloud", "aliyun", "darabonba", "Tea", "aiohttp", "requests")
"""Beginnings of the module names that must wait for the first call."""

OURS = "airflow_provider_ims, all for DAG files"
OFFICIAL = ("oss", "maxcompute", "analyticdb_spark")


def provider_modules() -> list[str]:
    """Return the modules that a DAG file can import, as our metadata has them; a trigger is loaded by who defers."""
    info = get_provider_info()
    modules = [
        module
        for part in ("hooks", "operators", "sensors")
        for entry in info.get(part, [])
        for module in entry["python-modules"]
    ]
    links = [link.rpartition(".")[0] for link in info.get("extra-links", [])]
    return [*dict.fromkeys(modules + links)]


def contestants() -> dict[str, list[str]]:
    """Return who is measured, and the modules to import."""
    official = {f"alibaba operators.{name}": [f"airflow.providers.alibaba.cloud.operators.{name}"] for name in OFFICIAL}
    return {OURS: provider_modules(), **official}


def foreign(sample: Sample) -> list[str]:
    """Return the imported modules that are neither Airflow's nor ours nor the standard library's."""
    return [
        module
        for module in sample["modules"]
        if (top := module.partition(".")[0]) not in sys.stdlib_module_names and not top.startswith("airflow")
    ]


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("import cost of the provider's modules on top of airflow.sdk", rounds=7)
    modules = contestants()
    with tempfile.TemporaryDirectory() as home:
        samples = interleave(modules, options.rounds, lambda name: measure("imports", *modules[name], home=home))
    for sample in (sample for runs in samples.values() for sample in runs):
        sample["count"] = len(sample["modules"])
        sample["foreign"] = len(foreign(sample))

    ours = samples[OURS]
    rows = [
        [
            name,
            f"{ratio(runs, ours, 'cpu'):.1f}",
            f"{ratio(runs, ours, 'wall'):.1f}",
            f"{median(runs, 'cpu') * MILLI:.0f} ms",
            f"{median(runs, 'wall') * MILLI:.0f} ms",
            f"{median(runs, 'rss') / MIB:.1f} MiB",
            f"{median(runs, 'count'):.0f}",
            f"{median(runs, 'foreign'):.0f}",
        ]
        for name, runs in samples.items()
    ]
    header = ["on top of airflow.sdk", "CPU, ours = 1", "wall, ours = 1", "CPU", "wall", "memory", "modules", "foreign"]
    print(heading(options.rounds), table(header, rows), sep="\n\n", end="\n\n")

    write(options.json, {"modules": modules, "samples": samples})
    cpu = median(ours, "cpu") * MILLI
    forbidden = sorted({module for run in ours for module in run["modules"] if module.startswith(FORBIDDEN)})
    named = f" ({', '.join(forbidden[:5])} ...)" if forbidden else ""
    return verdict(
        {
            f"ours: {cpu:.1f} ms CPU, goal at most {GOAL_CPU_MS:.0f}": cpu <= GOAL_CPU_MS,
            f"ours: {len(forbidden)} modules that should wait for a call{named}, goal {GOAL_FORBIDDEN_MODULES}": (
                len(forbidden) <= GOAL_FORBIDDEN_MODULES
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
