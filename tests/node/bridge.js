// Huawei Cloud's own Node client, driven by tests/node_clients.py: a line of JSON in, a line out.
"use strict";

// The client logs to stdout, where our answers go: it may say it all in what it throws.
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;

const FormData = require("form-data");
const core = require("@huaweicloud/huaweicloud-sdk-core");
const { AKSKSigner } = require("@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner");
const { ClientBuilder } = require("@huaweicloud/huaweicloud-sdk-core/ClientBuilder");

const COMMANDS = {
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
};

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
