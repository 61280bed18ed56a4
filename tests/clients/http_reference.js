/* What node's HTTP (llhttp) makes of bytes, for test_http_differential.py.
 *
 * It listens on a free port, which is its first line, and answers each request with what it understood of it, in JSON. A line
 * "why" of its input asks why the last connection came to its end. Each other line is the port of an origin, a method and a target:
 * it asks, and says in a line what it understood of the answer. */
"use strict";
const http = require("node:http");
const readline = require("node:readline");

let wrong = null; // with the last connection
let latest = null; // request whose head has come
const server = http.createServer({ keepAliveTimeout: 2000 }, (request, response) => {
  const pieces = [];
  latest = request;
  request.on("data", (piece) => pieces.push(piece));
  request.on("error", () => {});
  request.on("end", () => {
    const said = Buffer.from(JSON.stringify({
      method: request.method, target: request.url, fields: request.rawHeaders, body: Buffer.concat(pieces).toString("latin1"),
    }), "latin1");
    response.writeHead(200, { "Content-Length": said.length, "Content-Type": "application/json" });
    response.end(request.method === "HEAD" ? undefined : said);
  });
});
server.httpAllowHalfOpen = true;
server.on("clientError", (error, socket) => {
  wrong = (latest && !latest.complete ? "body: " : "") + error.code;
  setTimeout(() => socket.destroy(), 3); // what came before it is answered first
});
/* It does not become a tunnel, and node says nothing more on it. */
server.on("connect", (request, socket) => {
  wrong = "CONNECT";
  setTimeout(() => socket.destroy(), 3);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "why") {
    console.log(JSON.stringify(wrong));
    wrong = latest = null;
    return;
  }
  const [port, method, target] = line.split(" ");
  let said = false;
  let answer = null;
  let failure = "cut";
  const pieces = [];
  const end = () => {
    if (!said)
      console.log(JSON.stringify(answer && answer.complete
        ? { status: answer.statusCode, fields: answer.rawHeaders, body: Buffer.concat(pieces).toString("latin1") }
        : { wrong: failure }));
    said = true;
  };
  const request = http.request({ port, host: "127.0.0.1", method, path: target, agent: false }, (response) => {
    answer = response;
    response.on("data", (piece) => pieces.push(piece));
    response.on("error", () => {});
    response.on("close", () => setTimeout(end, 3));
  });
  request.on("upgrade", (response, socket) => { socket.destroy(); end(); });
  /* Bytes behind a whole answer are wrong, too, and none of its. */
  request.on("error", (error) => {
    failure = (answer ? "body: " : "") + error.code;
    setTimeout(end, 3);
  });
  request.end();
});
process.stdin.on("end", () => process.exit(0));
