/** Addresses of the page. They stand behind `#`, so no document id ever reaches a server's access log. */
import type { Span } from "./text";

export type Route =
  | { page: "search"; query: string; mode: Mode; collection: string }
  | { page: "ask" }
  | { page: "collections" }
  | { page: "jobs" }
  | { page: "collection"; id: string }
  | { page: "run"; id: string }
  | { page: "document"; version: string; span: Span | null }
  | { page: "unknown" };

export const MODES = ["hybrid", "lexical", "semantic"] as const;
export type Mode = (typeof MODES)[number];

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function readMode(text: string | null): Mode {
  return MODES.find((mode) => mode === text) ?? "hybrid";
}

function readSpan(start: string | null, end: string | null): Span | null {
  if (start === null || end === null || !/^\d{1,10}$/.test(start) || !/^\d{1,10}$/.test(end)) return null;
  const span = { start: Number(start), end: Number(end) };
  return span.start < span.end ? span : null;
}

/** Reads `location.hash`. What cannot be read is `unknown`, never a guess. */
export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#/, "");
  const id = new URLSearchParams(path);
  const first = path.split(/[=?]/, 1)[0];
  switch (first) {
    case "":
    case "/":
    case "search": {
      const query = new URLSearchParams(path.split("?").slice(1).join("?"));
      return {
        page: "search",
        query: query.get("q") ?? "",
        mode: readMode(query.get("mode")),
        collection: UUID.test(query.get("in") ?? "") ? (query.get("in") ?? "") : "",
      };
    }
    case "ask":
      return { page: "ask" };
    case "collections":
      return { page: "collections" };
    case "jobs":
      return { page: "jobs" };
    case "v": {
      const version = id.get("v") ?? "";
      if (!UUID.test(version)) return { page: "unknown" };
      return { page: "document", version, span: readSpan(id.get("start"), id.get("end")) };
    }
    case "r":
      return UUID.test(id.get("r") ?? "") ? { page: "run", id: id.get("r") ?? "" } : { page: "unknown" };
    case "c":
      return UUID.test(id.get("c") ?? "") ? { page: "collection", id: id.get("c") ?? "" } : { page: "unknown" };
    default:
      return { page: "unknown" };
  }
}

/** The address of a version, at a span of it when one is given; the same that the `carrel` command prints. */
export function documentLink(version: string, span?: Span): string {
  return span === undefined ? `#v=${version}` : `#v=${version}&start=${span.start}&end=${span.end}`;
}

export function searchLink(query: string, mode: Mode, collection: string): string {
  const fields = new URLSearchParams({ q: query });
  if (mode !== "hybrid") fields.set("mode", mode);
  if (collection !== "") fields.set("in", collection);
  return `#search?${fields}`;
}
