"""Puts the labels and the agent's submission side by side."""

import argparse
import os
import shutil
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
write(Path(arguments.agent_data_mount_dir) / "test_with_labels" / "rows.csv", rows[140:180], ["number", "parity"])
submission = os.path.join(arguments.agent_log_dir, "submission.csv")
shutil.copy2(submission, os.path.join(arguments.agent_data_mount_dir, "submission.csv"))
