"use strict";
// Which lines differ: a shortest edit script, by E. Myers, "An O(ND) difference algorithm" (1986).
page.diff = (() => {
  const MOST = 2000; // edits looked for; texts that differ more are shown as replaced
  // A last line without an end is another one than the same line with it.
  const lines = (text) => {
    const found = text.split("\n"), rest = found.pop();
    return rest === "" ? found : [...found, rest + "\n"];
  };

  // Of two lists without a common beginning or end: how often a line of the first is dropped, one
  // of the second put in, and one of both kept, in order. Null when they differ too much.
  const steps = (a, b) => {
    const most = Math.min(a.length + b.length, MOST), zero = most + 1;
    const far = new Int32Array(2 * most + 3); // furthest line of `a` on each diagonal
    const goesDown = (at, middle, k, d) =>
      k === -d || (k !== d && at[middle + k - 1] < at[middle + k + 1]);
    const trace = [];
    for (let d = 0; d <= most; d++) {
      trace.push(far.slice(zero - d - 1, zero + d + 2));
      for (let k = -d; k <= d; k += 2) {
        let x = goesDown(far, zero, k, d) ? far[zero + k + 1] : far[zero + k - 1] + 1;
        while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
        far[zero + k] = x;
        if (x >= a.length && x - k >= b.length) return walkBack(trace, d, a, b, goesDown);
      }
    }
    return null;
  };
  const walkBack = (trace, last, a, b, goesDown) => {
    const made = [];
    let x = a.length, y = b.length;
    for (let d = last; d > 0; d--) {
      const at = trace[d], middle = d + 1, k = x - y;
      const down = goesDown(at, middle, k, d);
      const before = at[middle + (down ? k + 1 : k - 1)];
      const from = down ? before : before + 1;
      for (; x > from; x--, y--) made.push(" ");
      made.push(down ? "+" : "-");
      if (down) y--; else x--;
    }
    for (; x > 0; x--) made.push(" ");
    return made.reverse();
  };

  // Rows of both texts in order: `kind` " ", "-" or "+", the line, its number before and after.
  // Within a change what was dropped comes first.
  return (before, after) => {
    const a = lines(before), b = lines(after);
    let head = 0, tail = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head++;
    while (tail < a.length - head && tail < b.length - head &&
      a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    const middle = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
    const found = steps(...middle);
    const kinds = [...new Array(head).fill(" "),
      ...(found ?? [...middle[0].map(() => "-"), ...middle[1].map(() => "+")]),
      ...new Array(tail).fill(" ")];
    const rows = [];
    let x = 0, y = 0, put = [];
    const flush = () => { rows.push(...put); put = []; };
    kinds.forEach((kind) => {
      if (kind === "-") rows.push({ kind, text: a[x], before: ++x, after: null });
      else if (kind === "+") put.push({ kind, text: b[y], before: null, after: ++y });
      else { flush(); rows.push({ kind, text: a[x], before: ++x, after: ++y }); }
    });
    flush();
    return { rows, isShortest: found !== null,
      added: rows.filter((row) => row.kind === "+").length,
      removed: rows.filter((row) => row.kind === "-").length };
  };
})();
