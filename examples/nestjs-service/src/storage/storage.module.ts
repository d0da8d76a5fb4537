import { Global, Module } from "@nestjs/common";
import { settings } from "../settings";
import { PostgresStorage } from "./postgres.storage";
import { SqliteStorage } from "./sqlite.storage";
import { Storage } from "./storage";

const SQLITE = "sqlite:";

function open(): Promise<Storage> {
  const url = settings.databaseUrl;
  return url.startsWith(SQLITE) ? SqliteStorage.open(url.slice(SQLITE.length)) : PostgresStorage.open(url);
}

@Global()
@Module({ providers: [{ provide: Storage, useFactory: open }], exports: [Storage] })
export class StorageModule {}
