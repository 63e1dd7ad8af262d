"""Seconds and bytes as people read them, and numbers as other programs do."""

from decimal import Decimal


def seconds(amount: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if amount < 10:
        return f"{amount:.1f} s"
    whole = round(amount)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(amount: float) -> str:
    """``512 B``, ``1.5 MiB``, ``13.4 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def plain(number: float) -> str:
    """``15``, ``0.00001``, ``1234567``: every digit, and never an exponent, which Argo's durations do not know."""
    return format(Decimal(repr(number)).normalize(), "f")
