/** The demonstration page: a number, a captcha, a code. */

import "./watchword-captcha.js";

const API = "/api/v2/sdk";
const WORDS = JSON.parse(document.getElementById("words").textContent);

const one = (selector) => document.querySelector(selector);
const all = (selector) => document.querySelectorAll(selector);
const field = (id) => document.getElementById(id);

let language = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
let captcha = null;
let asked = null; // { mobile, type }: what the code is for
let countries = [];
let counting = 0; // the timer of the one countdown there is
const saying = new Map(); // element -> what it says now, for when the language changes

// ---- words

function say(element, word, values = {}) {
  saying.set(element, () => {
    let text = typeof word === "function" ? word() : (WORDS[language][word] ?? word);
    for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, value);
    return text;
  });
  element.textContent = saying.get(element)();
}

function speak(to) {
  language = to;
  document.documentElement.lang = to === "zh" ? "zh-CN" : "en";
  document.title = `${WORDS[to].title} · watchword`;
  for (const element of all("[data-say]")) element.textContent = WORDS[to][element.dataset.say];
  for (const [element, text] of saying) element.textContent = text();
  for (const button of all(".languages button")) {
    button.setAttribute("aria-pressed", button.value === to);
  }
  one(".languages").setAttribute("aria-label", WORDS[to].language);
  one(".steps").setAttribute("aria-label", WORDS[to].progress);
  captcha?.setAttribute("lang", to);
  listCountries();
  const address = new URL(location);
  address.searchParams.set("lang", to);
  history.replaceState(null, "", address);
}

/** What went wrong, kindly: by its code where we have words for it, else the server's own. */
const wordOf = ({ code, message }) => (code in WORDS[language] ? code : message || "unreachable");

// ---- pages

function go(step) {
  const steps = ["number", "captcha", "code", "done"];
  if (step !== "captcha") one(".puzzle").replaceChildren(); // it stops what it was doing
  for (const page of all(".page")) page.hidden = page.dataset.page !== step;
  for (const item of all(".steps li")) {
    const is = steps.indexOf(step) - steps.indexOf(item.dataset.of);
    item.classList.toggle("past", is > 0);
    if (is === 0) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function complain(id, word, values) {
  field(id).setAttribute("aria-invalid", "true");
  say(field(`${id}-error`), word, values);
  field(id).focus();
}

function forgive(id) {
  if (id === "mobile") clearInterval(counting); // no countdown goes on there
  field(id).removeAttribute("aria-invalid");
  say(field(`${id}-error`), "");
}

// ---- calls

class Refusal extends Error {
  constructor({ error_code: code = "", error_msg: message = "" }, headers) {
    super(message);
    this.code = code.replace("IDAAS.SDK.", "");
    this.retryIn = Number(headers.get("retry-after")) || 0;
  }
}

async function call(path, body) {
  const answer = await fetch(API + path, {
    method: body ? "POST" : "GET",
    headers: body ? { ...captcha.headers, "content-type": "application/json" } : {},
    body: body && JSON.stringify(body),
    cache: "no-store",
  }).catch(() => {
    throw new Refusal({ error_code: "unreachable" }, new Headers());
  });
  if (!answer.ok) throw new Refusal(await answer.json().catch(() => ({})), answer.headers);
  return answer;
}

// ---- the number

async function loadCountries() {
  const known = await (await call("/country-codes")).json();
  countries = known.phoneAreaCodeDefinitions.map((each) => ({
    prefix: digits(each.areaCode),
    names: each.displayMapping,
    id: each.countryCode,
    looksRight: pattern(each.mobileRegex),
  }));
  const preferred = known.preferredAreaCode; // a country's, as in "CN" or as in "+86"
  const is = ({ id, prefix }) => id === preferred || prefix === digits(preferred);
  listCountries(countries.find(is)?.id);
}

function listCountries(chosen = field("country").value) {
  const name = ({ names }) => names[language === "zh" ? "zh-CN" : "en"] ?? names.en;
  const order = new Intl.Collator(language === "zh" ? "zh-CN" : "en");
  const sorted = [...countries].sort((a, b) => order.compare(name(a), name(b)));
  const options = sorted.map((each) => new Option(`${name(each)} +${each.prefix}`, each.id));
  field("country").replaceChildren(...options);
  if (chosen) field("country").value = chosen;
}

const digits = (text) => String(text).replace(/\D/g, "");

function pattern(text) {
  try {
    return new RegExp(text);
  } catch {
    return /^/; // written for another language's expressions: the server will say
  }
}

/** The number in full, "" where there is none, null where it cannot be one. */
function number() {
  const typed = field("mobile").value.normalize("NFKC").trim();
  if (typed === "") return "";
  if (typed.startsWith("+")) return /^\+[\d\s().-]{6,}$/.test(typed) ? `+${digits(typed)}` : null;
  const country = countries.find(({ id }) => id === field("country").value);
  const national = typed.replace(/[\s().-]/g, "");
  if (!country) return national;
  const spellings = [national, national.replace(/^0/, "")].map((n) => `+${country.prefix}${n}`);
  return spellings.find((spelling) => country.looksRight.test(spelling)) ?? null;
}

const clientId = () => field("client-id").value.trim() || field("client").value;

function submitNumber(event) {
  event.preventDefault();
  forgive("mobile");
  forgive("client-id");
  const mobile = number();
  if (mobile === "") return complain("mobile", "mobileEmpty");
  if (mobile === null) return complain("mobile", "mobileOdd");
  if (!/^[A-Za-z0-9]{32}$/.test(clientId())) return askForClient("clientIdOdd");
  asked = { mobile, type: one("[name=scene]:checked").value };
  const prefix = countries.find((each) => mobile.startsWith(`+${each.prefix}`))?.prefix ?? "";
  const shown = prefix ? `+${prefix} ${mobile.slice(prefix.length + 1)}` : mobile;
  for (const element of all(".number")) element.textContent = shown;
  showCaptcha();
}

function askForClient(word) {
  field("client-id").closest(".field").hidden = false;
  complain("client-id", word);
}

// ---- the captcha

function showCaptcha() {
  captcha = document.createElement("watchword-captcha");
  captcha.setAttribute("client-id", clientId());
  captcha.setAttribute("sender", asked.mobile);
  captcha.setAttribute("lang", language);
  captcha.addEventListener("watchword-pass", ({ detail }) => send(detail.captchaToken));
  captcha.addEventListener("watchword-refusal", ({ detail }) => {
    if (detail.code !== "PARAM.0003") return;
    go("number");
    askForClient("PARAM.0003");
  });
  say(one(".sending"), "");
  go("captcha");
  one(".puzzle").replaceChildren(captcha);
  captcha.focus();
}

async function send(captcha_token) {
  const wanted = asked;
  say(one(".sending"), "sending");
  try {
    const { headers } = await call("/sms/send", { ...wanted, captcha_token });
    if (asked === wanted) showCode(headers);
  } catch (error) {
    if (asked === wanted) backToNumber(error);
  }
}

function backToNumber(error) {
  go("number");
  if (!error.retryIn) return complain("mobile", wordOf(error));
  complain("mobile", "mobileWait", { time: minutes(error.retryIn) });
  countDown(error.retryIn, (left) => {
    if (left > 0) say(field("mobile-error"), "mobileWait", { time: minutes(left) });
    else forgive("mobile");
  });
}

// ---- the code

function showCode(headers) {
  go("code");
  forgive("code");
  field("code").value = "";
  field("code").focus();
  const lifetime = Math.round(Number(headers.get("x-expires-in")) / 60);
  say(field("code-note"), lifetime ? "validFor" : "", { minutes: lifetime });
  say(one(".spoken"), () => `${WORDS[language].sentTo} ${one(".number").textContent}`);
  countDown(Number(headers.get("x-resend-after")) || 0, (left) => {
    one(".resend").setAttribute("aria-disabled", left > 0);
    say(one(".resend"), left > 0 ? "resendIn" : "resend", { time: minutes(left) });
  });
  listenForMessage();
}

let verifying = false;
async function submitCode(event) {
  event?.preventDefault();
  if (verifying) return;
  verifying = true;
  await verify().finally(() => (verifying = false));
}

async function verify() {
  forgive("code");
  const verify_code = plain(field("code").value);
  if (!verify_code) return complain("code", "codeEmpty");
  const wanted = asked;
  try {
    await call("/sms/verify", { ...wanted, verify_code });
  } catch (error) {
    if (asked === wanted) complain("code", wordOf(error));
    return;
  }
  if (asked !== wanted) return;
  leave();
  go("done");
  one(".done h2").focus();
}

/** A code without the blanks and dashes that it may be written with. */
const plain = (text) => text.normalize("NFKC").replace(/[^A-Za-z0-9]/g, "");

/** A message may say whose code it has (WebOTP); the browser then asks, and hands it over. */
let listening = new AbortController();
function listenForMessage() {
  if (!("OTPCredential" in window)) return;
  listening.abort();
  const { signal } = (listening = new AbortController());
  navigator.credentials.get({ otp: { transport: ["sms"] }, signal }).then(
    ({ code }) => {
      field("code").value = code;
      submitCode();
    },
    () => {}, // not here, or not wanted: there is the field
  );
}

function countDown(seconds, tell) {
  clearInterval(counting);
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    if (left === 0) clearInterval(counting);
    tell(left);
  };
  counting = setInterval(tick, 250);
  tick();
}

const minutes = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

function leave() {
  clearInterval(counting);
  listening.abort();
}

function restart() {
  leave();
  asked = null;
  forgive("mobile");
  go("number");
  field("mobile").focus();
}

// ---- from here on it waits for a person

one("[data-page=number]").addEventListener("submit", submitNumber);
one("[data-page=code]").addEventListener("submit", submitCode);
one(".restart").addEventListener("click", restart);
for (const button of all(".change")) button.addEventListener("click", restart);
one(".resend").addEventListener("click", ({ currentTarget }) => {
  if (currentTarget.getAttribute("aria-disabled") !== "true") showCaptcha();
});
for (const button of all(".languages button")) {
  button.addEventListener("click", () => speak(button.value));
}
for (const id of ["mobile", "code", "client-id"]) {
  field(id).addEventListener("input", () => forgive(id));
}
field("code").addEventListener("paste", (event) => {
  event.preventDefault();
  const pasted = event.clipboardData.getData("text").normalize("NFKC");
  field("code").value = plain(/\d(?:[ -]?\d){3,9}/.exec(pasted)?.[0] ?? pasted); // a whole message
  forgive("code");
});
const given = new URLSearchParams(location.search).get("client_id");
if (given) {
  field("client-id").value = given;
  for (const id of ["client", "client-id"]) field(id).closest(".field").hidden = true;
}
loadCountries().catch((error) => complain("mobile", wordOf(error)));
