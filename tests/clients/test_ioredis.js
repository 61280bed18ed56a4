// ioredis finds what it expects, also with its ready check (INFO) and automatic pipelining.
const { spawn } = require("child_process");
const assert = require("assert");
const { test, before, after } = require("node:test");
const Redis = require("ioredis");

const binary = process.env.NUTHATCH || "build/release/nuthatch";
let server, port, client;

before(async () => {
  server = spawn(binary, ["cache", "--listen", "tcp://127.0.0.1:0", "--memory", "64M"], { stdio: ["ignore", "ignore", "pipe"] });
  port = await new Promise((resolve, reject) => {
    let log = "";
    server.stderr.on("data", (data) => {
      log += data;
      const ready = /ready on tcp:\/\/[^ \n]*:(\d+)/.exec(log);
      if (ready) resolve(Number(ready[1]));
    });
    server.on("exit", () => reject(new Error(log)));
  });
  client = new Redis(port, "127.0.0.1", { enableAutoPipelining: true, connectionName: "tests" });
});

after(async () => {
  await client.quit();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGTERM");
  assert.strictEqual(await ended, 0);
});

test("it becomes ready, and knows its name", async () => {
  assert.strictEqual(await client.ping(), "PONG");
  assert.strictEqual(await client.client("GETNAME"), "tests");
});

test("values, options and expiry", async () => {
  assert.strictEqual(await client.set("k", "v", "EX", 100, "NX"), "OK");
  assert.strictEqual(await client.set("k", "w", "NX"), null);
  assert.strictEqual(await client.get("k"), "v");
  assert.ok((await client.ttl("k")) > 0);
  assert.deepStrictEqual(await client.mget("k", "none"), ["v", null]);
  assert.strictEqual(await client.del("k", "none"), 1);
});

test("a thousand commands pipelined by themselves", async () => {
  const sums = await Promise.all(Array.from({ length: 1000 }, () => client.incr("n")));
  assert.deepStrictEqual(sums, Array.from({ length: 1000 }, (_, i) => i + 1));
});

test("binary values", async () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await client.set("binary", value);
  assert.deepStrictEqual(await client.getBuffer("binary"), value);
});

test("an error keeps the connection", async () => {
  await assert.rejects(client.call("NOSUCH"), /unknown command/);
  assert.strictEqual(await client.ping(), "PONG");
});
