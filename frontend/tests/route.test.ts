import { expect, test } from "vitest";
import { documentLink, parseRoute, searchLink } from "../src/route";

const ID = "0199d2a0-0000-7000-8000-000000000000";

test("the addresses that the command prints are understood", () => {
  expect(parseRoute(`#v=${ID}&start=3&end=9`)).toEqual({ page: "document", version: ID, span: { start: 3, end: 9 } });
  expect(parseRoute(`#r=${ID}`)).toEqual({ page: "run", id: ID });
});

test("what the page links to is what it reads", () => {
  const span = { start: 3, end: 9 };
  expect(parseRoute(documentLink(ID, span))).toEqual({ page: "document", version: ID, span });
  expect(parseRoute(documentLink(ID))).toEqual({ page: "document", version: ID, span: null });
  const query = "Grüße & 100 %? #1 = a+b";
  expect(parseRoute(searchLink(query, "lexical", ID))).toEqual({
    page: "search",
    query,
    mode: "lexical",
    collection: ID,
  });
});

test("a span that is none is left out", () => {
  for (const fields of ["start=9&end=3", "start=-1&end=3", "start=a&end=b", "start=4"]) {
    expect(parseRoute(`#v=${ID}&${fields}`)).toEqual({ page: "document", version: ID, span: null });
  }
});

test("what cannot be read is unknown, not a guess", () => {
  for (const hash of ["#v=", "#v=../../oauth", "#r=1", "#c=", "#elsewhere"]) {
    expect(parseRoute(hash)).toEqual({ page: "unknown" });
  }
});

test("no address is the search", () => {
  for (const hash of ["", "#", "#/", "#search"]) expect(parseRoute(hash).page).toBe("search");
  expect(parseRoute("#search?q=x&mode=guess")).toMatchObject({ mode: "hybrid" });
});
