import { expect, test } from "vitest";
import { parseRoute } from "../src/route";
import { SseParser } from "../src/sse";
import { countPoints, cut, slicePoints } from "../src/text";

const TEXT = "🚢 Grüße, 世界 𝔘!";

test("spans count code points, not UTF-16 units", () => {
  expect(countPoints(TEXT)).toBe(Array.from(TEXT).length);
  expect(slicePoints(TEXT, { start: 0, end: 1 })).toBe("🚢");
  expect(slicePoints(TEXT, { start: 9, end: 11 })).toBe("世界");
});

test("cutting marks exactly the spans and loses nothing", () => {
  const pieces = cut(TEXT, [{ start: 2, end: 7 }]);
  expect(pieces.map((piece) => piece.text).join("")).toBe(TEXT);
  expect(pieces.filter((piece) => piece.marked).map((piece) => piece.text)).toEqual(["Grüße"]);
});

test("a link to cited words is understood", () => {
  const route = parseRoute("#v=0199d2a0-0000-7000-8000-000000000000&start=3&end=9");
  expect(JSON.stringify(route)).toContain("0199d2a0-0000-7000-8000-000000000000");
});

test("events survive being cut anywhere, and comments are nothing", () => {
  const stream = ': keep-alive\n\nid: 1\nevent: planned\ndata: {"seq":1}\n\nid: 2\nevent: claim\ndata: {"seq":2}\n\n';
  for (let size = 1; size < 12; size += 1) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)));
    expect(events.map((event) => [event.id, event.event])).toEqual([
      ["1", "planned"],
      ["2", "claim"],
    ]);
  }
});
