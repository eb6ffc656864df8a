// Portkey's gateway listens on all interfaces and has no option for it; a benchmark listens on none
// but the loopback's. `node --require` this.
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port, host: "127.0.0.1" }, rest.find((x) => typeof x === "function"));
};
