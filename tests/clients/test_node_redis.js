// node-redis finds what it expects, in RESP2 and RESP3's absence of surprises: values, transactions, channels, scans.
const assert = require("assert");
const { test, before, after } = require("node:test");
const { createClient, WatchError, commandOptions } = require("redis");
const { startCache, until } = require("./nuthatch");

let cache, client;

before(async () => {
  cache = await startCache();
  client = createClient({ url: `redis://127.0.0.1:${cache.port}`, name: "tests" });
  await client.connect();
});

after(async () => {
  await client.quit();
  await cache.stop();
});

test("values, options and expiry", async () => {
  assert.strictEqual(await client.set("k", "v", { EX: 100, NX: true }), "OK");
  assert.strictEqual(await client.set("k", "w", { XX: true, GET: true, KEEPTTL: true }), "v");
  assert.ok((await client.ttl("k")) > 90);
  assert.strictEqual(await client.getEx("k", { PX: 500000 }), "w");
  assert.strictEqual(await client.getDel("k"), "w");
  assert.strictEqual(await client.exists("k"), 0);
  await client.mSet({ a: "1", b: "2" });
  assert.deepStrictEqual(await client.mGet(["a", "none", "b"]), ["1", null, "2"]);
  assert.strictEqual(await client.incrByFloat("a", 0.5), "1.5");
});

test("binary values", async () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await client.set("binary", value);
  assert.deepStrictEqual(await client.get(commandOptions({ returnBuffers: true }), "binary"), value);
  assert.deepStrictEqual(await client.setBit("binary", 7, 1), 0);
});

test("a transaction, and one that a watched key spoils", async () => {
  assert.deepStrictEqual(await client.multi().set("m", "1").incr("m").get("m").exec(), ["OK", 2, "2"]);
  await assert.rejects(
    client.executeIsolated(async (isolated) => {
      await isolated.watch("m");
      await client.incr("m");
      return isolated.multi().incr("m").exec();
    }),
    WatchError,
  );
  assert.strictEqual(await client.get("m"), "3");
});

test("messages of channels and patterns", async () => {
  const subscriber = client.duplicate();
  const heard = [];
  await subscriber.connect();
  await subscriber.subscribe("news", (message, channel) => heard.push([channel, message]));
  await subscriber.pSubscribe("n?ws", (message, channel) => heard.push([channel, message]));
  assert.strictEqual(await client.publish("news", "hello"), 2);
  await until(() => heard.length === 2);
  assert.deepStrictEqual(heard, [["news", "hello"], ["news", "hello"]]);
  await subscriber.unsubscribe("news");
  assert.strictEqual(await client.publish("news", "again"), 1);
  await subscriber.quit();
});

test("a scan finds every key", async () => {
  for (let i = 0; i < 300; i++) client.set(`scan:${i}`, "x");
  const found = new Set();
  for await (const key of client.scanIterator({ MATCH: "scan:*", COUNT: 40 })) found.add(key);
  assert.strictEqual(found.size, 300);
});

test("an error keeps the connection", async () => {
  await assert.rejects(client.sendCommand(["LPUSH", "list", "1"]), /not supported/);
  assert.strictEqual(await client.ping(), "PONG");
});
