"""Keep the last status of each device, and its readings of the last hour, minute by minute."""

from daybook.consumers.view import SetIfNewer, view
from daybook.contracts import clock
from events.equipment import EquipmentStatusReported
from events.vitals import rounded_to_places
from functions.equipment.interpretation import charge
from functions.equipment.tracking import DeviceMinute, DeviceStatus, minute_id


@view(EquipmentStatusReported)
def handler(report: EquipmentStatusReported) -> list[SetIfNewer]:
    measured_at = clock.timestamp(report.measured_at)
    values = {
        reading.code: {
            "value": None if reading.value is None else rounded_to_places(reading.value),
            "unit": reading.unit,
        }
        for reading in report.readings
        if reading.code not in DeviceStatus.attributes()
    }
    status = DeviceStatus(
        device_id=report.device_id,
        status=report.status,
        battery=charge(report),
        measured_at=measured_at,
        type=report.type,
        ward=report.ward,
        udi=report.udi,
        serial=report.serial,
    )
    minute = DeviceMinute(
        minute_id=minute_id(report.device_id, report.measured_at),
        status=report.status,
        battery=charge(report),
        measured_at=measured_at,
        readings=values,
    )
    latest = {code: {**reading, "measured_at": measured_at} for code, reading in values.items()}
    return [
        SetIfNewer(DeviceStatus, status.device_id, order=measured_at, fields={**status.given, **latest}),
        SetIfNewer(DeviceMinute, minute.minute_id, order=measured_at, fields=minute.given),
    ]
