"use strict";
// Conditions such as `sharpe_ratio > 0.5 and max_drawdown > -30%`: parsed, never evaluated as code.
page.expressions = (() => {
  class Mistake extends Error {}
  const WORDS = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(%?)|("[^"]*"|'[^']*')|([A-Za-z_][\w.]*)|(<=|>=|==|!=|[<>=+\-*/()]))/y;

  const tokens = (text) => {
    const found = [];
    WORDS.lastIndex = 0;
    while (text.slice(WORDS.lastIndex).trim()) {
      const start = WORDS.lastIndex, match = WORDS.exec(text);
      if (!match) throw new Mistake("not understood from “" + text.slice(start).trim() + "” on");
      const [, digits, percent, quoted, name, sign] = match;
      if (digits !== undefined)
        found.push({ kind: "number", value: Number(digits) / (percent ? 100 : 1), text: digits });
      else if (quoted !== undefined)
        found.push({ kind: "text", value: quoted.slice(1, -1), text: quoted });
      else if (name !== undefined && ["and", "or", "not"].includes(name.toLowerCase()))
        found.push({ kind: name.toLowerCase(), text: name });
      else if (name !== undefined) found.push({ kind: "name", text: name });
      else found.push({ kind: sign === "==" ? "=" : sign, text: sign });
    }
    return found;
  };

  const compare = (sign, a, b) => {
    if (a === null || a === undefined || b === null || b === undefined) return false;
    if (typeof a !== typeof b) [a, b] = [String(a), String(b)];
    switch (sign) {
      case "<": return a < b;
      case ">": return a > b;
      case "<=": return a <= b;
      case ">=": return a >= b;
      case "=": return a === b;
      default: return a !== b;
    }
  };
  const SIGNS = ["<", ">", "<=", ">=", "=", "!="];

  // Returns a test of a row's number; `read` finds what a name means, or returns null.
  const parse = (text, read) => {
    const list = tokens(text);
    let at = 0;
    const peek = () => (at < list.length ? list[at].kind : null);
    const take = (kind) => (peek() === kind ? list[at++] : null);
    const expected = (what) => {
      throw new Mistake(at < list.length ? "“" + list[at].text + "” stands where " + what + " should"
        : "it ends where " + what + " should stand");
    };
    const value = () => {
      if (take("-")) { const inner = value(); return (i) => (inner(i) === null ? null : -inner(i)); }
      if (take("(")) {
        const inner = sum();
        if (!take(")")) expected("a closing bracket");
        return inner;
      }
      const literal = take("number") ?? take("text");
      if (literal) return () => literal.value;
      const name = take("name");
      if (!name) expected("a name or a number");
      const found = read(name.text);
      if (!found) throw new Mistake("no metric or parameter is called “" + name.text + "”");
      return found;
    };
    const chain = (part, signs, apply) => () => {
      let left = part();
      while (signs.includes(peek())) {
        const sign = list[at++].kind, one = left, other = part();
        left = (i) => {
          const a = one(i), b = other(i);
          return a === null || b === null ? null : apply(sign, a, b);
        };
      }
      return left;
    };
    const product = chain(value, ["*", "/"], (sign, a, b) => (sign === "*" ? a * b : a / b));
    const sum = chain(product, ["+", "-"], (sign, a, b) => (sign === "+" ? a + b : a - b));
    const sums = () => {
      const terms = [sum()], signs = [];
      while (SIGNS.includes(peek())) { signs.push(list[at++].kind); terms.push(sum()); }
      if (!signs.length) expected("a comparison");
      return (i) => signs.every((sign, k) => compare(sign, terms[k](i), terms[k + 1](i)));
    };
    // A bracket holds a condition or a sum; of two complaints the one that came further is told.
    const comparison = () => {
      if (peek() !== "(") return sums();
      const start = at;
      let inner, first, reached;
      try { at++; inner = either(); } catch (error) {
        if (!(error instanceof Mistake)) throw error;
        [first, reached, at] = [error, at, start];
      }
      if (!first) {
        if (!take(")")) expected("a closing bracket");
        return inner;
      }
      try { return sums(); } catch (error) {
        throw error instanceof Mistake && at <= reached ? first : error;
      }
    };
    const negated = () => {
      if (!take("not")) return comparison();
      const inner = negated();
      return (i) => !inner(i);
    };
    const both = () => {
      const parts = [negated()];
      while (take("and")) parts.push(negated());
      return (i) => parts.every((part) => part(i));
    };
    const either = () => {
      const parts = [both()];
      while (take("or")) parts.push(both());
      return (i) => parts.some((part) => part(i));
    };
    const test = either();
    if (at < list.length) expected("“and” or “or”");
    return test;
  };
  return { parse, Mistake };
})();
