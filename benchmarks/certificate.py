"""A self-signed certificate for the local benchmark servers, and a CA bundle that contains it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import NamedTuple

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificate(NamedTuple):
    """Paths of a certificate, its private key, and the CA bundle for clients."""

    path: Path
    key: Path
    trusted: Path


def self_signed(directory: Path) -> Certificate:
    """Create a self-signed certificate for 127.0.0.1.

    The CA bundle also contains certifi's certificates, as on a worker. A bundle with the certificate alone would make
    the comparison unfair: the SDK always loads certifi's bundle in addition.

    :param directory: directory of the files
    """
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
    files = Certificate(directory / "certificate.pem", directory / "key.pem", directory / "trusted.pem")
    files.path.write_bytes(certificate.public_bytes(pem))
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files.trusted.write_bytes(Path(certifi.where()).read_bytes() + files.path.read_bytes())
    return files
