// What a real browser's EventSource and WebSocket, and npm's eventsource, see of resources that are watched; and hundreds that
// come and go.
const { test, before, after } = require("node:test");
const assert = require("assert");
const http = require("http");
const net = require("net");
const { chromium } = require("playwright-core");
const { EventSource } = require("eventsource");
const { start, until } = require("./nuthatch");

const RING = 8;
const states = {};
let server, origin, language;

before(async () => {
  origin = http.createServer((request, response) => {
    const isPage = request.url === "/page";
    if (isPage) language = request.headers["accept-language"];
    if (!isPage && !(request.url in states)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Cache-Control": "max-age=0", "Content-Type": isPage ? "text/html" : "application/json" });
    if (request.url === "/counter") states["/counter"].n++;
    response.end(isPage ? "<!doctype html><title>page</title>" : JSON.stringify(states[request.url]));
  });
  await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
  server = await start("gateway", `http://127.0.0.1:${origin.address().port}`, "--live", "yes", "--live-interval", "50ms", "--live-ring",
    RING, "--memory", "64M", "--threads", "2", "--listen", "http://127.0.0.1:0");
});

after(async () => {
  await server.stop();
  origin.closeAllConnections();
  origin.close();
});

// A way to the server that can be cut, as networks are: for a while nobody comes through.
const cuttable = async () => {
  const sockets = new Set();
  let isCut = false;
  const proxy = net.createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = net.connect(server.port, "127.0.0.1");
    [near, far].forEach((socket) => sockets.add(socket) && socket.on("close", () => sockets.delete(socket)));
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    base: `http://127.0.0.1:${proxy.address().port}`,
    cut: () => ((isCut = true), sockets.forEach((socket) => socket.destroy())),
    mend: () => (isCut = false),
    spare: () => sockets.clear(), // who has come already is not cut
    close: () => (proxy.close(), sockets.forEach((socket) => socket.destroy())),
  };
};

// Someone who stays, so that changes are seen while others are away: those who ask for the same, by Host and language.
const stayer = async (url, headers = {}) => {
  const source = new EventSource(url, { fetch: (at, init) => fetch(at, { ...init, headers: { ...init.headers, ...headers } }) });
  source.last = null;
  source.onmessage = (event) => (source.last = JSON.parse(event.data));
  await until(() => source.last);
  return source;
};

const changeTo = async (path, n, witness) => {
  states[path] = { n };
  await until(() => witness.last?.n === n);
};

test("npm's eventsource comes back by itself and lacks nothing", async () => {
  states["/npm"] = { n: 0 };
  const way = await cuttable(), witness = await stayer(way.base + "/_live/npm"), seen = [], types = [];
  way.spare();
  const source = new EventSource(way.base + "/_live-patch/npm");
  source.onmessage = (event) => seen.push(JSON.parse(event.data).n);
  source.addEventListener("problem", () => types.push("problem"));
  try {
    await until(() => seen.length === 1);
    await changeTo("/npm", 1, witness);
    await until(() => seen.length === 2);
    way.cut();
    for (let n = 2; n <= 5; n++) await changeTo("/npm", n, witness);
    way.mend();
    await until(() => seen.length === 6, 20000);
    assert.deepStrictEqual([seen, types], [[0, 1, 2, 3, 4, 5], []]);
  } finally {
    source.close();
    witness.close();
    way.close();
  }
});

test("a browser's EventSource comes back by itself and lacks nothing; its WebSocket watches, too", { timeout: 90000 }, async () => {
  Object.assign(states, { "/browser": { n: 0 }, "/other": { n: "x" } });
  const way = await cuttable();
  let witness;
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.port}/page`);
    witness = await stayer(way.base + "/_live/browser", { "Accept-Language": language });
    way.spare();
    await page.goto(way.base + "/page");
    await page.evaluate(() => {
      window.seen = [];
      window.said = [];
      window.source = new EventSource("/_live/browser");
      source.onmessage = (event) => seen.push(JSON.parse(event.data).n);
      window.socket = new WebSocket(location.origin.replace("http", "ws") + "/_live", "nuthatch.live.v1");
      socket.onopen = () => socket.send(JSON.stringify({ subscribe: ["/browser", "/other", "/none"] }));
      socket.onmessage = (message) => said.push(JSON.parse(message.data));
    });
    const seen = () => page.evaluate(() => seen);
    const said = () => page.evaluate(() => said.map(({ path, event, data }) => [path, event, data.n ?? data.status]));
    await until(async () => (await seen()).length === 1 && (await said()).length === 3);
    assert.deepStrictEqual((await said()).sort(), [["/browser", "message", 0], ["/none", "end", 404], ["/other", "message", "x"]]);
    await changeTo("/browser", 1, witness);
    await until(async () => (await seen()).length === 2 && (await said()).length === 4);
    way.cut();
    for (let n = 2; n <= 5; n++) await changeTo("/browser", n, witness);
    way.mend();
    await until(async () => (await seen()).length === 6, 20000);
    assert.deepStrictEqual(await seen(), [0, 1, 2, 3, 4, 5]);
    assert.strictEqual(await page.evaluate(() => socket.readyState), 3); // who has a WebSocket comes back by hand

    // A page of another host is told nothing, though the browser lets it connect.
    const strangers = await page.evaluate((url) => {
      window.other = new EventSource(url.replace("ws", "http") + "/browser");
      const socket = new WebSocket(url, "nuthatch.live.v1");
      socket.onopen = () => socket.send(JSON.stringify({ subscribe: ["/browser"] }));
      const told = new Promise((resolve) => (socket.onmessage = (message) => resolve(JSON.parse(message.data))));
      const refused = new Promise((resolve) => ((other.onmessage = resolve), (other.onerror = () => resolve("refused"))));
      return Promise.all([told, refused]);
    }, `ws://127.0.0.1:${server.port}/_live`);
    assert.deepStrictEqual([strangers[0].event, strangers[0].data.status, strangers[1]], ["end", 403, "refused"]);
  } finally {
    await browser.close();
    witness?.close();
    way.close();
  }
});

// One connection: the numbers of the events, as they come, until it is left; resolves to them.
const watchFor = (ms, lastId) =>
  new Promise((resolve, reject) => {
    const ids = [];
    let text = "", timer;
    const request = http.get(`http://127.0.0.1:${server.port}/_live/counter`, {
      agent: false, headers: lastId ? { "Last-Event-ID": lastId } : {} });
    const leave = () => (request.destroy(), resolve(ids));
    request.on("error", (error) => (timer ? leave() : reject(error)));
    request.on("response", (response) => {
      timer = setTimeout(leave, ms);
      response.on("error", () => {});
      response.on("data", (data) => {
        text += data;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        blocks.forEach((block) => /^id: /m.test(block) && ids.push(/^id: (.*)$/m.exec(block)[1]));
      });
    });
  });

const numberOf = (id) => Number(id.split("-")[1]);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test("of hundreds that come and go nobody lacks what the ring has, and who was away for longer gets the newest", async () => {
  states["/counter"] = { n: 0 }; // another at each poll
  const witness = await stayer(`http://127.0.0.1:${server.port}/_live/counter`);
  const resumed = [], leapt = [];
  const comeAndGo = async (patient) => {
    let last = null;
    for (let visits = 0; visits < 4; visits++) {
      const ids = await watchFor(100 + Math.random() * 200, last);
      for (const id of ids) {
        const [number, before] = [numberOf(id), last === null ? null : numberOf(last)];
        if (before !== null && number === before + 1 && id === ids[0]) resumed.push(number);
        else if (before !== null && number !== before + 1) {
          // All of the state, in place of more changes than the ring has.
          assert.ok(id === ids[0] && number > before + RING, `${before} was followed by ${number}`);
          leapt.push(number);
        }
        last = id;
      }
      await pause(Math.random() * (patient && visits === 1 ? 3000 : 150));
    }
  };
  try {
    await Promise.all(Array.from({ length: 200 }, (_, i) => comeAndGo(i % 4 === 0)));
    assert.ok(resumed.length > 0 && leapt.length > 0, `${resumed.length} resumed, ${leapt.length} leapt`);
  } finally {
    witness.close();
  }
});
