/**
 * Text by Unicode code points.
 *
 * Every span of the server counts code points, from 0, end excluded. JavaScript strings count UTF-16 units, so a span
 * must never be handed to `slice` directly: all cutting happens here.
 */

/** A half-open range of code points. */
export interface Span {
  start: number;
  end: number;
}

/** A stretch of text that is or is not to be marked. */
export interface Piece {
  text: string;
  marked: boolean;
  /** Where it begins, in code points of the whole. */
  start: number;
}

/** Number of code points. */
export function countPoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The UTF-16 offset of each wanted code point; `points` must ascend. Offsets past the end become the text's length. */
function offsets(text: string, points: readonly number[]): number[] {
  const found: number[] = [];
  let unit = 0;
  let point = 0;
  for (const wanted of points) {
    while (point < wanted && unit < text.length) {
      const code = text.codePointAt(unit) ?? 0;
      unit += code > 0xffff ? 2 : 1;
      point += 1;
    }
    found.push(unit);
  }
  return found;
}

/** The part of `text` that `span` names. */
export function slicePoints(text: string, span: Span): string {
  const [start = 0, end = 0] = offsets(text, [span.start, Math.max(span.start, span.end)]);
  return text.slice(start, end);
}

/** Sorts spans, cuts them to `[0, length)` and joins those that touch or overlap; empty ones are dropped. */
export function mergeSpans(spans: readonly Span[], length: number): Span[] {
  const sorted = spans
    .map((span) => ({ start: Math.max(0, span.start), end: Math.min(length, span.end) }))
    .filter((span) => span.start < span.end)
    .sort((a, b) => a.start - b.start);
  const merged: Span[] = [];
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && span.start <= last.end) last.end = Math.max(last.end, span.end);
    else merged.push({ ...span });
  }
  return merged;
}

/** Cuts `text` into marked and unmarked pieces. `base` is the code point of the whole at which `text` begins. */
export function cut(text: string, spans: readonly Span[], base = 0): Piece[] {
  const length = countPoints(text);
  const relative = spans.map((span) => ({ start: span.start - base, end: span.end - base }));
  const merged = mergeSpans(relative, length);
  const bounds = offsets(
    text,
    merged.flatMap((span) => [span.start, span.end]),
  );
  const pieces: Piece[] = [];
  let unit = 0;
  let point = 0;
  for (const [index, span] of merged.entries()) {
    const start = bounds[2 * index] ?? 0;
    const end = bounds[2 * index + 1] ?? 0;
    if (start > unit) pieces.push({ text: text.slice(unit, start), marked: false, start: base + point });
    pieces.push({ text: text.slice(start, end), marked: true, start: base + span.start });
    unit = end;
    point = span.end;
  }
  if (unit < text.length) pieces.push({ text: text.slice(unit), marked: false, start: base + point });
  return pieces;
}

/** The window of a long text to fetch first: `size` code points around `span`, inside `[0, characters)`. */
export function windowAround(span: Span | null, characters: number, size: number): Span {
  if (characters <= size) return { start: 0, end: characters };
  const middle = span === null ? 0 : Math.floor((span.start + span.end) / 2);
  const start = Math.min(Math.max(0, middle - Math.floor(size / 2)), characters - size);
  return { start, end: start + size };
}
