"""Monitor a device that is in use: from now on silence raises an alarm."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts import clock
from events.equipment import EquipmentRegistered, SilenceCheckDue
from functions.equipment.watch import Watch


@reaction(EquipmentRegistered, emits=(SilenceCheckDue,))
def handler(device: EquipmentRegistered, work: Work) -> None:
    watch = work.read(Watch, device.device_id)
    if device.revision <= watch.revision:
        return
    registered = watch.evolve(stage="registered", revision=device.revision, type=device.type, ward=device.ward)
    if watch.stage == "registered" and watch.reports_every == device.reports_every:
        work.save(registered)
        return
    # A new chain of timers. A timer of the chain before may still fire; check_silence ignores it.
    registered_at = clock.moment(work.cause.recorded_at)
    last_seen_at = max(watch.last_seen_at or registered_at, registered_at)
    chain = watch.timer_chain + 1
    monitored = registered.evolve(reports_every=device.reports_every, timer_chain=chain, last_seen_at=last_seen_at)
    work.save(monitored)
    check = SilenceCheckDue(device_id=device.device_id, timer_chain=chain)
    work.schedule(check, last_seen_at + monitored.longest_silence)
