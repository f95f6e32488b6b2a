"""How each device is, and how the last hour went."""

from daybook.consumers.view import SetIfNewer, view
from daybook.contracts import clock
from events.equipment import EquipmentStatusReported
from functions.equipment.tracking import DeviceMinute, DeviceStatus, place_of


@view(EquipmentStatusReported)
def handler(report: EquipmentStatusReported) -> list[SetIfNewer]:
    measured_at = clock.timestamp(report.measured_at)
    values = {reading.code: {"value": reading.value, "unit": reading.unit} for reading in report.readings}
    state = {"status": report.status, "battery": report.battery, "measured_at": measured_at}
    device = {"type": report.type, "ward": report.ward, "udi": report.udi, "serial": report.serial}
    latest = {code: {**told, "measured_at": measured_at} for code, told in values.items()}
    minute = place_of(report.device_id, report.measured_at)
    return [
        SetIfNewer(DeviceStatus, report.device_id, order=measured_at, fields={**state, **device, **latest}),
        SetIfNewer(DeviceMinute, minute, order=measured_at, fields={**state, "readings": values}),
    ]
