"""How each device is, and how the last hour went."""

from daybook.consumers.view import SetIfNewer, view
from daybook.contracts import clock
from events.equipment import EquipmentStatusReported
from functions.equipment.tracking import DeviceMinute, DeviceStatus, place_of


@view(EquipmentStatusReported)
def handler(report: EquipmentStatusReported) -> list[SetIfNewer]:
    measured_at = clock.timestamp(report.measured_at)
    values = {reading.code: {"value": reading.value, "unit": reading.unit} for reading in report.readings}
    status = DeviceStatus(
        device_id=report.device_id,
        status=report.status,
        battery=report.battery,
        measured_at=measured_at,
        type=report.type,
        ward=report.ward,
        udi=report.udi,
        serial=report.serial,
    )
    minute = DeviceMinute(
        place=place_of(report.device_id, report.measured_at),
        status=report.status,
        battery=report.battery,
        measured_at=measured_at,
        readings=values,
    )
    latest = {code: {**told, "measured_at": measured_at} for code, told in values.items()}
    return [
        SetIfNewer(DeviceStatus, status.device_id, order=measured_at, fields={**status.given, **latest}),
        SetIfNewer(DeviceMinute, minute.place, order=measured_at, fields=minute.given),
    ]
