// WebSockets of the mock as ws and, where there is one, Node's own client see them.
const { test, before, after } = require("node:test");
const assert = require("assert");
const fs = require("fs");
const os = require("os");
const path = require("path");
const WebSocket = require("ws");
const { start } = require("./nuthatch");

const rules = `
rules:
  - match: {path: "/script/{name}"}
    websocket:
      messages:
        - {json: {hello: "{{request.path.name}}", n: "{{counter}}"}}
        - {after: 20ms, text: "two\\nlines"}
        - {binary: AP8B}
        - {after: 10ms, close: {code: 4000, reason: "bye {{request.path.name}}"}}
  - match: {path: /ticks}
    then: cycle
    websocket: {messages: [{after: 10ms, text: "{{counter}}"}]}
  - match: {path: /chat}
    websocket:
      protocols: [chat.v2, chat.v1]
      replies:
        - {match: ping, send: {text: pong}}
        - {match: {contains: slowly}, send: [{after: 80ms, text: late}, {text: "later: {{message}}"}]}
        - {match: {matches: "^(un)?subscribe$"}, send: {text: done}}
        - {match: [{pointer: /type, equals: add}, {pointer: /n, present: true}], send: {json: {sum: "{{message /n}}", of: "{{message /name | default nobody}}"}}}
        - {match: quit, send: {close: 1000}}
        - {send: {echo: true}}
  - {match: {path: /writes}, websocket: {changes: notes}}
  - {match: {path: /pings}, websocket: {ping: 30ms}}
  - {match: {path: /late}, latency: 50ms, websocket: {messages: {text: hello}}}
  - {match: {path: /cut}, faults: {fault: truncate, after: 3}, websocket: {messages: {text: hello}}}
  - {match: {path: /events}, events: [{data: one}]}
`;

let server, folder;
const opened = [];

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "nuthatch-"));
  fs.writeFileSync(path.join(folder, "rules.yaml"), rules);
  fs.writeFileSync(path.join(folder, "db.json"), '{"notes": []}');
  server = await start("mock", path.join(folder, "db.json"), "--rules", path.join(folder, "rules.yaml"),
    "--threads", "2", "--listen", "http://127.0.0.1:0");
});

after(async () => {
  opened.forEach((socket) => socket.terminate());
  await server.stop();
  fs.rmSync(folder, { recursive: true });
});

// A client whose `next` resolves to each message in turn, and at last to {code, reason}.
const open = async (target, protocols = []) => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${target}`, protocols);
  const came = [], waiting = [];
  const put = (thing) => (waiting.length ? waiting.shift()(thing) : came.push(thing));
  opened.push(socket);
  socket.on("message", (data, isBinary) => put(isBinary ? data : data.toString()));
  socket.on("close", (code, reason) => put({ code, reason: reason.toString() }));
  socket.next = () => (came.length ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push(resolve)));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
};

const refusal = (target, options = {}) =>
  new Promise((resolve) =>
    new WebSocket(`ws://127.0.0.1:${server.port}${target}`, options).on("error", () => {})
      .on("unexpected-response", (request, response) => resolve((response.resume(), response))));

const ask = async (target, options) => (await fetch(`http://127.0.0.1:${server.port}${target}`, options)).json();

test("a script is said in its order and its close has a code and a reason", async () => {
  const socket = await open("/script/ann");
  assert.deepStrictEqual(JSON.parse(await socket.next()), { hello: "ann", n: 1 });
  assert.strictEqual(await socket.next(), "two\nlines");
  assert.deepStrictEqual(await socket.next(), Buffer.from([0, 255, 1]));
  assert.deepStrictEqual(await socket.next(), { code: 4000, reason: "bye ann" });
});

test("a script that cycles begins again", async () => {
  const socket = await open("/ticks");
  for (let n = 1; n < 5; n++) assert.strictEqual(await socket.next(), String(n));
  socket.close(1000);
  for (let last = await socket.next(); ; last = await socket.next())
    if (typeof last !== "string") {
      assert.strictEqual(last.code, 1000);
      break;
    }
});

test("messages are replied to by what they are", async () => {
  const socket = await open("/chat", ["chat.v0", "chat.v1"]);
  assert.strictEqual(socket.protocol, "chat.v1");
  const large = "ä".repeat(200000);
  for (const [said, wanted] of [["ping", "pong"], ["unsubscribe", "done"], ['{"type": "add", "n": 3}', '{"sum":3,"of":"nobody"}'],
    ['{"type": "add"}', '{"type": "add"}'], ["", ""], [large, large]]) {
    socket.send(said);
    assert.strictEqual(await socket.next(), wanted);
  }
  socket.send(Buffer.from([255, 0]));
  assert.deepStrictEqual(await socket.next(), Buffer.from([255, 0]));
  socket.send("slowly");
  socket.send("ping"); // is not kept waiting
  assert.strictEqual(await socket.next(), "pong");
  assert.strictEqual(await socket.next(), "late");
  assert.strictEqual(await socket.next(), "later: slowly");
  socket.send("quit");
  assert.strictEqual((await socket.next()).code, 1000);
});

test("what clients said is in the journal", async () => {
  const socket = await open("/chat");
  socket.send("first");
  await socket.next();
  socket.send(Buffer.from("two"));
  await socket.next();
  socket.close(4001, "enough");
  await socket.next();
  const { requests } = await ask("/__admin/requests?path=/chat&limit=1");
  const [{ status, message_count, messages }] = requests;
  assert.deepStrictEqual([status, message_count], [101, 3]);
  assert.deepStrictEqual(messages.map(({ at, ...rest }) => rest),
    [{ text: "first", bytes: 5 }, { binary: "dHdv", bytes: 3 }, { close: 4001, reason: "enough", bytes: 6 }]);
});

test("each write of a collection is told to all who listen", async () => {
  const sockets = [await open("/writes"), await open("/writes"), await open("/writes")];
  const json = (method, body) => ({ method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const { id } = await ask("/notes", json("POST", { a: "x\ny" }));
  await ask(`/notes/${id}`, json("PUT", { a: 2 }));
  await ask(`/notes/${id}`, { method: "DELETE" });
  for (const socket of sockets) {
    const told = [];
    for (let i = 0; i < 3; i++) told.push(JSON.parse(await socket.next()));
    assert.deepStrictEqual(told.map(({ number, ...rest }) => rest), [
      { event: "insert", name: "notes", id: String(id), item: { id, a: "x\ny" } },
      { event: "replace", name: "notes", id: String(id), item: { id, a: 2 } },
      { event: "remove", name: "notes", id: String(id), item: { id, a: 2 } }]);
    assert.ok(told[0].number < told[1].number && told[1].number < told[2].number);
    socket.close();
  }
});

test("who is silent is asked, and who answers stays", async () => {
  const socket = await open("/pings");
  for (let i = 0; i < 3; i++) await new Promise((resolve) => socket.once("ping", resolve));
  assert.strictEqual(socket.readyState, WebSocket.OPEN);
  const pong = new Promise((resolve) => socket.once("pong", resolve));
  socket.ping("abc");
  assert.strictEqual((await pong).toString(), "abc");
  socket.close();
});

test("latency and faults are those of any answer", async () => {
  const began = performance.now();
  const socket = await open("/late");
  assert.ok(performance.now() - began >= 45);
  assert.strictEqual(await socket.next(), "hello");
  assert.strictEqual((await (await open("/cut")).next()).code, 1006);
});

test("what is no WebSocket, and who asks for one wrongly, is told so", async () => {
  const plain = await fetch(`http://127.0.0.1:${server.port}/chat`);
  assert.deepStrictEqual([plain.status, plain.headers.get("upgrade"), plain.headers.get("sec-websocket-version")],
    [426, "websocket", "13"]);
  assert.strictEqual((await fetch(`http://127.0.0.1:${server.port}/chat`, { method: "POST", body: "a" })).status, 405);
  assert.strictEqual((await refusal("/chat", { protocolVersion: 8 })).statusCode, 426);
  assert.strictEqual((await refusal("/events")).statusCode, 200); // an ordinary answer to an ordinary request
  assert.strictEqual((await refusal("/notes")).statusCode, 200);
});

test("a message that is too large is refused with its code", async () => {
  const socket = await open("/chat");
  socket.on("error", () => {});
  socket.send(Buffer.alloc((1 << 20) + 1));
  assert.strictEqual((await socket.next()).code, 1009);
});

test("Node's own client is content", { skip: typeof globalThis.WebSocket === "undefined" }, async () => {
  const socket = new globalThis.WebSocket(`ws://127.0.0.1:${server.port}/chat`, "chat.v2");
  await new Promise((resolve) => (socket.onopen = resolve));
  const said = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
  socket.send("hello");
  assert.strictEqual(await said, "hello");
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.close(3000, "done");
  assert.deepStrictEqual([(await closed).code, socket.protocol], [3000, "chat.v2"]);
});

test("a server that stops says so, and waits for no one", async () => {
  const other = await start("mock", "--rules", path.join(folder, "rules.yaml"), "--listen", "http://127.0.0.1:0");
  const socket = new WebSocket(`ws://127.0.0.1:${other.port}/chat`);
  await new Promise((resolve) => socket.once("open", resolve));
  const closed = new Promise((resolve) => socket.once("close", (code, reason) => resolve([code, reason.toString()])));
  await other.stop();
  assert.deepStrictEqual(await closed, [1001, "the server is stopping"]);
});
