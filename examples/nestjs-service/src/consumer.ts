import { Kafka, KafkaMessage, logLevel } from "kafkajs";
import { Pool } from "pg";
import { settings } from "./settings";

/*
 * A consumer as one writes it with KafkaJS, without Nest: every event has its effect and its inbox row in one
 * transaction, its own or that of its whole batch. `bench` measures ours against it.
 *   TOPIC=accounts EVENTS=200000 TRANSACTIONS=event|batch node dist/consumer.js
 */

interface AccountOpened {
  eventId: string;
  data: { accountId: number };
}

interface Store {
  /** All of them in one transaction; an event that was handled before has no second effect. */
  handle(events: AccountOpened[]): Promise<void>;
}

const SQLITE = "sqlite:";
const TABLES = `
  create table if not exists kafkajs_inbox (event_id text primary key);
  create table if not exists kafkajs_effects (account_id bigint primary key, effects bigint not null);`;

async function sqlite(path: string): Promise<Store> {
  const { default: Sqlite } = await import("better-sqlite3");
  const db = new Sqlite(path);
  db.pragma("journal_mode = wal");
  db.pragma("synchronous = full");
  db.exec(TABLES);
  const note = db.prepare<[string]>("insert into kafkajs_inbox values (?) on conflict do nothing");
  const add = db.prepare<[number]>(
    `insert into kafkajs_effects values (?, 1)
     on conflict (account_id) do update set effects = kafkajs_effects.effects + 1`,
  );
  const all = db.transaction((events: AccountOpened[]) => {
    for (const { eventId, data } of events) {
      if (note.run(eventId).changes === 1) add.run(data.accountId);
    }
  });
  return { handle: async (events) => all.immediate(events) };
}

async function postgres(connectionString: string): Promise<Store> {
  const pool = new Pool({ connectionString, max: 16 });
  await pool.query(TABLES);
  const note = {
    name: "note",
    text: "insert into kafkajs_inbox select unnest($1::text[]) on conflict do nothing returning event_id",
  };
  const add = {
    name: "add",
    text: `insert into kafkajs_effects select account_id, count(*) from unnest($1::bigint[]) as account_id
           group by account_id order by account_id
           on conflict (account_id) do update set effects = kafkajs_effects.effects + excluded.effects`,
  };
  return {
    handle: async (events) => {
      const client = await pool.connect();
      try {
        await client.query("begin");
        const { rows } = await client.query({ ...note, values: [events.map(({ eventId }) => eventId)] });
        const isNew = new Set(rows.map(({ event_id }) => event_id));
        const accounts = events.filter(({ eventId }) => isNew.has(eventId)).map(({ data }) => data.accountId);
        await client.query({ ...add, values: [accounts] });
        await client.query("commit");
      } catch (error) {
        await client.query("rollback");
        throw error;
      } finally {
        client.release();
      }
    },
  };
}

async function main(): Promise<void> {
  const { TOPIC = "accounts", EVENTS = "0", TRANSACTIONS = "event" } = process.env;
  const url = settings.databaseUrl;
  const store = await (url.startsWith(SQLITE) ? sqlite(url.slice(SQLITE.length)) : postgres(url));
  const kafka = new Kafka({ clientId: settings.clientId, brokers: settings.brokers, logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: settings.groupId });
  let handled = 0;
  const handle = async (messages: KafkaMessage[]): Promise<void> => {
    if (handled === 0) console.log("begun");
    await store.handle(messages.map(({ value }) => JSON.parse(value!.toString()) as AccountOpened));
    const before = handled;
    handled += messages.length;
    if (before < Number(EVENTS) && handled >= Number(EVENTS)) console.log(`handled ${handled}`);
  };
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
  await consumer.run(
    TRANSACTIONS === "batch"
      ? { eachBatch: ({ batch }) => handle(batch.messages) }
      : { eachMessage: ({ message }) => handle([message]) },
  );
  process.once("SIGTERM", () => void consumer.disconnect().then(() => process.exit(0)));
}

void main();
