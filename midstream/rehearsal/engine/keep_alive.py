"""Connections whose keep-alive timeout is over just as their next request comes."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class StaleKeepAlive(HttpToolsProtocol):
    """Closes a kept connection instead of answering on it.

    Every server that ends idle connections does that now and then (vLLM after 5.0 s, facts 1): its FIN
    crosses a request on its way, which the client has to send again (RFC 9112, 9.3.1). Here always.
    """

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, unless they are the first ones after an answer."""
        if self.timeout_keep_alive_task is None:
            super().data_received(data)
        else:
            self.timeout_keep_alive_task.cancel()
            self.transport.close()
