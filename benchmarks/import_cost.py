"""What it costs to import the provider in a DAG file, beside official providers.

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
    publish,
    ratio,
    table,
    verdict,
)

if TYPE_CHECKING:
    from benchmarks.rounds import Sample

GOAL_CPU_MS = 30.0
GOAL_MIB = 1.0
GOAL_FOREIGN_MODULES = 0

OURS = "airflow_provider_ims, all for DAG files"
OFFICIAL = {
    "alibaba oss": "airflow.providers.alibaba.cloud.operators.oss",
    "alibaba maxcompute": "airflow.providers.alibaba.cloud.operators.maxcompute",
    "alibaba analyticdb_spark": "airflow.providers.alibaba.cloud.operators.analyticdb_spark",
    "amazon glue": "airflow.providers.amazon.aws.operators.glue",
    "databricks": "airflow.providers.databricks.operators.databricks",
    "google video_intelligence": "airflow.providers.google.cloud.operators.video_intelligence",
}
"""Operators of other providers that run jobs, and their modules."""


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
    return {OURS: provider_modules(), **{name: [module] for name, module in OFFICIAL.items()}}


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
        samples = interleave(
            modules, options.rounds, lambda name: measure("imports", *modules[name], script="measured.py", home=home)
        )
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
    cpu, memory = median(ours, "cpu") * MILLI, median(ours, "rss") / MIB
    strangers = sorted({module for run in ours for module in foreign(run)})
    text = "\n\n".join(["# Import", heading(options.rounds), table(header, rows)])
    publish(options.results, "import_cost", text)
    named = f" ({', '.join(strangers[:5])} ...)" if strangers else ""
    return verdict(
        {
            f"ours: {cpu:.1f} ms CPU, goal at most {GOAL_CPU_MS:.0f}": cpu <= GOAL_CPU_MS,
            f"ours: {memory:.1f} MiB, goal at most {GOAL_MIB:.0f}": memory <= GOAL_MIB,
            f"ours: {len(strangers)} foreign modules{named}, goal {GOAL_FOREIGN_MODULES}": (
                len(strangers) <= GOAL_FOREIGN_MODULES
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
