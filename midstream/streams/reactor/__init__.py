"""The only place of the streams that touches sockets: connections, with one epoll that reads them all."""

from midstream.streams.exchange import Observed
from midstream.streams.reactor.reactor import Reactor

__all__ = ["Observed", "Reactor"]
