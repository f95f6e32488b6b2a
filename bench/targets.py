"""Measured figures and their targets. A missed target is reported, not an error."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with its maximum or minimum."""

    what: str
    figure: float
    maximum: float | None = None
    minimum: float | None = None
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is within its limits."""
        return (self.maximum is None or self.figure <= self.maximum) and (
            self.minimum is None or self.figure >= self.minimum
        )

    def __str__(self) -> str:
        limit = f"at most {self.maximum}" if self.maximum is not None else f"at least {self.minimum}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.figure:.3g}{unit}  (target: {limit}; {'reached' if self.reached else 'missed'})"
