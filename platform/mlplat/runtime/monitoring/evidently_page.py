"""Pages of Evidently's, made where Evidently is: a program of its own that imports nothing of mlplat.

python evidently_page.py FOLDER '["2013-06-03", …]'     reference.parquet and <name>.parquet to <name>.html
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, names: list[str]) -> None:
    """Write the page of each window."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    reference = pd.read_parquet(folder / "reference.parquet")
    for name in names:
        current = pd.read_parquet(folder / f"{name}.parquet")
        # A column without any value has no distribution, and stops the whole page.
        held = [column for column in reference if reference[column].notna().any() and current[column].notna().any()]
        made = Report([DataDriftPreset(), DataSummaryPreset()]).run(current[held], reference[held])
        made.save_html(str(folder / f"{name}.html"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
