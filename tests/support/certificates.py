"""Certificates in PEM form: authorities of the tests' own, and the certificates that they sign."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Signed = tuple[Path, Path]
"""The files of a certificate and of its key."""


class Authority:
    """An authority that keeps its files, and those of its certificates, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _certificate(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def sign(self, name: str, *hosts: str, since: datetime | None = None, until: datetime | None = None) -> Signed:
        """A certificate for `name`, valid for `hosts`, in a file, and its key in another."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._written(name, _certificate(_named(name), self._name, key.public_key(), since, until), hosts, key)

    def itself(self, *hosts: str) -> Signed:
        """A certificate for `hosts` that no authority signed but its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _named("itself")
        return self._written("itself", _certificate(name, name, key.public_key()), hosts, key, key)

    def _written(
        self,
        name: str,
        builder: x509.CertificateBuilder,
        hosts: Sequence[str],
        key: ec.EllipticCurvePrivateKey,
        by: ec.EllipticCurvePrivateKey | None = None,
    ) -> Signed:
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
        certificate, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(_pem(builder.sign(by or self._key, hashes.SHA256())))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key_file


def _certificate(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    since: datetime | None = None,
    until: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since or now - timedelta(hours=1))
        .not_valid_after(until or now + timedelta(days=1))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
