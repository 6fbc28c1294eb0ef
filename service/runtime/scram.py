"""SCRAM-SHA-256 verifiers, which Postgres stores in place of a password (RFC 5803). Made here, so that the password
isn't sent.

A password in an ALTER ROLE would show up in the server's log and in pg_stat_statements.
"""

import base64
import hashlib
import hmac

ITERATIONS = 4096
"""Postgres's own default; passwords are required to be random."""


def scram_verifier(password: str, salt: bytes) -> str:
    """The verifier of a password of printable ASCII, with a random salt of 16 bytes."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
