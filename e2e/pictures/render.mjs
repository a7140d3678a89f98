// Renders step summaries as GitHub shows them, in the light theme and with folded parts folded, and screens of terminals:
// node render.mjs CHROMIUM IN.md|IN.ansi OUT.png …
// It fails, and says why, when a page has a link, a picture or a script, is wider than its place, or has a diagram that cannot be drawn.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { AnsiUp } from "ansi_up";
import markdownIt from "markdown-it";
import puppeteer from "puppeteer-core";

const require = createRequire(import.meta.url);
const [executablePath, ...pages] = process.argv.slice(2);
const css = readFileSync(require.resolve("github-markdown-css/github-markdown-light.css"), "utf8");
// GitHub also makes links of what looks like one.
const markdown = markdownIt({ html: true, linkify: true });
const { fence } = markdown.renderer.rules;
markdown.renderer.rules.fence = (tokens, i, ...rest) =>
  tokens[i].info === "mermaid" ? `<pre class="mermaid">${markdown.utils.escapeHtml(tokens[i].content)}</pre>` : fence(tokens, i, ...rest);

// screens are what a terminal showed at several moments, one after the other; a form feed is between them.
const screens = (text) => text.split("\f").map((screen) => {
  const ansi = new AnsiUp();
  ansi.use_classes = true;
  return `<pre>${ansi.ansi_to_html(screen)}</pre>`;
}).join("");
const terminal = `body { display: inline-block; margin: 0 }
  pre { background: #0d1117; color: #d8dee4; font: 14px/1.35 "DejaVu Sans Mono"; margin: 0 0 8px; padding: 14px 18px; border-radius: 8px }
  pre:last-child { margin: 0 }
  .ansi-red-fg { color: #ff7b72 } .ansi-green-fg { color: #3fb950 } .ansi-yellow-fg { color: #d29922 }
  .ansi-green-bg { background: #3fb950 } .ansi-bright-black-bg { background: #484f58 }`;

const browser = await puppeteer.launch({ executablePath, headless: "shell", args: ["--no-sandbox"] });
let failed = false;
try {
  for (let i = 0; i < pages.length; i += 2) {
    const [input, output] = pages.slice(i, i + 2);
    const tab = await browser.newPage();
    if (input.endsWith(".ansi")) {
      await tab.setContent(`<!doctype html><meta charset="utf-8"><style>${terminal}</style>${screens(readFileSync(input, "utf8"))}`);
      const { width, height } = await tab.evaluate(() => ({ width: document.body.scrollWidth, height: document.body.scrollHeight }));
      // Sharp where GitHub shows it as wide as its text.
      await tab.setViewport({ width, height, deviceScaleFactor: width < 1000 ? 2 : 1 });
      await (await tab.$("body")).screenshot({ path: output, omitBackground: true });
      await tab.close();
      continue;
    }
    await tab.emulateTimezone("UTC");
    await tab.setViewport({ width: 900, height: 100 });
    await tab.setContent(`<!doctype html><meta charset="utf-8">
      <style>${css} body { margin: 0 } .markdown-body { padding: 16px 24px } .markdown-body pre.mermaid { background: none; padding: 0 }</style>
      <article class="markdown-body">${markdown.render(readFileSync(input, "utf8"))}</article>`);
    const wrong = await tab.evaluate(() =>
      [...document.querySelectorAll("article :is(a, img, script, iframe, input, style, form)")].map((e) => `a <${e.localName}> in the page: ${e.outerHTML}`));
    await tab.addScriptTag({ path: require.resolve("mermaid/dist/mermaid.min.js") });
    wrong.push(...(await tab.evaluate(async () => {
      const wrong = [];
      const folded = [...document.querySelectorAll("details:not([open])")];
      folded.forEach((d) => (d.open = true)); // a diagram is as wide as its place
      mermaid.initialize({ startOnLoad: false, maxTextSize: 50000, securityLevel: "strict", suppressErrorRendering: true });
      await mermaid.run({ querySelector: "pre.mermaid" }).catch((e) => wrong.push(`a diagram cannot be drawn: ${e.message ?? e.str}`));
      const drawn = document.querySelectorAll("pre.mermaid > svg").length;
      const wanted = document.querySelectorAll("pre.mermaid").length;
      if (drawn !== wanted) wrong.push(`${drawn} of ${wanted} diagrams are drawn`);
      if (document.documentElement.scrollWidth > window.innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
      folded.forEach((d) => (d.open = false));
      return wrong;
    })));
    for (const w of wrong) console.error(`${input}: ${w.slice(0, 300)}`);
    failed ||= wrong.length > 0;
    await tab.screenshot({ path: output, fullPage: true });
    await tab.close();
  }
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
