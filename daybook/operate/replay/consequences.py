"""What a consumer may cause: the effects in external systems that lie downstream of the events it emits."""

from collections.abc import Mapping

from daybook.operate.consumers import Consumer
from daybook.operate.subscriptions import Subscriptions, published_source


def effects_of(consumer: Consumer, subscriptions: Subscriptions, deployed: Mapping[str, Consumer]) -> list[Consumer]:
    """The effects that may follow from what the consumer emits, at once or by way of other consumers, by their names.

    The consumer itself is among them only where it follows from itself.
    """
    waiting, seen = list(consumer.emits), set(consumer.emits)
    found: dict[str, Consumer] = {}
    while waiting:
        event_type = waiting.pop()
        names = subscriptions.consumers(published_source(event_type), event_type)
        for follower in (deployed[name] for name in names if name in deployed):
            if follower.kind == "effect":
                found[follower.name] = follower
            waiting += [each for each in follower.emits if each not in seen]
            seen.update(follower.emits)
    return [found[name] for name in sorted(found)]
