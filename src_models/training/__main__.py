"""``python -m src_models.training CONFIG.toml --data ROOT --out RUN``: train, or go on with a killed run."""

from __future__ import annotations

import argparse
from pathlib import Path

from src_models.training.config import TrainConfig
from src_models.training.trainer import Trainer


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m src_models.training", description=__doc__)
    parser.add_argument("config", type=Path, help="TOML file, see TrainConfig")
    parser.add_argument("--data", type=Path, required=True, help="folder the data folders are relative to")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    args = parser.parse_args()
    Trainer(TrainConfig.from_toml(args.config), args.data, args.out).run()


if __name__ == "__main__":
    main()
