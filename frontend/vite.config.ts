import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const backend = process.env.TISSUEMAPS_URL ?? "http://127.0.0.1:8000";
const proxied = ["/api", "/login", "/logout", "/admin", "/tiles", "/zarr"];

// The entry keeps its name, because a Django template names it; everything else carries a hash of its content.
export default defineConfig(({ command }) => ({
  base: command === "build" ? "/static/app/" : "/",
  plugins: [react()],
  worker: { format: "es" },
  build: {
    outDir: fileURLToPath(new URL("../tissuemaps/static/app", import.meta.url)),
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 900,
    rollupOptions: {
      input: { main: fileURLToPath(new URL("src/main.tsx", import.meta.url)) },
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: (asset) =>
          asset.names.includes("main.css") ? "main.css" : "chunks/[name]-[hash][extname]",
      },
    },
  },
  server: {
    proxy: {
      ...Object.fromEntries(proxied.map((path) => [path, { target: backend }])),
      "/ws": { target: backend, ws: true },
    },
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["./vitest.setup.ts"],
    // @rjsf/mantine imports dayjs plug-ins without their file ending; bundling it here finds them.
    server: { deps: { inline: [/@rjsf/] } },
  },
}));
