"use strict";
// The chart and the trades table of a run's report.
(() => {
  const { data, color, faded, element, number, percent, moment } = page;
  const { chart: facts, curves, trades } = data;
  const LW = LightweightCharts;
  const steps = page.counts(data.times.steps);
  const times = new Array(steps.length);
  for (let i = 0, t = data.times.first; i < steps.length; i++) times[i] = t += steps[i];
  const decode = (record) =>
    Object.fromEntries(Object.entries(record).map(([name, text]) => [name, page.floats(text)]));
  const curve = decode(curves);
  const priceCache = new Map();
  const pricesOf = (symbol) => {
    if (!priceCache.has(symbol)) priceCache.set(symbol, decode(data.prices[symbol]));
    return priceCache.get(symbol);
  };
  const points = (values) => times.map((time, i) =>
    Number.isNaN(values[i]) ? { time } : { time, value: values[i] });

  const box = document.getElementById("chart");
  const legend = document.getElementById("legend");
  const compact = (value) => {
    const size = Math.abs(value);
    if (size >= 1e9) return (value / 1e9).toFixed(2) + "B";
    if (size >= 1e6) return (value / 1e6).toFixed(2) + "M";
    if (size >= 1e4) return (value / 1e3).toFixed(1) + "K";
    return value.toFixed(2);
  };
  const chart = LW.createChart(box, {
    autoSize: true,
    layout: { attributionLogo: true, fontSize: 11, panes: { enableResize: true } },
    rightPriceScale: { minimumWidth: 74, entireTextOnly: true },
    timeScale: { timeVisible: facts.intraday, secondsVisible: false, minBarSpacing: 0.01 },
    crosshair: { mode: LW.CrosshairMode.Normal },
    localization: { locale: "en-US" },
  });
  const hasPrices = facts.symbols.length > 0;
  const equityPane = hasPrices ? 1 : 0;
  const money = { type: "custom", formatter: compact, minMove: 0.01 };
  const thin = { lineWidth: 1, priceLineVisible: false, lastValueVisible: false,
    crosshairMarkerVisible: false, priceFormat: money };
  let symbol = hasPrices ? facts.symbols[0] : null;
  const price = !hasPrices ? null : facts.candles
    ? chart.addSeries(LW.CandlestickSeries, { priceLineStyle: 1 }, 0)
    : chart.addSeries(LW.LineSeries, { lineWidth: 1.5 }, 0);
  const benchmark = curve.benchmark
    ? chart.addSeries(LW.LineSeries, thin, equityPane) : null;
  const band = curve.equity_low
    ? [chart.addSeries(LW.LineSeries, thin, equityPane),
       chart.addSeries(LW.LineSeries, thin, equityPane)] : [];
  const equity = chart.addSeries(LW.LineSeries,
    { lineWidth: 2, priceLineVisible: false, priceFormat: money }, equityPane);
  const drawdown = chart.addSeries(LW.AreaSeries, {
    lineWidth: 1, priceLineVisible: false, invertFilledArea: true,
    priceFormat: { type: "custom", formatter: (v) => (v * 100).toFixed(1) + "%", minMove: 0.001 },
  }, equityPane + 1);
  if (benchmark) benchmark.setData(points(curve.benchmark));
  equity.setData(points(curve.equity));
  if (band.length) {
    band[0].setData(points(curve.equity_low));
    band[1].setData(points(curve.equity_high));
  }
  drawdown.setData(points(curve.drawdown));
  // Values the strategy recorded: over the price where they are of its size, else in a last pane.
  const palette = ["#e69f00", "#7b5ea7", "#0072b2", "#cc79a7", "#009e73", "#56b4e9", "#d55e00",
    "#8a8f00"];
  const indicators = data.indicators.map((record, i) => {
    const values = page.floats(record.values);
    const pane = record.price && price ? 0 : equityPane + 2;
    const one = chart.addSeries(LW.LineSeries, { ...thin, priceFormat: money,
      color: palette[i % palette.length] }, pane);
    one.setData(points(values));
    return { name: record.name, values, color: palette[i % palette.length] };
  });
  const panes = chart.panes();
  (hasPrices ? [6, 3, 2, 2] : [3, 2, 2]).slice(0, panes.length).forEach((weight, i) => panes[i].setStretchFactor(weight));

  const pricePoints = (values) => times.map((time, i) => {
    if (Number.isNaN(values.close[i])) return { time };
    return facts.candles
      ? { time, open: values.open[i], high: values.high[i], low: values.low[i],
          close: values.close[i] }
      : { time, value: values.close[i] };
  });
  const digitsOf = (values) => {
    const last = values.close.findLast((v) => !Number.isNaN(v)) || 1;
    return Math.max(2, Math.min(10, 4 - Math.floor(Math.log10(Math.abs(last) || 1))));
  };
  let digits = 2;

  // Markers: entries and exits of the symbol shown; exits carry the return when there is room.
  let showMarkers = true, labeled = null;
  const marks = price ? LW.createSeriesMarkers(price, []) : null;
  const drawMarkers = () => {
    if (!marks) return;
    const range = chart.timeScale().getVisibleLogicalRange();
    const roomy = Boolean(range) && range.to - range.from < 420;
    labeled = roomy;
    const list = [];
    if (showMarkers) trades.id.forEach((_, i) => {
      if (trades.symbol[i] !== symbol) return;
      const long = trades.side[i] !== "short";
      const at = (bar, entry, won) => list.push({
        time: times[Math.max(bar, 0)],
        position: entry === long ? "belowBar" : "aboveBar",
        shape: entry === long ? "arrowUp" : "arrowDown",
        color: entry ? color("up") : won ? color("accent") : color("down"),
        text: !entry && roomy ? percent(trades.return[i], 1) : "",
      });
      at(trades.entry_bar[i], true, false);
      if (!trades.open[i]) at(trades.exit_bar[i], false, trades.pnl[i] > 0);
    });
    list.sort((a, b) => a.time - b.time);
    marks.setMarkers(list);
  };
  const showSymbol = (name) => {
    symbol = name;
    if (!price) return;
    const values = pricesOf(name);
    digits = digitsOf(values);
    price.applyOptions({
      priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
    price.setData(pricePoints(values));
    drawMarkers();
    drawLegend(null);
  };

  const drawLegend = (at) => {
    const i = at === null ? times.length - 1 : Math.min(Math.max(at, 0), times.length - 1);
    if (i < 0) return;
    const parts = [moment(times[i], facts.intraday)];
    if (price) {
      const values = pricesOf(symbol);
      if (facts.symbols.length > 1) parts.push(symbol);
      const keys = facts.candles ? ["open", "high", "low", "close"] : ["close"];
      parts.push(...keys.map((key) => key[0].toUpperCase() + " " + number(values[key][i], digits)));
    }
    const money = (v) => number(v, Math.abs(v) >= 1e5 ? 0 : 2);
    parts.push("Equity " + money(curve.equity[i]));
    if (band.length && money(curve.equity_low[i]) !== money(curve.equity_high[i]))
      parts.push("(" + money(curve.equity_low[i]) + " to " + money(curve.equity_high[i]) + ")");
    if (benchmark) parts.push(facts.benchmark + " " + money(curve.benchmark[i]));
    parts.push("Drawdown " + percent(curve.drawdown[i]));
    const recorded = indicators.map((one) => {
      const part = element("span", {}, one.name + " " + (Number.isNaN(one.values[i]) ? "–"
        : Number(one.values[i].toPrecision(6)).toLocaleString("en-US")));
      part.style.borderBottom = "2px solid " + one.color;
      return part;
    });
    legend.replaceChildren(...parts.map((part) => element("span", {}, part)), ...recorded);
  };
  chart.subscribeCrosshairMove((event) =>
    drawLegend(event.logical === undefined ? null : Math.round(event.logical)));

  const paint = () => {
    const grid = { color: color("grid") };
    chart.applyOptions({
      layout: { background: { color: color("bg") }, textColor: color("muted"),
        panes: { separatorColor: color("line"), separatorHoverColor: faded("accent", 0.2) } },
      grid: { vertLines: grid, horzLines: grid },
      rightPriceScale: { borderColor: color("line") },
      timeScale: { borderColor: color("line") },
    });
    const up = color("up"), down = color("down");
    if (price) price.applyOptions(facts.candles
      ? { upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down }
      : { color: color("text") });
    if (benchmark) benchmark.applyOptions({ color: color("benchmark") });
    band.forEach((line) => line.applyOptions({ color: faded("accent", 0.35) }));
    equity.applyOptions({ color: color("accent") });
    drawdown.applyOptions({
      lineColor: down, topColor: faded("down", 0.06), bottomColor: faded("down", 0.3) });
    drawMarkers();
  };
  page.onTheme(paint);
  paint();
  if (hasPrices) showSymbol(symbol);
  drawLegend(null);
  const scale = chart.timeScale();
  scale.fitContent();
  scale.subscribeVisibleLogicalRangeChange((range) => {
    if (range && range.to - range.from < 420 !== labeled) drawMarkers();
  });

  const ranges = [...document.querySelectorAll("button.range")];
  const press = (chosen) =>
    ranges.forEach((button) => button.setAttribute("aria-pressed", String(button === chosen)));
  ranges.forEach((button) => button.addEventListener("click", () => {
    press(button);
    const days = Number(button.dataset.days);
    if (!days) return scale.fitContent();
    const from = times[times.length - 1] - days * 86400;
    const first = times.findIndex((time) => time >= from);
    scale.setVisibleLogicalRange({ from: first - 0.5, to: times.length - 0.5 });
  }));
  const toggle = (id, act) => {
    const button = document.getElementById(id);
    if (!button) return;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      act(on);
    });
  };
  const mode = (on) => ({ mode: on ? LW.PriceScaleMode.Logarithmic : LW.PriceScaleMode.Normal });
  toggle("log", (on) => {
    if (price) price.priceScale().applyOptions(mode(on));
    equity.priceScale().applyOptions(mode(on));
  });
  toggle("markers", (on) => { showMarkers = on; drawMarkers(); });
  const chooser = document.getElementById("symbol");
  if (chooser) chooser.addEventListener("change", () => showSymbol(facts.symbols[chooser.value]));
  box.addEventListener("keydown", (event) => {
    const range = scale.getVisibleLogicalRange();
    if (!range) return;
    const span = range.to - range.from;
    const moves = { ArrowLeft: [-0.1, -0.1], ArrowRight: [0.1, 0.1], "+": [0.1, -0.1],
      "=": [0.1, -0.1], "-": [-0.125, 0.125] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    press(null);
    scale.setVisibleLogicalRange(
      { from: range.from + move[0] * span, to: range.to + move[1] * span });
  });

  const save = document.getElementById("chart-csv");
  if (save) save.addEventListener("click", () => {
    const values = price ? pricesOf(symbol) : {};
    const columns = { ...values, ...curve,
      ...Object.fromEntries(indicators.map((one) => ["recorded " + one.name, one.values])) };
    const names = Object.keys(columns);
    page.save("chart" + (price ? "-" + symbol : ""), [["time", ...names],
      ...times.map((time, i) => [moment(time, facts.intraday), ...names.map((name) =>
        page.single(columns[name][i]))])]);
  });
  page.report = { times, facts, trades, scale };

  // The trades table; a row moves the chart to its trade.
  const node = document.getElementById("trades");
  if (!node) return;
  const several = new Set(trades.symbol).size > 1;
  const size = (value) => value === null ? "–"
    : value.toLocaleString("en-US", { maximumFractionDigits: 6 });
  const signed = (value, text) =>
    element("td", { className: value > 0 ? "pos" : value < 0 ? "neg" : "" }, text);
  const plain = (text, className = "") => element("td", { className }, text);
  const cost = (value) => value === null ? "–" : value.toLocaleString("en-US",
    { minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, digits) });
  const columns = [
    { label: "#", value: (i) => trades.id[i], left: true, cell: (i) => element("td",
      { className: "left" }, element("button",
        { type: "button", title: "Show on the chart" }, String(trades.id[i]))) },
    { label: "Symbol", left: true, only: several, value: (i) => trades.symbol[i],
      cell: (i) => plain(element("bdi", {}, trades.symbol[i]), "left") },
    { label: "Side", left: true, value: (i) => trades.side[i],
      cell: (i) => plain(trades.side[i], "left") },
    { label: "Entry", value: (i) => trades.entry[i],
      cell: (i) => plain(moment(trades.entry[i], facts.intraday), "fix") },
    { label: "Exit", value: (i) => trades.exit[i],
      cell: (i) => plain(trades.open[i] ? "open" : moment(trades.exit[i], facts.intraday), "fix") },
    { label: "Entry price", value: (i) => trades.entry_price[i],
      cell: (i) => plain(cost(trades.entry_price[i])) },
    { label: "Exit price", value: (i) => trades.exit_price[i],
      cell: (i) => plain(cost(trades.exit_price[i])) },
    { label: "Size", value: (i) => trades.quantity[i], down: true,
      cell: (i) => plain(size(trades.quantity[i])) },
    { label: "P&L", value: (i) => trades.pnl[i], down: true,
      cell: (i) => signed(trades.pnl[i], number(trades.pnl[i], 2)) },
    { label: "Return", value: (i) => trades.return[i], down: true,
      cell: (i) => signed(trades.return[i], percent(trades.return[i])) },
    { label: "Bars", value: (i) => trades.bars_held[i], down: true,
      cell: (i) => plain(number(trades.bars_held[i], 0)) },
    { label: "MAE", value: (i) => trades.mae[i], cell: (i) => plain(percent(trades.mae[i])) },
    { label: "MFE", value: (i) => trades.mfe[i], down: true,
      cell: (i) => plain(percent(trades.mfe[i])) },
  ].filter((column) => column.only !== false);
  const jump = (i, row) => {
    if (price && trades.symbol[i] !== symbol && facts.symbols.includes(trades.symbol[i])) {
      if (chooser) chooser.value = String(facts.symbols.indexOf(trades.symbol[i]));
      showSymbol(trades.symbol[i]);
    }
    const from = trades.entry_bar[i];
    const to = trades.open[i] ? times.length - 1 : trades.exit_bar[i];
    const margin = Math.max(20, (to - from) * 0.6);
    press(null);
    scale.setVisibleLogicalRange({ from: from - margin, to: to + margin });
    drawLegend(from);
    node.querySelectorAll(".picked").forEach((other) => other.classList.remove("picked"));
    if (row) row.classList.add("picked"); // a trade that the filter hides has no row
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    box.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
  };
  const raw = [["trade_id", "id"], ["symbol"], ["side"],
    ["entry_at", (i) => moment(trades.entry[i], true)],
    ["exit_at", (i) => trades.open[i] ? "" : moment(trades.exit[i], true)],
    ["entry_price"], ["exit_price"], ["quantity"], ["pnl"], ["commission"], ["return"],
    ["bars_held"], ["mae"], ["mfe"], ["is_open", "open"]];
  document.getElementById("trades-csv").addEventListener("click", () => page.save("trades", [
    raw.map(([title]) => title),
    ...view.visible().map((i) => raw.map(([title, key]) =>
      typeof key === "function" ? key(i) : trades[key ?? title][i])),
  ]));
  page.report.jump = (i) => {
    const row = [...node.tBodies[0].rows].find((one) => one.dataset.trade === String(i));
    jump(i, row);
  };
  const total = trades.id.length;
  const label = document.getElementById("trade-count");
  const view = page.table({
    node, columns, count: total, more: document.getElementById("trades-more"),
    onChange: (visible) => { label.textContent = number(visible, 0) + " of " + number(total, 0); },
    row: (i) => {
      const row = element("tr", { className: "chosen", dataset: { trade: i } }, ...columns.map((column) => column.cell(i)));
      row.addEventListener("click", () => jump(i, row));
      return row;
    },
  });
  const filter = document.getElementById("trade-filter");
  const words = (i) => [trades.id[i], trades.symbol[i], trades.side[i],
    moment(trades.entry[i], true), trades.open[i] ? "open" : moment(trades.exit[i], true),
  ].join(" ").toLowerCase();
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    view.filter((i) => { const text = words(i); return wanted.every((word) => text.includes(word)); });
  });
})();
