/** Server-sent events over fetch, because EventSource cannot send a bearer token. */

/** One event of the stream (HTML Living Standard, section 9.2). */
export interface SseEvent {
  id: string;
  event: string;
  data: string;
}

/** Splits a stream's text, which may arrive cut anywhere, into events. */
export class SseParser {
  #rest = "";
  #id = "";
  #event = "";
  #data: string[] = [];

  /** Takes the next text and returns the events that it completed. */
  push(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) {
          events.push({ id: this.#id, event: this.#event || "message", data: this.#data.join("\n") });
        }
        this.#event = "";
        this.#data = [];
      } else this.#field(line);
    }
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}

export interface Watch {
  /** Opens the stream after the given event id; throws what `problemOf` understands. */
  open: (lastId: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;
  /** Returns true when nothing more will come. */
  receive: (event: SseEvent) => boolean;
  /** Called when the line broke and again when it stands. */
  connected: (standing: boolean) => void;
  pause: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  signal: AbortSignal;
}

/** Follows a stream to its end and takes it up again after the last event whenever it breaks. */
export async function follow(watch: Watch): Promise<void> {
  let lastId = "";
  let failures = 0;
  while (!watch.signal.aborted) {
    try {
      const stream = await watch.open(lastId, watch.signal);
      watch.connected(true);
      const parser = new SseParser();
      const reader = stream.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          failures = 0;
          if (event.id !== "") lastId = event.id;
          if (watch.receive(event)) {
            await reader.cancel();
            return;
          }
        }
      }
    } catch (error) {
      if (watch.signal.aborted) return;
      const refused = error instanceof Error && error.name === "Refused";
      if (refused) throw error;
    }
    if (watch.signal.aborted) return;
    watch.connected(false);
    failures += 1;
    await watch.pause(Math.min(10_000, 500 * 2 ** failures), watch.signal);
  }
}
