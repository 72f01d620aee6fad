"use strict";
// The captured code of two runs line by line. What it consists of comes with the page, or from
// script files beside it, each of them loaded when it is needed first.
page.codeView = (() => {
  const { data, element, number } = page;
  const section = document.getElementById("code");
  if (!section) return null;
  const { text, damage } = page.index;
  const KEPT = 3, OPEN = 8; // lines around a change; files that are open from the beginning
  const known = { closure: new Map(Object.entries(data.code.closures ?? {}).map(([key, files]) =>
    [key, new Map(Object.entries(files))])), // a path may be `__proto__`
    file: new Map(Object.entries(data.code.files ?? {})) };
  const arrivals = new Map();
  const arrive = (kind) => (key, value) => { known[kind].set(key, value); arrivals.get(kind + key)?.(); };
  const arriveClosure = arrive("closure");
  page.code = { closure: (key, files) => arriveClosure(key, new Map(files)),
    file: arrive("file") };
  const waiting = new Map();
  const load = async (kind, key) => {
    if (known[kind].has(key) || !data.code.prefixes) return known[kind].get(key) ?? null;
    if (!waiting.has(kind + key)) waiting.set(kind + key, new Promise((resolve) => {
      arrivals.set(kind + key, resolve);
      const script = element("script", { src: data.code.prefixes[kind] + key.slice(0, 16) + ".js" });
      script.addEventListener("error", resolve);
      script.addEventListener("load", resolve);
      document.head.append(script);
    }));
    await waiting.get(kind + key);
    return known[kind].get(key) ?? null;
  };

  const nameOf = (i) => text.name[i] ?? text.backtest_id[i];
  const counted = (count, word) => number(count, 0) + " " + word + (count === 1 ? "" : "s");
  // What would turn text around, or cannot be seen, is written out: code must not hide in it.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  const visible = (line) => line.replace(/\n$/, " ⟨no end of line⟩").replace(HIDDEN, (sign) =>
    "⟨U+" + sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩");

  const MARKS = { "-": ["−", "removed"], "+": ["+", "added"], " ": ["", ""] };
  const lineRow = (row) => {
    const [sign, word] = MARKS[row.kind];
    const mark = element("td", { className: "mark" }, element("span", { ariaHidden: "true" }, sign),
      element("span", { className: "sr" }, word));
    return element("tr", { className: word },
      element("td", {}, row.before === null ? "" : String(row.before)),
      element("td", {}, row.after === null ? "" : String(row.after)), mark,
      element("td", { className: "left line", dir: "ltr" }, visible(row.text)));
  };
  // Lines that stayed as they were are folded, but for those around a change.
  const folded = (rows, region) => {
    const near = new Uint8Array(rows.length);
    rows.forEach((row, k) => {
      if (row.kind !== " ") near.fill(1, Math.max(0, k - KEPT), k + KEPT + 1);
    });
    const made = [];
    for (let k = 0; k < rows.length;) {
      let end = k;
      while (end < rows.length && !near[end]) end++;
      if (end - k > 1) {
        const hidden = rows.slice(k, end);
        const control = element("button", { type: "button" },
          "Show " + counted(hidden.length, "unchanged line"));
        const fold = element("tr", { className: "fold" },
          element("td", { colSpan: 4, className: "left" }, control));
        control.addEventListener("click", () => {
          fold.replaceWith(...hidden.map(lineRow));
          region.focus({ preventScroll: true });
        });
        made.push(fold);
        k = end;
      } else made.push(lineRow(rows[k++]));
    }
    return made;
  };
  const linesTable = (path, rows) => {
    const region = element("div", { className: "scroll boxed diff", tabIndex: 0, role: "region",
      ariaLabel: "Lines of " + path });
    const heads = ["Before", "After", "", "Line"].map((head, k) => element("th",
      { scope: "col", className: k === 3 ? "left" : "" },
      head || element("span", { className: "sr" }, "Change")));
    region.append(element("table", { className: "lines" },
      element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {}, ...folded(rows, region))));
    return region;
  };

  // One file of both closures: what is said of it, its rows or why there are none.
  const WORDS = { "-+": "changed", "-": "only before", "+": "only after" };
  const describe = async (path, before, after) => {
    const kind = WORDS[(before ? "-" : "") + (after ? "+" : "")];
    const contents = await Promise.all([before, after].map((sha256) =>
      sha256 ? load("file", sha256) : { size: 0, text: "" }));
    const lost = [before, after].filter((sha256, k) => sha256 && !contents[k]);
    if (lost.length) return { path, kind, why: lost.some((sha256) => data.code.lost.includes(sha256))
      ? "No copy of it is left that has the checksum of what was captured."
      : "Its script is not in .index, the folder that has to stand beside this page." };
    if (contents.some((content) => content.text === null)) return { path, kind,
      why: "It is no UTF-8 text, or too long to be shown: " +
        contents.map((content) => number(content.size, 0)).join(" and ") + " bytes." };
    return { path, kind, ...page.diff(contents[0].text, contents[1].text) };
  };
  const fileNode = (file, isOpen) => {
    const said = file.why ? file.kind
      : file.kind + " · " + number(file.added, 0) + " added, " + number(file.removed, 0) + " removed";
    const node = element("details", { className: "file", open: isOpen }, element("summary", {},
      element("code", {}, element("bdi", {}, visible(file.path))), " ", element("small", {}, said)));
    if (file.why) node.append(element("p", { className: "hint" }, file.why));
    else {
      if (!file.isShortest) node.append(element("p", { className: "hint" },
        "The texts have little in common; all between the first and the last difference is " +
        "shown as replaced."));
      const fill = () => {
        if (node.open && !node.querySelector("table")) node.append(linesTable(file.path, file.rows));
      };
      node.addEventListener("toggle", fill);
      fill();
    }
    return node;
  };

  const title = document.getElementById("code-count");
  const caution = document.getElementById("code-caution");
  const list = document.getElementById("code-files");
  const warnings = (pair) => pair.flatMap((i) => {
    const found = (damage[i] ?? []).map(([path, state]) =>
      "code/" + visible(path) + " is " + state);
    return [
      ...(text.status[i] === "altered" ? ["The manifest of " + nameOf(i) +
        " was altered after its seal: nobody can say which code it ran."] : []),
      ...(found.length ? ["In the folder of " + nameOf(i) + ", " + found.slice(0, 5).join(", ") +
        (found.length > 5 ? " and " + number(found.length - 5, 0) + " more" : "") +
        ". Compared here is what the run captured; “backtrail verify " + text.backtest_id[i] +
        "” tells more."] : []),
    ];
  });
  const missing = (i) => {
    const hash = text.code_hash[i];
    return hash === null ? "The code of " + nameOf(i) + " was not captured."
      : "The code of " + nameOf(i) + " cannot be shown: " + (data.code.absent[hash] ??
        "its script is not in .index, the folder that has to stand beside this page") + ".";
  };

  let asked = 0;
  const compare = async (before, after) => {
    const mine = ++asked, pair = [before, after];
    const closures = await Promise.all(pair.map((i) => text.code_hash[i] === null ||
      text.code_hash[i] in data.code.absent ? null : load("closure", text.code_hash[i])));
    const gone = pair.filter((_, k) => !closures[k]);
    const paths = gone.length ? [] : [...new Set(closures.flatMap((files) => [...files.keys()]))].sort();
    const [old, young] = closures;
    const differing = paths.filter((path) => old.get(path) !== young.get(path));
    const files = await Promise.all(differing.map((path) =>
      describe(path, old.get(path), young.get(path))));
    if (mine !== asked) return; // other runs have been chosen since
    const told = warnings(pair);
    caution.hidden = !told.length;
    caution.textContent = told.join(" ");
    const sum = (key) => files.reduce((all, file) => all + (file[key] ?? 0), 0);
    const same = paths.length - differing.length;
    title.textContent = gone.length ? "· cannot be compared"
      : !differing.length ? "· the same in both, " + counted(paths.length, "file")
      : "· " + counted(differing.length, "file") + (differing.length === 1 ? " differs: " : " differ: ") +
        counted(sum("added"), "line") + " added, " + number(sum("removed"), 0) + " removed; " +
        counted(same, "file") + (same === 1 ? " is" : " are") + " the same";
    list.replaceChildren(
      ...gone.map((i) => element("p", { className: "hint" }, missing(i))),
      ...files.map((file, k) => fileNode(file, k < OPEN)));
  };

  // Which two of the ticked runs: the oldest and the newest, until others are chosen.
  const selects = ["code-before", "code-after"].map((id) => document.getElementById(id));
  let isChosen = false;
  const start = () => compare(...selects.map((select) => Number(select.value)));
  const choose = () => { isChosen = true; start(); };
  selects.forEach((select) => select.addEventListener("change", choose));
  document.getElementById("code-swap").addEventListener("click", () => {
    [selects[0].value, selects[1].value] = [selects[1].value, selects[0].value];
    choose();
  });
  return (ticked) => { // newest first
    section.hidden = ticked.length < 2;
    const kept = selects.map((select) => Number(select.value));
    isChosen &&= !section.hidden && kept.every((i) => ticked.includes(i));
    if (section.hidden) return;
    selects.forEach((select, k) => {
      select.replaceChildren(...[...ticked].reverse().map((i) => element("option", { value: i },
        nameOf(i) + " · " + text.backtest_id[i])));
      select.value = isChosen ? kept[k] : ticked.at(k === 0 ? -1 : 0);
    });
    start();
  };
})();
