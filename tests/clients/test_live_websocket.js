// What ws and, where there is one, Node's own client see of resources that are watched on a WebSocket.
const { test, before, after } = require("node:test");
const assert = require("assert");
const fs = require("fs");
const http = require("http");
const os = require("os");
const path = require("path");
const WebSocket = require("ws");
const { start, until } = require("./nuthatch");

const PROTOCOL = "nuthatch.live.v1";
let server, idle, composed, folder, origin;
const states = {}, opened = [];
const asked = {};
const COMPOSED = `memory: 64M
threads: 2
gateway:
  listen: http://127.0.0.1:0
  origin: ORIGIN
  compose:
  - path: /team/{id}
    live: yes
    live-interval: 100ms
    parts:
      score: /score/{id}
      player: {target: "/players?team={id}", pointer: /0}
`;

before(async () => {
  origin = http.createServer((request, response) => {
    asked[request.url] = (asked[request.url] || 0) + 1;
    if (!(request.url in states)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Cache-Control": "max-age=0", "Content-Type": "application/json" });
    response.end(JSON.stringify(states[request.url]));
  });
  await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const serve = (interval) => start("gateway", `http://127.0.0.1:${origin.address().port}`, "--live", "yes", "--live-interval",
    interval, "--memory", "64M", "--threads", "2", "--cors-origins", "https://pages.example", "--listen", "http://127.0.0.1:0");
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "nuthatch-live-"));
  const file = path.join(folder, "composed.yaml");
  fs.writeFileSync(file, COMPOSED.replace("ORIGIN", `http://127.0.0.1:${origin.address().port}`));
  [server, idle, composed] = await Promise.all([serve("100ms"), serve("1h"), start("serve", file)]);
});

after(async () => {
  opened.forEach((socket) => socket.terminate());
  await Promise.all([server.stop(), idle.stop(), composed.stop()]);
  fs.rmSync(folder, { recursive: true });
  origin.closeAllConnections();
  origin.close();
});

// One who watches: `said` has all that came, and at last {code}.
const open = async (options = {}, port = server.port) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/_live`, [PROTOCOL], options);
  opened.push(socket);
  socket.said = [];
  socket.on("message", (data) => socket.said.push(JSON.parse(data)));
  socket.on("close", (code) => socket.said.push({ code }));
  socket.ask = (message) => socket.send(JSON.stringify(message));
  socket.of = (path) => socket.said.filter((message) => message.path === path);
  socket.last = (path) => socket.of(path).at(-1);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
};

test("many paths on one socket, each as a stream of its own", async () => {
  Object.assign(states, { "/a": { n: 0 }, "/b?c=1": [0] });
  const socket = await open();
  assert.strictEqual(socket.protocol, PROTOCOL);
  socket.ask({ subscribe: ["/a", "/b?c=1", "/none"] });
  await until(() => socket.last("/a") && socket.last("/b?c=1") && socket.last("/none"));
  assert.deepStrictEqual(socket.last("/a").data, { n: 0 });
  assert.deepStrictEqual([socket.last("/none").event, socket.last("/none").data.status], ["end", 404]);
  for (let n = 1; n <= 5; n++) {
    states["/a"] = { n };
    await until(() => socket.last("/a").data.n === n);
  }
  assert.deepStrictEqual(socket.of("/a").map((message) => message.data.n), [0, 1, 2, 3, 4, 5]);
  assert.strictEqual(new Set(socket.of("/a").map((message) => message.id)).size, 6);
  assert.strictEqual(socket.of("/b?c=1").length, 1);
  socket.ask({ unsubscribe: ["/a"] });
  states["/a"] = { n: 6 };
  states["/b?c=1"] = [1];
  await until(() => socket.last("/b?c=1").data[0] === 1);
  assert.strictEqual(socket.last("/a").data.n, 5);
});

test("who comes back goes on where it was, or gets all", async () => {
  states["/back"] = { n: 0 };
  const [one, witness] = [await open(), await open()];
  one.ask({ subscribe: ["/back"] });
  witness.ask({ subscribe: ["/back"] });
  await until(() => one.last("/back") && witness.last("/back"));
  const { id } = one.last("/back");
  one.close();
  for (let n = 1; n <= 3; n++) {
    states["/back"] = { n };
    await until(() => witness.last("/back").data.n === n);
  }
  const [two, other] = [await open(), await open()];
  two.ask({ subscribe: ["/back"], after: { "/back": id } });
  other.ask({ subscribe: ["/back"], after: { "/back": "0123456789abcdef-1" } });
  await until(() => two.of("/back").length === 3 && other.of("/back").length === 1);
  assert.deepStrictEqual(two.of("/back").map((message) => message.data.n), [1, 2, 3]);
  assert.deepStrictEqual(other.last("/back").data, { n: 3 });
});

test("patches make of each state the next", async () => {
  states["/patched"] = { n: 0, rest: "x".repeat(100) };
  const socket = await open();
  socket.ask({ subscribe: ["/patched"], patch: true });
  await until(() => socket.last("/patched"));
  states["/patched"] = { n: 1, rest: "x".repeat(100) };
  await until(() => socket.of("/patched").length === 2);
  assert.deepStrictEqual([socket.last("/patched").event, socket.last("/patched").data], ["patch", { n: 1 }]);
});

test("what is composed is watched as one: its parts change, fail and come back", async () => {
  Object.assign(states, { "/score/7": { home: 0, away: 0 }, "/players?team=7": ["Ann", "Bob"] });
  const [socket, patched] = [await open({}, composed.port), await open({}, composed.port)];
  const data = () => socket.last("/team/7")?.data;
  socket.ask({ subscribe: ["/team/7", "/team/none"] });
  patched.ask({ subscribe: ["/team/7"], patch: true });
  await until(() => data() && patched.last("/team/7") && socket.last("/team/none"));
  assert.deepStrictEqual(data(), { score: { home: 0, away: 0 }, player: "Ann" });
  assert.deepStrictEqual([socket.last("/team/none").event, socket.last("/team/none").data.status], ["end", 404]);
  states["/score/7"] = { home: 1, away: 0 };
  await until(() => data().score.home === 1 && patched.of("/team/7").length === 2);
  assert.deepStrictEqual(data(), { score: { home: 1, away: 0 }, player: "Ann" });
  assert.deepStrictEqual([patched.last("/team/7").event, patched.last("/team/7").data], ["patch", { score: { home: 1 } }]);
  delete states["/players?team=7"];
  await until(() => data().player === null);
  assert.deepStrictEqual(data().errors, [{ part: "player", status: 404, title: "Not Found" }]);
  assert.deepStrictEqual(data().score, { home: 1, away: 0 });
  states["/players?team=7"] = ["Cid"];
  await until(() => data().player === "Cid");
  assert.deepStrictEqual(data(), { score: { home: 1, away: 0 }, player: "Cid" });
  assert.deepStrictEqual(socket.of("/team/7").map((message) => message.event), Array(4).fill("message"));
});

test("a hundred sockets cost the origin one request an interval", async () => {
  states["/many"] = { n: 0 };
  const sockets = await Promise.all(Array.from({ length: 100 }, () => open()));
  const began = Date.now();
  sockets.forEach((socket) => socket.ask({ subscribe: ["/many"] }));
  for (let n = 1; n <= 5; n++) {
    states["/many"] = { n };
    await until(() => sockets.every((socket) => socket.last("/many")?.data.n === n));
  }
  assert.ok(asked["/many"] <= (Date.now() - began) / 90 + 6, `${asked["/many"]} requests`);
  sockets.forEach((socket) => socket.close());
});

test("a thousand paths on one socket, and no more", async () => {
  const socket = await open({}, idle.port), paths = Array.from({ length: 1000 }, (_, i) => `/each/${i}`);
  [...paths, "/one-more"].forEach((path, i) => (states[path] = { n: i }));
  socket.ask({ subscribe: [...paths, "/one-more"] });
  await until(() => socket.said.length === 1);
  assert.match(socket.said[0].data.detail, /1000 paths at most/);
  socket.ask({ subscribe: paths });
  await until(() => socket.said.length === 1001, 30000);
  assert.deepStrictEqual(paths.map((path) => socket.last(path).data.n), paths.map((_, i) => i));
  socket.ask({ subscribe: ["/one-more", "/each/7"] });
  await until(() => socket.last("/one-more") && socket.of("/each/7").length === 2); // anew: it is one of them
  assert.deepStrictEqual([socket.last("/one-more").event, socket.last("/one-more").data.status], ["end", 503]);
  socket.ask({ unsubscribe: ["/each/0"], subscribe: ["/one-more"] });
  await until(() => socket.last("/one-more").event === "message");
});

test("what is wrong is said, and the socket stays", async () => {
  states["/kept"] = 1;
  const socket = await open();
  socket.send("no JSON");
  socket.ask({ subscribe: "/kept" });
  socket.ask({ subscribe: ["/kept"] });
  await until(() => socket.last("/kept"));
  assert.deepStrictEqual(socket.said.map((message) => message.event), ["problem", "problem", "message"]);
  assert.strictEqual(socket.said[0].data.status, 400);
});

test("a message that is too large, or binary, closes it", async () => {
  const [one, two] = [await open(), await open()];
  one.send(" ".repeat(70000));
  two.send(Buffer.from("{}"));
  await until(() => one.said.length === 1 && two.said.length === 1);
  assert.deepStrictEqual([one.said[0], two.said[0]], [{ code: 1009 }, { code: 1003 }]);
});

test("pages of other hosts are told nothing unless cors-origins has them", async () => {
  states["/paged"] = 1;
  const own = await open({ origin: `http://127.0.0.1:${server.port}` });
  const listed = await open({ origin: "https://pages.example" });
  const other = await open({ origin: "https://elsewhere.example" });
  [own, listed, other].forEach((socket) => socket.ask({ subscribe: ["/paged"] }));
  await until(() => own.last("/paged") && listed.last("/paged") && other.last("/paged"));
  assert.deepStrictEqual([own, listed, other].map((socket) => socket.last("/paged").event), ["message", "message", "end"]);
  assert.strictEqual(other.last("/paged").data.status, 403);
});

test("Node's own client", { skip: typeof globalThis.WebSocket !== "function" }, async () => {
  states["/native"] = { n: 0 };
  const socket = new globalThis.WebSocket(`ws://127.0.0.1:${server.port}/_live`, PROTOCOL);
  const said = [];
  socket.onmessage = (message) => said.push(JSON.parse(message.data));
  await new Promise((resolve, reject) => ((socket.onopen = resolve), (socket.onerror = reject)));
  socket.send(JSON.stringify({ subscribe: ["/native"] }));
  await until(() => said.length === 1);
  states["/native"] = { n: 1 };
  await until(() => said.length === 2);
  assert.deepStrictEqual(said.map((message) => message.data.n), [0, 1]);
  socket.close();
});
