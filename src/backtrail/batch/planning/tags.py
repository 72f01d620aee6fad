"""Tags in a batch config: labels of runs that no key depends on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import ask_tags
from backtrail.batch.planning.plan import Plan
from backtrail.files import remove_stale, write_json

__all__ = ["tag_runs"]


def tag_runs(
    plan: Plan, store: RunStore, source: str, tags: Mapping[str, Sequence[str]], receipt: Path
) -> None:
    """Take down in the ledger which tags a config asks for, of every run of its plan.

    A run with names of several entries gets the tags of each.

    Args:
        plan: The plan of the config's batch.
        store: The run store.
        source: What the config is called.
        tags: The tags of its entries.
        receipt: Where to write the tags by run key.
    """
    wanted = {
        run.run_key: sorted(
            {tag for name in run.names for tag in tags.get(name.partition("/")[0], ())}
        )
        for run in plan.runs
    }
    ask_tags(store, source, wanted)
    remove_stale(receipt.parent)
    write_json(receipt, {"source": source, "tags": {k: v for k, v in wanted.items() if v}})
