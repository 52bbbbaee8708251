"""What a failed TLS handshake means in words that name the option to give."""

import ssl

# X509_V_ERR_* of OpenSSL (x509_vfy.h), which `verify_code` holds.
_VERIFY: dict[int, str] = {
    10: "its certificate has expired: renew it, or give --insecure",
    18: "its certificate is signed by itself alone: give it with --cacert FILE, or --insecure",
    19: "its certificate is signed by an authority that is not trusted here: give its PEM file with "
    "--cacert FILE, or --insecure",
    20: "its certificate is signed by an authority that is not trusted here: give its PEM file with "
    "--cacert FILE, or --insecure",
    62: "its certificate is for another name: use the name that it holds (with --resolve where that does "
    "not resolve), or give --insecure",
    64: "its certificate is not for this address: use the name that it holds (with --resolve where that "
    "does not resolve), or give --insecure",
}
_UNVERIFIED = "its certificate does not verify ({}): give its authority with --cacert FILE, or --insecure"

_WANTS_CERTIFICATE = "it asks for a client certificate: give one with --cert FILE (and --key FILE)"
_REFUSES_CERTIFICATE = "it does not accept the client certificate{}: give another with --cert FILE"
_NOT_TLS = "it does not speak TLS on this port: type http:// instead of https://"
_VERSION = "it speaks no version of TLS that is accepted here (1.2 or later)"
# By `reason`, the name of OpenSSL's error or of the alert that the server sent (RFC 8446 6.2).
_REASONS: dict[str, str] = {
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSION,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _WANTS_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": _REFUSES_CERTIFICATE.format(", whose authority it does not know"),
    "SSLV3_ALERT_BAD_CERTIFICATE": _REFUSES_CERTIFICATE.format(""),
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _REFUSES_CERTIFICATE.format(""),
    "SSLV3_ALERT_CERTIFICATE_REVOKED": _REFUSES_CERTIFICATE.format(", which was revoked"),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _REFUSES_CERTIFICATE.format(", which has expired"),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _REFUSES_CERTIFICATE.format(""),
    # TLS 1.2 has no alert of its own for a certificate that is missing.
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it broke the handshake off: it may ask for a client certificate "
    "(--cert FILE), or share no cipher",
    "TLSV1_UNRECOGNIZED_NAME": "it serves no such name: see the host in the URL",
}


def tls_fault(error: ssl.SSLError, host: str) -> str:
    """One sentence on why TLS with a server failed, with the next step where one is known."""
    return f"TLS with {host} failed: {_why(error)}"


def _why(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, _UNVERIFIED.format(error.verify_message))
    reason = error.reason or ""
    return _REASONS.get(reason) or reason.replace("_", " ").lower() or str(error)
