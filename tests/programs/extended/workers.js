// Worker threads that come and go, each with buffers, compression and key derivation in libuv's thread
// pool; prints digests that depend on the data alone.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');
const { promisify } = require('util');
const { execFileSync } = require('child_process');

const sha = (data) => crypto.createHash('sha256').update(data).digest('hex');

async function work(id) {
    const hash = crypto.createHash('sha256');
    const kept = [];
    for (let i = 0; i < 400; i++) {
        const buffer = Buffer.alloc(1 + ((i * 7919 + id * 104729) % 60000), i % 251);
        if (i % 3 === 0) kept.push(buffer);
        if (i % 5 === 0) kept.shift();
        hash.update(buffer);
    }
    const text = JSON.stringify(Array.from({ length: 3000 }, (_, i) => ({ id, i, name: 'n'.repeat(i % 40) })));
    const packed = await Promise.all([1, 6, 9].map((level) => promisify(zlib.deflate)(text, { level })));
    for (const one of packed) hash.update(await promisify(zlib.inflate)(one));
    const brotli = await promisify(zlib.brotliCompress)(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } });
    hash.update(await promisify(zlib.brotliDecompress)(brotli));
    hash.update(await promisify(crypto.pbkdf2)(text, 'salt', 500, 64, 'sha512'));
    hash.update(text.replace(/"i":(\d+)/g, (_, d) => d * 2).split(',').sort().join());
    const transferred = new Uint8Array(100000).fill(id).buffer;
    return [hash.digest('hex'), transferred];
}

if (!isMainThread) {
    work(workerData).then(([digest, buffer]) => parentPort.postMessage([digest, buffer], [buffer]));
} else {
    const one = (id) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: id });
        worker.on('message', ([digest, buffer]) => resolve(`${id} ${digest} ${sha(new Uint8Array(buffer))}`));
        worker.on('error', reject);
    });
    (async () => {
        for (let round = 0; round < 4; round++) {
            const lines = await Promise.all([0, 1, 2, 3].map((i) => one(round * 4 + i)));
            console.log(lines.join('\n'));
        }
        // Workers stopped in the middle of their work.
        for (let i = 0; i < 5; i++) {
            const worker = new Worker('const a = []; for (;;) a.push(Buffer.alloc(1000)), a.length > 5000 && (a.length = 0);', { eval: true });
            await new Promise((resolve) => worker.once('online', resolve));
            await worker.terminate();
            console.log('stopped');
        }
        console.log(execFileSync(process.execPath, ['-p', '6 * 7']).toString().trim());
    })();
}
