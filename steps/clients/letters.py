"""Text of others that can be written down: JSON can say half of a letter, which no file and no page can hold."""


def whole(text: str) -> str:
    """Halves that belong together are joined, as a stream may bring them apart; others become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
