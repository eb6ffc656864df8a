"""TLS to a vendor: who is trusted, and what to say where it fails."""

from __future__ import annotations

import ssl

_CERTIFICATE = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate's issuer is self-signed and not trusted",
    20: "the certificate's issuer is not trusted",
    21: "the certificate's issuer is not trusted",
    62: "the certificate is for another name",
    64: "the certificate is for another name",
}
"""X509_V_ERR_… of OpenSSL. Its own words would repeat the name of the host."""
_REASONS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer wants a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer ended it: it may want a client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not accept the client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer does not accept the client certificate: expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the peer does not accept the client certificate: revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust the client certificate's issuer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer speaks no TLS of 1.2 or newer",
    "UNSUPPORTED_PROTOCOL": "the peer speaks no TLS of 1.2 or newer",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "the peer does not speak TLS",
    "HTTP_REQUEST": "the peer does not speak TLS",
}


def system_trust() -> ssl.SSLContext:
    """The system's trust store: names are checked, TLS 1.2 is the least."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def told(error: ssl.SSLError, peer: str = "the vendor") -> str:
    """Why TLS with ``peer`` failed, without an address or a name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATE.get(error.verify_code, "the certificate is not accepted")
    else:
        why = _REASONS.get(error.reason or "", "")
    return f"TLS with {peer} failed: {why}" if why else f"TLS with {peer} failed"
