"use strict";
// What the advanced report adds: rolling statistics, exposure, excursions of trades.
(() => {
  const { data, color, faded, element, number, percent, moment } = page;
  const { times, facts, trades } = page.report ?? {};
  const LW = window.LightweightCharts;
  const seconds = (record) => {
    const steps = page.counts(record.steps), all = new Array(steps.length);
    for (let i = 0, t = record.first; i < steps.length; i++) all[i] = t += steps[i];
    return all;
  };
  // Where there is no value there is no line: the one that would bridge the gap is not drawn.
  const line = (axis, values) => axis.map((time, i) => {
    if (Number.isNaN(values[i])) return { time };
    const last = i + 1 < values.length && Number.isNaN(values[i + 1]);
    return last ? { time, value: values[i], color: "transparent" } : { time, value: values[i] };
  });

  // A chart below the first screen is drawn when it comes near, so that the page paints at once.
  const near = (box, draw) => {
    if (!box) return;
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      draw();
    }, { rootMargin: "900px" });
    watch.observe(box);
  };
  const chartIn = (box, intraday) => {
    const chart = LW.createChart(box, {
      autoSize: true,
      layout: { attributionLogo: true, fontSize: 11, panes: { enableResize: true } },
      rightPriceScale: { minimumWidth: 74, entireTextOnly: true },
      timeScale: { timeVisible: intraday, secondsVisible: false, minBarSpacing: 0.01 },
      handleScroll: { mouseWheel: false, vertTouchDrag: false }, handleScale: { mouseWheel: false },
      localization: { locale: "en-US" },
    });
    const paint = () => {
      const grid = { color: color("grid") };
      chart.applyOptions({
        layout: { background: { color: color("bg") }, textColor: color("muted"),
          panes: { separatorColor: color("line"), separatorHoverColor: faded("accent", 0.2) } },
        grid: { vertLines: grid, horzLines: grid },
        rightPriceScale: { borderColor: color("line") }, timeScale: { borderColor: color("line") },
      });
    };
    page.onTheme(paint);
    paint();
    return chart;
  };
  const fraction = { type: "custom", formatter: (v) => (v * 100).toFixed(1) + "%", minMove: 0.001 };
  const ratio = { type: "price", precision: 2, minMove: 0.01 };
  const plain = { lineWidth: 1.5, priceLineVisible: false };
  const follow = (chart) => {
    const move = () => {
      const range = page.report && page.report.scale.getVisibleRange();
      if (range) try { chart.timeScale().setVisibleRange(range); } catch { /* nothing to show yet */ }
    };
    if (page.report) page.report.scale.subscribeVisibleTimeRangeChange(move);
    chart.timeScale().fitContent();
    if (page.report) move();
  };

  near(document.getElementById("rolling"), () => {
    const box = document.getElementById("rolling");
    const legend = document.getElementById("rolling-legend");
    const chart = chartIn(box, false);
    const names = ["sharpe", "volatility", "beta"].filter((name) => data.rolling[0][name]);
    const titles = { sharpe: "Sharpe", volatility: "Volatility", beta: "Beta" };
    const tones = { sharpe: "accent", volatility: "down", beta: "benchmark" };
    const series = names.map((name, pane) => chart.addSeries(LW.LineSeries,
      { ...plain, priceFormat: name === "volatility" ? fraction : ratio }, pane));
    const whole = series.map((one, i) => {
      const value = data.whole[names[i]];
      return value === null ? null : one.createPriceLine(
        { price: value, lineWidth: 1, lineStyle: 2, axisLabelVisible: false });
    });
    const paint = () => series.forEach((one, i) => {
      one.applyOptions({ color: color(tones[names[i]]) });
      if (whole[i]) whole[i].applyOptions({ color: color("muted") });
    });
    page.onTheme(paint);
    paint();
    const text = (name, v) => name === "volatility" ? percent(v, 1) : number(v, 2);
    let shown = null;
    const drawLegend = (at) => {
      const i = at === null ? shown.axis.length - 1 : Math.max(0, Math.min(at, shown.axis.length - 1));
      legend.replaceChildren(...[moment(shown.axis[i], false),
        ...names.map((name) => titles[name] + " " + text(name, shown[name][i]))]
        .map((part) => element("span", {}, part)));
    };
    const buttons = [...document.querySelectorAll("button.window")];
    const show = (k) => {
      const record = data.rolling[k];
      shown = { axis: seconds(record.times) };
      names.forEach((name, i) => {
        shown[name] = page.floats(record[name]);
        series[i].setData(line(shown.axis, shown[name]));
      });
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
      drawLegend(null);
    };
    buttons.forEach((button, k) => button.addEventListener("click", () => show(k)));
    show(data.rolling.length - 1);
    follow(chart);
    chart.subscribeCrosshairMove((event) =>
      drawLegend(event.logical === undefined ? null : Math.round(event.logical)));
    document.getElementById("rolling-csv").addEventListener("click", () => page.save("rolling", [
      ["date", ...names],
      ...shown.axis.map((time, i) => [moment(time, false),
        ...names.map((name) => page.single(shown[name][i]))]),
    ]));
  });

  near(document.getElementById("exposure"), () => {
    const box = document.getElementById("exposure");
    const legend = document.getElementById("exposure-legend");
    const intraday = data.chart.intraday;
    const chart = chartIn(box, intraday);
    const axis = seconds(data.times);
    const gross = page.floats(data.exposure.gross);
    const held = data.exposure.held ? page.floats(data.exposure.held) : null;
    const monthBars = page.counts(data.exposure.months);
    const monthly = page.floats(data.exposure.turnover);
    const area = chart.addSeries(LW.AreaSeries, { lineWidth: 1, priceLineVisible: false,
      priceFormat: fraction }, 0);
    area.setData(line(axis, gross));
    const count = held && chart.addSeries(LW.LineSeries, { ...plain, lineType: 1,
      priceFormat: { type: "price", precision: 0, minMove: 1 } }, 1);
    if (count) count.setData(line(axis, held));
    const bars = chart.addSeries(LW.HistogramSeries, { priceLineVisible: false,
      priceFormat: fraction }, count ? 2 : 1);
    bars.setData([...monthBars].flatMap((bar, i) =>
      Number.isNaN(monthly[i]) ? [] : [{ time: axis[bar], value: monthly[i] }]));
    const paint = () => {
      area.applyOptions({ lineColor: color("accent"), topColor: faded("accent", 0.35),
        bottomColor: faded("accent", 0.04) });
      if (count) count.applyOptions({ color: color("text") });
      bars.applyOptions({ color: faded("accent", 0.8) });
    };
    page.onTheme(paint);
    paint();
    const drawLegend = (at) => {
      const i = at === null ? axis.length - 1 : Math.max(0, Math.min(at, axis.length - 1));
      let month = 0;
      while (month + 1 < monthBars.length && monthBars[month + 1] <= i) month++;
      const parts = [moment(axis[i], intraday), "Gross exposure " + percent(gross[i], 1)];
      if (held) parts.push("Symbols held " + number(held[i], 0));
      parts.push("Turnover of the month " + percent(monthly[month], 1));
      legend.replaceChildren(...parts.map((part) => element("span", {}, part)));
    };
    drawLegend(null);
    follow(chart);
    chart.subscribeCrosshairMove((event) =>
      drawLegend(event.logical === undefined ? null : Math.round(event.logical)));
    document.getElementById("exposure-csv").addEventListener("click", () => {
      const turned = new Map([...monthBars].map((bar, i) => [bar, monthly[i]]));
      page.save("exposure", [
        ["time", "gross_exposure", ...(held ? ["symbols_held"] : []), "turnover_of_month"],
        ...axis.map((time, i) => [moment(time, intraday), page.single(gross[i]),
          ...(held ? [held[i]] : []),
          turned.has(i) ? page.single(turned.get(i)) : null]),
      ]);
    });
  });

  // Excursions: a mark per closed trade; round for a profit, a triangle for a loss.
  const box = document.getElementById("scatter");
  if (box && trades) {
    const svgNode = (tag, attributes, ...children) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
      node.append(...children);
      return node;
    };
    let key = "mae";
    const draw = () => {
      const width = box.clientWidth, height = box.clientHeight;
      const left = 46, bottom = 22, top = 6, right = 8;
      const chosen = trades.id.map((_, i) => i).filter((i) =>
        !trades.open[i] && trades[key][i] !== null && trades.return[i] !== null);
      const reach = (values) => {
        const low = Math.min(0, ...values), high = Math.max(0, ...values);
        const pad = (high - low || 0.01) * 0.05;
        return [low - pad, high + pad];
      };
      const [x0, x1] = reach(chosen.map((i) => trades[key][i]));
      const [y0, y1] = reach(chosen.map((i) => trades.return[i]));
      const x = (v) => left + (v - x0) / (x1 - x0) * (width - left - right);
      const y = (v) => height - bottom - (v - y0) / (y1 - y0) * (height - top - bottom);
      const parts = [
        svgNode("line", { class: "axis", x1: left, x2: width - right, y1: y(0), y2: y(0) }),
        svgNode("line", { class: "axis", x1: x(0), x2: x(0), y1: top, y2: height - bottom }),
      ];
      const low = Math.max(x0, y0), high = Math.min(x1, y1);
      if (high > low) parts.push(svgNode("line",
        { class: "diagonal", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }));
      const ticks = (from, to, count) => {
        const raw = (to - from) / count, power = 10 ** Math.floor(Math.log10(raw));
        const step = power * [1, 2, 5, 10].find((factor) => power * factor >= raw);
        const digits = Math.max(0, -Math.floor(Math.log10(step * 100) + 1e-9));
        const values = [];
        for (let v = Math.ceil(from / step); v * step <= to; v++) values.push(v * step);
        return values.map((v) => [v, (v * 100).toFixed(digits) + "%"]);
      };
      ticks(x0, x1, Math.max(3, width / 90)).forEach(([v, text]) => parts.push(svgNode("text",
        { x: x(v), y: height - 6, "text-anchor": "middle" }, text)));
      ticks(y0, y1, 5).forEach(([v, text]) => parts.push(svgNode("text",
        { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, text)));
      chosen.forEach((i) => {
        const a = x(trades[key][i]), b = y(trades.return[i]), won = trades.return[i] > 0;
        const mark = won ? svgNode("circle", { class: "mark gain", cx: a, cy: b, r: 3.6 })
          : svgNode("path", { class: "mark loss", d: `M${a} ${b - 4.4}l4.2 7.6h-8.4z` });
        mark.append(svgNode("title", {}, "Trade " + trades.id[i] + " " + trades.symbol[i] + ", " +
          moment(trades.entry[i], facts.intraday) + ": " + key.toUpperCase() + " " +
          percent(trades[key][i]) + ", return " + percent(trades.return[i])));
        mark.addEventListener("click", () => page.report.jump(i));
        parts.push(mark);
      });
      box.replaceChildren(svgNode("svg", { viewBox: `0 0 ${width} ${height}` }, ...parts));
    };
    const buttons = [...document.querySelectorAll("button.excursion")];
    buttons.forEach((button) => button.addEventListener("click", () => {
      key = button.dataset.key;
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      draw();
    }));
    near(box, () => { new ResizeObserver(draw).observe(box); draw(); });
  }

  // The part that is being read is marked in the list of parts.
  const links = [...document.querySelectorAll("nav.sections a")];
  const sections = links.map((link) => document.querySelector(link.getAttribute("href")));
  const mark = () => {
    const at = sections.findLastIndex((part) => part.getBoundingClientRect().top < 120);
    links.forEach((link, i) => {
      link.classList.toggle("here", i === at);
      if (i === at) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", mark, { passive: true });
})();
