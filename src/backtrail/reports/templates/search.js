"use strict";
// The sets of a search: one filter for heat map, parallel coordinates, front and table.
(() => {
  const { data, color, element, number, percent } = page;
  const { params, metrics, labels, units } = data;
  const total = data.sets.length;
  const all = Array.from({ length: total }, (_, i) => i);
  const place = new Map(data.sets.map((set, i) => [set, i]));
  const selected = place.get(data.selected);
  const paramNames = data.param_names, metricNames = data.metric_names;
  const byId = (id) => document.getElementById(id);
  const svg = (tag, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
    node.append(...children);
    return node;
  };
  const label = (name) => labels[name] ?? name;
  const write = (name, value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (name in params) return String(value);
    return page.metric(value, units[name]);
  };
  const paramText = (i) => paramNames.map((name) => name + "=" + params[name][i]).join(" ");

  // One filter for all pictures: the condition, and a range for each brushed axis.
  const brushes = new Map();
  const ticked = new Set();
  const listeners = [];
  let holds = () => true, kept = all;
  const columnOf = (name) => params[name] ?? metrics[name]
    ?? (name === "objective" ? data.objective : name === "set" ? data.sets
      : name === "rank" ? data.rank : null);
  const named = (wanted) => {
    const name = wanted.toLowerCase().replace(/^params\./, "");
    const fits = [(key) => key.toLowerCase() === name,
      (key) => label(key).toLowerCase() === name, (key) => key.toLowerCase().startsWith(name)];
    const keys = [...paramNames, ...metricNames, "objective", "set", "rank"];
    for (const fit of fits) { const key = keys.find(fit); if (key) return columnOf(key); }
    return null;
  };
  const position = new Map(); // of a text parameter's values on an axis
  paramNames.forEach((name) => {
    if (params[name].every((value) => value === null || typeof value === "number")) return;
    const values = [...new Set(params[name].map(String))].sort();
    position.set(name, new Map(values.map((value, k) => [value, k])));
  });
  const at = (name, i) => {
    const value = columnOf(name)[i];
    return value === null || value === undefined ? null
      : position.has(name) ? position.get(name).get(String(value)) : value;
  };
  const refresh = () => {
    kept = all.filter((i) => holds(i) && [...brushes].every(([name, [low, high]]) => {
      const value = at(name, i);
      return value !== null && value >= low && value <= high;
    }));
    byId("count").textContent = number(kept.length, 0) + " of " + number(total, 0) + " sets";
    byId("clear-brushes").hidden = brushes.size === 0;
    listeners.forEach((listener) => listener());
  };
  const search = byId("search"), complaint = byId("complaint");
  search.addEventListener("input", () => {
    const text = search.value.trim();
    complaint.hidden = true;
    try {
      const test = text ? page.expressions.parse(text, (name) => {
        const column = named(name);
        return column && ((i) => column[i] ?? null);
      }) : () => true;
      holds = test;
    } catch (error) {
      if (!(error instanceof page.expressions.Mistake)) throw error;
      complaint.hidden = false;
      complaint.textContent = "The condition is not used: " + error.message + ". Names are " +
        [...paramNames, ...metricNames].join(", ") + ".";
      holds = () => true;
    }
    refresh();
  });
  byId("clear-brushes").addEventListener("click", () => { brushes.clear(); refresh(); });

  // From the bad to the good end of a metric: orange over gray to teal, told apart by all readers.
  const LOWER = new Set(["annual_volatility"]); // the less the better
  const mix = (share) => "color-mix(in oklab, var(" + (share < 0 ? "--down" : "--up") + ") " +
    Math.round(Math.min(1, Math.abs(share)) * 100) + "%, var(--panel))";
  const range = (values) => { // one by one: spreading a very long list overflows the stack
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null || value === undefined) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : [0, 1];
  };
  const shareOf = (name, [low, high]) => {
    const sign = LOWER.has(name) ? -1 : 1;
    if (low < 0 && high > 0 && !LOWER.has(name)) {
      const reach = Math.max(-low, high);
      return (value) => value / reach;
    }
    return (value) => (high > low ? sign * (2 * (value - low) / (high - low) - 1) : 0);
  };

  // Heat map: a cell for each pair of values; a parameter with many values is cut into bins.
  const MOST = 60;
  const axisOf = (name) => {
    const values = [...new Set(params[name].filter((value) => value !== null))];
    if (position.has(name)) {
      const names = [...position.get(name).keys()];
      return { names, of: (i) => (params[name][i] === null ? null
        : position.get(name).get(String(params[name][i]))) };
    }
    values.sort((a, b) => a - b);
    if (values.length <= MOST) {
      const where = new Map(values.map((value, k) => [value, k]));
      return { names: values.map(String), of: (i) => where.get(params[name][i]) ?? null };
    }
    const [low, high] = [values[0], values.at(-1)], width = (high - low) / MOST;
    const short = (value) => String(Number(value.toPrecision(4)));
    return {
      names: Array.from({ length: MOST }, (_, k) =>
        short(low + k * width) + " to " + short(low + (k + 1) * width)),
      of: (i) => params[name][i] === null ? null
        : Math.min(MOST - 1, Math.floor((params[name][i] - low) / width)),
    };
  };
  const heat = byId("heat");
  if (heat) {
    const fill = (select, names, chosen) => {
      select.append(...names.map((name) =>
        element("option", { value: name, selected: name === chosen }, label(name))));
      select.addEventListener("change", () => drawHeat());
    };
    const varied = paramNames.filter((name) => new Set(params[name]).size > 1);
    const first = [...varied, ...paramNames];
    fill(byId("heat-x"), paramNames, first[0]);
    fill(byId("heat-y"), paramNames, first.find((name) => name !== first[0]));
    fill(byId("heat-metric"), metricNames,
      metricNames.includes("sharpe_ratio") ? "sharpe_ratio" : metricNames[0]);
    byId("heat-of").addEventListener("change", () => drawHeat());
    const drawHeat = () => {
      const [xName, yName, metric, of] =
        ["heat-x", "heat-y", "heat-metric", "heat-of"].map((id) => byId(id).value);
      const x = axisOf(xName), y = axisOf(yName);
      const cells = new Map();
      kept.forEach((i) => {
        const a = x.of(i), b = y.of(i);
        if (a === null || b === null) return;
        const key = b * x.names.length + a;
        if (!cells.has(key)) cells.set(key, []);
        cells.get(key).push(i);
      });
      const figure = (list) => {
        const present = list.filter((i) => metrics[metric][i] !== null);
        if (!present.length) return null;
        if (of === "mean")
          return present.reduce((sum, i) => sum + metrics[metric][i], 0) / present.length;
        const good = (i) => data.objective[i] ?? -Infinity;
        const pick = present.reduce((one, other) =>
          (of === "best" ? good(other) > good(one) : good(other) < good(one)) ? other : one);
        return metrics[metric][pick];
      };
      const found = new Map([...cells].map(([key, list]) => [key, figure(list)]));
      const share = shareOf(metric, range([...found.values()]));
      const width = heat.clientWidth || 900, left = 96, bottom = 54, top = 4;
      const cellWidth = (width - left - 4) / x.names.length;
      const cellHeight = Math.max(10, Math.min(34, 520 / y.names.length));
      const height = top + y.names.length * cellHeight + bottom;
      const parts = [];
      const own = selected === undefined ? null : y.of(selected) * x.names.length + x.of(selected);
      found.forEach((value, key) => {
        const a = key % x.names.length, b = Math.floor(key / x.names.length);
        const box = { x: left + a * cellWidth, y: top + (y.names.length - 1 - b) * cellHeight };
        const list = cells.get(key);
        const cell = svg("rect", { ...box, width: Math.max(1, cellWidth - 1),
          height: Math.max(1, cellHeight - 1), class: "cell" + (key === own ? " own" : ""),
          "data-x": x.names[a], "data-y": y.names[b], "data-v": value ?? "" });
        cell.style.fill = value === null ? "none" : mix(share(value));
        cell.append(svg("title", {}, xName + " " + x.names[a] + ", " + yName + " " + y.names[b] +
          ": " + label(metric) + " " + write(metric, value) +
          (list.length > 1 ? " (" + list.length + " sets)" : "") +
          (key === own ? ", selected" : "")));
        cell.addEventListener("click", () => toggle(list.reduce((one, other) =>
          ((data.objective[other] ?? -Infinity) > (data.objective[one] ?? -Infinity) ? other : one))));
        parts.push(cell);
        if (cellWidth >= 40 && cellHeight >= 15 && value !== null) parts.push(svg("text",
          { x: box.x + cellWidth / 2, y: box.y + cellHeight / 2 + 4, "text-anchor": "middle",
            class: "inside" }, write(metric, value)));
      });
      const every = (count, room) => Math.max(1, Math.ceil(count / Math.max(1, room)));
      const stepX = every(x.names.length, (width - left) / 52);
      const stepY = every(y.names.length, y.names.length * cellHeight / 15);
      x.names.forEach((name, k) => { if (k % stepX === 0) parts.push(svg("text",
        { x: left + (k + 0.5) * cellWidth, y: height - bottom + 16, "text-anchor": "middle" },
        name.split(" ")[0])); });
      y.names.forEach((name, k) => { if (k % stepY === 0) parts.push(svg("text",
        { x: left - 6, y: top + (y.names.length - k - 0.5) * cellHeight + 4, "text-anchor": "end" },
        name.split(" ")[0])); });
      parts.push(svg("text", { x: left + (width - left) / 2, y: height - 14,
        "text-anchor": "middle", class: "title" }, xName));
      parts.push(svg("text", { x: 14, y: height / 2 - 20, class: "title", "text-anchor": "middle",
        transform: "rotate(-90 14 " + (height / 2 - 20) + ")" }, yName));
      const [low, high] = range([...found.values()]);
      const picture = svg("svg", { viewBox: "0 0 " + width + " " + height, width, height,
        role: "img" }, ...parts);
      picture.setAttribute("aria-label", label(metric) + " by " + xName + " and " + yName + ", from " +
        write(metric, low) + " to " + write(metric, high));
      heat.replaceChildren(picture);
    };
    listeners.push(drawHeat);
    new ResizeObserver(drawHeat).observe(heat);
  }

  // Parallel coordinates: lines on a canvas, axes and brushes above them.
  const LINES = 4000;
  const wide = byId("parallel");
  const shownMetrics = ["sharpe_ratio", "cagr", "max_drawdown", "total_trades"]
    .filter((name) => metricNames.includes(name));
  const axes = [...paramNames, ...shownMetrics].map((name) => {
    const scale = position.has(name) ? [0, Math.max(1, position.get(name).size - 1)]
      : range(columnOf(name));
    return { name, low: scale[0], high: scale[1] };
  });
  const drawParallel = () => {
    const width = wide.clientWidth || 900, height = 310, top = 36, bottom = 22, side = 46;
    const ratio = devicePixelRatio || 1;
    const x = (k) => axes.length < 2 ? width / 2
      : side + k * (width - 2 * side) / (axes.length - 1);
    const y = (axis, value) => height - bottom - (axis.high > axis.low
      ? (value - axis.low) / (axis.high - axis.low) : 0.5) * (height - top - bottom);
    const back = (axis, pixel) => axis.low + (height - bottom - pixel) / (height - top - bottom) *
      (axis.high - axis.low);
    const canvas = element("canvas", { width: width * ratio, height: height * ratio });
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const line = (i) => {
      pen.beginPath();
      axes.forEach((axis, k) => {
        const value = at(axis.name, i);
        if (value === null) return;
        if (k) pen.lineTo(x(k), y(axis, value)); else pen.moveTo(x(k), y(axis, value));
      });
      pen.stroke();
    };
    const step = Math.ceil(kept.length / LINES);
    const lines = kept.filter((i, k) => k % Math.max(1, step) === 0);
    // From the last rank to the first, so that the best lie on top, in the colors of the heat map.
    const worst = range(data.rank)[1];
    const place = (i) => data.rank[i] ?? worst + 1;
    pen.globalAlpha = Math.max(0.12, Math.min(0.75, 90 / Math.max(1, lines.length)));
    lines.sort((a, b) => place(b) - place(a)).forEach((i) => {
      const share = data.rank[i] === null || worst < 2 ? null : 1 - 2 * (data.rank[i] - 1) / (worst - 1);
      pen.strokeStyle = share === null ? color("muted") : "color-mix(in oklab, " +
        color(share < 0 ? "down" : "up") + " " + Math.round(Math.abs(share) * 100) + "%, " +
        color("muted") + ")";
      line(i);
    });
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.strokeStyle = color("accent");
    [...ticked].forEach(line);
    pen.lineWidth = 3;
    pen.strokeStyle = color("text");
    if (selected !== undefined && kept.includes(selected)) line(selected);
    byId("parallel-hint").textContent = (step > 1 ? "Every " + step + "th of " : "") +
      number(kept.length, 0) + " sets, from orange for the last rank to green for the first; the " +
      "thick line is the selected set, ticked ones are blue.";
    const parts = axes.flatMap((axis, k) => {
      const title = svg("text", { x: x(k), y: 12, "text-anchor": "middle", class: "title" },
        label(axis.name));
      const hit = svg("rect", { x: x(k) - 14, y: top - 4, width: 28,
        height: height - top - bottom + 8, class: "hit", "data-axis": axis.name });
      const marks = [svg("line", { x1: x(k), x2: x(k), y1: top, y2: height - bottom, class: "axis" })];
      const words = (value) => position.has(axis.name)
        ? [...position.get(axis.name).keys()][value] ?? "" : write(axis.name, value);
      marks.push(svg("text", { x: x(k), y: height - 6, "text-anchor": "middle" }, words(axis.low)));
      marks.push(svg("text", { x: x(k), y: top - 6, "text-anchor": "middle" }, words(axis.high)));
      const brush = brushes.get(axis.name);
      if (brush) marks.push(svg("rect", { class: "brush", x: x(k) - 7, width: 14,
        y: y(axis, Math.min(brush[1], axis.high)),
        height: Math.max(2, y(axis, Math.max(brush[0], axis.low)) -
          y(axis, Math.min(brush[1], axis.high))) }));
      hit.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        const box = wide.getBoundingClientRect();
        const start = event.clientY - box.top;
        const end = (last) => {
          removeEventListener("pointerup", end);
          const stop = last.clientY - box.top;
          if (Math.abs(stop - start) < 4) brushes.delete(axis.name);
          else brushes.set(axis.name,
            [back(axis, Math.max(start, stop)), back(axis, Math.min(start, stop))]);
          refresh();
        };
        addEventListener("pointerup", end);
      });
      return [title, ...marks, hit];
    });
    wide.replaceChildren(canvas,
      svg("svg", { viewBox: "0 0 " + width + " " + height, width, height }, ...parts));
  };
  listeners.push(drawParallel);
  page.onTheme(drawParallel);
  new ResizeObserver(drawParallel).observe(wide);

  // Growth against drawdown, with the Pareto front.
  const front = byId("front");
  const FRONT_POINTS = 4000;
  const drawFront = () => {
    if (!metrics.cagr || !metrics.max_drawdown) return;
    const width = front.clientWidth || 900, height = 320, left = 56, bottom = 34, top = 8, right = 12;
    const both = (i) => metrics.cagr[i] !== null && metrics.max_drawdown[i] !== null;
    const step = Math.max(1, Math.ceil(kept.length / FRONT_POINTS));
    const best = data.frontier.map((set) => place.get(set)).filter((i) => i !== undefined && both(i))
      .sort((a, b) => metrics.max_drawdown[a] - metrics.max_drawdown[b]);
    const points = [...new Set([...kept.filter((i, k) => both(i) && k % step === 0),
      ...best.filter((i) => kept.includes(i))])];
    const [x0, x1] = range(points.map((i) => metrics.max_drawdown[i]));
    const [y0, y1] = range(points.map((i) => metrics.cagr[i]));
    const spread = (low, high) => (high - low || 0.01) * 0.04;
    const x = (v) => left + (v - x0 + spread(x0, x1)) / (x1 - x0 + 2 * spread(x0, x1)) *
      (width - left - right);
    const y = (v) => height - bottom - (v - y0 + spread(y0, y1)) / (y1 - y0 + 2 * spread(y0, y1)) *
      (height - top - bottom);
    const parts = [];
    const written = (list) => {
      const step = list.length > 1 ? (list[1] - list[0]) * 100 : 1;
      const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      return list.map((v) => [v, percent(v, digits)]);
    };
    written(page.ticks(x0, x1, width < 500 ? 3 : 6)).forEach(([a, text]) => parts.push(
      svg("line", { class: "axis", x1: x(a), x2: x(a), y1: top, y2: height - bottom }),
      svg("text", { x: x(a), y: height - 18, "text-anchor": "middle" }, text)));
    written(page.ticks(y0, y1, 5)).forEach(([b, text]) => parts.push(
      svg("line", { class: "axis", x1: left, x2: width - right, y1: y(b), y2: y(b) }),
      svg("text", { x: left - 6, y: y(b) + 4, "text-anchor": "end" }, text)));
    parts.push(svg("text", { x: width / 2, y: height - 2, "text-anchor": "middle", class: "title" },
      label("max_drawdown")));
    parts.push(svg("text", { x: 12, y: height / 2, class: "title", "text-anchor": "middle",
      transform: "rotate(-90 12 " + height / 2 + ")" }, label("cagr")));
    const own = best.filter((i) => kept.includes(i));
    if (own.length > 1) parts.push(svg("polyline", { class: "front", points: own.map((i) =>
      x(metrics.max_drawdown[i]) + "," + y(metrics.cagr[i])).join(" ") }));
    const onFront = new Set(best);
    points.forEach((i) => {
      const mark = svg("circle", { cx: x(metrics.max_drawdown[i]), cy: y(metrics.cagr[i]),
        r: i === selected ? 6 : onFront.has(i) ? 4.5 : 3, "data-set": data.sets[i],
        class: "mark" + (onFront.has(i) ? " best" : "") + (i === selected ? " own" : "") +
          (ticked.has(i) ? " ticked" : "") });
      mark.append(svg("title", {}, "Set " + data.sets[i] + ": " + paramText(i) + "; " +
        label("cagr") + " " + percent(metrics.cagr[i]) + ", " + label("max_drawdown") + " " +
        percent(metrics.max_drawdown[i]) + (i === selected ? ", selected" : "")));
      mark.addEventListener("click", () => toggle(i));
      parts.push(mark);
    });
    const picture = svg("svg", { viewBox: "0 0 " + width + " " + height, width, height,
      role: "img" }, ...parts);
    picture.setAttribute("aria-label", number(points.length, 0) +
      " sets by growth and largest fall; " + own.length + " are on the front");
    front.replaceChildren(picture);
  };
  listeners.push(drawFront);
  new ResizeObserver(drawFront).observe(front);

  // The table.
  const signed = new Set(["total_return", "cagr", "max_drawdown"]);
  const columns = [
    { label: "", left: true },
    { label: "Set", value: (i) => data.sets[i] },
    { label: "Rank", value: (i) => data.rank[i] },
    ...paramNames.map((name) => ({ label: name, value: (i) => params[name][i] })),
    { label: "Objective", down: true, value: (i) => data.objective[i] },
    ...metricNames.map((name) => ({ label: label(name), down: true,
      value: (i) => metrics[name][i] })),
    { label: "Remark", left: true, value: (i) => data.errors[data.sets[i]] ?? null },
  ];
  const cell = (text, className = "") => element("td", { className }, text);
  const boxes = new Map();
  const row = (i) => {
    const box = element("input", { type: "checkbox", checked: ticked.has(i),
      ariaLabel: "Tick set " + data.sets[i] + ", " + paramText(i) });
    box.addEventListener("change", () => toggle(i));
    boxes.set(i, box);
    const remark = data.errors[data.sets[i]] ?? (data.admissible[i] ? "" : "not admissible");
    return element("tr", { className: ticked.has(i) || i === selected ? "picked" : "" },
      element("td", { className: "left" }, box),
      cell(number(data.sets[i], 0)), cell(data.rank[i] === null ? "–" : number(data.rank[i], 0)),
      ...paramNames.map((name) => cell(element("bdi", {}, write(name, params[name][i])))),
      cell(write("objective", data.objective[i])),
      ...metricNames.map((name) => {
        const value = metrics[name][i];
        const sign = data.infinite[name]?.[i];
        return cell(sign ? (sign > 0 ? "∞" : "-∞") : write(name, value),
          !signed.has(name) || !value ? "" : value > 0 ? "pos" : "neg");
      }),
      cell(i === selected ? "selected" + (remark ? ", " + remark : "") : remark, "left wrap"));
  };
  const table = page.table({ node: byId("sets"), columns, count: total, step: 100,
    more: byId("more"), row });
  table.sort(2, false);
  listeners.push(() => { const inside = new Set(kept); table.filter((i) => inside.has(i)); });
  byId("sets-csv").addEventListener("click", () => page.save("sets", [
    ["set", "rank", ...paramNames, "objective", ...metricNames, "admissible", "error"],
    ...table.visible().map((i) => [data.sets[i], data.rank[i],
      ...paramNames.map((name) => params[name][i]), data.objective[i],
      ...metricNames.map((name) => metrics[name][i]), Boolean(data.admissible[i]),
      data.errors[data.sets[i]] ?? ""])]));

  // Equity of ticked sets, of those whose curve was kept.
  const overlay = page.overlay({ box: byId("chart"), lines: byId("lines"), logButton: byId("log") });
  const drawCurves = () => {
    byId("overlay").hidden = ticked.size === 0;
    if (!ticked.size) return;
    const curveOf = (i) => data.curves && data.curves.equity[data.sets[i]];
    const wanted = [...ticked], without = wanted.filter((i) => !curveOf(i));
    overlay(wanted.filter(curveOf).map((i) => ({ label: "set " + data.sets[i] + " " + paramText(i),
      axis: data.curves.dates, values: curveOf(i) })), without.length ? "No curve was kept of set " +
      without.map((i) => data.sets[i]).join(", ") + "; make it a run of its own to see one." : "");
  };
  const toggle = (i) => {
    if (ticked.has(i)) ticked.delete(i); else ticked.add(i);
    const box = boxes.get(i);
    if (box) {
      box.checked = ticked.has(i);
      const own = box.closest("tr");
      if (own) own.classList.toggle("picked", ticked.has(i) || i === selected);
    }
    drawParallel();
    drawFront();
    drawCurves();
  };
  refresh();
})();
