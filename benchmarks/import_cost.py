"""Cost of importing the provider in a DAG file, compared with official providers.

Airflow imports a package outside ``airflow.*`` again each time it parses a DAG file that uses the package.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# A script that is run by its path finds its own directory on the import path, but not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.get_provider_info import get_provider_info
from benchmarks.rounds import (
    MIB,
    MILLI,
    arguments,
    check_goals,
    heading,
    interleave,
    measure,
    median,
    publish,
    ratio,
    table,
)

if TYPE_CHECKING:
    from benchmarks.rounds import Sample

GOAL_CPU_MS = 30.0
GOAL_MIB = 1.0
GOAL_THIRD_PARTY_MODULES = 0

OURS = "airflow_provider_ims, all modules for DAG files"
OFFICIAL = {
    "alibaba oss": "airflow.providers.alibaba.cloud.operators.oss",
    "alibaba maxcompute": "airflow.providers.alibaba.cloud.operators.maxcompute",
    "alibaba analyticdb_spark": "airflow.providers.alibaba.cloud.operators.analyticdb_spark",
    "amazon glue": "airflow.providers.amazon.aws.operators.glue",
    "databricks": "airflow.providers.databricks.operators.databricks",
    "google video_intelligence": "airflow.providers.google.cloud.operators.video_intelligence",
}
"""Operators of official providers that run jobs, and their modules."""


def provider_modules() -> list[str]:
    """Return the modules of the provider metadata that a DAG file can import.

    Without the trigger module: only the triggerer and tasks that defer load it.
    """
    info = get_provider_info()
    modules = [
        module
        for part in ("hooks", "operators", "sensors")
        for entry in info.get(part, [])
        for module in entry["python-modules"]
    ]
    links = [link.rpartition(".")[0] for link in info.get("extra-links", [])]
    return [*dict.fromkeys(modules + links)]


def candidates() -> dict[str, list[str]]:
    """Return the modules to import for each candidate."""
    return {OURS: provider_modules(), **{name: [module] for name, module in OFFICIAL.items()}}


def third_party(sample: Sample) -> list[str]:
    """Return the imported modules that belong neither to Airflow, nor to this provider, nor to the standard library."""
    return [
        module
        for module in sample["modules"]
        if (top := module.partition(".")[0]) not in sys.stdlib_module_names and not top.startswith("airflow")
    ]


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("import cost of the provider modules in addition to airflow.sdk", rounds=7)
    modules = candidates()
    with tempfile.TemporaryDirectory() as home:
        samples = interleave(
            modules, options.rounds, lambda name: measure("imports", *modules[name], script="measured.py", home=home)
        )
    for sample in (sample for runs in samples.values() for sample in runs):
        sample["count"] = len(sample["modules"])
        sample["third_party"] = len(third_party(sample))

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
            f"{median(runs, 'third_party'):.0f}",
        ]
        for name, runs in samples.items()
    ]
    columns = ["CPU, ours = 1", "wall, ours = 1", "CPU", "wall", "memory", "modules", "third-party"]
    header = ["in addition to airflow.sdk", *columns]
    cpu, memory = median(ours, "cpu") * MILLI, median(ours, "rss") / MIB
    unwanted = sorted({module for run in ours for module in third_party(run)})
    text = "\n\n".join(["# Import", heading(options.rounds), table(header, rows)])
    publish(options.results, "import_cost", text)
    names = f" ({', '.join(unwanted[:5])} ...)" if unwanted else ""
    return check_goals(
        {
            f"ours: {cpu:.1f} ms CPU, goal at most {GOAL_CPU_MS:.0f}": cpu <= GOAL_CPU_MS,
            f"ours: {memory:.1f} MiB, goal at most {GOAL_MIB:.0f}": memory <= GOAL_MIB,
            f"ours: {len(unwanted)} third-party modules{names}, goal {GOAL_THIRD_PARTY_MODULES}": (
                len(unwanted) <= GOAL_THIRD_PARTY_MODULES
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
