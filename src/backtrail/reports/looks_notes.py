"""What a page says of held-out dates that are not, or no longer, unseen."""

from backtrail.reports.looks import HoldoutLooks
from backtrail.reports.rundata import RunRecord
from backtrail.wording import counted

__all__ = ["looks_notes"]


def looks_notes(run: RunRecord, looks: HoldoutLooks) -> tuple[str, ...]:
    """Return what contaminates held-out dates, but for what a look says itself of its number.

    Args:
        run: The run whose page it is.
        looks: Who saw withheld dates.
    """
    strategy = run.identity["strategy"]["entry"]
    notes = []
    if looks.seen:
        notes.append(_seen_words(run, looks, strategy))
    is_second = looks.contaminated and (not looks.seen or looks.count > 1)
    if is_second and run.spec.get("look", 1) <= 1:
        notes.append(
            f"Contaminated: {strategy} has had {counted(looks.count, 'look')} at held-out dates of "
            "this dataset. What it showed there is no longer out of sample, and may have steered "
            "what was tried since."
        )
    return tuple(notes)


def _seen_words(run: RunRecord, looks: HoldoutLooks, strategy: str) -> str:
    """Return how many runs show held-out dates without being looks, and what that means."""
    runs = counted(looks.seen, "run")
    usual = "That is how most strategies are got to know"
    if run.holdout is None and "look" not in run.spec:
        return (
            f"Contaminated: {runs} of {strategy} {_verb(looks.seen)} dates that a search of it "
            f"withheld. {usual}, but for whoever read them these dates are no longer out of sample."
        )
    which = "look" if "look" in run.spec else "search"
    if not looks.before:
        return (
            f"Contaminated: since this {which} began, {runs} of {strategy} showed dates of its "
            f"holdout without being looks. It owes them nothing, but what is tried next may."
        )
    earlier = "all" if looks.before == looks.seen else f"{looks.before:,}"
    kind = "that is no look" if looks.seen == 1 else "that are no looks"
    earlier = "it" if looks.seen == 1 else f"{earlier} of them"
    return (
        f"Contaminated: {runs} of {strategy} {kind} {_verb(looks.seen)} dates of this "
        f"holdout, and {earlier} began before this {which}. {usual}, but a holdout confirms what "
        "was known of it, and tests only what was not."
    )


def _verb(runs: int) -> str:
    return "shows" if runs == 1 else "show"
