// Worker threads that exchange buffers and objects: node workers.js AMOUNT
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");

if (isMainThread) {
  const amount = Number(process.argv[2] || 1);
  let open = 4;
  let total = 0;
  for (let id = 0; id < 4; id++) {
    const worker = new Worker(__filename, { workerData: { id, amount } });
    worker.on("message", (message) => {
      total += message.length;
      worker.postMessage(Buffer.alloc(message.length % 10000));
    });
    worker.on("error", (error) => { throw error; });
    worker.on("exit", () => { if (--open === 0) console.log(total); });
  }
} else {
  const rounds = workerData.amount * 50;
  let done = 0;
  const round = () => {
    const buffers = [];
    for (let i = 0; i < 60; i++) buffers.push(Buffer.allocUnsafeSlow(200 + ((done * 977 + i * 131) % 20000)));
    const rows = JSON.parse(JSON.stringify(buffers.slice(0, 20).map((b, i) => ({ i, size: b.length, text: "x".repeat(i) }))));
    const text = buffers.map((b) => b.toString("hex", 0, 50)).join("");
    parentPort.postMessage(text + rows.length);
    if (++done >= rounds) parentPort.close();
  };
  parentPort.on("message", round);
  round();
}
