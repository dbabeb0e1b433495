"""Mutual TLS between servers, from certificate, key and CA files."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from oarlock.transport.log import logger


class TlsError(Exception):
    """A certificate, key or CA file cannot be used; the text names the file."""


@dataclass(frozen=True, slots=True)
class PeerTls:
    """Where a server's TLS files are, all in PEM.

    With `ca_file`, both sides must show a certificate that this CA has signed. Without, the answering side is
    verified against the system's CAs and the dialling side is not asked for a certificate.
    """

    cert_file: str
    """This server's certificate chain, shown when it dials and when it answers."""
    key_file: str
    """The private key of `cert_file`, not encrypted."""
    ca_file: str | None = None
    """The CAs that both sides' certificates must come from."""
    verify_host_name: bool = True
    """Whether the answering side's certificate must name the host that was dialled."""


class TlsContexts:
    """The contexts for dialling and answering; files that were replaced are read anew, as etcd does.

    Raises:
        TlsError: At construction, a file is missing or unusable. Later a bad replacement is only logged, and the
            contexts stay as they were.
    """

    def __init__(self, tls: PeerTls) -> None:
        self._tls = tls
        self._versions = self._read_versions()
        self._client, self._server = _load(tls)

    def client(self) -> ssl.SSLContext:
        """Give the context for dialling."""
        self._refresh()
        return self._client

    def server(self) -> ssl.SSLContext:
        """Give the context for answering."""
        self._refresh()
        return self._server

    def _refresh(self) -> None:
        versions = self._read_versions()
        if versions == self._versions:
            return
        self._versions = versions
        try:
            self._client, self._server = _load(self._tls)
        except TlsError as error:
            logger.warning("replaced TLS files are not usable, the former ones stay in force: %s", error)
        else:
            logger.info("TLS files were replaced and are in force")

    def _read_versions(self) -> list[tuple[int, int] | None]:
        """Tell one content of the files from another, by time of change and size."""
        versions: list[tuple[int, int] | None] = []
        for file in (self._tls.cert_file, self._tls.key_file, self._tls.ca_file):
            try:
                status = Path(file).stat() if file is not None else None
            except OSError:
                status = None
            versions.append((status.st_mtime_ns, status.st_size) if status is not None else None)
        return versions


def _load(tls: PeerTls) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = tls.verify_host_name
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (client, server):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load_certificate(context, tls)
    if tls.ca_file is None:
        client.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return client, server
    for context in (client, server):
        _load_authorities(context, tls.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return client, server


def _load_certificate(context: ssl.SSLContext, tls: PeerTls) -> None:
    _check_readable("certificate", tls.cert_file)
    _check_readable("private key", tls.key_file)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_refuse_password(tls.key_file))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(
                f"TLS private key file {tls.key_file} does not belong to certificate file {tls.cert_file}"
            ) from error
        raise TlsError(
            f"TLS certificate file {tls.cert_file} or private key file {tls.key_file} is not valid PEM: {error}"
        ) from error


def _load_authorities(context: ssl.SSLContext, ca_file: str) -> None:
    _check_readable("CA", ca_file)
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise TlsError(f"TLS CA file {ca_file} holds no valid PEM certificate: {error}") from error


def _check_readable(what: str, file: str) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise TlsError(f"TLS {what} file {file} cannot be read: {error.strerror}") from error


def _refuse_password(key_file: str) -> Callable[[], str]:
    """Keep OpenSSL from asking for a password on the terminal."""

    def refuse() -> NoReturn:
        raise TlsError(f"TLS private key file {key_file} is encrypted; a key without a password is needed")

    return refuse
