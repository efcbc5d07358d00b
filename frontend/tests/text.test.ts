import { describe, expect, test } from "vitest";
import { countPoints, cut, mergeSpans, slicePoints, windowAround } from "../src/text";

const TEXT = "🚢 Grüße, 世界 𝔘!";

describe("code points", () => {
  test("are counted, not UTF-16 units", () => {
    expect(countPoints(TEXT)).toBe(Array.from(TEXT).length);
    expect(TEXT.length).toBe(countPoints(TEXT) + 2);
  });

  test("cut out what a span names", () => {
    expect(slicePoints(TEXT, { start: 0, end: 1 })).toBe("🚢");
    expect(slicePoints(TEXT, { start: 9, end: 11 })).toBe("世界");
    expect(slicePoints(TEXT, { start: 12, end: 13 })).toBe("𝔘");
    expect(slicePoints(TEXT, { start: 12, end: 99 })).toBe("𝔘!");
  });

  test("of every span agree with a plain array of code points", () => {
    const points = Array.from(TEXT);
    for (let start = 0; start <= points.length; start += 1) {
      for (let end = start; end <= points.length; end += 1) {
        expect(slicePoints(TEXT, { start, end })).toBe(points.slice(start, end).join(""));
      }
    }
  });
});

describe("cutting", () => {
  test("marks exactly the spans and loses nothing", () => {
    const pieces = cut(TEXT, [
      { start: 9, end: 11 },
      { start: 2, end: 7 },
    ]);
    expect(pieces.map((piece) => piece.text).join("")).toBe(TEXT);
    expect(pieces.filter((piece) => piece.marked).map((piece) => piece.text)).toEqual(["Grüße", "世界"]);
    expect(pieces.map((piece) => piece.start)).toEqual([0, 2, 7, 9, 11]);
  });

  test("of a window counts from the whole text", () => {
    const pieces = cut(slicePoints(TEXT, { start: 2, end: 11 }), [{ start: 9, end: 11 }], 2);
    expect(pieces).toEqual([
      { text: "Grüße, ", marked: false, start: 2 },
      { text: "世界", marked: true, start: 9 },
    ]);
  });

  test("of a span outside the window marks nothing", () => {
    expect(cut("abc", [{ start: 40, end: 50 }])).toEqual([{ text: "abc", marked: false, start: 0 }]);
    expect(cut("", [{ start: 0, end: 1 }])).toEqual([]);
  });
});

test("overlapping spans become one, empty ones none", () => {
  const spans = [
    { start: 5, end: 9 },
    { start: 0, end: 3 },
    { start: 2, end: 5 },
    { start: 12, end: 12 },
    { start: 20, end: 90 },
  ];
  expect(mergeSpans(spans, 25)).toEqual([
    { start: 0, end: 9 },
    { start: 20, end: 25 },
  ]);
});

test("a long text is opened around the cited words", () => {
  expect(windowAround({ start: 5, end: 9 }, 80, 100)).toEqual({ start: 0, end: 80 });
  expect(windowAround(null, 1000, 100)).toEqual({ start: 0, end: 100 });
  expect(windowAround({ start: 500, end: 510 }, 1000, 100)).toEqual({ start: 455, end: 555 });
  expect(windowAround({ start: 995, end: 1000 }, 1000, 100)).toEqual({ start: 900, end: 1000 });
});
