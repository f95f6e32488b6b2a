"""Watch a device that is in use: from now on its silence is noticed."""

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
    known = watch.evolve(stage="registered", revision=device.revision, type=device.type, ward=device.ward)
    if watch.stage == "registered" and watch.reports_every == device.reports_every:
        work.save(known)
        return
    # The timer that may be armed belongs to the round before, and ends that.
    begun = clock.moment(work.cause.recorded_at)
    alive = max(watch.alive or begun, begun)
    watched = known.evolve(reports_every=device.reports_every, round=watch.round + 1, alive=alive)
    work.save(watched)
    work.schedule(SilenceCheckDue(device_id=device.device_id, round=watched.round), alive + watched.patience)
