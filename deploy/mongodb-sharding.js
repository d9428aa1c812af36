// Shards the collections of openim-trio on a MongoDB sharded cluster.  Run once, before the first
// message, against a mongos, by a user with the clusterAdmin role:
//
//   DATABASE=openim_trio mongosh "mongodb://mongos:27017" mongodb-sharding.js
//
// Every collection is looked up by _id, so the shard key is {_id: 1} everywhere and uniqueness of
// _id holds for the whole cluster.
//
// The _id of a row (and of a hidden message) is 24 bytes that start with a hash.  MongoDB compares
// binary values by length first, so split points have 24 bytes too: a leading byte and zeros.
// New chunks are empty and the balancer goes by size, so they are dealt out to the shards here.

/* global BinData, db, print, process, sh */

const database = process.env.DATABASE || "openim_trio";
const BYTES = 24;
const CHUNKS_PER_SHARD = 8;

const admin = db.getSiblingDB("admin");
const shards = admin.runCommand({ listShards: 1 }).shards.map((shard) => shard._id);

function splitPoint(leadingByte) {
  const bytes = Buffer.alloc(BYTES);
  bytes[0] = leadingByte;
  return { _id: BinData(0, bytes.toString("base64")) };
}

function shard(collection) {
  const namespace = `${database}.${collection}`;
  const known = db.getSiblingDB("config").getCollection("collections").findOne({ _id: namespace });
  if (known && !known.dropped) {
    print(`${namespace}: sharded already, left as it is`);
    return false;
  }
  sh.shardCollection(namespace, { _id: 1 });
  print(`${namespace}: sharded on {_id: 1}`);
  return true;
}

function preSplit(collection) {
  const namespace = `${database}.${collection}`;
  const chunks = Math.min(256, shards.length * CHUNKS_PER_SHARD);
  for (let chunk = 1; chunk < chunks; chunk++) {
    const point = splitPoint(Math.floor((256 * chunk) / chunks));
    sh.splitAt(namespace, point);
    const answer = admin.runCommand({ moveChunk: namespace, find: point, to: shards[chunk % shards.length] });
    if (!answer.ok && !/already/i.test(answer.errmsg || "")) {
      throw new Error(`${namespace}: chunk ${chunk}: ${answer.errmsg}`);
    }
  }
  print(`${namespace}: ${chunks} chunks on ${shards.length} shards`);
}

sh.enableSharding(database);
for (const collection of ["rows", "hidden"]) {
  if (shard(collection)) {
    preSplit(collection);
  }
}
// Keys of these start with an id as text; chunks split and move as they grow.
for (const collection of ["conversations", "members", "versions", "users", "tokens"]) {
  shard(collection);
}
