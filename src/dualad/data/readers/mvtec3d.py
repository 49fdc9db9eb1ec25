"""MVTec 3D-AD: `{train,validation,test}/<class>/{rgb,xyz,gt}`.

The modality `depth` reads the coordinate images in `xyz`. One range of depths is scaled for the
whole dataset, so that distances stay comparable between images: from the smallest 0.5 % quantile
to the largest 99.5 % quantile of the valid points of any normal training image. Quantiles keep
stray points of the sensor from setting the scale. The shipped validation and test images have no
say in it; under the protocol `pooled`, training images that become test images do.
"""

from pathlib import Path

from dualad.data.formats import UnreadableImageError
from dualad.data.images import (
    DepthFile,
    ImageFile,
    ImageSource,
    depth_quantiles,
)
from dualad.data.options import Reader, Request
from dualad.data.readers.image_files import (
    files_in,
    folders_in,
    images_with_masks,
    is_normal,
    relative,
)
from dualad.data.readers.mvtec import category_root
from dualad.data.records import GOOD, Listing, OfficialSplit, Record
from dualad.design.datasets import Mvtec3dEntry

_SPLITS: dict[str, OfficialSplit] = {"train": "train", "validation": "val", "test": "test"}
_QUANTILES = (0.005, 0.995)


def _scan(request: Request) -> Listing:
    root = category_root(request)
    is_depth = request.options["modality"] == "depth"
    depth_range = _depth_range(request, root) if is_depth else None
    records = []
    for folder_name, split in _SPLITS.items():
        for folder in folders_in(root / folder_name):
            anomalous = not is_normal(folder)
            images = images_with_masks(
                folder / ("xyz" if is_depth else "rgb"), anomalous, [folder / "gt"]
            )
            for path, mask in images:
                image: ImageSource = (
                    DepthFile(path, depth_range) if depth_range else ImageFile(path)
                )
                records.append(
                    Record(
                        source=relative(path, root),
                        image=image,
                        official_split=split,
                        label=int(anomalous),
                        defect=folder.name if anomalous else GOOD,
                        mask=mask,
                    )
                )
    return Listing(records, depth_range=depth_range)


def _depth_range(request: Request, root: Path) -> tuple[float, float] | None:
    """Measure the range of depths to scale; None if there are no training images."""
    files = files_in(root / "train" / GOOD / "xyz")
    quantiles = []
    for path in files:
        try:
            found = depth_quantiles(path, _QUANTILES)
        except UnreadableImageError:
            # Decoding reports it, and knows whether it may be skipped.
            continue
        if found is not None:
            quantiles.append(found)
    if not quantiles:
        if files:
            raise request.error(
                f"no valid depth in any image of {files[0].parent}; are these coordinate TIFFs?"
            )
        return None
    low = min(low for low, _ in quantiles)
    high = max(high for _, high in quantiles)
    if not low < high:
        raise request.error(f"every valid point of {root / 'train'} has the same depth {low}")
    return low, high


READER = Reader(
    name="mvtec3d",
    scan=_scan,
    entry=Mvtec3dEntry,
    expected="train/good/{rgb,xyz}, validation/good/{rgb,xyz} and test/<class>/{rgb,xyz,gt}",
)
