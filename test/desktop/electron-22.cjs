// Test-only, in front of the built shell on Electron 22 (Node 16): what the shell's Electron has and this one lacks, said in
// this one's own calls. Nothing of it reaches the product.

'use strict';
require('./core-js.cjs');
const { protocol } = require('electron');

if (globalThis.Response === undefined)
  globalThis.Response = function Response(body, { status, headers }) {
    Object.assign(this, { body, status, headers });
  };

if (protocol.handle === undefined)
  protocol.handle = (scheme, handler) => {
    protocol.registerBufferProtocol(scheme, (request, answer) => {
      const { body, status, headers } = handler({ url: request.url, method: request.method });
      const mimeType = headers['Content-Type'].split(';')[0];
      answer({ statusCode: status, headers, mimeType, charset: 'utf-8', data: Buffer.from(body) });
    });
  };

require('./shell.cjs');
