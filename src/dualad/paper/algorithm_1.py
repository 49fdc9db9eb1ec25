"""Algorithm 1 of the paper: the batch size of highest AUROC by halving and bisection.

The search itself knows nothing of training: it asks a function for the AUROC of a batch size.
"""

from collections.abc import Callable

from dualad.errors import DualadError
from dualad.results.batch_search import BatchSearch, Evaluation

CLOSE_AUROC = 0.01
"""Line 22 of the listing: best and alternative closer than this, one per cent, end the search."""


def search_batch_size(
    n_images: int,
    auroc: Callable[[int], float],
    *,
    max_batch: int | None = None,
    epsilon: int = 10,
    start_limit: int = 2000,
) -> BatchSearch:
    """Search a batch size of high AUROC by Algorithm 1.

    From N / 2 on, batch sizes are halved while the AUROC rises. Then the gap between the best size
    and the better one of its two neighbours is bisected until they are close, either in size or in
    AUROC.

    The listing is read so that it retraces Tables 4 and 5:

    - halves are rounded down (65.5 becomes 65 in Table 4);
    - sizes above `start_limit` are halved without being evaluated (section 3.3.2, Table 5);
    - line 9 names one neighbour twice: the other one is B_(i-1), for Table 4 goes on between 65
      and 131. On a tie between the two, the smaller size is the alternative;
    - a size replaces the best one only if its AUROC is higher (line 16): Table 4 keeps 98, not 81;
    - line 22 compares percentages: it ends Table 4 at 81 and Table 5 at 357, where the sizes are
      17 and 7 apart. Line 14, the distance of the sizes, is tested before each bisection.

    The listing is silent on the ends. Where the AUROC rises down to a batch of 1, that is the best
    so far and B_(i-1) its only neighbour; where it falls at once, B_2 is. Without any neighbour the
    search is over.

    Parameters
    ----------
    n_images
        Number of all images of the dataset, at least 1.
    auroc
        AUROC of a batch size, a fraction in [0, 1]; called once per batch size.
    max_batch
        Number of images that are trained on; larger sizes are halved like those above
        `start_limit`.
    epsilon
        Distance of two batch sizes, in images, under which the gap is not bisected any more.
    start_limit
        Largest batch size that is evaluated.

    Returns
    -------
    BatchSearch
        At most about 2 log2(N) evaluations, each of another batch size in [1, N / 2] (N = 1 is
        given a batch of 1).

    Raises
    ------
    DualadError
        If a setting is below 1, or `auroc` returns no fraction.
    """
    _check_settings(
        n_images=n_images, max_batch=max_batch, epsilon=epsilon, start_limit=start_limit
    )
    steps: list[Evaluation] = []

    def evaluate(batch_size: int, origin: str) -> float:
        found = float(auroc(batch_size))
        if not 0 <= found <= 1:
            raise DualadError(
                f"batch_search: the AUROC of batch size {batch_size} is {found}; "
                "it has to be a fraction between 0 and 1"
            )
        steps.append(Evaluation(batch_size, found, origin))
        return found

    limit = min(start_limit, max_batch or start_limit)
    size, origin = max(n_images // 2, 1), f"{n_images} / 2"
    while size > limit:
        steps.append(Evaluation(size, None, origin))
        size, origin = size // 2, f"{size} / 2"
    best, best_auroc, neighbours = _halve(size, evaluate(size, origin), evaluate)
    if neighbours:
        alternative = max(neighbours, key=neighbours.__getitem__)
        _bisect(best, best_auroc, alternative, epsilon, evaluate)
    return BatchSearch(n_images, max_batch, epsilon, start_limit, tuple(steps))


def _check_settings(**settings: int | None) -> None:
    """Raise a `DualadError` for a setting below 1."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise DualadError(f"batch_search: {name} is {value}; set it to at least 1")


def _halve(
    best: int, best_auroc: float, evaluate: Callable[[int, str], float]
) -> tuple[int, float, dict[int, float]]:
    """Halve a batch size while the AUROC rises.

    Parameters
    ----------
    best, best_auroc
        The first size, in images, and its AUROC.
    evaluate
        Takes a size and where it comes from; returns the AUROC.

    Returns
    -------
    tuple
        The best size, its AUROC, and the AUROC of each of its neighbours, the smaller size first,
        so that `max` takes it on a tie.
    """
    neighbours: dict[int, float] = {}
    while best > 1:
        half = best // 2
        half_auroc = evaluate(half, f"{best} / 2")
        if half_auroc <= best_auroc:
            return best, best_auroc, {half: half_auroc, **neighbours}
        neighbours = {best: best_auroc}
        best, best_auroc = half, half_auroc
    return best, best_auroc, neighbours


def _bisect(
    best: int,
    best_auroc: float,
    alternative: int,
    epsilon: int,
    evaluate: Callable[[int, str], float],
) -> None:
    """Lines 14 to 25: bisect the gap between the best size and its better neighbour."""
    # Between neighbouring integers there is nothing left to try, whatever epsilon is.
    while abs(alternative - best) >= max(epsilon, 2):
        middle = (best + alternative) // 2
        middle_auroc = evaluate(middle, f"({best} + {alternative}) / 2")
        difference = abs(middle_auroc - best_auroc)
        if middle_auroc > best_auroc:
            alternative = best
            best, best_auroc = middle, middle_auroc
        else:
            alternative = middle
        if difference < CLOSE_AUROC:
            break
