/**
 * Drives a real browser against a running server that holds the sample library.
 *
 * CARREL_URL, CARREL_CLIENT_ID and CARREL_CLIENT_SECRET say where and as whom; CHROMIUM names the browser's program;
 * SHOTS names a folder for pictures of every page. Exits with 1 at the first thing that is not as it must be.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const url = (process.env.CARREL_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const clientId = process.env.CARREL_CLIENT_ID;
const secret = process.env.CARREL_CLIENT_SECRET;
const shots = process.env.SHOTS;
const question = "Within how many seconds must a gate leaf close?";
if (!clientId || !secret) {
  console.error("e2e: set CARREL_URL, CARREL_CLIENT_ID and CARREL_CLIENT_SECRET");
  process.exit(2);
}
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1200, height: 800 } });
const page = await context.newPage();
page.setDefaultTimeout(20_000);

/** What the page must never do: fail, break its own policy, or ask anyone but its server. */
const faults = [];
page.on("pageerror", (error) => faults.push(`page error: ${error.message}`));
page.on("console", (message) => {
  const text = message.text();
  // The browser itself logs the refused sign-in that this script provokes.
  if (message.type() === "error" && !/status of 401/.test(text)) faults.push(`console: ${text}`);
});
page.on("request", (request) => {
  const address = request.url();
  if (!address.startsWith(`${url}/`) && !address.startsWith("blob:")) faults.push(`outside request: ${address}`);
});

const shot = (name) => (shots ? page.screenshot({ path: `${shots}/${name}.png` }) : undefined);

async function step(name, work) {
  const began = performance.now();
  await work();
  console.log(`ok  ${name} (${Math.round(performance.now() - began)} ms)`);
}

/** The mark's text, and whether the whole of it or its beginning is inside the window. */
const cited = () =>
  page.locator("mark#cited").evaluate((mark) => {
    const box = mark.getBoundingClientRect();
    return { text: mark.textContent, visible: box.top >= 0 && box.top < innerHeight && box.bottom > 0 };
  });

try {
  await step("a wrong secret is refused in words", async () => {
    await page.goto(`${url}/`);
    await page.getByLabel("Client id").fill(clientId);
    await page.getByLabel("Client secret").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("Not signed in").waitFor();
    await shot("sign-in");
  });

  await step("signing in leads to the search and keeps no secret", async () => {
    await page.getByLabel("Client secret").fill(secret);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Search", level: 1 }).waitFor();
    const stored = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]));
    assert.ok(stored.includes("carrel.session"), "the token is kept for the tab");
    assert.ok(!stored.includes(secret), "the secret is kept nowhere");
    await shot("search-empty");
  });

  await step("a search shows marked hits and opens the passage", async () => {
    await page.getByLabel("What to look for").fill("lock gate close");
    await page.keyboard.press("Enter");
    await page.locator(".hit mark").first().waitFor();
    assert.match(page.url(), /#search\?q=lock\+gate\+close$/);
    await shot("search");
    await page.getByText("Words", { exact: true }).click();
    await page.waitForURL(/mode=lexical/);
    await page.locator(".hit mark").first().waitFor();
    const link = page.locator(".hit h2 a").first();
    const href = (await link.getAttribute("href")) ?? "";
    assert.match(href, /^#v=[0-9a-f-]{36}&start=\d+&end=\d+$/);
    await link.click();
    await page.locator("mark#cited").waitFor();
    assert.ok((await cited()).visible, "the passage is scrolled into view");
  });

  let run = "";
  await step("a question becomes a report", async () => {
    await page.getByRole("link", { name: "Ask", exact: true }).click();
    await page.getByRole("textbox", { name: "Question" }).fill(question);
    await page.getByLabel("Answer from").selectOption({ label: "harbour" });
    await shot("ask");
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    await page.waitForURL(/#r=/);
    run = page.url();
    await page.getByRole("heading", { name: question }).waitFor();
    await page.locator(".claim .cite").first().waitFor({ timeout: 90_000 });
    await page.getByRole("heading", { name: "What was searched" }).waitFor();
    await shot("report");
  });

  await step("every quote of the report is checked again", async () => {
    await page.getByRole("button", { name: "Check every quote again" }).click();
    await page.getByText(/^(\d+) of \1 quotes? equal the text, byte for byte/).waitFor();
    await shot("report-checked");
  });

  await step("each citation opens at exactly the quoted words", async () => {
    const count = await page.locator(".claim").count();
    assert.ok(count > 0);
    for (let index = 0; index < count; index += 1) {
      const claim = page.locator(".claim").nth(index);
      const quote = await claim
        .locator(".quote")
        .last()
        .evaluate((element) => element.textContent);
      await claim.locator(".cite").last().click();
      await page.locator("mark#cited").waitFor();
      const mark = await cited();
      assert.equal(mark.text, quote, `the mark of claim ${index + 1} equals its quote`);
      assert.ok(mark.visible, `the mark of claim ${index + 1} is scrolled into view`);
      if (index === 0) await shot("document");
      await page.goBack();
      await page.locator(".claim").first().waitFor();
    }
  });

  await step("an address opened afresh lands on the words", async () => {
    const href = await page.locator(".claim .cite").first().getAttribute("href");
    const quote = await page
      .locator(".claim .quote")
      .first()
      .evaluate((element) => element.textContent);
    await page.goto(`${url}/${href}`);
    await page.reload();
    await page.locator("mark#cited").waitFor();
    assert.equal((await cited()).text, quote);
  });

  await step("the original comes down with the digest that is shown", async () => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download the original" }).click(),
    ]);
    const bytes = await readFile(await download.path());
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    assert.equal(Buffer.from(digest).toString("hex"), await page.locator(".digest").textContent());
  });

  await step("a question without an answer is declined kindly", async () => {
    await page.goto(`${url}/#ask`);
    await page.getByRole("textbox", { name: "Question" }).fill("Which fungus grows on the moons of Jupiter?");
    await page.getByLabel("Answer from").selectOption({ label: "harbour" });
    await page.getByRole("button", { name: "Ask", exact: true }).click();
    await page.waitForURL(/#r=/);
    await page.getByText("The archive does not answer this").waitFor({ timeout: 90_000 });
    await shot("abstained");
  });

  await step("collections and their documents are listed", async () => {
    await page.getByRole("link", { name: "Collections" }).click();
    await page.getByRole("link", { name: "harbour" }).waitFor();
    await shot("collections");
    await page.getByRole("link", { name: "harbour" }).click();
    await page.locator("tbody tr").first().waitFor();
    await shot("collection");
  });

  await step("an upload becomes a searchable document with exact code points", async () => {
    const name = `web-page-trial-${Date.now()}`;
    await page.getByRole("link", { name: "Collections", exact: true }).first().click();
    await page.getByText("New collection").click();
    await page.getByLabel("Name").fill(name);
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
    const words = "The pilot 🧭 Åsa Šmíd moored the ketch 𝒬uickstep at the zebra jetty.";
    const text = `🚢🚢 Log of the harbour 🐚\n\nA calm morning 𝔘 with mist.\n\n${words}\n\nNothing else was seen.\n`;
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "log.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
    await page.getByText("added, being read").waitFor();
    await page.locator("tbody .state.good").waitFor({ timeout: 90_000 });
    await shot("upload");
    await page.locator("tbody th a").click();
    await page.locator(".paper").getByText("zebra jetty").waitFor();
    const id = new URL(page.url()).hash.slice(3);
    const points = Array.from(await page.locator(".paper").evaluate((paper) => paper.textContent ?? ""));
    const start = Array.from(points.join("").split(words)[0]).length;
    await page.goto(`${url}/#v=${id}&start=${start}&end=${start + Array.from(words).length}`);
    await page.locator("mark#cited").waitFor();
    assert.equal((await cited()).text, words);
  });

  await step("a long text opens around the words and can be read on in both directions", async () => {
    await page.goBack();
    await page.goBack();
    await page.locator("input[type=file]").waitFor({ state: "attached" });
    const words = "Here the 🦀 crossed the 𝔮uay.";
    const lines = Array.from({ length: 4000 }, (_, index) => `Line ${index} of the long log 🌊 tells nothing new.`);
    lines.splice(2500, 0, words);
    const text = `${lines.join("\n")}\n`;
    const file = { name: "long.txt", mimeType: "text/plain", buffer: Buffer.from(text) };
    await page.locator("input[type=file]").setInputFiles(file);
    const row = page.locator("tbody tr").filter({ hasText: "long.txt" });
    await row.locator(".state.good").waitFor({ timeout: 120_000 });
    const href = (await row.getByRole("link").getAttribute("href")) ?? "";
    const start = Array.from(text.split(words)[0]).length;
    await page.goto(`${url}/${href}&start=${start}&end=${start + Array.from(words).length}`);
    await page.locator("mark#cited").waitFor();
    const mark = await cited();
    assert.equal(mark.text, words);
    assert.ok(mark.visible, "the words deep in the text are scrolled into view");
    await page.getByRole("button", { name: /Show earlier text/ }).click();
    await page.locator(".paper").getByText("Line 1000 of").waitFor({ state: "attached" });
    assert.equal((await cited()).text, words);
    await page.getByRole("button", { name: /Show later text/ }).waitFor();
  });

  await step("jobs are listed and explain themselves", async () => {
    await page.getByRole("link", { name: "Jobs" }).click();
    await page.locator(".job").first().waitFor();
    await page
      .getByRole("button", { name: /^(Why|History)$/ })
      .first()
      .click();
    await page.locator(".why").first().waitFor();
    await shot("jobs");
  });

  await step("the keyboard reaches the content first by the skip link", async () => {
    await page.goto(`${url}/#ask`);
    await page.reload();
    await page.getByRole("textbox", { name: "Question" }).waitFor();
    // The page puts the cursor into the question; the first thing before it is the link.
    const first = await page.locator("a[href], button, input, textarea, select").first().textContent();
    assert.equal(first, "Skip to the content");
    await page.getByRole("link", { name: "Skip to the content" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  });

  await step("an unknown document is a problem with advice, not an empty page", async () => {
    await page.goto(`${url}/#v=00000000-0000-7000-8000-000000000000`);
    await page.getByRole("alert").waitFor();
    await shot("problem");
    // The browser logs the refused request; it is expected here.
    const expected = faults.findIndex((fault) => /status of 404/.test(fault));
    if (expected !== -1) faults.splice(expected, 1);
  });

  if (shots) {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(run);
    await page.locator(".claim").first().waitFor();
    await shot("report-dark");
    await page.setViewportSize({ width: 390, height: 800 });
    await shot("report-narrow");
    await page.goto(`${url}/#search?q=lock+gate+close`);
    await page.locator(".hit").first().waitFor();
    await shot("search-narrow");
    await page.setViewportSize({ width: 1200, height: 800 });
    await page.emulateMedia({ colorScheme: "light" });
  }

  await step("signing out forgets the token and returns after signing in", async () => {
    await page.goto(run);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Client id").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.getByLabel("Client id").fill(clientId);
    await page.getByLabel("Client secret").fill(secret);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: question }).waitFor();
  });

  assert.deepEqual(faults, [], "the page kept its policy and asked nobody else");
  console.log("ok  no page error, no policy breach, no outside request");
} catch (error) {
  if (shots) await page.screenshot({ path: `${shots}/failed.png` });
  console.error(error);
  console.error(`at ${page.url()}`, faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
