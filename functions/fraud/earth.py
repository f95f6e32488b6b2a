"""Distances on the earth."""

from math import asin, cos, radians, sin, sqrt
from typing import Final

# Mean radius, GRS 80 (H. Moritz: Geodetic Reference System 1980. Journal of Geodesy 2000;74:128-133).
_RADIUS: Final = 6371.0088  # km

MICRO: Final = 1_000_000  # rows store degrees as whole millionths (about 10 cm)


def kilometres(latitude: int, longitude: int, other_latitude: int, other_longitude: int) -> int:
    """The great-circle distance of two points in microdegrees, to the kilometre: 0 to 20,015.

    By the haversine formula (R. W. Sinnott: Virtues of the haversine. Sky and Telescope 1984;68:159), which also holds
    across the date line. The earth is taken as a sphere: the error is at most 0.6 %.
    """
    south, north = radians(latitude / MICRO), radians(other_latitude / MICRO)
    across = radians((other_longitude - longitude) / MICRO)
    haversine = sin((north - south) / 2) ** 2 + cos(south) * cos(north) * sin(across / 2) ** 2
    # For antipodes, rounding can give slightly more than 1, for which asin is not defined.
    return round(2 * _RADIUS * asin(sqrt(min(1.0, haversine))))
