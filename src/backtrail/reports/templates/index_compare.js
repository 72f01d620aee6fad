"use strict";
// The comparison of ticked runs: their facts and metrics, their code, their equity.
(() => {
  const { data, element } = page;
  const section = document.getElementById("comparison");
  if (!section) return;
  const { text, metrics, labels, params, tagText, hasTags, looks, looked, order, metric } = page.index;

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

  const overlay = page.overlay({ box: document.getElementById("chart"),
    lines: document.getElementById("lines"), logButton: document.getElementById("log") });
  let drawing = 0;
  const drawChart = async (wanted) => {
    const mine = ++drawing;
    const found = await Promise.all(wanted.map(curveOf));
    if (mine !== drawing) return; // the ticks have changed since
    const label = (i) => text.name[i] ?? text.backtest_id[i];
    const without = wanted.filter((_, k) => !found[k]).map(label);
    overlay(wanted.flatMap((i, k) => found[k] ? [{ label: label(i), ...found[k] }] : []),
      without.length ? "no equity curve of " + without.join(", ") : "");
  };

  const caution = document.getElementById("caution");
  page.index.onTicks((wanted) => {
    section.hidden = wanted.length === 0;
    if (!wanted.length) return;
    const keys = [...new Set(wanted.flatMap((i) => Object.keys(params[i])))].sort();
    const titles = { status: "Status", strategy: "Strategy", code_hash: "Code", bundle: "Bundle",
      dataset_id: "Dataset", start: "Start", end: "End", grade: "Grade" };
    const list = [
      ...Object.entries(titles).map(([key, title]) =>
        [title, wanted.map((i) => text[key][i]), (v) => v ?? "–"]),
      ...(wanted.some((i) => text.risk_free[i])
        ? [["Risk-free rate", wanted.map((i) => text.risk_free[i]), (v) => v ?? "0"]] : []),
      ...(hasTags ? [["Tags", wanted.map((i) => tagText[i]), (v) => v || "–"]] : []),
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
    const rates = new Set(wanted.map((i) => text.risk_free[i])).size > 1;
    caution.hidden = !unequal.length && !rates;
    caution.textContent = [
      unequal.length && "These runs differ in " +
        unequal.map((key) => key.replace("_id", "")).join(", ") +
        "; their numbers are not over the same bars.",
      rates && "These runs have different risk-free rates; Sharpe, Sortino and what else is over " +
        "that rate cannot be compared.",
    ].filter(Boolean).join(" ");
    const command = document.getElementById("command");
    command.hidden = wanted.length < 2;
    const tool = wanted.length === 2 ? "diff" : "compare";
    command.replaceChildren(wanted.length === 2 ? "Data, settings and the first differing trade as well: "
      : "The same as a table in a terminal: ", element("code", {}, "backtrail " + tool + " " +
      [...wanted].reverse().map((i) => text.backtest_id[i]).join(" ")));
    page.codeView(wanted);
    drawChart(wanted);
  });
})();
