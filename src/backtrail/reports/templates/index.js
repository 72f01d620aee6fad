"use strict";
// The table of runs, its filters, and the comparison of ticked runs. Rows come from the page or
// from the files beside it; only those in view are in the document.
(() => {
  const { data, color, element, number } = page;
  const parts = data.rows ? [data.rows] : page.added;
  const node = document.getElementById("runs");
  if (!node) return;

  // Parts are joined, oldest first; a metric that a part does not know has no value there.
  const text = {}, metrics = {}, labels = {}, units = {}, params = [], synthetic = [], looks = [];
  let total = 0;
  parts.forEach((part) => {
    const count = part.columns.backtest_id.length;
    Object.entries(part.columns).forEach(([key, values]) =>
      (text[key] ??= []).push(...values));
    part.order.forEach((key) => {
      metrics[key] ??= new Array(total).fill(null);
      labels[key] = part.labels[key];
      units[key] = part.units[key];
    });
    Object.keys(metrics).forEach((key) =>
      metrics[key].push(...(part.metrics[key] ?? new Array(count).fill(null))));
    params.push(...part.params);
    synthetic.push(...part.synthetic);
    Object.entries(part.looks).forEach(([at, found]) => { looks[total + Number(at)] = found; });
    total += count;
  });
  const order = [...data.main.filter((key) => key in metrics),
    ...Object.keys(metrics).filter((key) => !data.main.includes(key)).sort()];
  const paramText = params.map((record) =>
    Object.keys(record).sort().map((key) => key + "=" + record[key]).join(" "));
  const metric = (name, value) => page.metric(value, units[name]);
  const signed = new Set(["total_return", "cagr", "max_drawdown"]);
  const ticked = new Set();
  const address = (path) => path.split("/").map(encodeURIComponent).join("/");

  // Columns: what a cell shows, what it is sorted by, whether it is there from the beginning.
  const cell = (content, className = "left") =>
    element("td", { className, title: typeof content === "string" ? content : "" },
      typeof content === "string" ? element("bdi", {}, content) : content);
  const tick = (i) => {
    const box = element("input", { type: "checkbox", checked: ticked.has(i),
      ariaLabel: "Compare " + (text.name[i] ?? "") + " " + text.backtest_id[i] });
    box.addEventListener("change", () => {
      if (box.checked) ticked.add(i); else ticked.delete(i);
      box.closest("tr").classList.toggle("picked", box.checked);
      compare();
    });
    return element("td", { className: "tick" }, box);
  };
  const name = (i) => {
    const label = element("bdi", {}, text.name[i] ?? text.backtest_id[i]);
    const path = text.advanced[i] ?? text.report[i];
    const made = element("td", { className: "left",
      title: (text.name[i] ?? "") + " · " + text.backtest_id[i] },
      path ? element("a", { href: address(path) }, label) : label);
    // In front, where a long name cannot push it out of sight.
    if (synthetic[i]) made.prepend(element("span", { className: "badge warn" }, "synthetic"), " ");
    return made;
  };
  const status = (i) => {
    const failed = text.status[i] === "failed";
    const made = element("td", { className: "left", title: text.error[i] ?? "" },
      element("span", { className: failed ? "badge bad" : "badge" }, text.status[i] ?? "–"));
    if (text.error[i]) made.append(" ", element("small", {}, text.error[i].slice(0, 140)));
    return made;
  };
  const looked = (i) => looks[i] && looks[i][0] + (looks[i][1] ? ", contaminated" : "");
  const reports = (i) => {
    const links = [["basic", text.report[i]], ["advanced", text.advanced[i]],
      ["search", text.search[i]]]
      .filter(([, path]) => path)
      .flatMap(([label, path]) => [" ", element("a", { href: address(path),
        ariaLabel: label + " report of " + (text.name[i] ?? "") },
        text.status[i] === "failed" ? "failure" : label)]);
    return element("td", { className: "left" }, ...links);
  };
  const plain = (key, label, shown = true, width = 110) => ({
    key, label, left: true, shown, width, value: (i) => text[key][i],
    cell: (i) => cell(text[key][i] ?? "–"),
  });
  const columns = [
    { key: "tick", label: "", left: true, shown: true, always: true, width: 36, cell: tick },
    { key: "name", label: "Name", left: true, shown: true, always: true, width: 195,
      value: (i) => text.name[i], cell: name },
    { key: "strategy", label: "Strategy", left: true, shown: false, width: 150,
      value: (i) => text.strategy[i],
      cell: (i) => { const made = cell((text.strategy[i] ?? "–").split("/").pop());
        made.title = text.strategy[i] ?? ""; return made; } },
    { key: "params", label: "Parameters", left: true, shown: true, width: 125,
      value: (i) => paramText[i], cell: (i) => cell(paramText[i]) },
    { key: "status", label: "Status", left: true, shown: true, width: 100,
      value: (i) => text.status[i], cell: status },
    { key: "looks", label: "Holdout looks", left: true, down: true, shown: looks.length > 0, width: 126,
      value: (i) => looks[i]?.[0] ?? null, cell: (i) => cell(looked(i) ?? "–") },
    ...order.map((key) => ({
      key, label: labels[key], down: true, shown: data.main.includes(key),
      width: Math.max(70, Math.round(24 + 8.2 * labels[key].length)),
      value: (i) => metrics[key][i],
      cell: (i) => {
        const value = metrics[key][i];
        const tone = !signed.has(key) || !value ? "" : value > 0 ? "pos" : "neg";
        return element("td", { className: tone }, metric(key, value));
      },
    })),
    plain("bundle", "Bundle", false, 150), plain("grade", "Grade", true, 58),
    plain("entry", "Batch entry", false), plain("run_type", "Type", false),
    plain("start", "Start", false), plain("end", "End", false),
    plain("dataset_id", "Dataset", false, 150), plain("code_hash", "Code", false, 150),
    plain("backtest_id", "Backtest", false, 172),
    { key: "reports", label: "Reports", left: true, shown: true, width: 176, cell: reports },
  ];
  const chosen = () => columns.filter((column) => column.shown);

  // The rows in view, between two rows that are as high as all that are not.
  const ROW = 32, MARGIN = 12;
  const view = document.getElementById("runs-view");
  const body = node.tBodies[0];
  const collator = new Intl.Collator("en", { numeric: true });
  let all = Array.from({ length: total }, (_, i) => total - 1 - i); // newest first
  let rows = all, sorted = null, descending = false, drawn = "";
  const gap = (height) => {
    const made = element("td", { colSpan: chosen().length, className: "gap" });
    made.style.height = height + "px";
    return element("tr", { ariaHidden: "true" }, made);
  };
  const draw = (force = true) => {
    const from = Math.max(0, Math.floor(view.scrollTop / ROW) - MARGIN);
    const to = Math.min(rows.length, Math.ceil((view.scrollTop + view.clientHeight) / ROW) + MARGIN);
    if (!force && drawn === from + " " + to) return;
    drawn = from + " " + to;
    const shown = chosen();
    const made = rows.slice(from, to).map((i, k) => {
      const row = element("tr", { className: ticked.has(i) ? "picked" : "" },
        ...shown.map((column) => column.cell(i)));
      row.setAttribute("aria-rowindex", from + k + 2);
      return row;
    });
    body.replaceChildren(gap(from * ROW), ...made, gap((rows.length - to) * ROW));
    node.setAttribute("aria-rowcount", rows.length + 1);
  };
  const label = document.getElementById("count");
  const show = () => {
    label.textContent = number(rows.length, 0) + " of " + number(total, 0);
    view.scrollTop = 0;
    draw();
  };
  let waiting = false;
  view.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(false); });
  }, { passive: true });
  new ResizeObserver(() => draw(false)).observe(view);

  const sort = (column, down) => {
    [sorted, descending] = [column.key, down];
    const sign = down ? -1 : 1, value = column.value;
    all.sort((a, b) => {
      const x = value(a) ?? null, y = value(b) ?? null;
      if (x === null || y === null) return (x === null) - (y === null) || b - a; // nothing is last
      const by = typeof x === "number" ? x - y : collator.compare(x, y);
      return by ? sign * by : b - a;
    });
    head();
    filter();
  };
  const head = () => {
    const shown = chosen();
    node.style.width = shown.reduce((sum, column) => sum + column.width, 0) + "px";
    node.tHead.replaceChildren(element("tr", {}, ...shown.map((column) => {
      const mark = sorted === column.key ? (descending ? " ▼" : " ▲") : "";
      const made = element("th", { scope: "col", className: column.left ? "left" : "" });
      made.style.width = column.width + "px";
      if (column.key === "tick") made.className = "tick";
      if (!column.value) { made.append(column.label || element("span", { className: "sr" }, "Tick"));
        return made; }
      made.setAttribute("aria-sort", mark ? (descending ? "descending" : "ascending") : "none");
      const control = element("button", { type: "button" }, column.label + mark);
      control.addEventListener("click", () =>
        sort(column, sorted === column.key ? !descending : Boolean(column.down)));
      made.append(control);
      return made;
    })));
  };

  // Columns to choose.
  document.getElementById("columns").append(...columns.filter((column) => !column.always)
    .map((column) => {
      const box = element("input", { type: "checkbox", checked: column.shown });
      box.dataset.key = column.key;
      box.addEventListener("change", () => { column.shown = box.checked; head(); draw(); });
      return element("label", {}, box, " ", column.label);
    }));

  // Filters: a choice per column that has more than one value, words, and conditions on metrics.
  const selects = [["entry", "batch entry"], ["strategy", "strategy"], ["bundle", "bundle"],
    ["status", "status"], ["grade", "grade"], ["run_type", "type"]].flatMap(([key, title]) => {
    const counts = new Map();
    text[key].forEach((value) => counts.set(value, (counts.get(value) ?? 0) + 1));
    if (counts.size < 2) return [];
    const values = [...counts].sort((a, b) => collator.compare(a[0] ?? "", b[0] ?? ""));
    const select = element("select", { className: "only", ariaLabel: "Only " + title },
      element("option", { value: "" }, "every " + title),
      ...values.map(([value, count]) => element("option", { value: "=" + (value ?? "") },
        (value ?? "none") + " (" + number(count, 0) + ")")));
    select.dataset.key = key;
    return [select];
  });
  document.getElementById("filters").append(...selects);
  let haystack = null;
  const words = (i) => {
    haystack ??= new Array(total);
    return haystack[i] ??= [text.name[i], text.strategy[i], paramText[i], text.bundle[i],
      text.dataset_id[i], text.status[i], text.run_type[i], text.backtest_id[i], text.error[i],
      looked(i),
      synthetic[i] ? "synthetic" : ""].join(" ").toLowerCase();
  };
  const metricNamed = (wanted) => {
    const name = wanted.replaceAll("-", "_");
    const fits = [
      (key) => key === name, (key) => labels[key].toLowerCase() === name,
      (key) => key.startsWith(name), (key) => key.includes(name),
    ];
    for (const fit of fits) { const found = order.find(fit); if (found) return found; }
    return null;
  };
  const paramNames = new Set(params.flatMap((record) => Object.keys(record)));
  const tests = {
    ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
    "=": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  const condition = (term, unknown) => {
    const found = term.match(/^([^<>=!]+)(<=|>=|!=|=|<|>)(.+)$/);
    if (!found) return (i) => words(i).includes(term);
    const [, key, sign, wanted] = found;
    const value = wanted.endsWith("%") ? Number(wanted.slice(0, -1)) / 100 : Number(wanted);
    const param = [...paramNames].find((name) => name.toLowerCase() === key);
    const read = param !== undefined ? (i) => params[i][param]
      : metricNamed(key) ? ((name) => (i) => metrics[name][i])(metricNamed(key))
      : key in text ? (i) => text[key][i] : null;
    if (!read) { unknown.push(key); return () => true; }
    return (i) => {
      const own = read(i);
      if (own === null || own === undefined) return false;
      if (wanted !== "" && !Number.isNaN(value) && own !== "" && !Number.isNaN(Number(own)))
        return tests[sign](Number(own), value);
      return tests[sign](String(own).toLowerCase(), wanted);
    };
  };
  const search = document.getElementById("search");
  const complaint = document.getElementById("unknown");
  const filter = () => {
    const unknown = [];
    const terms = search.value.toLowerCase().replace(/\s*(<=|>=|!=|=|<|>)\s*/g, "$1").split(/\s+/)
      .filter((term) => term && term !== "and" && !/[<>=!]$/.test(term));
    const conditions = terms.map((term) => condition(term, unknown));
    selects.filter((select) => select.value).forEach((select) => conditions.push((i) =>
      (text[select.dataset.key][i] ?? "") === select.value.slice(1)));
    rows = conditions.length ? all.filter((i) => conditions.every((holds) => holds(i))) : all;
    complaint.hidden = !unknown.length;
    complaint.textContent = "No metric, parameter or column is called " + unknown.join(", ") +
      "; the names stand under Columns.";
    show();
  };
  search.addEventListener("input", filter);
  selects.forEach((select) => select.addEventListener("change", filter));
  const clear = document.getElementById("clear");
  clear.addEventListener("click", () => { ticked.clear(); draw(); compare(); });
  document.getElementById("runs-csv").addEventListener("click", () => {
    const texts = Object.keys(text).filter((key) => !["report", "advanced", "search"].includes(key));
    const names = [...paramNames].sort();
    const own = looks.length ? ["holdout_looks", "holdout_contaminated"] : [];
    page.save("runs", [[...texts, ...own, ...names, ...order], ...rows.map((i) => [
      ...texts.map((key) => text[key][i]), ...own.map((_, k) => looks[i]?.[k] ?? 0),
      ...names.map((key) => params[i][key]),
      ...order.map((key) => metrics[key][i])])]);
  });

  // Curves come with the page, or from the file of the runs around a ticked one.
  const files = new Map(), curves = new Map();
  (data.curves ?? []).forEach((record, k) => files.set(k, Promise.resolve(record)));
  const arrivals = new Map();
  page.curves = (first, record) => arrivals.get(first)?.(record);
  const fileOf = (k) => {
    if (!files.has(k)) files.set(k, new Promise((resolve) => {
      arrivals.set(text.backtest_id[k * data.curves_per_file], resolve);
      const script = element("script", { src: data.curve_files[k] });
      script.addEventListener("error", () => resolve(null));
      document.head.append(script);
    }));
    return files.get(k);
  };
  const curveOf = async (i) => {
    if (!curves.has(i)) {
      const record = await fileOf(Math.floor(i / data.curves_per_file));
      const found = record && record.curves[i % data.curves_per_file];
      curves.set(i, found ? { axis: record.axes[found[0]], values: found[1] } : null);
    }
    return curves.get(i);
  };

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
  let drawing = 0;
  const drawChart = async (wanted) => {
    const mine = ++drawing;
    const found = await Promise.all(wanted.map(curveOf));
    if (mine !== drawing) return; // the ticks have changed since
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
    wanted.forEach((i, k) => {
      const look = style(k), curve = found[k];
      const entry = element("span", {}, element("span", { className: "swatch" }), " ",
        element("bdi", {}, text.name[i] ?? text.backtest_id[i]),
        curve ? "  " : " (no equity curve)  ");
      entry.firstChild.style.borderTopColor = look.color;
      entry.firstChild.style.borderTopStyle = ["solid", "dotted", "dashed", "dashed"][look.lineStyle];
      lines.append(entry);
      if (!curve) return;
      const line = chart.addSeries(LightweightCharts.LineSeries,
        { ...look, lineWidth: 2, priceLineVisible: false });
      line.setData(curve.axis.map((time, j) =>
        curve.values[j] === null ? { time } : { time, value: curve.values[j] }));
      series.push(line);
    });
    scale();
    chart.timeScale().fitContent();
  };

  const compare = () => {
    const wanted = [...ticked].sort((a, b) => b - a);
    section.hidden = clear.hidden = wanted.length === 0;
    if (!wanted.length) return;
    const keys = [...new Set(wanted.flatMap((i) => Object.keys(params[i])))].sort();
    const titles = { status: "Status", strategy: "Strategy", code_hash: "Code", bundle: "Bundle",
      dataset_id: "Dataset", start: "Start", end: "End", grade: "Grade" };
    const list = [
      ...Object.entries(titles).map(([key, title]) =>
        [title, wanted.map((i) => text[key][i]), (v) => v ?? "–"]),
      ...(looks.length ? [["Holdout looks", wanted.map(looked), (v) => v ?? "–"]] : []),
      ...keys.map((key) => ["parameter " + key, wanted.map((i) => params[i][key]), (v) => v ?? "–"]),
      ...order.map((key) => [labels[key], wanted.map((i) => metrics[key][i]),
        (v) => metric(key, v)]),
    ];
    const table = document.getElementById("compare");
    table.tHead.replaceChildren(element("tr", {}, element("th", { scope: "col", className: "left" }),
      ...wanted.map((i) => {
        const made = element("th", { scope: "col" }, element("bdi", {}, text.name[i] ?? "–"),
          element("br"), element("small", { className: "muted" }, text.backtest_id[i]));
        made.dataset.v = text.backtest_id[i];
        return made;
      })));
    table.tBodies[0].replaceChildren(...list.map(([title, values, words]) => {
      const differs = new Set(values.map((value) => value ?? null)).size > 1;
      const heading = element("th", { scope: "row", className: "left" }, (differs ? "≠ " : "") + title);
      heading.dataset.v = title;
      return element("tr", { className: differs ? "picked" : "" }, heading,
        ...values.map((value) => {
          const made = element("td", {}, element("bdi", { className: "clip" }, words(value)));
          made.dataset.v = value ?? "";
          return made;
        }));
    }));
    const unequal = ["dataset_id", "start", "end"].filter((key) =>
      new Set(wanted.map((i) => text[key][i])).size > 1);
    caution.hidden = !unequal.length;
    caution.textContent = "These runs differ in " +
      unequal.map((key) => key.replace("_id", "")).join(", ") +
      "; their numbers are not over the same bars.";
    const command = document.getElementById("command");
    command.hidden = wanted.length < 2;
    const tool = wanted.length === 2 ? "diff" : "compare";
    command.replaceChildren(wanted.length === 2 ? "Code line by line and the first differing trade: "
      : "The same as a table in a terminal: ", element("code", {}, "backtrail " + tool + " " +
      [...wanted].reverse().map((i) => text.backtest_id[i]).join(" ")));
    drawChart(wanted);
  };
  head();
  show();
})();
