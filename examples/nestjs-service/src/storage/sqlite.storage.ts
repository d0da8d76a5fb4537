import Database from "better-sqlite3";
import { OutgoingEvent } from "../kafka/events";
import { Department, EmailTaken, NewUser, Storage, StoredEvent, User } from "./storage";

const TABLES = `
  create table if not exists employees (
    employee_id integer primary key, first_name text not null, last_name text not null, email text not null unique);
  create table if not exists departments (department_id integer primary key, name text not null);
  create table if not exists outbox (
    id integer primary key, topic text not null, key text not null, envelope text not null);`;

type OutboxRow = { id: number; topic: string; key: string; envelope: string };

/** better-sqlite3 is synchronous: each transaction is one call, and on disk when it returns. */
export class SqliteStorage extends Storage {
  private readonly insertUser;
  private readonly insertEvent;
  private readonly selectOutbox;
  private readonly deleteEvent;

  constructor(private readonly db: Database.Database) {
    super();
    db.pragma("journal_mode = wal");
    db.pragma("synchronous = full");
    db.exec(TABLES);
    this.insertUser = db.prepare<[string, string, string]>(
      "insert into employees (first_name, last_name, email) values (?, ?, ?)",
    );
    this.insertEvent = db.prepare<[string, string, string]>(
      "insert into outbox (topic, key, envelope) values (?, ?, ?)",
    );
    this.selectOutbox = db.prepare<[number], OutboxRow>(
      "select id, topic, key, envelope from outbox order by id limit ?",
    );
    this.deleteEvent = db.prepare<[number]>("delete from outbox where id = ?");
  }

  static async open(path: string): Promise<SqliteStorage> {
    // Loaded only where it is used: it is an optional dependency, since it may have to be compiled.
    const { default: Sqlite } = await import("better-sqlite3");
    return new SqliteStorage(new Sqlite(path));
  }

  async addUser(user: NewUser, announce?: (user: User) => OutgoingEvent): Promise<User> {
    const add = this.db.transaction((): User => {
      const { lastInsertRowid } = this.insertUser.run(user.firstName, user.lastName, user.email);
      const added = { employeeId: Number(lastInsertRowid), ...user };
      if (announce !== undefined) {
        const { topic, key, envelope } = announce(added);
        this.insertEvent.run(topic, key, JSON.stringify(envelope));
      }
      return added;
    });
    try {
      return add.immediate();
    } catch (error) {
      if ((error as { code?: string }).code === "SQLITE_CONSTRAINT_UNIQUE") throw new EmailTaken();
      throw error;
    }
  }

  async user(employeeId: number): Promise<User | undefined> {
    return this.db
      .prepare<[number], User>(
        `select employee_id as employeeId, first_name as firstName, last_name as lastName, email
         from employees where employee_id = ?`,
      )
      .get(employeeId);
  }

  async putDepartment({ departmentId, name }: Department): Promise<void> {
    this.db
      .prepare("insert into departments values (?, ?) on conflict (department_id) do update set name = excluded.name")
      .run(departmentId, name);
  }

  async departments(): Promise<Department[]> {
    return this.db
      .prepare<[], Department>("select department_id as departmentId, name from departments order by department_id")
      .all();
  }

  async outbox(limit: number): Promise<StoredEvent[]> {
    return this.selectOutbox
      .all(limit)
      .map(({ id, topic, key, envelope }) => ({ id, event: { topic, key, envelope: JSON.parse(envelope) } }));
  }

  async removeFromOutbox(ids: number[]): Promise<void> {
    this.db.transaction(() => ids.forEach((id) => this.deleteEvent.run(id))).immediate();
  }
}
