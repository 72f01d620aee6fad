"""The catalog's tables. Every row can be made again from run directories and bundle manifests."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = [
    "MAIN_METRICS",
    "artifacts",
    "bundles",
    "data_links",
    "datasets",
    "metadata",
    "replays",
    "runs",
    "trials",
]

metadata = MetaData()

# Metrics with a column of their own; all of them stand in `metrics_json`.
MAIN_METRICS = (
    "total_return",
    "cagr",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "total_trades",
    "win_rate",
    "profit_factor",
)

bundles = Table(
    "bundles",
    metadata,
    Column("bundle", String(80), primary_key=True),
    Column("dataset_id", String(16), nullable=False),  # what the name means now
    Column("datasets", Integer, nullable=False),  # how many it has meant so far
    Column("datasets_json", Text, nullable=False),  # which of them its folder holds
)

datasets = Table(
    "datasets",
    metadata,
    Column("dataset_id", String(16), primary_key=True),
    Column("bundle", String(80), nullable=False),
    Column("calendar", String(16), nullable=False),
    Column("timeframe", String(8), nullable=False),
    Column("bars", BigInteger, nullable=False),
    Column("symbols", Integer, nullable=False),
    Column("first_bar", String(32), nullable=False),
    Column("last_bar", String(32), nullable=False),
    Column("synthetic", Boolean, nullable=False),
)

runs = Table(
    "backtest_runs_catalog",
    metadata,
    Column("backtest_id", String(80), primary_key=True),
    Column("run_key", String(64), nullable=False, index=True),
    Column("run_type", String(16), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("grade", String(1)),  # the best one: A when a replay agreed with a complete capture
    Column("capture_grade", String(1)),  # what the run itself states
    Column("name", Text, nullable=False),  # the first of its names
    Column("names_json", Text, nullable=False),
    Column("tags_json", Text, nullable=False),  # of the ledger, sorted
    Column("strategy", Text, nullable=False, index=True),
    Column("code_hash", String(64)),  # null for a run whose code was not captured
    Column("library", String(16), nullable=False),
    Column("git_commit", String(64), index=True),  # null outside of a repository
    Column("git_branch", Text),
    Column("git_dirty", Boolean),
    Column("bundle", String(80), nullable=False, index=True),
    Column("dataset_id", String(16), nullable=False, index=True),
    Column("symbols_json", Text, nullable=False),
    Column("benchmark", String(80)),
    Column("start_date", String(10), nullable=False),
    Column("end_date", String(10), nullable=False),
    Column("params_json", Text, nullable=False),
    Column("settings_json", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("execute_seconds", Float),
    Column("result_bytes", BigInteger, nullable=False),  # all sealed files but the captured code
    Column("code_bytes", BigInteger, nullable=False),  # runs of one code hash share these files
    Column("error_kind", Text),
    Column("error_message", Text),
    *(Column(name, Float) for name in MAIN_METRICS),
    Column("metrics_json", Text, nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
)

data_links = Table(
    "backtest_data_links",
    metadata,
    Column("link_id", BigInteger, primary_key=True, autoincrement=False),
    Column("backtest_id", String(80), nullable=False),
    Column("dataset_id", String(16), ForeignKey("datasets.dataset_id"), nullable=False),
    Column("cached_at", BigInteger, nullable=False),  # unix time at which the run began
    Column("cache_key", String(120), nullable=False),  # bundle and dataset: where the bars lie
    Index("ix_links_backtest", "backtest_id"),
    Index("ix_links_dataset", "dataset_id"),
)

artifacts = Table(
    "backtest_artifacts_catalog",
    metadata,
    Column("backtest_id", String(80), primary_key=True),
    Column("path", String(400), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_sha256", String(64)),
)

trials = Table(
    "trials",
    metadata,
    Column("dataset_id", String(16), primary_key=True),
    Column("run_key", String(64), primary_key=True),
    Column("family", Text, nullable=False, index=True),
    Column("code_hash", String(64)),  # null for a run whose code was not captured
    Column("run_type", String(16), nullable=False),
    Column("sets", BigInteger, nullable=False),
    Column("sets_sha256", String(64), nullable=False),
)

# Replays that agreed, of deleted runs as well; the proof is of the manifest with that checksum.
replays = Table(
    "replays",
    metadata,
    Column("run_key", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1 is the first one
    Column("backtest_id", String(80), nullable=False),
    Column("manifest_sha256", String(64), nullable=False, index=True),
    Column("agreed_at", String(32), nullable=False),
    Column("files", Integer, nullable=False),  # how many were compared
    Column("other_bytes", Integer, nullable=False),  # how many agreed in content alone
    Column("changed_json", Text, nullable=False),  # what of the environment was another
    Column("ledger_bytes", BigInteger, nullable=False),  # size of the ledger file as it was read
)
