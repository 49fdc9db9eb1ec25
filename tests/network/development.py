"""A split of images that are developed with: no test images."""

from dualad.data.split import Protocol, Split


def development_split(
    train: int, normal: int, anomalous: int = 0, *, protocol: Protocol = "paper"
) -> Split:
    """The first `train` images, then `normal` and `anomalous` ones to validate on."""
    end = train + normal
    return Split(
        protocol=protocol,
        seed=0,
        reshuffle=protocol != "official",
        validation_fraction=0.2,
        test=(),
        train=tuple(range(train)),
        validation_normal=tuple(range(train, end)),
        validation_anomalous=tuple(range(end, end + anomalous)),
    )
