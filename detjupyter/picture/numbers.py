"""Format numbers for people; ``labextension/live/format.ts`` writes the same forms."""

from __future__ import annotations

import math


def format_value(x: float) -> str:
    """Return ``x`` with about four significant digits."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    magnitude = abs(x)
    if magnitude < 1e-4 or magnitude >= 1e6:
        mantissa, exponent = f"{x:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    if x == int(x):
        return str(int(x)).replace("-", "−")
    decimals = min(6, max(0, 3 - math.floor(math.log10(magnitude))))
    return f"{x:.{decimals}f}".replace("-", "−")


def format_count(n: float) -> str:
    """Return a count with commas between the thousands, as in all messages."""
    return f"{round(n):,}"


def format_bytes(n: float) -> str:
    """Return ``n`` bytes in decimal units, as disks and the upload limit count them."""
    units = ("B", "kB", "MB", "GB", "TB")
    unit = 0
    while n >= 999.5 and unit < len(units) - 1:
        n /= 1000
        unit += 1
    return f"{n:.0f} {units[unit]}" if unit == 0 or n >= 99.5 else f"{n:.1f} {units[unit]}"


def format_duration(s: float) -> str:
    """Return a time span of ``s`` seconds in its two largest units."""
    if not math.isfinite(s):
        return "–"
    if s < 10:
        return f"{max(0.0, s):.1f} s"
    minutes, seconds = divmod(round(s), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
