"""What is aimed at, and whether it was reached. A miss is a figure like any other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure, and the most or the least that it should be."""

    what: str
    figure: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is within its limits."""
        return (self.at_most is None or self.figure <= self.at_most) and (
            self.at_least is None or self.figure >= self.at_least
        )

    def __str__(self) -> str:
        limit = f"at most {self.at_most}" if self.at_most is not None else f"at least {self.at_least}"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.figure:.3g}{unit}  (aim: {limit}; {'reached' if self.reached else 'missed'})"
