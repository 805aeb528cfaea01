"""What every store raises when it cannot do what it should."""


class StoreError(Exception):
    """The store's file or server refuses; the text says which and what to do. Nothing was changed then."""
