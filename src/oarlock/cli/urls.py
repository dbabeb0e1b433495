"""URLs and member lists as etcd writes them."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from oarlock.cli.flags import FlagError


class Url(msgspec.Struct, frozen=True, order=True):
    """An address with a scheme; the text is as it was given, for others to see."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, to connect to."""
        return self.host, self.port

    @property
    def bind_address(self) -> tuple[str, int]:
        """Host and port, to listen on: localhost means 127.0.0.1, as it does for a Go program."""
        return ("127.0.0.1" if self.host == "localhost" else self.host), self.port

    @property
    def bind_url(self) -> str:
        """The same as a URL."""
        host, port = self.bind_address
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def parse_url(text: str, where: str) -> Url:
    """Read one URL.

    Args:
        text: Such as `http://10.0.0.1:2380`.
        where: The flag, for messages.

    Raises:
        FlagError: It is not one, or of a kind that cannot be used here.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise FlagError(f"{where}: {text!r} is not a URL: {error}") from None
    if parts.scheme in ("unix", "unixs"):
        raise FlagError(f"{where}: {text}: unix sockets are not supported; use http or https")
    if parts.scheme not in ("http", "https"):
        raise FlagError(f"{where}: {text!r} must begin with http:// or https://")
    if not parts.hostname or port is None:
        raise FlagError(f"{where}: {text!r} must have the form {parts.scheme}://HOST:PORT")
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise FlagError(f"{where}: {text!r} must hold nothing behind or before host and port")
    return Url(text, parts.scheme, parts.hostname, port)


def parse_urls(text: str, where: str) -> tuple[Url, ...]:
    """Read URLs separated by commas; they are sorted, as etcd sorts them.

    Raises:
        FlagError: There is none, or one of them cannot be used.
    """
    urls = [parse_url(part.strip(), where) for part in text.split(",") if part.strip()]
    if not urls:
        raise FlagError(f"{where} needs at least one URL")
    return tuple(sorted(urls, key=lambda url: url.text))


def check_can_bind(urls: tuple[Url, ...], where: str) -> None:
    """Listening takes an IP address or localhost, as with etcd: a name could mean another machine.

    Raises:
        FlagError: A host is a name.
    """
    for url in urls:
        if url.host == "localhost":
            continue
        try:
            ipaddress.ip_address(url.host)
        except ValueError:
            raise FlagError(f"{where}: {url.text}: listening needs an IP address or localhost") from None


def parse_cluster(text: str) -> dict[str, tuple[Url, ...]]:
    """Read `--initial-cluster`; a name given several times has several URLs.

    Raises:
        FlagError: An item is not NAME=URL.
    """
    where = "--initial-cluster"
    members: dict[str, list[Url]] = {}
    for item in text.split(","):
        if not item.strip():
            continue
        name, equals, url = item.strip().partition("=")
        if not equals or not name or not url:
            raise FlagError(f"{where}: {item.strip()!r} must have the form NAME=PEER-URL")
        members.setdefault(name, []).append(parse_url(url, where))
    if not members:
        raise FlagError(f"{where} names no member")
    return {name: tuple(sorted(urls, key=lambda url: url.text)) for name, urls in members.items()}
