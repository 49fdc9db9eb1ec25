"""The exceptions that users see."""


class DualadError(Exception):
    """A mistake in the input or the set-up that the user can put right.

    The message names the file, configuration key or image at fault and says what to do about it;
    workflow scripts and the command line print it alone, without a traceback, and exit with 1.
    """


class DivergedError(DualadError):
    """No training attempt came to anything: a result in itself where settings are compared."""
