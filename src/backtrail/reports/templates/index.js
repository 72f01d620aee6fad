"use strict";
// The table of runs, its filters, and the comparison of ticked runs. Rows come from the page or
// from the files beside it; only those in view are in the document.
(() => {
  const { data, element, number } = page;
  const parts = data.rows ? [data.rows] : page.added;
  const node = document.getElementById("runs");
  if (!node) return;

  // Parts are joined, oldest first; a metric that a part does not know has no value there.
  const text = {}, metrics = {}, labels = {}, units = {};
  const params = [], tags = [], synthetic = [], looks = [], damage = [];
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
    tags.push(...part.tags);
    synthetic.push(...part.synthetic);
    Object.entries(part.looks).forEach(([at, found]) => { looks[total + Number(at)] = found; });
    Object.entries(part.damage).forEach(([at, found]) => { damage[total + Number(at)] = found; });
    total += count;
  });
  const order = [...data.main.filter((key) => key in metrics),
    ...Object.keys(metrics).filter((key) => !data.main.includes(key)).sort()];
  const paramText = params.map((record) =>
    Object.keys(record).sort().map((key) => key + "=" + record[key]).join(" "));
  const metric = (name, value) => page.metric(value, units[name]);
  const signed = new Set(["total_return", "cagr", "max_drawdown"]);
  const tagText = tags.map((names) => names.join(", "));
  const hasRates = text.risk_free.some(Boolean);
  const hasTags = tags.some((names) => names.length > 0);
  const ticked = new Set();
  let announce = () => {};
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
      announce();
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
  const looked = (i) => looks[i] && [looks[i][0] || "not opened",
    ...(looks[i][2] ? [`${looks[i][0] ? "" : "but "}seen in ${looks[i][2]} ${looks[i][2] === 1 ? "run" : "runs"}`] : []),
    ...(looks[i][1] ? ["contaminated"] : [])].join(", ");
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
  // How wide the longest text of a column would like it to be, from a count of characters.
  const wish = (characters) => {
    let most = 0;
    for (let i = 0; i < total; i += 1) most = Math.max(most, characters(i));
    return Math.min(420, Math.round(26 + 7.2 * most));
  };
  const columns = [
    { key: "tick", label: "", left: true, shown: true, always: true, width: 36, cell: tick },
    { key: "name", label: "Name", left: true, shown: true, always: true, width: 195,
      wants: wish((i) => (synthetic[i] ? 10 : 0) + (text.name[i] ?? text.backtest_id[i]).length),
      value: (i) => text.name[i], cell: name },
    { key: "strategy", label: "Strategy", left: true, shown: false, width: 150,
      value: (i) => text.strategy[i],
      cell: (i) => { const made = cell((text.strategy[i] ?? "–").split("/").pop());
        made.title = text.strategy[i] ?? ""; return made; } },
    { key: "params", label: "Parameters", left: true, shown: true, width: 125,
      wants: wish((i) => paramText[i].length),
      value: (i) => paramText[i], cell: (i) => cell(paramText[i]) },
    { key: "tags", label: "Tags", left: true, shown: hasTags, width: 150,
      value: (i) => tagText[i] || null,
      cell: (i) => { const made = element("td", { className: "left", title: tagText[i] });
        tags[i].forEach((name) => made.append(element("span", { className: "badge" }, name), " "));
        return made; } },
    { key: "status", label: "Status", left: true, shown: true, width: 100,
      value: (i) => text.status[i], cell: status },
    { key: "looks", label: "Holdout looks", left: true, down: true, shown: looks.length > 0,
      width: looks.some((found) => found?.[2]) ? 250 : 126,
      value: (i) => looks[i] ? looks[i][0] + looks[i][2] : null, cell: (i) => cell(looked(i) ?? "–") },
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
    // Beside the ratios that are over it; only where some run has one.
    ...(hasRates ? [{ ...plain("risk_free", "Risk-free rate", true, 128),
      cell: (i) => cell(text.risk_free[i] ?? "0") }] : []),
    plain("bundle", "Bundle", false, 150), plain("grade", "Grade", true, 58),
    plain("entry", "Batch entry", false), plain("run_type", "Type", false),
    plain("start", "Start", false), plain("end", "End", false),
    plain("dataset_id", "Dataset", false, 150), plain("code_hash", "Code", false, 150),
    plain("backtest_id", "Backtest", false, 172),
    { key: "reports", label: "Reports", left: true, shown: true,
      width: text.search.some(Boolean) ? 192 : 140, cell: reports },
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
  let seen = 0;
  new ResizeObserver(() => {
    if (view.clientWidth !== seen) { seen = view.clientWidth; head(); }
    draw(false);
  }).observe(view);

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
  // What room the view leaves goes to the columns that cut their texts, the first one first.
  const widths = (shown) => {
    let spare = view.clientWidth - shown.reduce((sum, column) => sum + column.width, 0);
    return shown.map((column) => {
      const more = Math.max(0, Math.min(spare, (column.wants ?? 0) - column.width));
      spare -= more;
      return column.width + more;
    });
  };
  const head = () => {
    const shown = chosen(), wide = widths(shown);
    node.style.width = wide.reduce((sum, width) => sum + width, 0) + "px";
    node.tHead.replaceChildren(element("tr", {}, ...shown.map((column, at) => {
      const mark = sorted === column.key ? (descending ? " ▼" : " ▲") : "";
      const made = element("th", { scope: "col", className: column.left ? "left" : "" });
      made.style.width = wide[at] + "px";
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
  const choice = (key, title, counts, holds) => {
    const values = [...counts].sort((a, b) => collator.compare(a[0] ?? "", b[0] ?? ""));
    const select = element("select", { className: "only", ariaLabel: "Only " + title },
      element("option", { value: "" }, "every " + title),
      ...values.map(([value, count]) => element("option", { value: "=" + (value ?? "") },
        (value ?? "none") + " (" + number(count, 0) + ")")));
    select.dataset.key = key;
    return { select, holds };
  };
  const tally = (lists) => {
    const counts = new Map();
    lists.forEach((values) => values.forEach((value) => counts.set(value, (counts.get(value) ?? 0) + 1)));
    return counts;
  };
  const choices = [["entry", "batch entry"], ["strategy", "strategy"], ["bundle", "bundle"],
    ["status", "status"], ["grade", "grade"], ["run_type", "type"]].flatMap(([key, title]) => {
    const counts = tally(text[key].map((value) => [value]));
    return counts.size < 2 ? []
      : [choice(key, title, counts, (i, value) => (text[key][i] ?? "") === value)];
  });
  // A run without tags is found by the empty value, which no tag can have.
  if (hasTags) choices.unshift(choice("tags", "tag",
    tally(tags.map((names) => names.length ? names : [null])),
    (i, value) => value === "" ? !tags[i].length : tags[i].includes(value)));
  const selects = choices.map(({ select }) => select);
  document.getElementById("filters").append(...selects);
  let haystack = null;
  const words = (i) => {
    haystack ??= new Array(total);
    return haystack[i] ??= [text.name[i], text.strategy[i], paramText[i], text.bundle[i],
      text.dataset_id[i], text.status[i], text.run_type[i], text.backtest_id[i], text.error[i],
      tags[i].join(" "), looked(i),
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
    if (["tag", "tags"].includes(key) && ["=", "!="].includes(sign) && !paramNames.has(key))
      return (i) => tags[i].some((name) => name.toLowerCase() === wanted) === (sign === "=");
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
    choices.filter(({ select }) => select.value).forEach(({ select, holds }) =>
      conditions.push((i) => holds(i, select.value.slice(1))));
    rows = conditions.length ? all.filter((i) => conditions.every((holds) => holds(i))) : all;
    complaint.hidden = !unknown.length;
    complaint.textContent = "No metric, parameter or column is called " + unknown.join(", ") +
      "; the names stand under Columns.";
    show();
  };
  search.addEventListener("input", filter);
  selects.forEach((select) => select.addEventListener("change", filter));
  const clear = document.getElementById("clear");
  clear.addEventListener("click", () => { ticked.clear(); draw(); announce(); });
  document.getElementById("runs-csv").addEventListener("click", () => {
    const texts = Object.keys(text).filter((key) => !["report", "advanced", "search"].includes(key));
    const names = [...paramNames].sort();
    const own = looks.length ? ["holdout_looks", "holdout_contaminated", "holdout_seen"] : [];
    page.save("runs", [[...texts, "tags", ...own, ...names, ...order], ...rows.map((i) => [
      ...texts.map((key) => text[key][i]), tags[i].join(" "), ...own.map((_, k) => looks[i]?.[k] ?? 0),
      ...names.map((key) => params[i][key]),
      ...order.map((key) => metrics[key][i])])]);
  });

  page.index = { text, metrics, labels, params, tagText, hasTags, looks, looked, order, metric, damage,
    onTicks: (listener) => { announce = () => {
      clear.hidden = ticked.size === 0;
      listener([...ticked].sort((a, b) => b - a)); // newest first
    }; } };
  head();
  show();
})();
