// Drives the org emulator with jsforce, as its own documentation says to, and tells on stdout what
// came back: one JSON document, a line for each check. node drive.mjs HOME URL, where HOME is a
// folder with jsforce in its node_modules.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [home, url] = process.argv.slice(2);
const jsforce = createRequire(pathToFileURL(`${home}/`))("jsforce");

const VERSION = "60.0";
const RULE = "01Q000000000001";
const app = { loginUrl: url, clientId: "key", clientSecret: "secret" };
const polling = { pollInterval: 20, pollTimeout: 20_000 };
const outcomes = {};
const checks = [];
const check = (name, body) => checks.push([name, body]);

const lead = (last, more = {}) => ({ LastName: last, Company: "Engines", ...more });
const leads = (last, count) => Array.from({ length: count }, (_, n) => lead(`${last} ${n}`));
const refusal = async (promise) => {
  const error = await promise.then(() => assert.fail("it was not refused"), (reason) => reason);
  return { name: error.name, code: error.errorCode, message: error.message, data: error.data };
};

let conn; // logged in by client credentials, and used by every check below the logins
let rows; // the leads that the bulk insert made

check("soap login tells who and where", async () => {
  const soap = new jsforce.Connection({ loginUrl: url, version: "59.0" });
  const user = await soap.login("ada@test.example", "passtoken");
  assert.equal(soap.instanceUrl, url);
  assert.match(user.id, /^005.{15}$/);
  assert.match(user.organizationId, /^00D.{15}$/);
  assert.equal((await soap.identity()).username, "ada@test.example");
});

check("soap login refuses a wrong password in words", async () => {
  const soap = new jsforce.Connection({ loginUrl: url, version: "59.0" });
  const { message } = await refusal(soap.login("ada@test.example", "wrong"));
  assert.match(message, /INVALID_LOGIN: Invalid username, password, security token/);
});

check("soap logout ends the session", async () => {
  const soap = new jsforce.Connection({ loginUrl: url, version: "59.0" });
  await soap.login("ada@test.example", "passtoken");
  const accessToken = soap.accessToken;
  await soap.logout();
  const late = new jsforce.Connection({ instanceUrl: url, accessToken, version: VERSION });
  assert.equal((await refusal(late.limits())).code, "INVALID_SESSION_ID");
});

check("oauth login by username and password", async () => {
  const oauth = new jsforce.Connection({ oauth2: app, version: VERSION });
  await oauth.login("ada@test.example", "passtoken");
  assert.equal((await oauth.identity()).display_name, "Ada Byron");
  const wrong = await refusal(oauth.login("ada@test.example", "wrong"));
  assert.equal(wrong.name, "invalid_grant");
});

check("oauth logout revokes the token", async () => {
  const oauth = new jsforce.Connection({ oauth2: app, version: VERSION });
  await oauth.login("ada@test.example", "passtoken");
  const accessToken = oauth.accessToken;
  await oauth.logout();
  const late = new jsforce.Connection({ instanceUrl: url, accessToken, version: VERSION });
  assert.equal((await refusal(late.query("SELECT Id FROM Lead"))).code, "INVALID_SESSION_ID");
});

check("oauth login by client credentials", async () => {
  conn = new jsforce.Connection({ oauth2: app, instanceUrl: url, version: VERSION });
  const user = await conn.authorize({ grant_type: "client_credentials" });
  assert.match(user.id, /^005/);
  assert.equal(conn.instanceUrl, url);
});

check("a session that is over is refreshed on the way", async () => {
  let refreshed = 0;
  const tired = new jsforce.Connection({
    instanceUrl: url,
    accessToken: "over",
    version: VERSION,
    refreshFn: (_conn, done) => {
      refreshed += 1;
      done(null, conn.accessToken);
    },
  });
  assert.equal((await tired.query("SELECT COUNT() FROM Lead")).totalSize, 0);
  assert.equal(refreshed, 1);
});

check("identity, limits and versions", async () => {
  const identity = await conn.identity();
  assert.equal(identity.username, "integration@test.example");
  assert.equal(identity.urls.rest, `${url}/services/data/v{version}/`);
  assert.ok((await conn.limits()).DailyApiRequests.Remaining > 0);
  assert.ok(conn.limitInfo.apiUsage.used > 0);
  const listed = await conn.request("/services/data");
  assert.equal(listed.at(-1).version, "68.0");
});

check("describe of the org and of an object", async () => {
  const names = (await conn.describeGlobal()).sobjects.map((one) => one.name);
  assert.ok(names.includes("Lead") && names.includes("User"));
  const described = await conn.sobject("Lead").describe();
  assert.equal(described.keyPrefix, "00Q");
  const key = described.fields.find((field) => field.name === "Person_Id__c");
  assert.deepEqual([key.externalId, key.unique, key.length], [true, true, 64]);
  assert.equal((await refusal(conn.describe("Nothing"))).code, "NOT_FOUND");
});

check("one record from its creation to its end", async () => {
  const Lead = conn.sobject("Lead");
  const made = await Lead.create(lead("One", { Email: "A.B@X.example" }));
  assert.deepEqual([made.success, made.errors, made.id.length], [true, [], 18]);
  assert.equal((await Lead.retrieve(made.id)).Email, "a.b@x.example");
  assert.equal((await Lead.update({ Id: made.id, City: "Rome" })).success, true);
  assert.equal((await Lead.record(made.id).retrieve()).City, "Rome");
  assert.equal((await Lead.destroy(made.id)).success, true);
  assert.equal((await refusal(Lead.retrieve(made.id))).code, "NOT_FOUND");
});

check("upsert by an external id creates once and updates after", async () => {
  const Lead = conn.sobject("Lead");
  const first = await Lead.upsert(lead("Up", { Person_Id__c: "u 1 ü" }), "Person_Id__c");
  assert.deepEqual([first.success, first.created], [true, true]);
  const again = await Lead.upsert({ Person_Id__c: "u 1 ü", City: "Oslo" }, "Person_Id__c");
  assert.deepEqual([again.id, again.created], [first.id, false]);
  assert.equal((await Lead.findOne({ Person_Id__c: "u 1 ü" }, "City")).City, "Oslo");
});

check("many records in one request", async () => {
  const Lead = conn.sobject("Lead");
  const made = await Lead.create([...leads("Many", 3), { LastName: "Many" }]);
  assert.deepEqual(made.map((one) => one.success), [true, true, true, false]);
  assert.equal(made[3].errors[0].statusCode, "REQUIRED_FIELD_MISSING");
  const ids = made.slice(0, 3).map((one) => one.id);
  const changed = await Lead.update(ids.map((Id) => ({ Id, City: "Bonn" })));
  assert.ok(changed.every((one) => one.success));
  assert.deepEqual((await Lead.retrieve(ids)).map((one) => one.City), ["Bonn", "Bonn", "Bonn"]);
  const upserted = await Lead.upsert(
    [lead("Many", { Person_Id__c: "m1" }), lead("Many", { Person_Id__c: "m2" })],
    "Person_Id__c",
  );
  assert.deepEqual(upserted.map((one) => one.created), [true, true]);
  assert.ok((await Lead.destroy(ids)).every((one) => one.success));
});

check("more than 200 records are sent in several requests", async () => {
  const made = await conn.sobject("Lead").create(leads("Recursive", 250), { allowRecursive: true });
  assert.equal(made.filter((one) => one.success).length, 250);
});

check("all or none", async () => {
  const Lead = conn.sobject("Lead");
  const records = [lead("Whole"), { LastName: "Whole" }];
  const refused = await Lead.create(records, { allOrNone: true });
  const codes = refused.map((one) => one.errors[0].statusCode);
  assert.deepEqual(codes, ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]);
  assert.equal(await Lead.count({ LastName: "Whole" }), 0);
});

check("a duplicate value names the record it meets", async () => {
  const Lead = conn.sobject("Lead");
  const first = await Lead.create(lead("Twin", { Person_Id__c: "twin" }));
  const refused = await refusal(Lead.create(lead("Twin", { Person_Id__c: "twin" })));
  assert.equal(refused.name, "DUPLICATE_VALUE");
  assert.ok(refused.message.includes(first.id.slice(0, 15)));
});

check("errors carry the org's code as name and errorCode", async () => {
  const missing = await refusal(conn.sobject("Lead").create({ LastName: "L" }));
  assert.deepEqual([missing.name, missing.code], Array(2).fill("REQUIRED_FIELD_MISSING"));
  assert.match(missing.message, /Required fields are missing: \[Company\]/);
  assert.equal((await refusal(conn.query("SELECT Nope FROM Lead"))).code, "INVALID_FIELD");
  assert.equal((await refusal(conn.query("SELECT FROM"))).code, "MALFORMED_QUERY");
  assert.equal((await refusal(conn.request("/services/data/v60.0/nothing"))).code, "NOT_FOUND");
});

check("an assignment rule is obeyed or left out by a header", async () => {
  const Lead = conn.sobject("Lead");
  const routed = await Lead.create(lead("Routed", { Country: "DE" }));
  const headers = { "Sforce-Auto-Assign": "FALSE" };
  const kept = await Lead.create(lead("Kept", { Country: "DE" }), { headers });
  const owners = await conn.query("SELECT Id, Owner.Name, Owner.Type FROM Lead");
  const ownerOf = (id) => owners.records.find((one) => one.Id === id).Owner;
  assert.deepEqual([ownerOf(routed.id).Name, ownerOf(routed.id).Type], ["DACH", "Queue"]);
  assert.equal(ownerOf(kept.id).Name, "Integration User");
});

check("bulk insert gives back what was saved and what was not", async () => {
  const input = [...leads("Bulk", 4_500), { LastName: "", Company: "no name, \"quoted\"" }];
  const done = await conn.bulk2.loadAndWaitForResults({
    object: "Lead",
    operation: "insert",
    input,
    ...polling,
  });
  rows = done.successfulResults;
  assert.deepEqual([rows.length, done.failedResults.length], [4_500, 1]);
  assert.equal(done.unprocessedRecords.length, 0);
  assert.deepEqual([rows[0].sf__Created, rows[0].sf__Id.length], ["true", 18]);
  assert.match(done.failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING:.*LastName --$/);
  assert.equal(done.failedResults[0].Company, "no name, \"quoted\"");
});

check("bulk update", async () => {
  const input = rows.slice(0, 10).map((row) => ({ Id: row.sf__Id, City: "Zürich" }));
  const done = await conn.bulk2.loadAndWaitForResults({
    object: "Lead",
    operation: "update",
    input,
    ...polling,
  });
  assert.equal(done.successfulResults.length, 10);
  assert.equal(await conn.sobject("Lead").count({ City: "Zürich" }), 10);
});

check("bulk upsert", async () => {
  const input = [lead("Keyed", { Person_Id__c: "b1" }), lead("Keyed", { Person_Id__c: "b2" })];
  const load = {
    object: "Lead",
    operation: "upsert",
    externalIdFieldName: "Person_Id__c",
    input,
    ...polling,
  };
  const created = async () => {
    const done = await conn.bulk2.loadAndWaitForResults(load);
    assert.deepEqual(done.failedResults, []);
    return done.successfulResults.map((row) => row.sf__Created);
  };
  assert.deepEqual(await created(), ["true", "true"]);
  assert.deepEqual(await created(), ["false", "false"]);
});

check("bulk delete and hard delete", async () => {
  const remove = async (operation, records) => {
    const input = records.map((row) => ({ Id: row.sf__Id }));
    const load = { object: "Lead", operation, input, ...polling };
    return (await conn.bulk2.loadAndWaitForResults(load)).successfulResults.length;
  };
  assert.equal(await remove("delete", rows.slice(4_400, 4_450)), 50);
  assert.equal(await remove("hardDelete", rows.slice(4_450, 4_460)), 10);
  assert.equal(await conn.sobject("Lead").count({ LastName: { $like: "Bulk %" } }), 4_440);
});

check("a bulk job step by step, with an assignment rule", async () => {
  const job = conn.bulk2.createJob({
    object: "Lead",
    operation: "insert",
    assignmentRuleId: RULE,
    lineEnding: "CRLF",
    columnDelimiter: "SEMICOLON",
  });
  assert.equal((await job.open()).state, "Open");
  await job.uploadData("LastName;Company;Country\r\nStep;C;DE\r\n");
  await job.close();
  await job.poll(20, 20_000);
  const info = await job.check();
  assert.deepEqual([info.state, info.numberRecordsProcessed], ["JobComplete", 1]);
  assert.equal(info.assignmentRuleId.slice(0, 15), RULE);
  assert.equal((await job.getAllResults()).successfulResults.length, 1);
  const found = await conn.query("SELECT Owner.Name FROM Lead WHERE LastName = 'Step'");
  assert.equal(found.records[0].Owner.Name, "DACH");
  await job.delete();
});

check("a bulk job that fails says why", async () => {
  const load = { object: "Lead", operation: "insert", input: "Nope\nx\n", ...polling };
  const refused = await refusal(conn.bulk2.loadAndWaitForResults(load));
  assert.match(refused.message, /InvalidBatch : Field name not found : Nope/);
});

check("a bulk job that is aborted takes nothing more", async () => {
  const job = conn.bulk2.createJob({ object: "Lead", operation: "insert" });
  await job.open();
  assert.equal((await job.abort(), await job.check()).state, "Aborted");
  assert.equal((await refusal(job.uploadData("LastName\nx\n"))).code, "INVALIDJOBSTATE");
});

check("bulk query", async () => {
  const soql = "SELECT Id, LastName FROM Lead WHERE LastName LIKE 'Bulk %'";
  const found = await (await conn.bulk2.query(soql, polling)).toArray();
  assert.equal(found.length, 4_440);
  assert.deepEqual(Object.keys(found[0]), ["Id", "LastName"]);
  const refused = await refusal(conn.bulk2.query("SELECT Nope FROM Lead", polling));
  assert.match(`${refused.code} ${refused.message}`, /INVALID|No such column/);
});

check("a query page after page", async () => {
  const soql = "SELECT Id FROM Lead WHERE LastName LIKE 'Bulk %'";
  const first = await conn.query(soql);
  assert.deepEqual([first.records.length, first.done, first.totalSize], [2_000, false, 4_440]);
  const second = await conn.queryMore(first.nextRecordsUrl);
  const third = await conn.queryMore(second.nextRecordsUrl);
  assert.deepEqual([third.records.length, third.done], [440, true]);
});

check("a query that fetches its pages by itself", async () => {
  const soql = "SELECT Id FROM Lead WHERE LastName LIKE 'Bulk %'";
  const all = await conn.query(soql, { autoFetch: true, maxFetch: 10_000 });
  assert.equal(new Set(all.records.map((one) => one.Id)).size, 4_440);
  const some = await conn.query(soql, { autoFetch: true, maxFetch: 2_500 });
  assert.equal(some.records.length, 2_500);
});

check("a deleted record is seen by a query that scans all", async () => {
  const soql = "SELECT Id FROM Lead WHERE IsDeleted = true AND LastName LIKE 'Bulk %'";
  assert.equal((await conn.query(soql, { scanAll: true })).totalSize >= 50, true);
  assert.equal((await conn.query(soql)).totalSize, 0);
});

check("find, sort, skip and limit", async () => {
  const found = await conn
    .sobject("Lead")
    .find({ LastName: { $in: ["Bulk 1", "Bulk 2", "Bulk 3"] } }, ["Id", "LastName"])
    .sort({ LastName: -1 })
    .skip(1)
    .limit(2)
    .execute();
  assert.deepEqual(found.map((one) => one.LastName), ["Bulk 2", "Bulk 1"]);
  const quoted = await conn.sobject("Lead").find({ LastName: "O'Hara \"x\"" }).execute();
  assert.deepEqual(quoted, []);
});

check("a query builder that updates and destroys what it finds", async () => {
  const Lead = conn.sobject("Lead");
  await Lead.create(leads("Builder", 3));
  const builder = () => Lead.find({ LastName: { $like: "Builder%" } });
  const changed = await builder().update({ City: "Lima" }, "Lead");
  assert.deepEqual(changed.map((one) => one.success), [true, true, true]);
  assert.equal(await Lead.count({ City: "Lima" }), 3);
  assert.ok((await builder().destroy("Lead")).every((one) => one.success));
  assert.equal(await Lead.count({ City: "Lima" }), 0);
});

check("composite requests that refer to each other", async () => {
  const base = `/services/data/v${VERSION}`;
  const reply = await conn.requestPost(`${base}/composite`, {
    allOrNone: true,
    compositeRequest: [
      { method: "POST", url: `${base}/sobjects/Lead`, referenceId: "made", body: lead("Comp") },
      { method: "GET", url: `${base}/sobjects/Lead/@{made.id}`, referenceId: "read" },
    ],
  });
  assert.deepEqual(reply.compositeResponse.map((one) => one.httpStatusCode), [201, 200]);
  assert.equal(reply.compositeResponse[1].body.LastName, "Comp");
});

check("a search by words", async () => {
  await conn.sobject("Lead").create(lead("Searchable", { FirstName: "Grace" }));
  const found = await conn.search("FIND {grace AND search*} RETURNING Lead(Id, LastName)");
  assert.deepEqual(found.searchRecords.map((one) => one.LastName), ["Searchable"]);
  assert.equal((await refusal(conn.search("FIND grace"))).code, "MALFORMED_SEARCH");
});

check("what was updated and deleted, and what was looked at", async () => {
  const Lead = conn.sobject("Lead");
  const { id } = await Lead.create(lead("Copied"));
  const minutes = (count) => new Date(Date.now() + count * 60_000);
  assert.ok((await Lead.updated(minutes(-5), minutes(5))).ids.includes(id));
  await Lead.destroy(id);
  const { deletedRecords } = await Lead.deleted(minutes(-5), minutes(5));
  assert.ok(deletedRecords.some((one) => one.id === id));
  assert.deepEqual([await conn.recent(), await Lead.recent()], [[], []]);
});

check("bulk api 1.0 loads, changes and removes", async () => {
  conn.bulk.pollInterval = 20;
  const made = await conn.bulk.load("Lead", "insert", [...leads("Old", 3), { LastName: "Old" }]);
  assert.deepEqual(made.map((one) => one.success), [true, true, true, false]);
  assert.match(made[3].errors[0], /^REQUIRED_FIELD_MISSING/);
  const ids = made.slice(0, 3).map((one) => ({ Id: one.id }));
  const changes = ids.map((one) => ({ ...one, City: "Turin" }));
  const changed = await conn.bulk.load("Lead", "update", changes);
  assert.ok(changed.every((one) => one.success));
  const options = { extIdField: "Person_Id__c" };
  const keyed = [lead("Old", { Person_Id__c: "old" })];
  const upserted = await conn.bulk.load("Lead", "upsert", options, keyed);
  assert.equal(upserted[0].success, true);
  const removed = await conn.bulk.load("Lead", "delete", ids);
  assert.ok(removed.every((one) => one.success));
  assert.equal(await conn.sobject("Lead").count({ LastName: { $like: "Old%" } }), 1);
});

check("bulk api 1.0 queries", async () => {
  const soql = "SELECT Id, LastName FROM Lead WHERE LastName LIKE 'Bulk %'";
  const found = await (await conn.bulk.query(soql)).toArray();
  assert.equal(found.length, 4_440);
  const late = new jsforce.Connection({ instanceUrl: url, accessToken: "over", version: VERSION });
  assert.equal((await refusal(late.bulk.load("Lead", "insert", leads("x", 1)))).code, "InvalidSessionId");
});

for (const [name, body] of checks) {
  try {
    outcomes[name] = { ok: true, value: (await body()) ?? null };
  } catch (error) {
    outcomes[name] = { ok: false, value: error.stack ?? String(error) };
  }
}
console.log(JSON.stringify(outcomes));
