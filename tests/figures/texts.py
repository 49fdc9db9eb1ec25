"""Where the texts of a figure lie, and which of them overprint."""

import numpy as np
from matplotlib.text import Text


def overprinting(figure, tolerance=1.0):
    """Pairs of texts of a drawn figure that lie over each other by more than some pixels."""
    texts = _drawn_corners(figure)
    low = np.array([corners.min(axis=0) for _, corners in texts])
    high = np.array([corners.max(axis=0) for _, corners in texts])
    near = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low) > tolerance).all(axis=2)
    return [
        (texts[i][0], texts[j][0])
        for i, j in np.argwhere(np.triu(near, 1))
        if _depth(texts[i][1], texts[j][1]) > tolerance
    ]


def outside(figure, tolerance=1.0):
    """Texts that leave the figure."""
    size = np.array([figure.bbox.width, figure.bbox.height])
    return [
        text
        for text, corners in _drawn_corners(figure)
        if (corners < -tolerance).any() or (corners > size + tolerance).any()
    ]


def _drawn_corners(figure):
    """Each visible text with its four corners in pixels, turned as the text is."""
    figure.draw_without_rendering()
    beyond = _beyond_limits(figure)
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in beyond:
            found.append((text.get_text(), _corners(text)))
    return found


def _corners(text):
    angle = text.get_rotation()
    straight = angle % 90 == 0
    assert straight or text.get_rotation_mode() == "anchor"
    text.set_rotation(angle if straight else 0)
    box = text.get_window_extent()
    text.set_rotation(angle)
    corners = np.array([(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)])
    if straight:
        return corners
    pivot = text.get_transform().transform(text.get_position())
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (corners - pivot) @ rotation + pivot


def _beyond_limits(figure):
    """Ticks outside the limits of their axis have texts that are not drawn."""
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high:
                    beyond |= {id(tick.label1), id(tick.label2)}
    return beyond


def _depth(a, b):
    """How far two convex shapes overlap, in pixels: the least shift that would part them."""
    depth = np.inf
    for shape in (a, b):
        edges = np.roll(shape, -1, axis=0) - shape
        for normal in np.column_stack([-edges[:, 1], edges[:, 0]]):
            length = np.linalg.norm(normal)
            if length == 0:
                continue
            first, second = a @ normal / length, b @ normal / length
            depth = min(depth, min(first.max(), second.max()) - max(first.min(), second.min()))
    return depth
