"""What the example DAGs need, beside the connection to IMS: media in the emulator, a database and a web service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dev.demo import VIDEOS

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.web_server import WebServer

MEDIA: dict[str, dict[str, Any]] = {
    **{media: {"duration": duration, "watermark": watermark} for media, (duration, watermark) in VIDEOS.items()},
    "oss://studio-masters/harbour-lights.mp4": {"duration": 5400},
    "oss://studio-masters/trailer.mp4": {"duration": 180},
    "oss://studio-streams/final.mp4": {"duration": 7200},
    "oss://rights-evidence/leaks/stream-1.mp4": {"duration": 900, "trace": "viewer-1002"},
    "oss://sports-archive/matches/final.mp4": {"duration": 6000},
    "oss://studio-library/subtitles/harbour-lights.srt": {"duration": 0},
}
"""The media of the example DAGs, with their options in the emulator; durations are in seconds."""

BILLS: dict[str, dict[str, tuple[int, str]]] = {
    "example_ims_copyright_extract": {"CopyrightExtractJob": (3, "115.00")},
    "example_ims_rights_check": {"CopyrightExtractJob": (1, "4.00")},
    "example_ims_check_once": {"CopyrightExtractJob": (3, "115.00")},
    "example_ims_nightly_suspects": {"DNAJob": (3, "34.50"), "CopyrightExtractJob": (3, "115.00")},
    "example_ims_screener_distribution": {"CopyrightJob": (3, "270.00")},
    "example_ims_leak_drill": {
        "CopyrightJob": (1, "3.00"),
        "MediaConvertJob": (1, "0.15"),
        "CopyrightExtractJob": (1, "3.00"),
    },
    "example_ims_trace_incident": {
        "TraceAbJob": (1, "180.00"),
        "TraceM3u8Job": (3, "0.03"),
        "TraceExtractJob": (1, "22.50"),
    },
    "example_ims_highlight_reel": {
        "MediaInfoJob": (1, "0.001"),
        "MediaProducingJob": (1, "0.50"),
        "SnapshotJob": (1, "0.01"),
    },
    "example_ims_media_intake": {
        "UploadMediaByURL": (1, "0.02"),
        "SmarttagJob": (1, "7.00"),
        "IProductionJob": (1, "0.80"),
        "RegisterMediaInfo": (1, "0.00"),
    },
}
"""The bill of one run of each example in the emulator: number of jobs and price in CNY for each family."""

FINGERPRINTS = "/fingerprints.json"
MATCHES = [{"PrimaryKey": "harbour-lights"}]
"""What the file of a fingerprint job has for a suspect that the library knows. Its format is assumed."""


def connections(home: Path, web: WebServer) -> dict[str, str]:
    """Return the connections that examples need beside ``ims_default``, as JSON by their id.

    :param home: directory for the database
    :param web: the web service to notify
    """
    return {
        "rights_db": json.dumps({"conn_type": "sqlite", "host": str(home / "rights.db")}),
        "newsroom": web.connection_json(),
    }


def prepare(emulator: EmulatorProcess, web: WebServer) -> None:
    """Put the media of the examples into the emulator, and the result of its fingerprint jobs on the web server.

    :param emulator: the emulator
    :param web: the web server
    """
    for media, options in MEDIA.items():
        emulator.put_media(media, **options)
    emulator.put_outcome("DNAJob", result=web.serve(FINGERPRINTS, MATCHES))
