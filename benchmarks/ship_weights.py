"""Write the checkpoint of a run as weights that come with the program: without the state of the optimizer.

python benchmarks/ship_weights.py RUN/checkpoints/best_model.pth src/runs/weights/synthetic.pth
"""

import argparse
from dataclasses import replace
from pathlib import Path

from last.runs.checkpoint import read_checkpoint, save_checkpoint


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="of the run")
    parser.add_argument("out", type=Path, help="the file to write")
    given = parser.parse_args()
    checkpoint = read_checkpoint(given.checkpoint)
    if checkpoint.ema:
        raise SystemExit("The run averaged its weights: ship a run without ema.decay.")
    places = replace(checkpoint.config, data_root="./data", output_root="./runs", input_roots=[])
    save_checkpoint(
        given.out, replace(checkpoint, optimizer={}, scheduler={}, scaler={}, window={}, guard={}, config=places)
    )
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, {checkpoint.metrics.get('test_top1'):.2f} % top-1")  # noqa: T201


if __name__ == "__main__":
    main()
