import { defineConfig } from "vitest/config";

/** Where the server runs while the page is developed. */
const server = process.env.CARREL_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  server: { proxy: { "/api": server, "/oauth": server } },
  build: {
    target: "es2022",
    // The strict content security policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
