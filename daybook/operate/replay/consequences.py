"""What a consumer may set going: the effects on the world outside that lie downstream of what it emits."""

from collections.abc import Mapping

from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer
from daybook.operate.subscriptions import Subscriptions, published_source


def effects_of(connection: Connection, consumer: Consumer, known: Mapping[str, Consumer]) -> list[Consumer]:
    """The effects that may follow from what the consumer emits, at once or by way of other consumers, by their names.

    The consumer itself is among them only where it follows from itself.
    """
    subscriptions = Subscriptions.of(connection)
    waiting, seen, found = list(consumer.emits), set(consumer.emits), {}
    while waiting:
        event_type = waiting.pop()
        for name in subscriptions.consumers(published_source(event_type), event_type):
            if name not in known:
                continue
            follower = known[name]
            if follower.kind == "effect":
                found[name] = follower
            new = [each for each in follower.emits if each not in seen]
            seen.update(new)
            waiting += new
    return [found[name] for name in sorted(found)]
