import { defineConfig } from "vite";

/** The page lies in the package, under names that stay; no path in it begins with a slash, so that it can lie anywhere. */
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/pcm3/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rolldownOptions: {
      output: { entryFileNames: "assets/page.js", chunkFileNames: "assets/[name].js", assetFileNames: "assets/page[extname]" },
    },
  },
});
