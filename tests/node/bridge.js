// The vendors' own Node clients, driven by tests/node_clients.py: a line of JSON in, a line out.
"use strict";

// A client may log to stdout, where our answers go: it may say it all in what it throws.
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;

const FormData = require("form-data");
const core = require("@huaweicloud/huaweicloud-sdk-core");
const { AKSKSigner } = require("@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner");
const { ClientBuilder } = require("@huaweicloud/huaweicloud-sdk-core/ClientBuilder");
const PopCore = require("@alicloud/pop-core");
const openapi = require("@alicloud/openapi-client");
const { RuntimeOptions } = require("@alicloud/tea-util");
const manager = require("@alicloud/resourcemanager20200331");

const COMMANDS = {
  // Huawei Cloud

  /** The headers that the signer alone puts on a request: {ak, sk, request}. */
  sign: ({ ak, sk, request }) =>
    AKSKSigner.sign(request, new core.GlobalCredentials({ ak, sk })),

  /**
   * What a program gets that sends this request: {endpoint, ak, sk, request}, and where wanted
   * {domainId, securityToken, region, iamEndpoint}. With a region and no domain id, the client
   * asks the IAM endpoint for one first. `request` is as generated clients build it: method, url,
   * and where wanted pathParams, queryParams, headers, contentType, data; `form` is data's fields.
   */
  send: ({ request: { form, ...request }, ...client }) => {
    if (form) request.data = formOf(form);
    const usual = { pathParams: {}, queryParams: {}, headers: {} };
    return builtWith(client).sendRequest({ ...usual, ...request });
  },

  // Alibaba Cloud

  /**
   * What a program gets that calls an operation by the older client, which signs V1: {endpoint,
   * ak, sk, action, version}, and where wanted {securityToken, params, method, options}. The
   * endpoint is a URL; the method is GET unless told. Names and actions get a capital, unless
   * `options` has {formatParams: false, formatAction: false}.
   */
  popCore: async ({ ak, sk, action, version, params = {}, method = "GET", options, ...client }) => {
    const keys = { accessKeyId: ak, accessKeySecret: sk, apiVersion: version };
    const calling = new PopCore.RPCClient({ ...client, ...keys });
    try {
      return await calling.request(action, params, { method, ...options });
    } finally {
      calling.keepAliveAgent.destroy();
    }
  },

  /**
   * What a program gets that calls any operation by the newer client, which signs ACS3: {endpoint,
   * ak, sk, action, version}, and where wanted {securityToken, query, body, headers, method,
   * bodyType, signatureAlgorithm}. The endpoint is a host and port. The body's fields travel as a
   * form, or as `bodyType` says (json, byte); the algorithm "v2" is V1. Gives the whole answer:
   * {body, headers, statusCode}.
   */
  openapi: ({ action, version, method = "POST", bodyType = "formData", ...given }) => {
    const { query, body, headers, signatureAlgorithm, ...client } = given;
    const config = new openapi.Config({ ...teaConfig(client), signatureAlgorithm });
    const params = new openapi.Params({
      action, version, method, protocol: "HTTP", pathname: "/", authType: "AK", style: "RPC",
      reqBodyType: bodyType, bodyType: "json",
    });
    const request = new openapi.OpenApiRequest({ query, body, headers });
    return new openapi.default(config).callApi(params, request, new RuntimeOptions({}));
  },

  /**
   * What a program gets that calls the generated client of the 2020 edition, which signs ACS3 in
   * its own core: {endpoint, ak, sk, operation}, and where wanted {securityToken, request}. The
   * endpoint is a host and port; `operation` is a name like getAccount, and the request's fields
   * are the client's own: {accountId}.
   */
  resourceManager: async ({ operation, request, ...client }) => {
    const calling = new manager.default(teaConfig(client));
    const name = operation[0].toUpperCase() + operation.slice(1) + "Request";
    const takes = manager[name];
    return calling[operation](...(takes ? [new takes(request ?? {})] : []));
  },

  // AJ-Captcha

  /** What the stock React component makes of a text under a key: its own aesEncrypt. */
  ajEncrypt: ({ text, key }) => ajCaptcha().aesEncrypt(text, key),

  /**
   * What the stock React component hands to the program around it once a slide of `x` pixels was
   * right: {token, x}, and where AES is on, the secretKey.
   */
  ajVerification: ({ x, ...captcha }) => ajCaptcha().slideSecond(captcha, x).captchaVerification,

  /**
   * The script of a page that has the whole component, without its styles: begin() shows it, and
   * what it hands over is in window.passed.
   */
  ajScript: () => bundled(AJ_PAGE, { format: "iife", minify: true }),

  // JavaScript itself

  /** For each pair of a pattern and a text: whether a program that compiles it finds a match. */
  matches: ({ pairs }) => pairs.map(([pattern, text]) => new RegExp(pattern).test(text)),
};

const AJ_PAGE = `
  import { createElement, createRef } from "react";
  import { createRoot } from "react-dom/client";
  import { Captcha } from "aj-captcha-react";

  const captcha = createRef();
  const onSuccess = (passed) => Object.assign(window, { passed });
  const shown = createElement(Captcha, { ref: captcha, path: "", type: "slide", onSuccess });
  createRoot(document.body).render(shown);
  window.begin = () => captcha.current.verify();
`;
let ajUtilities;

/** The component's own utilities. */
function ajCaptcha() {
  if (!ajUtilities) {
    const exports = 'export * from "aj-captcha-react/dist/utils/utils.js"';
    const module = { exports: {} };
    new Function("module", bundled(exports, { format: "cjs" }))(module);
    ajUtilities = module.exports;
  }
  return ajUtilities;
}

/** A script and all that it imports, as for a browser. */
function bundled(contents, more) {
  const built = require("esbuild").buildSync({
    stdin: { contents, resolveDir: __dirname },
    bundle: true,
    platform: "browser",
    define: { "process.env.NODE_ENV": '"production"' },
    loader: { ".less": "empty" },
    write: false,
    ...more,
  });
  return built.outputFiles[0].text;
}

function builtWith({ endpoint, region, ...credential }) {
  const builder = new ClientBuilder((client) => client, "GlobalCredentials")
    .withCredential(new core.GlobalCredentials(credential))
    .withEndpoint(endpoint);
  return (region ? builder.withRegion(new core.Region(region, endpoint)) : builder).build();
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}

function teaConfig({ endpoint, ak, sk, securityToken }) {
  return { endpoint, accessKeyId: ak, accessKeySecret: sk, securityToken, protocol: "HTTP" };
}

async function answer(line) {
  const { command, ...given } = JSON.parse(line);
  try {
    return { gives: await COMMANDS[command](given) };
  } catch (error) {
    return { fails: { ...error, name: error.name ?? "", message: error.message ?? String(error) } };
  }
}

(async () => {
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    write(JSON.stringify(await answer(line)) + "\n");
  }
})();
