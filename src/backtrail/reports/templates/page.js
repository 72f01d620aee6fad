"use strict";
// Shared by all pages: theme, numbers, sortable tables. Nothing is kept and nothing is fetched.
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const listeners = [];
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const announce = () => listeners.forEach((listener) => listener());
  const button = document.getElementById("theme");
  if (button) button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    announce();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);

  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const faded = (name, alpha) =>
    color(name) + Math.round(alpha * 255).toString(16).padStart(2, "0");

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const counts = (text) => new Uint32Array(bytes(text).buffer);

  const number = (value, digits) =>
    value === null || value === undefined || Number.isNaN(value) ? "–"
      : value.toLocaleString("en-US", { minimumFractionDigits: digits,
        maximumFractionDigits: digits, signDisplay: "negative" }); // a rounded zero has no minus
  const percent = (value, digits = 2) =>
    value === null || value === undefined || Number.isNaN(value) ? "–"
      : number(value * 100, digits) + "%";
  // The same rule as the pages' own texts, so that a number reads alike wherever it stands.
  const metric = (value, unit) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    const size = Math.abs(value);
    if (unit === "fraction") return percent(value, size >= 0.1 ? 1 : 2);
    if (unit === "probability") {
      if (value >= 0.01 && value <= 0.99) return number(value, 2);
      return value < 0.0005 ? "<0.001" : value > 0.9995 ? ">0.999" : number(value, 3);
    }
    if (unit === "count" || unit === "bars") return number(value, Number.isInteger(value) ? 0 : 1);
    if (unit === "money") return number(value, size >= 10000 ? 0 : 2);
    if (value && size < 0.001) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
    return number(value, size >= 0.1 ? 2 : 3);
  };
  // Round numbers for an axis: about `count` of them from `low` to `high`.
  const ticks = (low, high, count) => {
    if (!(high > low)) return [low];
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => power * factor >= raw);
    const first = Math.ceil(low / step), last = Math.floor(high / step);
    return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
  };
  const moment = (seconds, intraday) => {
    if (seconds === null) return "–";
    const text = new Date(seconds * 1000).toISOString();
    return intraday ? text.slice(0, 16).replace("T", " ") : text.slice(0, 10);
  };

  const element = (tag, options = {}, ...children) => {
    const { dataset, ...rest } = options;
    const node = Object.assign(document.createElement(tag), rest);
    if (dataset) Object.assign(node.dataset, dataset);
    node.append(...children);
    return node;
  };

  // A table whose rows are indices into columns: sorted by its headings, filtered, shown in parts.
  const table = ({ node, columns, count, step = 250, more, row, onChange }) => {
    let order = Array.from({ length: count }, (_, index) => index);
    let shown = step, sorted = null, descending = false, accepts = () => true;
    const head = element("tr"), body = node.tBodies[0];
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const visible = () => order.filter(accepts);
    const draw = () => {
      const rows = visible();
      body.replaceChildren(...rows.slice(0, shown).map((index) => row(index)));
      if (more) more.hidden = rows.length <= shown;
      if (onChange) onChange(rows.length);
    };
    const sort = (column, down) => {
      sorted = column;
      descending = down;
      const value = columns[column].value, sign = down ? -1 : 1;
      order = Array.from({ length: count }, (_, index) => index);
      order.sort((a, b) => {
        const x = value(a), y = value(b);
        const none = (x === null || x === undefined) - (y === null || y === undefined);
        if (none || x === null || x === undefined) return none || a - b; // nothing goes last
        const by = typeof x === "number" ? x - y : compare(String(x), String(y));
        return by ? sign * by : a - b;
      });
      [...head.children].forEach((cell, index) => {
        const mark = index === column ? (down ? "descending" : "ascending") : "none";
        if (!columns[index].value) return;
        cell.setAttribute("aria-sort", mark);
        cell.firstChild.textContent =
          columns[index].label + (index === column ? (down ? " ▼" : " ▲") : "");
      });
      draw();
    };
    columns.forEach((column, index) => {
      const cell = element("th", { scope: "col", className: column.left ? "left" : "" });
      if (column.value) {
        const control = element("button", { type: "button" }, column.label);
        control.addEventListener("click", () =>
          sort(index, sorted === index ? !descending : Boolean(column.down)));
        cell.append(control);
      } else cell.append(column.label);
      head.append(cell);
    });
    node.tHead.replaceChildren(head);
    if (more) more.addEventListener("click", () => { shown += step; draw(); });
    draw();
    return {
      draw, sort, visible,
      filter: (test) => { accepts = test; shown = step; draw(); },
    };
  };

  // Tables as CSV files: full digits where a cell carries them, quoted as RFC 4180 says. The same
  // rows as Parquet: a column of numbers where each cell with a value is one.
  const textOf = (value) => value === null || value === undefined ? "" : String(value.text ?? value);
  const quoted = (value) => {
    const text = textOf(value);
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const asCsv = (rows) => {
    const text = rows.map((row) => row.map(quoted).join(",") + "\r\n").join("");
    return new Blob(["\ufeff", text], { type: "text/csv" });
  };
  const numberOf = (value) => {
    if (typeof value === "number") return value;
    return value !== null && typeof value === "object" ? value.number : undefined;
  };
  const asParquet = ([names, ...rows]) => {
    const columns = names.map((name, index) => {
      const cells = rows.map((row) => row[index]);
      const known = cells.map((cell) => ![ "", "–" ].includes(textOf(cell)));
      const isNumber = cells.every((cell, at) => !known[at] || numberOf(cell) !== undefined);
      return [textOf(name), cells.map((cell, at) =>
        !known[at] ? null : isNumber ? numberOf(cell) : textOf(cell))];
    });
    return new Blob([parquetFile(columns, rows.length)], { type: "application/octet-stream" });
  };
  let form = "csv";
  const save = (name, rows) => {
    const address = URL.createObjectURL((form === "csv" ? asCsv : asParquet)(rows));
    element("a", { href: address, download: `${name}.${form}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  document.querySelectorAll("button.csv").forEach((button) => {
    const title = button.title.replace("CSV", "Parquet");
    const other = element("button", { type: "button", className: "parquet", title }, "Parquet");
    other.addEventListener("click", () => {
      form = "parquet";
      try { button.click(); } finally { form = "csv"; }
    });
    button.after(" ", other);
  });
  // Heads of rows stay texts: symbols may be digits.
  const plain = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i, grouped = /^-?\d{1,3}(,\d{3})+$/;
  const words = { inf: Infinity, "-inf": -Infinity };
  const cellOf = (cell) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (cell.tagName === "TH") return { text };
    const digits = grouped.test(text) ? text.replaceAll(",", "") : text;
    return { text, number: words[digits] ?? (plain.test(digits) ? Number(digits) : undefined) };
  };
  const tableRows = (node) => [...node.rows].map((row) => [...row.cells].map(cellOf));
  const prefix = data.id ? data.id + "-" : "";
  document.querySelectorAll("button.csv[data-table]").forEach((button) =>
    button.addEventListener("click", () =>
      save(prefix + button.dataset.name, tableRows(document.getElementById(button.dataset.table)))));

  // A value that was packed in single precision has seven digits, and may be missing.
  const single = (value) => Number.isNaN(value) ? null : Number(value.toPrecision(7));

  // Equity of what is ticked in one chart: the colors of Okabe and Ito, told apart by color-blind
  // readers, then the same ones dotted and dashed. Given curves, each with a label, dates (`axis`)
  // and values, it draws them and no others.
  const palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f00"];
  const overlay = ({ box, lines, logButton }) => {
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
    const scale = () => chart?.priceScale("right").applyOptions(
      { mode: logButton.getAttribute("aria-pressed") === "true" ? 1 : 0 });
    listeners.push(paint);
    logButton.addEventListener("click", () => {
      logButton.setAttribute("aria-pressed",
        String(logButton.getAttribute("aria-pressed") !== "true"));
      scale();
    });
    const legend = (label, tone, dash) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.borderTopColor = tone;
      swatch.style.borderTopStyle = ["solid", "dotted", "dashed", "dashed"][dash];
      return element("span", {}, swatch, " ", element("bdi", {}, label), "  ");
    };
    return (curves, remark = "") => {
      box.hidden = !curves.length;
      if (curves.length && !chart) {
        chart = LightweightCharts.createChart(box, { autoSize: true,
          layout: { attributionLogo: true, fontSize: 11 }, localization: { locale: "en-US" } });
        paint();
      }
      series.forEach((line) => chart.removeSeries(line));
      series = curves.map(({ axis, values }, k) => {
        const line = chart.addSeries(LightweightCharts.LineSeries, { priceLineVisible: false,
          lineWidth: 2, color: palette[k % palette.length],
          lineStyle: Math.floor(k / palette.length) % 4 });
        line.setData(axis.map((time, j) =>
          values[j] === null ? { time } : { time, value: values[j] }));
        return line;
      });
      lines.replaceChildren(...curves.map(({ label }, k) => legend(label,
        palette[k % palette.length], Math.floor(k / palette.length) % 4)), remark);
      scale();
      chart?.timeScale().fitContent();
    };
  };

  const added = []; // rows of the index that lie in files beside it
  return {
    added, add: (part) => added.push(part),
    save: (name, rows) => save(prefix + name, rows),
    single, data, color, faded, floats, counts, number, percent, metric, ticks, moment, element, table, overlay, isDark,
    onTheme: (listener) => listeners.push(listener),
  };
})();
