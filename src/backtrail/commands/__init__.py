"""Commands of the command line, a module per group; each is a thin call of a library function."""

from backtrail.commands.archives import add_archive_command
from backtrail.commands.cross_check import add_cross_check_command
from backtrail.commands.data import add_data_commands
from backtrail.commands.exports import add_export_commands
from backtrail.commands.finding import add_finding_commands
from backtrail.commands.history import add_history_commands
from backtrail.commands.holdout import add_holdout_commands
from backtrail.commands.reports import add_report_commands
from backtrail.commands.tags import add_tag_command
from backtrail.commands.tending import add_tending_commands

__all__ = [
    "add_archive_command",
    "add_cross_check_command",
    "add_data_commands",
    "add_export_commands",
    "add_finding_commands",
    "add_history_commands",
    "add_holdout_commands",
    "add_report_commands",
    "add_tag_command",
    "add_tending_commands",
]
