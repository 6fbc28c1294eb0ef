"""TLS failures in words that lead to a remedy, and the trusted authorities."""

import ssl

from service.runtime.errors import HealthError

CA_SETTING = "HEALTH_WEBHOOK_CA_FILE"

_OWN_AUTHORITY = f"have the operator add it, or its authority, to {CA_SETTING}"
_CERTIFICATES = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: f"its certificate is self-signed: {_OWN_AUTHORITY}",
    19: f"the authority that signed its certificate is not trusted (self-signed in its chain): {_OWN_AUTHORITY}",
    20: f"the authority that signed its certificate is not known, or it leaves out an intermediate: {_OWN_AUTHORITY}",
    21: f"the authority that signed its certificate is not known, or it leaves out an intermediate: {_OWN_AUTHORITY}",
    23: "its certificate was revoked",
    62: "its certificate is for another name than the URL's host",
    64: "its certificate is for another address than the URL's",
}
"""Keys are OpenSSL's codes: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/"""

_OLD = "it supports no accepted version of TLS: it must be 1.2 or later"
_REASONS = {
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "NO_PROTOCOLS_AVAILABLE": _OLD,
    "WRONG_VERSION_NUMBER": "the server there does not speak TLS: it may be plain HTTP",
    "HTTP_REQUEST": "the server there does not speak TLS: it may be plain HTTP",
    "PACKET_LENGTH_TOO_LONG": "the server there does not speak TLS: it may be plain HTTP",
    "RECORD_LAYER_FAILURE": "the server there does not speak TLS: it may be plain HTTP",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it accepts none of our ciphers, or requires a client certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a client certificate, and webhooks are sent without one",
    "TLSV1_UNRECOGNIZED_NAME": "it serves no such host name",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection during the handshake",
    "DH_KEY_TOO_SMALL": "its keys are too short to be accepted",
    "EE_KEY_TOO_SMALL": "its keys are too short to be accepted",
}


def describe_failure(error: ssl.SSLError) -> str:
    """Describe a failed connection, without any words that the other side could have chosen."""
    return f"no TLS connection: {_cause(error)}"


def _cause(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(
            error.verify_code, f"its certificate is not acceptable (OpenSSL's code {error.verify_code})"
        )
    reason: str = getattr(error, "reason", None) or type(error).__name__
    return _REASONS.get(reason, f"the handshake failed ({reason.lower().replace('_', ' ')})")


def ssl_context(ca_file: str) -> ssl.SSLContext | bool:
    """The `ssl` argument of aiohttp: the system's authorities, and those in `ca_file` (PEM) if it is given.

    Raises `HealthError`, which names the setting, if the file can't be read.
    """
    if not ca_file:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        problem = f"{CA_SETTING}: certificates can't be read from {ca_file} ({type(error).__name__})"
        raise HealthError(problem, "Give a file of certificates in PEM form that the process may read") from None
    return context
