"""Finding the store of a data set, and saying what to do where there is none."""

from dataclasses import replace
from pathlib import Path

from ..skeleton import Layout
from ..utils.config import data_layer, merge, section_layer
from ..utils.errors import UserError
from .config import DataConfig
from .store import Store, open_store
from .store_format import HEADER_FILE


def find_store(config: DataConfig, data_root: Path, verify: bool = True) -> Store:
    """Open the store of a data set: `<data_root>/<name>`, one folder deeper, or the larger set it is drawn from.

    A store one folder deeper is found too, because hosted data sets are mounted as `<data_root>/<mount>/<name>`.

    `verify` compares the checksums of its files.

    Raises:
        UserError: there is no store; the message says where it was looked for, how to get the data and how to go
            on without. Or the store is damaged or does not fit the configuration.
    """
    names = [name for name in (config.name, config.drawn_from) if name]
    for name in names:
        for folder in (data_root / name, *sorted(data_root.glob(f"*/{name}"))):
            if (folder / HEADER_FILE).exists():
                return _fitting(open_store(folder, verify), config)
    looked = ", ".join(str((data_root / name).absolute()) for name in names)
    remedy = config.how_to_get.strip() or "Prepare it with: python scripts/preprocess.py --dataset YAML --raw DIR"
    raise UserError(
        f"There is no prepared data set {config.name!r}. Looked for a {HEADER_FILE} in {looked}, and one folder "
        f"deeper.\n{remedy}\nTo try everything without a download:\n"
        "  python scripts/synthesize.py --out data/raw/synthetic --clips 600\n"
        "  python scripts/preprocess.py --dataset synthetic --raw data/raw/synthetic\n"
        "  python scripts/train.py --model nano_e --dataset synthetic --epochs 15"
    )


def _fitting(store: Store, config: DataConfig) -> Store:
    """Return `store` if its layout and classes are those of the configuration, or of the set it is drawn from."""
    expected = config
    if store.name != config.name and store.name == config.drawn_from:
        larger = merge(DataConfig(), [section_layer(data_layer(store.name), "data")])
        expected = replace(config, name=larger.name, classes=larger.classes)
    found = {"data set": store.name, "layout": store.skeleton, "classes": store.classes}
    wanted = {"data set": expected.name, "layout": expected.skeleton, "classes": list(expected.classes)}
    for what, value in found.items():
        if value != wanted[what]:
            raise UserError(
                f"The store {store.path} does not fit the configuration: its {what} {_short(value)}, expected "
                f"{_short(wanted[what])}. Prepare the data again or name the data set it was made for."
            )
    return store


def _short(value: object) -> str:
    text = f"are {value}" if isinstance(value, list) else f"is {value if isinstance(value, Layout) else repr(value)}"
    return text if len(text) < 200 else f"{text[:200]}..."
