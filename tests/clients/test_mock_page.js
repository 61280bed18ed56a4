// The page that a mock shows to browsers, in a real one: it lists the resources, and a click shows what a call answers.
const { test } = require("node:test");
const assert = require("assert");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { chromium } = require("playwright-core");
const { start } = require("./nuthatch");

const data = {
  birds: [{ id: "1", name: "Jay <b>&" }, { id: "2", name: "Tit" }],
  empty: [],
  "odd name/%": [{ id: "a/b", n: 1 }],
  station: { name: "Oak" },
};

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

const withPage = async (colorScheme, visit) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "nuthatch-"));
  const file = path.join(folder, "db.json");
  fs.writeFileSync(file, JSON.stringify(data));
  const server = await start("mock", file, "--threads", "1", "--listen", "http://127.0.0.1:0");
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage({ colorScheme });
    const base = `http://127.0.0.1:${server.port}`;
    const strangers = [], errors = [];
    page.on("request", (request) => request.url().startsWith(base) || request.url().startsWith("data:") || strangers.push(request.url()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(base + "/");
    await visit(page);
    assert.deepStrictEqual({ strangers, errors }, { strangers: [], errors: [] });
  } finally {
    await browser.close();
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  }
};

// Not waitForFunction, which evaluates text: the page's policy forbids that.
const answerWith = (page, hasText) => page.locator("#answer", { hasText }).waitFor();

test("the page lists what there is, and a click shows the answer", { timeout: 90000 }, () =>
  withPage("light", async (page) => {
    await page.waitForSelector("tbody tr:nth-child(4) button");
    assert.deepStrictEqual(await page.$$eval("tbody th", (cells) => cells.map((cell) => cell.textContent)), Object.keys(data));
    await press(page, "GET /birds/1");
    await page.waitForSelector("#answer:not([hidden])");
    assert.match(await page.textContent("#said"), /^200 OK/);
    assert.deepStrictEqual(JSON.parse(await page.textContent("#answer")), data.birds[0]);
    await press(page, "GET /odd%20name%2F%25/a%2Fb");
    await answerWith(page, '"n": 1');

    await press(page, "POST /birds");
    await page.fill("#body", '{"name": "Wren"}');
    await press(page, "Send");
    await answerWith(page, "Wren");
    assert.match(await page.textContent("#said"), /^201 Created/);
    await press(page, "GET /birds");
    await answerWith(page, "Tit");
    assert.strictEqual(JSON.parse(await page.textContent("#answer")).length, 3);
  }));

test("the page is dark for who likes it dark", { timeout: 90000 }, () =>
  withPage("dark", async (page) => {
    const [paper, ink] = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.backgroundColor, style.color].map((color) => color.match(/\d+/g).reduce((sum, part) => sum + Number(part), 0));
    });
    assert.ok(paper < 150 && ink > 500, `${paper} ${ink}`);
  }));
