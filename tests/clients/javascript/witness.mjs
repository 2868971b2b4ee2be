// Watches a client: which commands it was given, and how they were answered.

import assert from "node:assert/strict";

import * as sdk from "@aws-sdk/client-kinesis";

// Endpoint, region and credentials come from the environment, as anywhere.
export const client = new sdk.KinesisClient({ maxAttempts: 1 });

/** Every command that the package has. */
export const commands = Object.keys(sdk).filter((name) => /^[A-Z]\w+Command$/.test(name));
export const succeeded = new Set();
export const refusedOf = new Set();

/** Calls an operation, as `call("DescribeStream", { StreamName: "orders" })`. */
export async function call(operation, input = {}) {
  const answer = await client.send(new sdk[`${operation}Command`](input));
  const { $metadata: metadata, ...members } = answer;
  assert.equal(metadata.httpStatusCode, 200);
  assert.match(metadata.requestId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(Buffer.from(metadata.extendedRequestId, "base64").length, 72);
  assert.equal(metadata.attempts, 1);
  succeeded.add(`${operation}Command`);
  return members;
}

/** Calls an operation that says nothing but that it is done. */
export async function done(operation, input) {
  same(await call(operation, input), {}, operation);
}

/** Calls an operation that is refused with an exception of its type and with a text. */
export async function refused(name, text, operation, input = {}) {
  const error = await client.send(new sdk[`${operation}Command`](input)).then(
    (answer) => assert.fail(`${operation} is not refused, but answered: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.equal(error.name, name, `${operation}: ${error}`);
  // A type that the package does not know is given as that of all.
  assert.ok(error instanceof (sdk[name] ?? sdk.KinesisServiceException), `${operation}: ${error}`);
  assert.equal(error.$metadata.httpStatusCode, 400);
  assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
  if (text instanceof RegExp) {
    assert.match(error.message, text);
  } else {
    assert.equal(error.message, text);
  }
  refusedOf.add(`${operation}Command`);
}

/**
 * Checks an answer with all its members. A function in place of a value says whether one is right, a
 * pattern what a text looks like.
 */
export function same(actual, expected, path = "answer") {
  if (typeof expected === "function") {
    assert.ok(expected(actual), `${path}: ${actual}`);
  } else if (expected instanceof RegExp) {
    assert.match(actual, expected, path);
  } else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), path);
    assert.equal(actual.length, expected.length, `${path}: ${JSON.stringify(actual)}`);
    expected.forEach((value, index) => same(actual[index], value, `${path}[${index}]`));
  } else if (expected !== null && typeof expected === "object" && !isLeaf(expected)) {
    const present = Object.keys(actual).filter((key) => actual[key] !== undefined);
    assert.deepEqual(present.sort(), Object.keys(expected).sort(), path);
    for (const [key, value] of Object.entries(expected)) {
      same(actual[key], value, `${path}.${key}`);
    }
  } else {
    assert.deepEqual(isLeaf(actual) ? plain(actual) : actual, plain(expected), path);
  }
}

function isLeaf(value) {
  return value instanceof Date || value instanceof Uint8Array;
}

function plain(value) {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
}

/** Whether a time is about now. */
export function isNow(time) {
  return time instanceof Date && Math.abs(Date.now() - time.getTime()) < 120_000;
}

/** A sequence number of this decade. */
export const aNumber = /^49\d{54}$/;
