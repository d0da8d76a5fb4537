import { Pool, PoolClient } from "pg";
import { OutgoingEvent } from "../kafka/events";
import { Department, EmailTaken, NewUser, Storage, StoredEvent, User } from "./storage";

const CONNECTIONS_MAX = 16;
const UNIQUE_VIOLATION = "23505";
/** Any number that nobody else uses: two copies must not make the tables at once. */
const TABLES_LOCK = 3001;

const TABLES = `
  create table if not exists employees (
    employee_id serial primary key, first_name text not null, last_name text not null, email text not null unique);
  create table if not exists departments (department_id integer primary key, name text not null);
  create table if not exists outbox (
    id bigserial primary key, topic text not null, key text not null, envelope text not null);`;
const INSERT_USER = {
  name: "insert-user",
  text: "insert into employees (first_name, last_name, email) values ($1, $2, $3) returning employee_id",
};
const INSERT_EVENT = {
  name: "insert-event",
  text: "insert into outbox (topic, key, envelope) values ($1, $2, $3)",
};

export class PostgresStorage extends Storage {
  private constructor(private readonly pool: Pool) {
    super();
  }

  static async open(connectionString: string): Promise<PostgresStorage> {
    const pool = new Pool({ connectionString, max: CONNECTIONS_MAX });
    await pool.query(`begin; select pg_advisory_xact_lock(${TABLES_LOCK}); ${TABLES} commit`);
    return new PostgresStorage(pool);
  }

  async addUser(user: NewUser, announce?: (user: User) => OutgoingEvent): Promise<User> {
    try {
      if (announce === undefined) return await this.insertUser(this.pool, user);
      return await this.inTransaction(async (client) => {
        const added = await this.insertUser(client, user);
        const { topic, key, envelope } = announce(added);
        await client.query({ ...INSERT_EVENT, values: [topic, key, JSON.stringify(envelope)] });
        return added;
      });
    } catch (error) {
      if ((error as { code?: string }).code === UNIQUE_VIOLATION) throw new EmailTaken();
      throw error;
    }
  }

  async user(employeeId: number): Promise<User | undefined> {
    const { rows } = await this.pool.query(
      `select employee_id as "employeeId", first_name as "firstName", last_name as "lastName", email
       from employees where employee_id = $1`,
      [employeeId],
    );
    return rows[0];
  }

  async putDepartment({ departmentId, name }: Department): Promise<void> {
    await this.pool.query(
      `insert into departments (department_id, name) values ($1, $2)
       on conflict (department_id) do update set name = excluded.name`,
      [departmentId, name],
    );
  }

  async departments(): Promise<Department[]> {
    const sql = `select department_id as "departmentId", name from departments order by department_id`;
    return (await this.pool.query(sql)).rows;
  }

  async outbox(limit: number): Promise<StoredEvent[]> {
    const { rows } = await this.pool.query("select id, topic, key, envelope from outbox order by id limit $1", [limit]);
    return rows.map(({ id, topic, key, envelope }) => ({
      id: Number(id),
      event: { topic, key, envelope: JSON.parse(envelope) },
    }));
  }

  async removeFromOutbox(ids: number[]): Promise<void> {
    await this.pool.query("delete from outbox where id = any($1)", [ids]);
  }

  private async insertUser(on: Pool | PoolClient, user: NewUser): Promise<User> {
    const { rows } = await on.query({ ...INSERT_USER, values: [user.firstName, user.lastName, user.email] });
    return { employeeId: rows[0].employee_id, ...user };
  }

  private async inTransaction<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    const client = await this.pool.connect();
    try {
      await client.query("begin");
      const result = await work(client);
      await client.query("commit");
      return result;
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  }
}
