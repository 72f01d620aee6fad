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
    "METRIC_UNITS",
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

# Metrics with a column of their own, and the unit of each; all metrics stand in `metrics_json`.
METRIC_UNITS = {
    "total_return": "fraction",
    "cagr": "fraction per year",
    "annual_volatility": "fraction per year",
    "sharpe_ratio": "ratio",
    "sortino_ratio": "ratio",
    "calmar_ratio": "ratio",
    "max_drawdown": "fraction, zero or negative",
    "total_trades": "count",
    "win_rate": "fraction",
    "profit_factor": "ratio",
}
MAIN_METRICS = tuple(METRIC_UNITS)

bundles = Table(
    "bundles",
    metadata,
    Column("bundle", String(80), primary_key=True, comment="name of the bundle"),
    Column("dataset_id", String(16), nullable=False, comment="dataset that the name means now"),
    Column("datasets", Integer, nullable=False, comment="how many datasets it has meant so far"),
    Column("datasets_json", Text, nullable=False, comment="ids of those its folder holds, sorted"),
    comment="Bundles of bundle storage, and the dataset that each means now.",
)

datasets = Table(
    "datasets",
    metadata,
    Column("dataset_id", String(16), primary_key=True, comment="hash of its content"),
    Column(
        "bundle",
        String(80),
        nullable=False,
        comment="bundle it was made for; the first by name where several have it",
    ),
    Column(
        "calendar",
        String(16),
        nullable=False,
        comment="exchange calendar; empty where its folder is gone, as are the following ones",
    ),
    Column("timeframe", String(8), nullable=False, comment="length of a bar"),
    Column("bars", BigInteger, nullable=False, comment="rows of all symbols"),
    Column("symbols", Integer, nullable=False, comment="how many"),
    Column("first_bar", String(32), nullable=False, comment="time of the first bar, UTC"),
    Column("last_bar", String(32), nullable=False, comment="time of the last bar, UTC"),
    Column("synthetic", Boolean, nullable=False, comment="whether the prices were made up"),
    comment="Datasets of bundle storage, and those that a run used and that are gone.",
)

runs = Table(
    "backtest_runs_catalog",
    metadata,
    Column("backtest_id", String(80), primary_key=True, comment="name of the run directory"),
    Column(
        "run_key",
        String(64),
        nullable=False,
        index=True,
        comment="hash of everything that decides the run",
    ),
    Column(
        "run_type",
        String(16),
        nullable=False,
        comment="backtest, optimization (a search) or holdout (a look at withheld dates)",
    ),
    Column(
        "status",
        String(16),
        nullable=False,
        index=True,
        comment="completed, failed, or altered: run.json is not the one its mark states",
    ),
    Column(
        "grade",
        String(1),
        comment="the best provenance grade: A when a replay agreed with a complete capture",
    ),
    Column("capture_grade", String(1), comment="the grade that the run itself states"),
    Column("name", Text, nullable=False, comment="the first of its names in a batch"),
    Column("names_json", Text, nullable=False, comment="list of its names"),
    Column("tags_json", Text, nullable=False, comment="list of its tags, sorted"),
    Column(
        "strategy",
        Text,
        nullable=False,
        index=True,
        comment="strategy file, relative to the project",
    ),
    Column(
        "code_hash", String(64), comment="hash of all captured code; null where none was captured"
    ),
    Column(
        "library",
        String(16),
        nullable=False,
        comment="fingerprint of the library's code that decides numbers",
    ),
    Column(
        "git_commit",
        String(64),
        index=True,
        comment="commit checked out when the run was planned; null outside of a repository",
    ),
    Column("git_branch", Text, comment="branch checked out then; null where there was none"),
    Column(
        "git_dirty", Boolean, comment="whether tracked files had changes that were not committed"
    ),
    Column(
        "bundle", String(80), nullable=False, index=True, comment="bundle that the config named"
    ),
    Column(
        "dataset_id", String(16), nullable=False, index=True, comment="dataset that the run read"
    ),
    Column("symbols_json", Text, nullable=False, comment="list of its symbols"),
    Column("benchmark", String(80), comment="symbol it is compared with; null without one"),
    Column("start_date", String(10), nullable=False, comment="first session asked for"),
    Column(
        "end_date",
        String(10),
        nullable=False,
        comment="last session asked for; of a search the last before its holdout",
    ),
    Column(
        "params_json",
        Text,
        nullable=False,
        comment="mapping of parameters; of a search those it selected",
    ),
    Column(
        "sets",
        Integer,
        comment="how many parameter sets it tried; null for a search that did not end",
    ),
    Column(
        "settings_json",
        Text,
        nullable=False,
        comment="mapping of engine, ledger, capital_base, commission, slippage, execution, seed, "
        "and risk_free_rate where it is not zero",
    ),
    Column("attempt", Integer, nullable=False, comment="1, and one more after every failure"),
    Column("started_at", String(32), nullable=False, comment="when it began, ISO 8601, UTC"),
    Column("finished_at", String(32), comment="when it ended, ISO 8601, UTC"),
    Column("execute_seconds", Float, comment="how long the strategy ran"),
    Column(
        "result_bytes",
        BigInteger,
        nullable=False,
        comment="bytes of all sealed files but the captured code",
    ),
    Column(
        "code_bytes",
        BigInteger,
        nullable=False,
        comment="bytes of the captured code; runs of one code hash share these files",
    ),
    Column("error_kind", Text, comment="class of the error of a failed run"),
    Column("error_message", Text, comment="its message"),
    *(Column(name, Float, comment=f"metric, {unit}") for name, unit in METRIC_UNITS.items()),
    Column(
        "metrics_json",
        Text,
        nullable=False,
        comment="mapping of every metric, null where it is undefined",
    ),
    Column("manifest_sha256", String(64), nullable=False, comment="sha256 of run.json"),
    comment="One row per run that has ended. `runs.parquet` has the same columns.",
)

data_links = Table(
    "backtest_data_links",
    metadata,
    Column(
        "link_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="made of run and dataset",
    ),
    Column("backtest_id", String(80), nullable=False, comment="the run"),
    Column(
        "dataset_id",
        String(16),
        ForeignKey("datasets.dataset_id"),
        nullable=False,
        comment="the dataset",
    ),
    Column("cached_at", BigInteger, nullable=False, comment="Unix time at which the run began"),
    Column(
        "cache_key",
        String(120),
        nullable=False,
        comment="bundle and dataset: where the bars lie in bundle storage",
    ),
    Index("ix_links_backtest", "backtest_id"),
    Index("ix_links_dataset", "dataset_id"),
    comment="Which run used which dataset.",
)

artifacts = Table(
    "backtest_artifacts_catalog",
    metadata,
    Column("backtest_id", String(80), primary_key=True, comment="the run"),
    Column("path", String(400), primary_key=True, comment="path inside the run directory"),
    Column("size", BigInteger, nullable=False, comment="bytes"),
    Column("sha256", String(64), nullable=False, comment="checksum of the bytes"),
    Column(
        "content_sha256",
        String(64),
        comment="checksum of the columns of a Parquet file; null for other files",
    ),
    comment="Every sealed file of every run; a failed run has none.",
)

trials = Table(
    "trials",
    metadata,
    Column("dataset_id", String(16), primary_key=True, comment="the dataset"),
    Column("run_key", String(64), primary_key=True, comment="key of the run"),
    Column("family", Text, nullable=False, index=True, comment="strategy file"),
    Column(
        "code_hash", String(64), comment="hash of all captured code; null where none was captured"
    ),
    Column(
        "run_type",
        String(16),
        nullable=False,
        comment="as of a run; `script` for trials that a script recorded",
    ),
    Column("bundle", String(80), comment="bundle of the dataset; null where it was not recorded"),
    Column("start_date", String(10), comment="first date; null where a script did not say it"),
    Column(
        "end_date",
        String(10),
        comment="last date, of a search that withheld some too; null where a script did not say it",
    ),
    Column(
        "withheld_from",
        String(10),
        comment="first date that a search withheld as its holdout; null where it withheld none",
    ),
    Column(
        "started_at",
        String(32),
        comment="when the run began, ISO 8601, UTC; null of a script and of older records",
    ),
    Column("sets", BigInteger, nullable=False, comment="how many parameter sets it tried"),
    Column("sets_sha256", String(64), nullable=False, comment="hash of the list of sets"),
    comment="One row per run that was ever sealed, deleted ones included, from the trial ledger.",
)

replays = Table(
    "replays",
    metadata,
    Column("run_key", String(64), primary_key=True, comment="key of the run"),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1 is the first one"),
    Column("backtest_id", String(80), nullable=False, comment="the run"),
    Column(
        "manifest_sha256",
        String(64),
        nullable=False,
        index=True,
        comment="sha256 of the run.json that it proves",
    ),
    Column("agreed_at", String(32), nullable=False, comment="when, ISO 8601, UTC"),
    Column("files", Integer, nullable=False, comment="how many files were compared"),
    Column(
        "other_bytes", Integer, nullable=False, comment="how many of them agreed in content alone"
    ),
    Column(
        "changed_json", Text, nullable=False, comment="list of what of the environment was another"
    ),
    Column(
        "ledger_bytes", BigInteger, nullable=False, comment="size of the ledger file as it was read"
    ),
    comment="Replays that agreed, of deleted runs as well, from the ledger of replays.",
)
