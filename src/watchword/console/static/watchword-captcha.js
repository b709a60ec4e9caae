/**
 * <watchword-captcha>: a captcha that any page can show, in a file and its worker.
 *
 *   <script type="module" src="https://codes.example/static/watchword-captcha.js"></script>
 *   <watchword-captcha endpoint="https://codes.example" client-id="..." sender="+8615200000000">
 *   </watchword-captcha>
 *
 * Whoever solves it makes it fire `watchword-pass`, whose detail has the `captchaToken` to send a
 * code with; the send has to carry `headers` of this element. docs/captcha-component.md says more.
 */

import { canProve, prove } from "./watchword-proof.js";

const WIDTH = 310; // the picture's own measures: points are told in these
const HEIGHT = 155;
const PIECE = 47;
const MOST = WIDTH - PIECE;
const A_DRAG = 4; // pixels; a shorter way is a tap
const PATH = "/api/v2/sdk/captcha";

const WORDS = {
  en: {
    slider: "Position of the puzzle piece",
    at: (x) => `${x} of ${MOST}`,
    picture: "A picture with a gap, and the piece that belongs there",
    hint: "Drag the piece into its gap",
    keys: "Arrow keys move it, Enter checks",
    loading: "One moment …",
    check: "Check",
    another: "Another picture",
    compute: "Cannot drag it? Prove by computing",
    drag: "Use the picture instead",
    computing: "Your device proves itself with a sum. That takes a few seconds.",
    tries: (n) => `${n} tries`,
    insecure: "Computing needs a page that came over https. Please use the picture.",
    passed: "That fits. Thank you.",
    proven: "Done. Thank you.",
    missed: "Not quite. Here is another picture.",
    late: "That picture was too old. Here is a new one.",
    nobody: "First say where the code should go.",
    refused: "That did not work just now.",
    tooMany: (time) => `Too many puzzles from here. The next one can come in ${time}.`,
    minutes: (n) => (n === 1 ? "1 minute" : `${n} minutes`),
    seconds: (n) => (n === 1 ? "1 second" : `${n} seconds`),
    unreachable: "The server could not be reached.",
    again: (s) => (s > 0 ? `Try again in ${s} s` : "Try again"),
  },
  zh: {
    slider: "拼图块的位置",
    at: (x) => `${x} / ${MOST}`,
    picture: "一张有缺口的图片，以及属于缺口的拼图块",
    hint: "拖动滑块，将拼图移到缺口处",
    keys: "方向键移动，回车键确认",
    loading: "请稍候…",
    check: "确认",
    another: "换一张图片",
    compute: "无法拖动？改用计算验证",
    drag: "改用拼图验证",
    computing: "您的设备正在用计算来证明，只需几秒钟。",
    tries: (n) => `已尝试 ${n} 次`,
    insecure: "计算验证需要通过 https 打开的页面，请使用拼图。",
    passed: "拼好了，谢谢。",
    proven: "已完成，谢谢。",
    missed: "差一点，已为您换了一张。",
    late: "图片已过期，已为您换了一张。",
    nobody: "请先填写接收验证码的号码。",
    refused: "暂时无法完成。",
    tooMany: (time) => `您的网络请求过于频繁，${time}后可再试。`,
    minutes: (n) => `${n} 分钟`,
    seconds: (n) => `${n} 秒`,
    unreachable: "无法连接服务器。",
    again: (s) => (s > 0 ? `${s} 秒后可重试` : "重试"),
  },
};

const SHAPE = `
<div class="face">
<div class="play">
  <div class="stage">
    <canvas class="picture" width="${WIDTH}" height="${HEIGHT}" role="img"></canvas>
    <canvas class="piece" width="${PIECE}" height="${HEIGHT}" aria-hidden="true"></canvas>
  </div>
  <div class="track">
    <span class="hint"><span class="drag" aria-hidden="true"></span><span id="keys"></span></span>
    <div class="way"></div>
    <div class="handle" role="slider" tabindex="0" aria-valuemin="0" aria-valuemax="${MOST}"
      aria-describedby="keys">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path class="arrows" d="M9 7l-5 5 5 5M15 7l5 5-5 5"/><path class="tick" d="M5 12.5l5 5 9-11"/>
      </svg>
    </div>
  </div>
</div>
<div class="sum">
  <svg viewBox="0 0 24 24" aria-hidden="true">
    <path class="chip" d="M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4"/>
    <path class="tick" d="M5 12.5l5 5 9-11"/>
  </svg>
  <p class="doing"></p>
  <div class="bar" role="progressbar"></div>
  <p class="tries"></p>
</div>
</div>
<div class="foot">
  <p class="said" role="status"></p>
  <button class="check" type="button"></button>
  <button class="another" type="button">
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d="M19 12a7 7 0 1 1-2.2-5.1M19 3.5V8h-4.5"/>
    </svg>
  </button>
</div>
<button class="other" type="button"></button>`;

const LOOKS = `
:host {
  --accent: var(--watchword-accent, light-dark(#0b6b5d, #5cd0b9));
  --on-accent: var(--watchword-on-accent, light-dark(#fff, #04231d));
  --text: var(--watchword-text, light-dark(#1c2430, #e9ecf1));
  --quiet: var(--watchword-quiet, light-dark(#566070, #a7b1bf));
  --surface: var(--watchword-surface, light-dark(#fff, #1a2028));
  --sunken: var(--watchword-sunken, light-dark(#eceef0, #272f39));
  --edge: var(--watchword-edge, light-dark(#848d9a, #788493));
  color-scheme: light dark;
  display: block; max-width: 26rem; color: var(--text); font: 0.9375rem/1.4 system-ui, sans-serif;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
p { margin: 0; }
svg { width: 1.5rem; height: 1.5rem; fill: none; stroke: currentColor; stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round; }
.tick { display: none; }

.stage { position: relative; overflow: hidden; aspect-ratio: ${WIDTH} / ${HEIGHT};
  border-radius: 0.625rem; background: var(--sunken); cursor: pointer; touch-action: pan-y; }
.stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage .piece { width: calc(100% * ${PIECE} / ${WIDTH}); left: calc(var(--x, 0) * 100% / ${WIDTH});
  filter: drop-shadow(0 0 3px rgb(0 0 0 / 0.55)); }
.track { position: relative; height: 3rem; margin-top: 0.625rem; border-radius: 0.625rem;
  background: var(--sunken); box-shadow: inset 0 0 0 1px var(--edge); cursor: pointer;
  touch-action: pan-y; user-select: none; -webkit-user-select: none; }
.hint { position: absolute; inset: 0 0.5rem 0 calc(100% * ${PIECE} / ${WIDTH} + 0.5rem);
  display: grid; place-items: center; color: var(--quiet); font-size: 0.875rem; line-height: 1.2;
  text-align: center; }
#keys, .track:has(.handle:focus-visible) .drag { display: none; }
.track:has(.handle:focus-visible) #keys { display: inline; }
.way { position: absolute; inset: 0 auto 0 0; border-radius: inherit;
  width: calc((var(--x, 0) + ${PIECE}) * 100% / ${WIDTH});
  background: color-mix(in srgb, var(--accent) 22%, transparent); }
.handle { position: absolute; top: 0; bottom: 0; left: calc(var(--x, 0) * 100% / ${WIDTH});
  width: calc(100% * ${PIECE} / ${WIDTH}); display: grid; place-items: center; cursor: grab;
  border-radius: inherit; background: var(--accent); color: var(--on-accent); touch-action: none; }
.handle::before { content: ""; position: absolute; inset: 0 -0.25rem; } /* never under 44 px */
.dragging, .dragging .handle { cursor: grabbing; }
.moved .hint { opacity: 0; }

.foot { display: flex; align-items: center; gap: 0.5rem; margin-top: 0.5rem; }
.said { flex: 1; min-height: 2.75rem; display: flex; align-items: center; line-height: 1.3;
  color: var(--quiet); font-size: 0.875rem; overflow-wrap: anywhere; }
button { min-width: 2.75rem; min-height: 2.75rem; padding: 0 0.75rem; border: 0; cursor: pointer;
  border-radius: 0.625rem; background: none; color: var(--accent); font: inherit; }
button:hover { background: var(--sunken); }
.check { visibility: hidden; background: var(--accent); color: var(--on-accent); font-weight: 600; }
.check:hover { background: color-mix(in srgb, var(--accent) 88%, var(--text)); }
.another { padding: 0; display: grid; place-items: center; color: var(--text); }
.other { padding: 0; text-decoration: underline; text-underline-offset: 0.2em; text-align: start; }
.other:hover { background: none; text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }

.sum { display: grid; place-content: center; justify-items: center; gap: 0.75rem; padding: 1rem;
  border-radius: 0.625rem; background: var(--sunken); text-align: center; }
.sum svg { width: 2.5rem; height: 2.5rem; color: var(--accent); stroke-width: 1.75; }
.doing { max-width: 17rem; text-wrap: balance; }
.bar { width: 12rem; max-width: 100%; height: 0.375rem; overflow: hidden; border-radius: 1rem;
  background: color-mix(in srgb, var(--accent) 22%, transparent); }
.bar::before { content: ""; display: block; width: 35%; height: 100%; border-radius: inherit;
  background: var(--accent); animation: way 1.4s ease-in-out infinite alternate; }
@keyframes way { to { transform: translateX(186%); } }
.tries { color: var(--quiet); font-size: 0.8125rem; font-variant-numeric: tabular-nums; }

/* The kind shown, and how far it is. Both faces have one place, so that nothing jumps. */
.face { display: grid; }
.play, .sum { grid-area: 1 / 1; min-width: 0; }
[data-state="refused"] .another, [data-kind="altcha"] :is(.play, .another), [data-kind="jigsaw"] .sum { visibility: hidden; }
[data-state="ready"].moved:not(.dragging) .check, [data-state="refused"] .check { visibility: visible; }
[data-state="refused"] .said { color: var(--text); }
:is([data-state="loading"], [data-state="refused"]) .piece { visibility: hidden; }
:is([data-state="loading"], [data-state="refused"]) .stage { cursor: default; }
:is([data-state="loading"], [data-state="refused"], [data-state="checking"]) .handle { opacity: 0.5; }
[data-state="loading"] .picture { opacity: 0.35; }
[data-state="refused"] .picture { opacity: 0; }
[data-state="refused"] .sum :is(.bar, .tries) { visibility: hidden; }
[data-state="passed"] .tick { display: revert; }
[data-state="passed"] :is(.arrows, .chip) { display: none; }
[data-state="passed"] :is(.another, .other) { visibility: hidden; }
[data-state="passed"] .said { color: var(--accent); font-weight: 600; }
[data-state="passed"] .sum :is(.doing, .bar, .tries) { display: none; }
/* What is read out there stands in the middle already. */
[data-kind="altcha"][data-state="loading"] .said { clip-path: inset(50%); }
.missed .stage { animation: shake 0.3s; }
@keyframes shake { 25% { transform: translateX(-5px); } 75% { transform: translateX(5px); } }

@media (prefers-reduced-motion: reduce) {
  .bar::before { width: 100%; animation: none; opacity: 0.6; }
  .missed .stage { animation: none; }
}
@media (forced-colors: active) {
  .handle, .check, .bar::before { forced-color-adjust: none; background: Highlight;
    color: HighlightText; }
  .track, .bar, .stage, .sum { border: 1px solid CanvasText; }
}`;

const sheet = new CSSStyleSheet();
sheet.replaceSync(LOOKS);

/** A limit says when there is room again; who is only asked to try once more needs no such words. */
const BRIEF_S = 1;

const span = (words, seconds) =>
  seconds > 90 ? words.minutes(Math.ceil(seconds / 60)) : words.seconds(Math.ceil(seconds));

class Refusal extends Error {
  constructor({ error_code: code = "", error_msg: message = "" }, retryIn) {
    super(message);
    Object.assign(this, { code: code.replace("IDAAS.SDK.", ""), retryIn });
  }
}

class WatchwordCaptcha extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = ["client-id", "endpoint", "kind", "lang", "sender"];

  #shadow = this.attachShadow({ mode: "open", delegatesFocus: true });
  #form = this.attachInternals();
  #root = document.createElement("div");
  #part = (name) => this.#root.querySelector(`.${name}`);
  #work = new AbortController(); // everything asked for the captcha on show
  #captcha = null;
  #isShown = false; // an element that is upgraded is told of its attributes first
  #kind = "jigsaw";
  #state = "loading";
  #words = WORDS.en;
  #says = () => "";
  #x = 0;

  constructor() {
    super();
    this.#root.innerHTML = SHAPE;
    this.#shadow.adoptedStyleSheets = [sheet];
    this.#shadow.append(this.#root);
    this.#listen();
  }

  connectedCallback() {
    this.#isShown = true;
    this.#kind = this.getAttribute("kind") === "altcha" ? "altcha" : "jigsaw";
    this.#speak();
    this.refresh();
  }

  disconnectedCallback() {
    this.#isShown = false;
    this.#work.abort();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#isShown || before === now) return;
    if (name === "lang") return this.#speak();
    if (name === "kind") return this.#use(now === "altcha" ? "altcha" : "jigsaw");
    if (name !== "sender" || this.#state === "passed") this.refresh();
  }

  /** What a send has to carry, so that the pass is known to be this device's. */
  get headers() {
    return {
      "X-operating-sys-version": navigator.userAgentData?.platform || navigator.platform || "web",
      "X-device-fingerprint": fingerprint(),
      "X-agent": navigator.userAgent,
      "X-client-id": this.getAttribute("client-id") ?? "",
      "X-L": this.#language,
    };
  }

  /** Show a new captcha. A pass that was given before stays good until it is used or too old. */
  refresh() {
    return this.#begin(() => "");
  }

  get #language() {
    const near = this.getAttribute("lang") || this.closest("[lang]")?.lang;
    return (near || navigator.language).toLowerCase().startsWith("zh") ? "zh" : "en";
  }

  // ---- what it shows

  #speak() {
    const words = (this.#words = WORDS[this.#language]);
    this.#root.lang = this.#language;
    this.#part("picture").setAttribute("aria-label", words.picture);
    this.#part("handle").setAttribute("aria-label", words.slider);
    this.#part("bar").setAttribute("aria-label", words.computing);
    this.#part("another").setAttribute("aria-label", words.another);
    this.#part("another").title = words.another;
    this.#part("doing").textContent = words.computing;
    this.#shadow.getElementById("keys").textContent = words.keys;
    this.#show();
  }

  #show() {
    const root = this.#root;
    root.dataset.kind = this.#kind;
    root.dataset.state = this.#state;
    root.style.setProperty("--x", this.#x);
    root.classList.toggle("moved", this.#x > 0);
    const words = this.#words;
    this.#part("drag").textContent = this.#state === "loading" ? words.loading : words.hint;
    this.#part("other").textContent = this.#kind === "jigsaw" ? words.compute : words.drag;
    if (this.#state !== "refused") this.#part("check").removeAttribute("aria-disabled");
    this.#part("check").textContent = this.#state === "refused" ? words.again(0) : words.check;
    const said = this.#says(words);
    if (this.#part("said").textContent !== said) this.#part("said").textContent = said;
    const handle = this.#part("handle");
    handle.setAttribute("aria-valuenow", Math.round(this.#x));
    handle.setAttribute("aria-valuetext", words.at(Math.round(this.#x)));
    handle.setAttribute("aria-disabled", this.#state !== "ready");
  }

  #become(state, says) {
    this.#state = state;
    if (says) this.#says = says;
    this.#show();
  }

  // ---- from a captcha to a pass

  async #begin(says) {
    this.#work.abort();
    const { signal } = (this.#work = new AbortController());
    this.#form.setFormValue(null);
    this.#x = 0;
    this.#become("loading", says);
    try {
      if (this.#kind === "altcha") await this.#compute(signal);
      else await this.#draw(signal);
    } catch (error) {
      if (!signal.aborted) this.#refuse(error);
    }
  }

  async #draw(signal) {
    const captcha = await this.#call(PATH, { signal });
    const pictures = [captcha.originalImageBase64, captcha.jigsawImageBase64].map(bitmap);
    const [picture, piece] = await Promise.all(pictures);
    signal.throwIfAborted();
    paint(this.#part("picture"), picture);
    paint(this.#part("piece"), piece);
    this.#captcha = captcha;
    this.#become("ready");
  }

  async #compute(signal) {
    const tell = (tries) => (this.#part("tries").textContent = this.#words.tries(tries));
    if (!canProve()) return this.#become("refused", (words) => words.insecure);
    tell(0);
    this.#become("loading", (words) => words.computing);
    this.#captcha = await this.#call(`${PATH}?captchaType=altcha`, { signal });
    const payload = await prove(this.#captcha.challenge, { tell, signal });
    await this.#hand(payload, signal);
  }

  #submit() {
    if (this.#state !== "ready") return;
    this.#become("checking", () => "");
    // The answer is kept as the text it is: y says 5.0, as all front ends of this captcha do.
    const point = `{"x":${Math.round(this.#x * 100) / 100},"y":5.0}`;
    const { signal } = this.#work;
    this.#hand(point, signal).catch((error) => signal.aborted || this.#refuse(error));
  }

  async #hand(point, signal) {
    const sender = this.getAttribute("sender") ?? "";
    if (!sender) return this.#begin((words) => words.nobody);
    const asked = { point_json: point, token: this.#captcha.token, sender };
    const { captcha_token: captchaToken } = await this.#call(`${PATH}/verify`, {
      method: "POST",
      body: JSON.stringify(asked),
      signal,
    });
    this.#form.setFormValue(captchaToken);
    this.#become("passed", (words) => (this.#kind === "jigsaw" ? words.passed : words.proven));
    this.#fire("watchword-pass", { captchaToken, sender });
  }

  #refuse(error) {
    const { code = "", retryIn = 0, message } = error;
    const here = error instanceof Refusal;
    if (here) this.#fire("watchword-refusal", { code, message, retryIn });
    if (code === "CAPTCHA.0001") return this.#begin((words) => words.late);
    if (code === "CAPTCHA.0002") return this.#miss();
    this.#become("refused", (words) => {
      if (!here) return words.unreachable;
      return retryIn > BRIEF_S ? words.tooMany(span(words, retryIn)) : message || words.refused;
    });
    this.#hold(retryIn);
  }

  #miss() {
    this.#root.classList.add("missed");
    return this.#begin((words) => words.missed);
  }

  /** The button counts down to when another try has a chance. */
  #hold(seconds) {
    const { signal } = this.#work;
    const button = this.#part("check");
    const until = Date.now() + seconds * 1000;
    const tick = () => {
      if (signal.aborted || this.#state !== "refused") return;
      const left = Math.ceil((until - Date.now()) / 1000);
      button.setAttribute("aria-disabled", left > 0);
      button.textContent = this.#words.again(left);
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }

  #use(kind) {
    this.#kind = kind;
    this.refresh();
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  async #call(path, { headers = {}, ...rest }) {
    const url = (this.getAttribute("endpoint") ?? "").replace(/\/$/, "") + path;
    const typed = rest.body ? { "content-type": "application/json" } : {};
    const answer = await fetch(url, {
      headers: { ...this.headers, ...typed, ...headers },
      cache: "no-store",
      credentials: "omit",
      ...rest,
    });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refusal(body, Number(answer.headers.get("retry-after")) || 0);
    return body;
  }

  // ---- hands and keys

  #listen() {
    const on = (name, event, act) => this.#part(name).addEventListener(event, act);
    on("another", "click", () => this.refresh());
    on("other", "click", () => this.#use(this.#kind === "jigsaw" ? "altcha" : "jigsaw"));
    on("check", "click", () => this.#press());
    on("handle", "keydown", (event) => this.#key(event));
    on("track", "pointerdown", (event) => this.#grasp(event));
    on("stage", "pointerdown", (event) => this.#grasp(event));
    on("stage", "animationend", () => this.#root.classList.remove("missed"));
  }

  #press() {
    if (this.#part("check").getAttribute("aria-disabled") === "true") return;
    this.#part(this.#kind === "jigsaw" ? "handle" : "other").focus(); // the button goes away
    if (this.#state === "ready") this.#submit();
    else this.refresh();
  }

  #key(event) {
    const to = {
      ArrowLeft: this.#x - 1,
      ArrowDown: this.#x - 1,
      ArrowRight: this.#x + 1,
      ArrowUp: this.#x + 1,
      PageDown: this.#x - 10,
      PageUp: this.#x + 10,
      Home: 0,
      End: MOST,
    }[event.key];
    if (to !== undefined) this.#move(to);
    else if (event.key === "Enter") this.#submit();
    else return;
    event.preventDefault();
  }

  /** A drag takes the piece along and ends in the answer; a tap brings it there, to be checked. */
  #grasp(event) {
    if (this.#state !== "ready" || event.button !== 0 || !event.isPrimary) return;
    const area = event.currentTarget;
    const scale = WIDTH / area.clientWidth;
    const from = { x: this.#x, at: event.clientX };
    let dragged = false;
    const end = new AbortController();
    const on = (name, act) => area.addEventListener(name, act, { signal: end.signal });
    const follow = ({ clientX }) => {
      dragged ||= Math.abs(clientX - from.at) >= A_DRAG;
      this.#root.classList.toggle("dragging", dragged);
      if (dragged) this.#move(from.x + (clientX - from.at) * scale);
    };
    const finish = (release) => {
      end.abort();
      this.#root.classList.remove("dragging");
      if (this.#state !== "ready") return;
      if (release.type === "pointercancel") return this.#move(from.x);
      if (dragged) return this.#submit();
      if (event.target.closest(".handle")) return;
      this.#move((event.clientX - area.getBoundingClientRect().left) * scale - PIECE / 2);
    };
    area.setPointerCapture(event.pointerId);
    on("pointermove", follow);
    on("pointerup", finish);
    on("pointercancel", finish);
    this.#part("handle").focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  }

  #move(x) {
    if (this.#state !== "ready") return;
    this.#x = Math.min(MOST, Math.max(0, x));
    this.#show();
  }
}

// No data: address is needed, and so no page has to allow any.
const bitmap = (base64) =>
  createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]));

function paint(canvas, picture) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0);
}

const KEPT = "watchword-device";
let drawn = "";

/** Drawn at random, once for a browser: it says nothing of the device but that it is the same. */
function fingerprint() {
  try {
    drawn ||= localStorage.getItem(KEPT) || "";
  } catch {} // a browser that keeps nothing for us: the same until the page is left
  if (drawn) return drawn;
  const random = crypto.getRandomValues(new Uint8Array(16));
  drawn = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    localStorage.setItem(KEPT, drawn);
  } catch {}
  return drawn;
}

if (!customElements.get("watchword-captcha")) {
  customElements.define("watchword-captcha", WatchwordCaptcha);
}
export { WatchwordCaptcha };
