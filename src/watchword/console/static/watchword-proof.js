/**
 * Proof of work (ALTCHA v2, PBKDF2), for whoever cannot drag: the device tries one counter after
 * another until the key made of it begins as the challenge asks.
 *
 * Imported it gives `prove`; started as a Worker it does the trying, so that the page stays quick.
 */

const AT_ONCE = 8; // the browser derives keys on threads of its own

/** Whether this page may compute: browsers give WebCrypto to https and localhost alone. */
export const canProve = () => Boolean(globalThis.crypto?.subtle);

/**
 * The payload that answers `challenge`. `tell(tries)` hears how far it is. Works in a Worker where
 * there can be one, else here: a module of another origin starts none.
 */
export async function prove(challenge, { tell = () => {}, signal } = {}) {
  const worker = started();
  if (!worker) return payload(challenge, tell, signal);
  try {
    return await answerOf(worker, challenge, tell, signal);
  } catch (error) {
    if (!(error instanceof NoWorker)) throw error;
    return payload(challenge, tell, signal);
  } finally {
    worker.terminate();
  }
}

class NoWorker extends Error {}

function started() {
  try {
    return new Worker(new URL("watchword-proof.js", import.meta.url), { type: "module" });
  } catch {
    return null;
  }
}

function answerOf(worker, challenge, tell, signal) {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new NoWorker()); // its policy forbids it, or it could not be loaded
    };
    worker.onmessage = ({ data }) => {
      if (data.tries) tell(data.tries);
      if (data.payload) resolve(data.payload);
      if (data.error) reject(new Error(data.error));
    };
    worker.postMessage(challenge);
  });
}

async function payload(challenge, tell, signal) {
  const solution = await solved(challenge.parameters, tell, signal);
  return btoa(JSON.stringify({ challenge, solution }));
}

async function solved(parameters, tell, signal) {
  const since = performance.now();
  for (let first = 0; ; first += AT_ONCE) {
    signal?.throwIfAborted();
    const counters = Array.from({ length: AT_ONCE }, (_, i) => first + i);
    const keys = await Promise.all(counters.map((counter) => derived(parameters, counter)));
    const found = keys.findIndex((key) => key.startsWith(parameters.keyPrefix));
    if (found >= 0) {
      const time = Math.round(performance.now() - since);
      return { counter: counters[found], derivedKey: keys[found], time };
    }
    tell(first + AT_ONCE);
  }
}

async function derived({ algorithm, nonce, salt, cost, keyLength }, counter) {
  const [name, hash] = algorithm.split("/");
  const password = new Uint8Array([...bytes(nonce), 0, 0, 0, 0]);
  new DataView(password.buffer).setUint32(password.length - 4, counter);
  const secret = await crypto.subtle.importKey("raw", password, name, false, ["deriveBits"]);
  const terms = { name, hash, salt: bytes(salt), iterations: cost };
  return hex(new Uint8Array(await crypto.subtle.deriveBits(terms, secret, keyLength * 8)));
}

const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const hex = (array) => Array.from(array, (byte) => byte.toString(16).padStart(2, "0")).join("");

if (typeof WorkerGlobalScope !== "undefined" && globalThis instanceof WorkerGlobalScope) {
  globalThis.onmessage = ({ data: challenge }) =>
    payload(challenge, (tries) => postMessage({ tries })).then(
      (text) => postMessage({ payload: text }),
      (error) => postMessage({ error: String(error) }),
    );
}
