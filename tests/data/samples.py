"""Small datasets in the official layouts, made by the tests."""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

SIZE = 16


def pixels(seed: int, shape: tuple[int, ...] = (20, 24)) -> np.ndarray:
    """Random uint8 pixels; different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save_image(path: Path, seed: int, shape: tuple[int, ...] = (20, 24)) -> Path:
    """Write a random image in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, shape)).save(path)
    return path


def save_mask(path: Path, shape: tuple[int, int] = (20, 24)) -> Path:
    """Write a mask whose upper left quarter is anomalous."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[: shape[0] // 2, : shape[1] // 2] = 255
    Image.fromarray(mask).save(path)
    return path


def save_depth(path: Path, depth: np.ndarray) -> Path:
    """Write coordinates as MVTec 3D-AD has them; a missing point is zero in every channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]]
    xyz = np.stack([x - 7.5, y - 7.5, depth], axis=-1).astype(np.float32)
    xyz[depth == 0] = 0
    tifffile.imwrite(path, xyz, photometric="rgb")
    return path


def make_mvtec(root: Path, suffix: str = ".png") -> Path:
    """MVTec AD: 6 training, 2 good and 2 + 1 defective test images with masks."""
    for i in range(6):
        save_image(root / f"train/good/{i:03d}{suffix}", i, (20, 24, 3))
    for i in range(2):
        save_image(root / f"test/good/{i:03d}{suffix}", 10 + i, (20, 24, 3))
    for defect, count in (("crack", 2), ("hole", 1)):
        for i in range(count):
            save_image(root / f"test/{defect}/{i:03d}{suffix}", 20 + i + len(defect), (20, 24, 3))
            save_mask(root / f"ground_truth/{defect}/{i:03d}_mask.png")
    return root
