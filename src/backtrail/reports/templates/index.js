"use strict";
// The table of runs, its filters, and the comparison of ticked runs.
(() => {
  const { data, color, element, number, percent } = page;
  const { columns: text, metrics, params, units } = data;
  const node = document.getElementById("runs");
  if (!node) return;
  const total = text.backtest_id.length;
  const paramText = params.map((record) =>
    Object.keys(record).sort().map((key) => key + "=" + record[key]).join(" "));
  const metric = (name, value) => {
    if (value === null) return "–";
    if (units[name] === "fraction") return percent(value, Math.abs(value) >= 0.1 ? 1 : 2);
    if (units[name] === "count") return number(value, 0);
    const size = Math.abs(value);
    return number(value, size >= 10000 ? 0 : size >= 0.1 || value === 0 ? 2 : 4);
  };
  const signed = new Set(["total_return", "cagr", "max_drawdown"]);
  const ticked = new Set();

  const name = (i) => {
    const label = element("bdi", {}, text.name[i] ?? text.backtest_id[i]);
    const cell = element("td", { className: "wrap" }, text.report[i]
      ? element("a", { href: text.report[i].split("/").map(encodeURIComponent).join("/") }, label)
      : label);
    if (data.synthetic[i]) cell.append(" ", element("span", { className: "badge warn" }, "synthetic"));
    return cell;
  };
  const status = (i) => {
    const failed = text.status[i] === "failed";
    const cell = element("td", { className: "wrap" },
      element("span", { className: failed ? "badge bad" : "badge" }, text.status[i] ?? "–"));
    if (text.error[i]) cell.append(" ", element("small", { title: text.error[i] },
      text.error[i].length > 140 ? text.error[i].slice(0, 140) + "…" : text.error[i]));
    return cell;
  };
  const tick = (i) => {
    const box = element("input", { type: "checkbox", checked: ticked.has(i),
      ariaLabel: "Compare " + (text.name[i] ?? "") + " " + text.backtest_id[i] });
    box.addEventListener("change", () => {
      if (box.checked) ticked.add(i); else ticked.delete(i);
      box.closest("tr").classList.toggle("picked", box.checked);
      compare();
    });
    return element("td", { className: "left" }, box);
  };
  const plain = (key, className = "left fix") => ({
    label: { start: "Start", end: "End", grade: "Grade", bundle: "Bundle",
      backtest_id: "Backtest" }[key],
    left: true,
    value: (i) => text[key][i],
    cell: (i) => element("td", { className }, element("bdi", {}, text[key][i] ?? "–")),
  });
  const columns = [
    { label: "", left: true, cell: tick },
    { label: "Name", left: true, value: (i) => text.name[i], cell: name },
    { label: "Strategy", left: true, value: (i) => text.strategy[i],
      cell: (i) => element("td", { className: "wrap", title: text.strategy[i] ?? "" },
        element("bdi", {}, (text.strategy[i] ?? "–").split("/").pop())) },
    { label: "Parameters", left: true, value: (i) => paramText[i],
      cell: (i) => element("td", { className: "wrap" }, element("bdi", {}, paramText[i])) },
    { label: "Status", left: true, value: (i) => text.status[i], cell: status },
    ...data.main.map((key) => ({
      label: data.labels[key], down: true, value: (i) => metrics[key][i],
      cell: (i) => {
        const value = metrics[key][i];
        const tone = !signed.has(key) || !value ? "" : value > 0 ? "pos" : "neg";
        return element("td", { className: tone }, metric(key, value));
      },
    })),
    plain("bundle"), plain("grade"), plain("start"), plain("end"), plain("backtest_id"),
  ];
  const label = document.getElementById("count");
  const view = page.table({
    node, columns, count: total, more: document.getElementById("more"),
    onChange: (visible) => { label.textContent = number(visible, 0) + " of " + number(total, 0); },
    row: (i) => element("tr", { className: ticked.has(i) ? "picked" : "" },
      ...columns.map((column) => column.cell(i))),
  });

  const search = document.getElementById("search");
  const only = [...document.querySelectorAll("select.only")];
  const haystack = Array.from({ length: total }, (_, i) => [
    text.name[i], text.strategy[i], paramText[i], text.bundle[i], text.dataset_id[i],
    text.status[i], text.run_type[i], text.backtest_id[i], text.error[i],
    data.synthetic[i] ? "synthetic" : "",
  ].join(" ").toLowerCase());
  const refresh = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = only.filter((select) => select.value)
      .map((select) => [select.dataset.key, select.value.slice(1)]);
    view.filter((i) => chosen.every(([key, value]) => String(text[key][i] ?? "None") === value)
      && words.every((word) => haystack[i].includes(word)));
  };
  search.addEventListener("input", refresh);
  only.forEach((select) => select.addEventListener("change", refresh));
  const clear = document.getElementById("clear");
  clear.addEventListener("click", () => { ticked.clear(); view.draw(); compare(); });

  // Colors of Okabe and Ito, told apart by color-blind readers; then the same ones dashed.
  const palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f00"];
  const section = document.getElementById("comparison");
  const box = document.getElementById("chart");
  const lines = document.getElementById("lines");
  const logButton = document.getElementById("log");
  const caution = document.getElementById("caution");
  let chart = null, series = [];
  const paint = () => {
    if (!chart) return;
    const grid = { color: color("grid") };
    chart.applyOptions({
      layout: { background: { color: color("bg") }, textColor: color("muted") },
      grid: { vertLines: grid, horzLines: grid },
      rightPriceScale: { borderColor: color("line") }, timeScale: { borderColor: color("line") },
    });
  };
  page.onTheme(paint);
  const scale = () => {
    const log = logButton.getAttribute("aria-pressed") === "true";
    chart.priceScale("right").applyOptions({ mode: log ? 1 : 0 });
  };
  logButton.addEventListener("click", () => {
    logButton.setAttribute("aria-pressed",
      String(logButton.getAttribute("aria-pressed") !== "true"));
    if (chart) scale();
  });
  const style = (k) => ({ color: palette[k % palette.length],
    lineStyle: Math.floor(k / palette.length) % 4 });
  const drawChart = (chosen) => {
    if (!chart) {
      chart = LightweightCharts.createChart(box, {
        autoSize: true, layout: { attributionLogo: true, fontSize: 11 },
        localization: { locale: "en-US" },
      });
      paint();
    }
    series.forEach((line) => chart.removeSeries(line));
    series = [];
    lines.replaceChildren();
    chosen.forEach((i, k) => {
      const look = style(k);
      const entry = element("span", {}, element("span", { className: "swatch" }), " ",
        element("bdi", {}, (text.name[i] ?? "") + " " + paramText[i]),
        data.equity[i] ? "  " : " (no equity curve here)  ");
      entry.firstChild.style.borderTopColor = look.color;
      entry.firstChild.style.borderTopStyle = ["solid", "dotted", "dashed", "dashed"][look.lineStyle];
      lines.append(entry);
      if (!data.equity[i]) return;
      const [axis, values] = data.equity[i];
      const line = chart.addSeries(LightweightCharts.LineSeries,
        { ...look, lineWidth: 2, priceLineVisible: false });
      line.setData(data.axes[axis].map((time, j) =>
        values[j] === null ? { time } : { time, value: values[j] }));
      series.push(line);
    });
    scale();
    chart.timeScale().fitContent();
  };

  const compare = () => {
    const chosen = [...ticked].sort((a, b) => a - b);
    section.hidden = clear.hidden = chosen.length === 0;
    if (!chosen.length) return;
    const keys = [...new Set(chosen.flatMap((i) => Object.keys(params[i])))].sort();
    const rows = [
      ...["status", "strategy", "bundle", "dataset_id", "start", "end", "grade"].map((key) =>
        [key.replace("_id", "").replace(/^./, (c) => c.toUpperCase()),
          chosen.map((i) => text[key][i] ?? "–")]),
      ...keys.map((key) => ["parameter " + key, chosen.map((i) => params[i][key] ?? "–")]),
      ...data.order.map((key) => [data.labels[key], chosen.map((i) => metric(key, metrics[key][i]))]),
    ];
    const table = document.getElementById("compare");
    table.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col", className: "left" }),
      ...chosen.map((i) => element("th", { scope: "col" },
        element("bdi", {}, text.name[i] ?? "–"), element("br"),
        element("small", { className: "muted" }, text.backtest_id[i])))));
    table.tBodies[0].replaceChildren(...rows.map(([title, cells]) => {
      const differs = new Set(cells).size > 1;
      return element("tr", { className: differs ? "picked" : "" },
        element("th", { scope: "row", className: "left" }, (differs ? "≠ " : "") + title),
        ...cells.map((cell) => element("td", {}, element("bdi", {}, cell))));
    }));
    const unequal = ["dataset_id", "start", "end"].filter((key) =>
      new Set(chosen.map((i) => text[key][i])).size > 1);
    caution.hidden = !unequal.length;
    caution.textContent = "These runs differ in " +
      unequal.map((key) => key.replace("_id", "")).join(", ") +
      "; their numbers are not over the same bars.";
    drawChart(chosen);
  };
})();
