/** What the environment says; the names of the seed, and two of this service's own. */
export const settings = {
  brokers: (process.env.KAFKA_BROKERS ?? "localhost:9092").split(","),
  clientId: process.env.KAFKA_CLIENT_ID ?? "user-service",
  groupId: process.env.KAFKA_GROUP_ID ?? "user-service-group",
  /** postgres://… or sqlite:PATH */
  databaseUrl: process.env.DATABASE_URL ?? "postgres://techleet:techleet123@localhost:5432/techleet",
  /** after-success, as in the seed, or outbox */
  publish: process.env.PUBLISH ?? "after-success",
};

export const SERVICE = "user-service";

if (!["after-success", "outbox"].includes(settings.publish)) {
  throw new Error(`PUBLISH is ${settings.publish}; allowed are after-success and outbox`);
}
