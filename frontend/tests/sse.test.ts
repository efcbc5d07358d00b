import { describe, expect, test } from "vitest";
import { follow, type SseEvent, SseParser } from "../src/sse";

const STREAM = ': keep-alive\n\nid: 1\nevent: planned\ndata: {"seq":1}\n\nid: 2\nevent: claim\ndata: ä🚢\ndata: b\n\n';

/** A stream of the text's bytes in parts of `size`, which cut through characters too. */
function streamOf(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

describe("the parser", () => {
  for (const ending of ["\n", "\r\n", "\r"]) {
    test(`understands lines that end in ${JSON.stringify(ending)}, cut anywhere`, () => {
      const text = `${STREAM.replaceAll("\n", ending)}:${ending}`;
      for (let size = 1; size < 12; size += 1) {
        const parser = new SseParser();
        const events: SseEvent[] = [];
        for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
        expect(events).toEqual([
          { id: "1", event: "planned", data: '{"seq":1}' },
          { id: "2", event: "claim", data: "ä🚢\nb" },
        ]);
      }
    });
  }

  test("keeps an event that is not finished to itself", () => {
    expect(new SseParser().push("id: 1\ndata: half\n")).toEqual([]);
  });
});

describe("following", () => {
  const patient = { connected: () => {}, pause: async () => {}, signal: new AbortController().signal };

  test("takes a broken stream up after the last event", async () => {
    const asked: string[] = [];
    const heard: string[] = [];
    const parts = [STREAM, null, "id: 3\nevent: completed\ndata: c\n\nid: 4\ndata: never\n\n"];
    await follow({
      ...patient,
      open: async (lastId) => {
        asked.push(lastId);
        const part = parts.shift();
        if (part == null) throw new TypeError("network error");
        return streamOf(part, 3);
      },
      receive: (event) => {
        heard.push(`${event.id} ${event.data}`);
        return event.event === "completed";
      },
    });
    expect(asked).toEqual(["", "2", "2"]);
    expect(heard).toEqual(['1 {"seq":1}', "2 ä🚢\nb", "3 c"]);
  });

  test("waits longer after each failure and says that the line broke", async () => {
    const pauses: number[] = [];
    const said: boolean[] = [];
    const abort = new AbortController();
    await follow({
      open: async () => {
        throw new TypeError("network error");
      },
      receive: () => false,
      connected: (standing) => said.push(standing),
      pause: async (milliseconds) => {
        pauses.push(milliseconds);
        if (pauses.length === 6) abort.abort();
      },
      signal: abort.signal,
    });
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(said.every((standing) => !standing)).toBe(true);
  });

  test("gives up when the server refuses", async () => {
    class Refused extends Error {
      override name = "Refused";
    }
    const open = async (): Promise<never> => {
      throw new Refused("no");
    };
    await expect(follow({ ...patient, open, receive: () => false })).rejects.toThrow("no");
  });
});
