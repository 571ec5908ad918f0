"""CPU time of the first submission in a process, beside the official typed SDK.

A task process lives for one task, so every submission of an operator is a cold one.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Run by its path, a script has its own directory on the path and not the project's.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_ims.emulator.process import EmulatorProcess
from benchmarks.measured import CONTESTANTS, MEDIA
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
    from benchmarks.rounds import Sample, Samples

GOAL_RATIO = 0.4
OURS, BASE = "ours", "typed SDK, sync"


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Create a certificate for 127.0.0.1 that is its own authority, and return the paths of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "IMS emulator")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate_path, key_path = directory / "certificate.pem", directory / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(pem))
    key_path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate_path, key_path


def run(directory: Path, rounds: int, tls: tuple[Path, Path] | None, trusted: Path) -> Samples:
    """Run the rounds against one emulator; every process must have created the one job it was asked for.

    :param directory: AIRFLOW_HOME of the processes
    :param rounds: how many
    :param tls: certificate and key for https, None for http
    :param trusted: file of certificates that the processes trust
    """
    certificate, key = tls or (None, None)
    with EmulatorProcess(tls_cert=certificate, tls_key=key) as emulator:
        emulator.put_media(MEDIA)
        env = {
            "AIRFLOW_CONN_IMS_DEFAULT": emulator.connection_json(),
            # Through OpenSSL's defaults, which aiohttp and the SDK's two ways load alike.
            "SSL_CERT_FILE": str(trusted),
        }

        def one(contestant: str) -> Sample:
            billed = emulator.bill()["jobs"]
            sample = measure("submit", contestant, home=str(directory), env=env)
            jobs = [job["job_id"] for job in emulator.jobs()]
            if emulator.bill()["jobs"] != billed + 1 or jobs[-1] != sample["job_id"]:
                raise RuntimeError(f"{contestant} got {sample['job_id']!r}; the emulator's last jobs: {jobs[-2:]}")
            return sample

        return interleave(CONTESTANTS, rounds, one)


def report(samples: Samples) -> str:
    """Return the table of one transport."""
    rows = [
        [
            name,
            f"{ratio(runs, samples[BASE], 'cpu'):.2f}",
            f"{ratio(runs, samples[BASE], 'wall'):.2f}",
            f"{median(runs, 'cpu') * MILLI:.0f} ms",
            f"{median(runs, 'wall') * MILLI:.0f} ms",
            f"{median(runs, 'rss') / MIB:.0f} MiB",
            f"{median(runs, 'modules'):.0f}",
        ]
        for name, runs in samples.items()
    ]
    header = ["cold submit", "CPU, sync SDK = 1", "wall, sync SDK = 1", "CPU", "wall", "memory", "modules"]
    return table(header, rows)


def profile(samples: Samples) -> str:
    """Return the table of where the CPU time goes; an import counts for who comes to it first."""
    parts = {part: None for runs in samples.values() for part in runs[0]["imports"]}
    rows = [
        [
            f"import of {part}",
            *(_milliseconds([run["imports"].get(part, 0.0) for run in runs]) for runs in samples.values()),
        ]
        for part in parts
    ]
    rest = ["other imports, and the call", *(_milliseconds([run["rest"] for run in runs]) for runs in samples.values())]
    return table(["CPU ms", *samples], [*rows, rest])


def _milliseconds(seconds: list[float]) -> str:
    middle = statistics.median(seconds) * MILLI
    return f"{middle:.0f}" if middle else ""


def main() -> int:
    """Measure, print the report and return the exit status."""
    options = arguments("CPU time of a cold submission, beside the typed SDK", rounds=7)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        certificate, key = self_signed(directory)
        # A worker trusts a whole bundle, and loading it costs all of them: the certificate alone would favour us,
        # because the SDK always loads certifi's bundle besides.
        trusted = directory / "trusted.pem"
        trusted.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
        for transport, tls in (("http", None), ("https", (certificate, key))):
            results[transport] = run(directory, options.rounds, tls, trusted)

    print(heading(options.rounds), end="\n\n")
    for transport, samples in results.items():
        print(f"{transport}:", report(samples), profile(samples), sep="\n\n", end="\n\n")
    write(options.json, {"samples": results})
    ratios = {transport: ratio(samples[OURS], samples[BASE], "cpu") for transport, samples in results.items()}
    return verdict(
        {
            f"{transport}: {share:.2f} of the typed sync client's CPU, goal at most {GOAL_RATIO}": share <= GOAL_RATIO
            for transport, share in ratios.items()
        }
    )


if __name__ == "__main__":
    sys.exit(main())
