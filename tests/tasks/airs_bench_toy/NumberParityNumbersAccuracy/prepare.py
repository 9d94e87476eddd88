"""Makes the folders of the agent from the shared raw data."""

import argparse
import os
import sys
from pathlib import Path

from utils import read, write

parser = argparse.ArgumentParser()
parser.add_argument("--global-shared-data-dir", required=True)
parser.add_argument("--agent-data-mount-dir", required=True)
parser.add_argument("--agent-log-dir")
arguments = parser.parse_args()
for folder in (arguments.global_shared_data_dir, arguments.agent_data_mount_dir, arguments.agent_log_dir):
    if folder is not None and not os.path.isdir(folder):
        sys.exit(1)

rows = read(Path(arguments.global_shared_data_dir) / "example" / "numbers" / "rows.csv")
mount = Path(arguments.agent_data_mount_dir)
write(mount / "train" / "rows.csv", rows[:100], ["number", "parity"])
write(mount / "validation" / "rows.csv", rows[100:140], ["number", "parity"])
write(mount / "test" / "rows.csv", rows[140:180], ["number"])
