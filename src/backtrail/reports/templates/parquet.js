"use strict";
// A table as a Parquet file: one row group, a page per column, plain values, nothing compressed.
// https://parquet.apache.org/docs/file-format/; its metadata are in Thrift's compact protocol.
const parquetFile = (() => {
  const I32 = 5, I64 = 6, BINARY = 8, LIST = 9, STRUCT = 12; // Thrift
  const DOUBLE = 5, TEXT = 6, OPTIONAL = 1, UTF8 = 0, PLAIN = 0, RLE = 3; // Parquet
  const encoder = new TextEncoder();
  const MAGIC = encoder.encode("PAR1");

  const varint = (value) => {
    const out = [];
    for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) + 128);
    return [...out, value];
  };
  const written = (type, value) => {
    if (type === I32 || type === I64) return varint(value * 2); // zigzag of what is never negative
    if (type === BINARY) {
      const bytes = encoder.encode(value);
      return [...varint(bytes.length), ...bytes];
    }
    if (type !== LIST) return value; // a struct, written before
    const [kind, items] = value;
    const head = items.length < 15 ? [(items.length << 4) | kind] : [0xf0 | kind, ...varint(items.length)];
    return head.concat(...items.map((item) => written(kind, item)));
  };
  const struct = (...fields) => {
    let out = [], last = 0;
    for (const [id, type, value] of fields) {
      out = out.concat([((id - last) << 4) | type], written(type, value));
      last = id;
    }
    return [...out, 0];
  };
  const uint32 = (value) => {
    const out = new DataView(new ArrayBuffer(4));
    out.setUint32(0, value, true);
    return new Uint8Array(out.buffer);
  };
  const joined = (parts) => {
    const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
    return out;
  };

  // Which rows have a value, as runs of equal ones.
  const levels = (values) => {
    const out = [];
    for (let start = 0, end = 0; start < values.length; start = end) {
      const known = values[start] !== null;
      while (end < values.length && (values[end] !== null) === known) end += 1;
      out.push(...varint((end - start) * 2), known ? 1 : 0);
    }
    return new Uint8Array(out);
  };
  const doubles = (values) => {
    const out = new DataView(new ArrayBuffer(8 * values.length));
    values.forEach((value, index) => out.setFloat64(8 * index, value, true));
    return new Uint8Array(out.buffer);
  };
  const texts = (values) => joined(values.flatMap((value) => {
    const bytes = encoder.encode(value);
    return [uint32(bytes.length), bytes];
  }));

  // Names are made different where a table says one twice, or none.
  const unique = (names) => {
    const seen = new Set();
    return names.map((name, index) => {
      const base = name || `column ${index + 1}`;
      let found = base;
      for (let copy = 2; seen.has(found); copy += 1) found = `${base} ${copy}`;
      seen.add(found);
      return found;
    });
  };

  // `columns` are [name, values]; values are all numbers or all texts, null where there is none.
  return (columns, count) => {
    const names = unique(columns.map(([name]) => name));
    const parts = [MAGIC], schema = [], chunks = [];
    let at = MAGIC.length, total = 0;
    columns.forEach(([, values], index) => {
      const known = values.filter((value) => value !== null);
      const isNumber = known.length > 0 && known.every((value) => typeof value === "number");
      const type = isNumber ? DOUBLE : TEXT, head = levels(values);
      const body = joined([uint32(head.length), head, isNumber ? doubles(known) : texts(known)]);
      const page = struct([1, I32, 0], [2, I32, body.length], [3, I32, body.length],
        [5, STRUCT, struct([1, I32, count], [2, I32, PLAIN], [3, I32, RLE], [4, I32, RLE])]);
      const size = page.length + body.length;
      schema.push(struct([1, I32, type], [3, I32, OPTIONAL], [4, BINARY, names[index]],
        ...(isNumber ? [] : [[6, I32, UTF8]])));
      const meta = struct([1, I32, type], [2, LIST, [I32, [PLAIN, RLE]]],
        [3, LIST, [BINARY, [names[index]]]], [4, I32, 0], [5, I64, count], [6, I64, size],
        [7, I64, size], [9, I64, at]);
      chunks.push(struct([2, I64, at], [3, STRUCT, meta]));
      parts.push(new Uint8Array(page), body);
      at += size;
      total += size;
    });
    const root = struct([4, BINARY, "table"], [5, I32, columns.length]);
    const group = struct([1, LIST, [STRUCT, chunks]], [2, I64, total], [3, I64, count]);
    const footer = new Uint8Array(struct([1, I32, 1], [2, LIST, [STRUCT, [root, ...schema]]],
      [3, I64, count], [4, LIST, [STRUCT, [group]]], [6, BINARY, "backtrail"]));
    return joined([...parts, footer, uint32(footer.length), MAGIC]);
  };
})();
