// Starts the built binary for a test, on a free port, and stops it.
const { spawn } = require("child_process");
const assert = require("assert");

const binary = process.env.NUTHATCH || "build/release/nuthatch";

// A test that failed may leave a connection open, which would keep Node.js waiting.
setTimeout(() => process.exit(1), 60000).unref();

// Resolves to {port, stop}; `stop` asserts that it ends cleanly. `words` are its command line; it listens once.
exports.start = async (...words) => {
  const server = spawn(binary, words, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const port = await new Promise((resolve, reject) => {
    let log = "";
    server.stderr.on("data", (data) => {
      log += data;
      const ready = /ready on \w+:\/\/[^ \n]*:(\d+)/.exec(log);
      if (ready) resolve(Number(ready[1]));
    });
    server.on("exit", () => reject(new Error(log)));
  });
  const stop = async () => {
    server.kill("SIGTERM");
    assert.strictEqual(await ended, 0);
  };
  return { port, stop };
};

exports.startCache = (...options) =>
  exports.start("cache", "--listen", "tcp://127.0.0.1:0", "--memory", "64M", "--threads", "2", ...options);

// Resolves when `condition` holds; fails after that long at the earliest.
exports.until = async (condition, patience_ms = 5000) => {
  for (let tries = 0; !(await condition()); tries++) {
    assert.ok(tries < patience_ms / 10, "it did not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
