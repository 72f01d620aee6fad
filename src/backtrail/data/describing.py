"""What a new dataset holds and says of itself: its tables and its manifest."""

from collections.abc import Mapping
from typing import Any

from backtrail.data.bundles import BundleConfig
from backtrail.data.identity import content_checksums, dataset_id, table_checksum
from backtrail.data.library_calendars import library_version
from backtrail.data.manifest import DatasetManifest, SymbolRecord
from backtrail.data.membership import Membership
from backtrail.data.session_check import session_summary, symbol_records
from backtrail.data.sessions import Calendar, Sessions
from backtrail.data.storage import DatasetTables
from backtrail.data.stored_sessions import sessions_checksum, sessions_frame
from backtrail.data.survival import survival, universe_summary
from backtrail.data.validation import ValidatedPrices

__all__ = ["describe_dataset"]


def describe_dataset(
    bundle: BundleConfig,
    calendar: Calendar,
    prices: ValidatedPrices,
    membership: Membership | None,
    *,
    sessions_from: str | None = None,
) -> tuple[DatasetTables, DatasetManifest]:
    """Return the tables of a dataset and its manifest, without what is known of its source.

    Args:
        bundle: For which it is made.
        calendar: Its trading calendar; a table of sessions is stored with it.
        prices: Its bars and adjustments.
        membership: Who is in the universe when, if that was given.
        sessions_from: Where a table of sessions is from; asked of the calendar library when None.
    """
    tables = DatasetTables(
        prices.bars,
        prices.adjustments,
        sessions_frame(calendar) if isinstance(calendar, Sessions) else None,
        None if membership is None else membership.frame,
    )
    content = _content(tables, calendar)
    kinds = prices.adjustments.group_by("kind").len().sort("kind")
    symbols = symbol_records(prices.bars, calendar, bundle.timeframe)
    return tables, DatasetManifest(
        dataset_id=dataset_id(content, calendar=bundle.calendar, timeframe=bundle.timeframe),
        bundle=bundle.name,
        calendar=bundle.calendar,
        timeframe=bundle.timeframe,
        symbols=symbols,
        rows=prices.bars.height,
        adjustments={kind: count for kind, count in kinds.iter_rows()},
        content=content,
        files={},
        waivers=prices.waivers,
        duplicates=prices.duplicates,
        left_out=prices.left_out,
        survival=survival(symbols, prices.adjustments),
        sessions=_session_facts(calendar, symbols, sessions_from),
        universe=_universe_facts(membership, symbols),
    )


def _content(tables: DatasetTables, calendar: Calendar) -> dict[str, str]:
    content = content_checksums(tables.bars, tables.adjustments)
    if isinstance(calendar, Sessions):
        content["sessions"] = sessions_checksum(calendar)
    if tables.universe is not None:
        content["universe"] = table_checksum(tables.universe, "universe")
    return content


def _session_facts(
    calendar: Calendar, symbols: Mapping[str, SymbolRecord], source: str | None
) -> Mapping[str, Any]:
    facts = session_summary(calendar, symbols)
    if isinstance(calendar, Sessions):
        facts["source"] = source or f"exchange_calendars {library_version()}"
    return facts


def _universe_facts(
    membership: Membership | None, symbols: Mapping[str, SymbolRecord]
) -> Mapping[str, Any]:
    if membership is None:
        return {}
    return {
        "path": membership.path,
        "sha256": membership.sha256,
        **universe_summary(membership.frame, symbols),
    }
