// A Modbus TCP server of npm's modbus-serial, for the tests: node modbus_serial.js PORT
"use strict";
const { ServerTCP } = require("modbus-serial");
const word = (unit, address) => (unit * 1009 + address * 7 + 3) & 0xffff;
const bit = (address, unit) => (word(unit, address) & 1) === 1;
const vector = {
  getInputRegister: (address, unit) => word(unit, address),
  getHoldingRegister: (address, unit) => word(unit, address),
  getCoil: bit,
  getDiscreteInput: bit,
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: 0 });
server.on("initialized", () => console.log("ready"));
