import { expect, test } from "vitest";
import { call, newKey } from "../src/call";
import { bytes } from "../src/format";
import { ProblemError, problemOf, toProblem } from "../src/problem";
import { readSession } from "../src/session";

test("problem+json keeps title, detail, advice and request", () => {
  const body = {
    title: "Not found",
    detail: "no such version",
    advice: "Check the id.",
    code: "not_found",
    request_id: "r1",
  };
  expect(toProblem(body, 404)).toEqual({
    title: "Not found",
    detail: "no such version",
    advice: "Check the id.",
    code: "not_found",
    status: 404,
    requestId: "r1",
  });
});

test("an OAuth error says what to check", () => {
  const problem = toProblem({ error: "invalid_client", error_description: "the secret is wrong" }, 401);
  expect(problem).toMatchObject({ title: "Not signed in", detail: "the secret is wrong", status: 401 });
  expect(problem.advice).not.toBe("");
});

test("anything else is still told", () => {
  expect(toProblem("<html>", 502).title).toBe("The server answered 502");
  expect(problemOf(new TypeError("Failed to fetch")).code).toBe("no_answer");
  expect(problemOf(new Error("broken")).detail).toBe("broken");
});

test("a call that failed throws its problem, one that succeeded gives its value", async () => {
  const good = Promise.resolve({ data: { id: "a" }, response: new Response("{}", { status: 200 }) });
  await expect(call(good)).resolves.toEqual({ id: "a" });
  const refused = Promise.resolve({
    error: { title: "Busy", status: 429 },
    response: new Response("", { status: 429 }),
  });
  await expect(call(refused)).rejects.toThrow(ProblemError);
  const silent = Promise.resolve({ error: new TypeError("Failed to fetch"), response: undefined });
  await expect(call(silent)).rejects.toThrow("The server does not answer");
});

test("a session is taken up only while its token is valid", () => {
  const stored = JSON.stringify({ token: "t", expires: 1000, clientId: "c" });
  expect(readSession(stored, 999)).toEqual({ token: "t", expires: 1000, clientId: "c" });
  expect(readSession(stored, 1000)).toBeNull();
  for (const broken of [null, "", "{", "[]", '{"token":1}']) expect(readSession(broken, 0)).toBeNull();
});

test("sizes are short", () => {
  expect([0, 999, 1000, 12_500, 999_700, 1_073_741_824].map(bytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "12.5 kB",
    "1.0 MB",
    "1.1 GB",
  ]);
});

test("keys do not repeat", () => {
  expect(newKey()).toMatch(/^[0-9a-f]{32}$/);
  expect(newKey()).not.toBe(newKey());
});
