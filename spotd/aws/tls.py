"""One TLS context for every client.

Botocore reads the bundle of certificate authorities anew for each client: 45 ms of blocked loop and 0.7 MB, times
every region and service.
"""

import ssl
from functools import partial
from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import create_urllib3_context, get_cert_path

Verify = bool | str
"""What botocore is told about certificates: whether to check them, or the bundle to check them with."""
USUAL: Final = True


class SharedTls:
    """Makes the HTTP sessions of clients, which share a context for each bundle."""

    def __init__(self) -> None:
        self._contexts: dict[Verify, ssl.SSLContext] = {}

    def prepare(self) -> None:
        """Read the usual bundle; takes its 45 ms in whatever thread calls it."""
        self.context(USUAL)

    def context(self, verify: Verify) -> ssl.SSLContext | bool:
        """Return the context for a bundle, False where certificates are not checked."""
        if not verify:
            return False
        if verify not in self._contexts:
            context = create_urllib3_context()
            context.load_verify_locations(get_cert_path(verify))
            self._contexts[verify] = context
        return self._contexts[verify]

    @property
    def session_class(self) -> Any:
        """What botocore calls to make a client's HTTP session."""
        return partial(_Session, self)


class _Session(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    def __init__(self, tls: SharedTls, **settings: Any) -> None:
        super().__init__(**settings)
        self._tls = tls

    def _create_connector(self, proxy_url: str | None) -> aiohttp.TCPConnector:
        """A proxy or a client certificate needs a context of its own."""
        if proxy_url is not None or self._cert_file is not None:
            connector: aiohttp.TCPConnector = super()._create_connector(proxy_url)
            return connector
        return aiohttp.TCPConnector(
            limit=self._max_pool_connections, ssl=self._tls.context(self._verify), **self._connector_args
        )
